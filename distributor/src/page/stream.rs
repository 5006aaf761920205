//! The job stream as a picture: two minutes from left to right, one lane for each slot, and one for
//! each worker where those would be too many or too narrow.
//!
//! A bar's position is relative to a fixed moment, and the whole picture is shifted as time passes:
//! a bar that has ended stays the same from one picture to the next, and only new ones are sent.

mod summed;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::colour::Colours;
use crate::view::format::{coarse, many};
use crate::view::{Bar, BarEnd, Lane, View, WINDOW};
use simple_dist_protocol::WorkerId;

/// The most bars of a picture: it is sent, and redrawn twice a second.
const BARS: usize = 900;
/// The most slots with a lane each, unless it is one worker's own picture.
const SLOTS: usize = 32;
/// How often the fixed moment changes.
const ERA_MS: u64 = 600_000;
/// The height of the scale above the lanes.
const TOP: u32 = 20;
/// The gap between the lanes of two workers.
const GAP: u32 = 8;
/// The least height of a lost worker's lanes: its label has two lines.
const TWO_LINES: u32 = 26;

/// The job stream: pixels vertically, percent of the window's width horizontally.
pub(super) struct StreamChart {
    /// How far the bars are shifted, in percent.
    pub(super) shift: String,
    pub(super) ticks: Vec<Tick>,
    /// The same in one or two forms, of which a screen shows one.
    pub(super) pictures: Vec<Picture>,
    pub(super) legend: Vec<(String, String)>,
    /// The looks whose bars are striped.
    pub(super) striped: Vec<String>,
    /// What is not shown.
    pub(super) more: Option<String>,
    /// A description for screen readers.
    pub(super) summary: String,
    /// If there were too many bars: those nearer to each other than this are merged.
    pub(super) merged: Option<String>,
}

/// The lanes of all workers, in one form.
pub(super) struct Picture {
    /// `wide` or `narrow`, if only such screens show it.
    pub(super) class: &'static str,
    pub(super) height: u32,
    pub(super) names: Vec<WorkerLabel>,
    pub(super) lanes: Vec<Row>,
    pub(super) cuts: Vec<LossMark>,
}

/// The label of a worker's lanes.
pub(super) struct WorkerLabel {
    pub(super) y: u32,
    pub(super) text: String,
    pub(super) path: String,
    /// `lost 34 s ago`
    pub(super) lost: Option<String>,
}

/// A line of the scale.
pub(super) struct Tick {
    pub(super) x: String,
    pub(super) text: String,
}

/// The bars of one lane.
pub(super) struct Row {
    pub(super) key: String,
    pub(super) bars: Vec<BarShape>,
}

/// A bar.
pub(super) struct BarShape {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) y: u32,
    pub(super) height: u32,
    pub(super) class: String,
    pub(super) title: String,
}

/// A line where a worker was lost.
pub(super) struct LossMark {
    pub(super) x: String,
    pub(super) from: u32,
    pub(super) to: u32,
}

/// Maps time to horizontal positions.
struct Scale {
    /// Milliseconds from the fixed moment to the picture's time.
    now: f64,
}

impl Scale {
    /// Percent of the window, rounded to a tenth of a pixel on a wide screen.
    fn percent(milliseconds: f64) -> String {
        let text = format!("{:.2}", milliseconds / WINDOW.as_millis() as f64 * 100.0);
        format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }

    /// The position of a moment `before` seconds before the picture's time.
    fn at(&self, before: f64) -> String {
        Self::percent(self.now - before.max(0.0) * 1e3)
    }
}

impl StreamChart {
    /// The picture of all workers, or of one.
    pub(super) fn of(view: &View, colours: &Colours, only: Option<WorkerId>) -> Self {
        let wanted = |lane: &&Lane| only.is_none_or(|worker| lane.worker == worker);
        let lanes: Vec<&Lane> = view.stream.lanes.iter().filter(wanted).collect();
        let local = if only.is_none() { view.stream.local.as_slice() } else { &[] };
        let scale = Scale { now: (view.unix_ms % ERA_MS) as f64 };
        let by_slot = only.is_some() || lanes.len() + view.stream.more <= SLOTS;
        let (mut pictures, mut merged, mut more) = (Vec::new(), 0.0, None);
        if !lanes.is_empty() {
            if by_slot {
                let (bars, nearer) = fitting(&lanes);
                let mut picture = Picture::of_slots(&lanes, &bars, &scale, colours);
                picture.add_local(local, &scale, colours);
                merged = nearer;
                pictures.push(picture);
            }
            let class = if by_slot { "narrow" } else { "" };
            let (mut picture, shown) = Picture::of_workers(class, &lanes, &scale, colours);
            picture.add_local(local, &scale, colours);
            pictures.push(picture);
            let of = view.workers.iter().filter(|worker| worker.state.is_alive()).count();
            let hidden = of.saturating_sub(shown);
            more = (!by_slot && hidden > 0).then(|| many(hidden as u64, "more worker"));
        }
        Self {
            shift: Scale::percent(WINDOW.as_millis() as f64 - scale.now),
            ticks: ticks(),
            pictures,
            legend: legend(&lanes, local, colours),
            striped: colours.striped(),
            more: more.map(|more| format!("{more} not shown")),
            summary: summary(view, &lanes),
            merged: (merged > 0.0).then(|| format!("{merged:.1} s")),
        }
    }
}

impl Picture {
    fn new(class: &'static str) -> Self {
        let (names, lanes, cuts) = Default::default();
        Self { class, height: TOP, names, lanes, cuts }
    }

    /// One lane for each slot.
    fn of_slots(lanes: &[&Lane], bars: &[Vec<Bar>], scale: &Scale, colours: &Colours) -> Self {
        let mut picture = Self::new("wide");
        let pitch = pitch(lanes.len());
        let lanes: Vec<(&Lane, &Vec<Bar>)> = lanes.iter().copied().zip(bars).collect();
        for group in lanes.chunk_by(|(one, _), (next, _)| one.worker == next.worker) {
            let from = picture.height;
            for (lane, bars) in group {
                let place = (picture.height, pitch - if pitch > 6 { 2 } else { 1 });
                let shapes = bars.iter().map(|bar| shape(bar, place, scale, colours)).collect();
                let key = format!("{}-{}", lane.worker.short(), lane.slot);
                picture.lanes.push(Row { key, bars: shapes });
                picture.height += pitch;
            }
            picture.end_worker(group[0].0, from, GAP, scale);
        }
        picture
    }

    /// One lane for each worker, as many as fit; and how many those are.
    fn of_workers(
        class: &'static str,
        lanes: &[&Lane],
        scale: &Scale,
        colours: &Colours,
    ) -> (Self, usize) {
        let mut picture = Self::new(class);
        let (mut bars, mut shown) = (0, 0);
        for group in lanes.chunk_by(|one, next| one.worker == next.worker) {
            if bars > BARS {
                break;
            }
            let (from, worker) = (picture.height, group[0].worker.short());
            let [load, failures] = summed::lane(group, from, scale, colours);
            bars += load.len() + failures.len();
            picture.lanes.push(Row { key: format!("{worker}-load"), bars: load });
            picture.lanes.push(Row { key: format!("{worker}-bad"), bars: failures });
            picture.height += summed::HEIGHT;
            picture.end_worker(group[0], from, GAP / 2, scale);
            shown += 1;
        }
        (picture, shown)
    }

    /// Adds what belongs to all lanes of a worker, which begin at `from`.
    fn end_worker(&mut self, lane: &Lane, from: u32, gap: u32, scale: &Scale) {
        if let Some(lost) = lane.lost {
            self.height = self.height.max(from + TWO_LINES);
            self.cuts.push(LossMark { x: scale.at(lost.0), from: from - 2, to: self.height });
        }
        let middle = u32::midpoint(from, self.height) + 3;
        self.names.push(WorkerLabel {
            y: if lane.lost.is_some() { middle - 6 } else { middle },
            text: lane.worker.short(),
            path: format!("/workers/{}", lane.worker),
            lost: lane.lost.map(|lost| format!("lost {} ago", coarse(lost))),
        });
        self.height += gap;
    }

    fn add_local(&mut self, local: &[Bar], scale: &Scale, colours: &Colours) {
        if local.is_empty() {
            return;
        }
        let place = (self.height + 1, 10);
        let shapes = local.iter().map(|bar| {
            let mut shape = shape(bar, place, scale, colours);
            shape.class = format!("{} loc", colours.class(&bar.function));
            shape
        });
        self.lanes.push(Row { key: "local".to_owned(), bars: shapes.collect() });
        let (y, text, path) = (self.height + 10, "local".to_owned(), "/functions".to_owned());
        self.names.push(WorkerLabel { y, text, path, lost: None });
        self.height += 16;
    }
}

/// The height of a lane in pixels: less the more there are.
fn pitch(lanes: usize) -> u32 {
    match lanes {
        0..=4 => 17,
        5..=24 => 13,
        25..=48 => 9,
        49.. => 5,
    }
}

fn ticks() -> Vec<Tick> {
    let tick = |before: u32| Tick {
        x: Scale::percent(120_000.0 - f64::from(before) * 1e3),
        text: format!("-{before} s"),
    };
    (1..6).map(|step| tick(step * 20)).collect()
}

fn shape(bar: &Bar, (y, height): (u32, u32), scale: &Scale, colours: &Colours) -> BarShape {
    // A bar that leaves the window on the left is clipped by it, so it stays as it is here.
    let (from, to) = (bar.from.0, bar.to.0);
    let long = (from - to).max(0.15);
    let mut class = match bar.end {
        BarEnd::Running | BarEnd::Abandoned | BarEnd::Value => colours.class(&bar.function),
        BarEnd::Failed => "bad".to_owned(),
        BarEnd::Lost => "lost".to_owned(),
    };
    if matches!(bar.end, BarEnd::Running | BarEnd::Abandoned) {
        class.push_str(" run");
    }
    let width = Scale::percent(long * 1e3);
    BarShape { x: scale.at(from), width, y, height, class, title: title(bar) }
}

/// `fib@1 · 4.3 s`.
fn title(bar: &Bar) -> String {
    let span = crate::view::Seconds(bar.from.0 - bar.to.0);
    let mut title = bar.function.to_string();
    let written = match (bar.count, bar.end) {
        (_, BarEnd::Running) => write!(title, " · runs for {span}"),
        (_, BarEnd::Abandoned) => write!(title, " · abandoned, still running for {span}"),
        (0 | 1, BarEnd::Value) => write!(title, " · {span}"),
        (0 | 1, BarEnd::Failed) => write!(title, " · failed after {span}"),
        (count, BarEnd::Value) => write!(title, " · {count} runs in {span}"),
        (count, BarEnd::Failed) => write!(title, " · {count} runs failed in {span}"),
        (_, BarEnd::Lost) => write!(title, " · lost with its worker after {span}"),
    };
    written.expect("text takes any text");
    title
}

fn legend(lanes: &[&Lane], local: &[Bar], colours: &Colours) -> Vec<(String, String)> {
    let mut names = BTreeMap::new();
    for bar in lanes.iter().flat_map(|lane| &lane.bars).chain(local) {
        names.entry(&*bar.function).or_insert_with(|| colours.class(&bar.function));
    }
    names.into_iter().take(24).map(|(name, class)| (class, name.to_owned())).collect()
}

fn summary(view: &View, lanes: &[&Lane]) -> String {
    let runs = |bar: &Bar| matches!(bar.end, BarEnd::Running | BarEnd::Abandoned);
    let running = lanes.iter().filter(|lane| lane.bars.last().is_some_and(runs));
    let failed: u64 = lanes
        .iter()
        .flat_map(|lane| &lane.bars)
        .filter(|bar| bar.end == BarEnd::Failed)
        .map(|bar| bar.count.max(1))
        .sum();
    let local: u64 = view.stream.local.iter().map(|bar| bar.count).sum();
    format!(
        "What each of {} slots ran in the last two minutes: {} run a job now, {failed} runs \
         failed, {local} runs were local to the callers. The table of workers shows what is running now.",
        lanes.len(),
        running.count(),
    )
}

/// The bars of all lanes, merged until there are few enough, and the gap below which they were
/// merged.
fn fitting(lanes: &[&Lane]) -> (Vec<Vec<Bar>>, f64) {
    let mut nearer = 0.0;
    loop {
        let bars: Vec<Vec<Bar>> = lanes.iter().map(|lane| merge(&lane.bars, nearer)).collect();
        if bars.iter().map(Vec::len).sum::<usize>() <= BARS || nearer > WINDOW.as_secs_f64() {
            return (bars, nearer);
        }
        nearer = if nearer == 0.0 { 0.2 } else { nearer * 2.0 };
    }
}

/// The bars of one lane, where bars nearer to each other than `nearer`, and shorter than that,
/// become one: that of the function with the longest run.
fn merge(bars: &[Bar], nearer: f64) -> Vec<Bar> {
    if nearer == 0.0 {
        return bars.to_vec();
    }
    let mut merged: Vec<(Bar, f64)> = Vec::new();
    for bar in bars {
        let long = bar.from.0 - bar.to.0;
        match merged.last_mut() {
            Some((last, most))
                if last.to.0 - bar.from.0 <= nearer
                    && (last.function == bar.function && last.end == bar.end
                        || last.from.0 - bar.to.0 <= nearer) =>
            {
                if long > *most {
                    (last.function, last.end, *most) = (bar.function.clone(), bar.end, long);
                }
                last.to = bar.to;
                last.count += bar.count;
            }
            _ => merged.push((bar.clone(), long)),
        }
    }
    merged.into_iter().map(|(bar, _)| bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    const NOW: u64 = 1_700_000_123_000;

    fn chart(view: &View) -> StreamChart {
        StreamChart::of(view, &Colours::of(view), None)
    }

    fn picture(view: &View) -> Picture {
        chart(view).pictures.swap_remove(0)
    }

    fn bar(function: &str, from: f64, to: f64) -> Bar {
        let (from, to) = (crate::view::Seconds(from), crate::view::Seconds(to));
        Bar { function: function.into(), from, to, count: 1, end: BarEnd::Value }
    }

    #[test]
    fn a_bar_that_has_ended_stays_where_it_was() {
        let (one, two) = (chart(&sample::busy(NOW)), chart(&sample::busy(NOW + 500)));
        let places = |chart: &StreamChart, class: bool| -> Vec<String> {
            let bars = chart.pictures[0].lanes.iter().flat_map(|lane| &lane.bars);
            bars.filter(|bar| bar.class.ends_with("run") == class)
                .map(|bar| format!("{} {} {}", bar.x, bar.width, bar.y))
                .collect()
        };
        let later = places(&two, false);
        let gone = places(&one, false).into_iter().filter(|bar| !later.contains(bar)).count();
        assert!(gone <= 4, "only those change that left the window: {gone}");
        assert_ne!(one.shift, two.shift);
    }

    #[test]
    fn a_bar_is_as_long_as_its_run_was() {
        let mut view = sample::idle(NOW);
        view.stream.lanes[0].bars = vec![bar("fib@1", 60.0, 30.0)];
        let shape = &picture(&view).lanes[0].bars[0];
        assert_eq!(shape.width, "25%");
        // 323 s into its era are 269.17 % of a window; it began half a window before.
        assert_eq!(shape.x, "219.17%");
        assert_eq!(shape.title, "fib@1 · 30 s");
    }

    #[test]
    fn a_lost_worker_is_cut_off_and_says_so_beside_its_lanes() {
        let picture = picture(&sample::lost(NOW));
        let said = picture.names.iter().filter_map(|name| name.lost.as_deref());
        assert_eq!((picture.cuts.len(), said.collect::<Vec<_>>()), (1, vec!["lost 34 s ago"]));
        assert_eq!(picture.names.last().map(|name| name.text.as_str()), Some("local"));
        let dashed = picture.lanes.iter().flat_map(|lane| &lane.bars);
        assert_eq!(dashed.filter(|bar| bar.class == "lost").count(), 4);
    }

    #[test]
    fn too_many_bars_become_fewer_but_take_the_same_time() {
        let bars: Vec<Bar> = (0..100u32)
            .map(|place| {
                let from = 100.0 - f64::from(place);
                bar(if place % 10 == 0 { "echo@1" } else { "fib@1" }, from, from - 0.9)
            })
            .collect();
        let merged = merge(&bars, 4.0);
        assert!(merged.len() < 40, "{}", merged.len());
        assert_eq!(merged[0].from, bars[0].from);
        assert_eq!(merged.last().map(|bar| bar.to), bars.last().map(|bar| bar.to));
        assert_eq!(merged.iter().map(|bar| bar.count).sum::<u64>(), 100);
        let mut full = sample::idle(NOW);
        let large = sample::large(NOW);
        for (lane, bars) in full.stream.lanes.iter_mut().zip(&large.stream.lanes) {
            lane.bars.clone_from(&bars.bars);
        }
        let full = chart(&full);
        let bars = full.pictures[0].lanes.iter().map(|lane| lane.bars.len()).sum::<usize>();
        assert!(bars <= BARS && full.merged.is_some(), "{bars}");
    }

    #[test]
    fn with_many_slots_each_worker_has_one_lane() {
        let classes = |view: &View| -> Vec<&str> {
            chart(view).pictures.iter().map(|picture| picture.class).collect()
        };
        assert_eq!(classes(&sample::busy(NOW)), ["wide", "narrow"]);
        let large = chart(&sample::large(NOW));
        assert_eq!((large.pictures.len(), large.pictures[0].class), (1, ""));
        assert_eq!(large.pictures[0].names.len(), 2, "of those whose slots are known");
        assert_eq!(large.more.as_deref(), Some("14 more workers not shown"));
    }
}
