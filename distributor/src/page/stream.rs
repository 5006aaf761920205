//! The job stream as a picture: one lane for each slot, two minutes from left to right.
//!
//! A bar's position is relative to a fixed moment, and the whole picture is shifted as time passes:
//! a bar that has ended stays the same from one picture to the next, and only new ones are sent.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::colour::{Colours, Pattern};
use crate::view::format::coarse;
use crate::view::{Bar, BarEnd, Lane, View, WINDOW, Worker, WorkerState};
use simple_dist_protocol::WorkerId;

/// The most bars of a picture that a browser redraws twice a second without lag.
const BARS: usize = 2000;
/// How often the fixed moment changes.
const ERA_MS: u64 = 600_000;
/// The height of the scale above the lanes.
const TOP: u32 = 20;
/// The gap between the lanes of two workers.
const GAP: u32 = 8;

/// The job stream: pixels vertically, percent of the window's width horizontally.
pub(super) struct StreamChart {
    pub(super) height: u32,
    /// How far the bars are shifted, in percent.
    pub(super) shift: String,
    pub(super) names: Vec<WorkerLabel>,
    pub(super) ticks: Vec<Tick>,
    pub(super) lanes: Vec<Row>,
    pub(super) cuts: Vec<LossMark>,
    pub(super) legend: Vec<(String, String)>,
    /// The fill patterns of some functions' bars.
    pub(super) patterns: Vec<Pattern>,
    /// How many slots are not shown.
    pub(super) more: usize,
    /// A description for screen readers.
    pub(super) summary: String,
    /// If there were too many bars: those nearer to each other than this are merged.
    pub(super) merged: Option<String>,
}

/// The label of a worker's lanes.
pub(super) struct WorkerLabel {
    pub(super) y: u32,
    pub(super) text: String,
    pub(super) path: String,
    pub(super) is_lost: bool,
}

/// A line of the scale.
pub(super) struct Tick {
    pub(super) x: String,
    pub(super) text: String,
    /// Shown only when the picture is stretched to the last half minute.
    pub(super) is_fine: bool,
}

/// The bars of one slot.
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

/// A mark where a worker was lost.
pub(super) struct LossMark {
    pub(super) x: String,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) middle: u32,
    pub(super) text: String,
    /// What happened to its jobs; shown if there is space.
    pub(super) more: String,
    /// Whether the text is left of the mark, for lack of space on its right.
    pub(super) is_late: bool,
    /// Whether it is older than the last half minute.
    pub(super) is_far: bool,
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
        let (bars, merged) = fitting(&lanes);
        let pitch = pitch(lanes.len());
        let now = (view.unix_ms % ERA_MS) as f64;
        let scale = Scale { now };
        let mut picture = Self {
            height: TOP,
            shift: Scale::percent(WINDOW.as_millis() as f64 - now),
            names: Vec::new(),
            ticks: ticks(),
            lanes: Vec::new(),
            cuts: Vec::new(),
            legend: legend(&lanes, local, colours),
            patterns: colours.patterns(),
            more: if only.is_none() { view.stream.more } else { 0 },
            summary: summary(view, &lanes),
            merged: (merged > 0.0).then(|| format!("{merged:.1} s")),
        };
        let lanes: Vec<(&Lane, Vec<Bar>)> = lanes.into_iter().zip(bars).collect();
        for group in lanes.chunk_by(|(one, _), (next, _)| one.worker == next.worker) {
            let worker = view.workers.iter().find(|worker| worker.id == group[0].0.worker);
            picture.add(group, worker, pitch, &scale, colours);
        }
        picture.add_local(local, &scale, colours);
        picture
    }

    fn add(
        &mut self,
        group: &[(&Lane, Vec<Bar>)],
        worker: Option<&Worker>,
        pitch: u32,
        scale: &Scale,
        colours: &Colours,
    ) {
        let from = self.height;
        for (lane, bars) in group {
            let place = (self.height, pitch - if pitch > 6 { 2 } else { 1 });
            let shapes = bars.iter().map(|bar| shape(bar, place, scale, colours)).collect();
            let key = format!("{}-{}", lane.worker.short(), lane.slot);
            self.lanes.push(Row { key, bars: shapes });
            self.height += pitch;
        }
        let Some((lane, _)) = group.first() else { return };
        let middle = u32::midpoint(from, self.height) + 3;
        self.names.push(WorkerLabel {
            y: middle,
            text: lane.worker.short(),
            path: format!("/workers/{}", lane.worker),
            is_lost: lane.lost.is_some(),
        });
        if let Some(lost) = lane.lost {
            let (text, more) = lost_text(lost, worker);
            self.cuts.push(LossMark {
                x: scale.at(lost.0),
                from: from - 2,
                to: self.height,
                middle,
                text,
                more,
                // The text of a worker that returned jobs is as wide as 21 s at the usual width.
                is_late: lost.0 < 21.0,
                is_far: lost.0 > 28.0,
            });
        }
        self.height += GAP;
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
        self.names.push(WorkerLabel { y, text, path, is_lost: false });
        self.height += 16;
    }
}

/// `lost 34 s ago` and `: 4 jobs placed again`.
fn lost_text(lost: crate::view::Seconds, worker: Option<&Worker>) -> (String, String) {
    let lost = coarse(lost);
    match worker {
        Some(worker) if worker.state != WorkerState::Lost => {
            (format!("left {lost} ago"), String::new())
        }
        worker => {
            let more = match worker.map_or(0, |worker| worker.gave_back) {
                0 => String::new(),
                1 => ": 1 job placed again".to_owned(),
                jobs => format!(": {jobs} jobs placed again"),
            };
            (format!("lost {lost} ago"), more)
        }
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
    let coarse = (1..6).map(|step| (f64::from(step) * 20.0, false));
    let fine = (1..6).map(|step| (f64::from(step) * 5.0, true));
    coarse
        .chain(fine.filter(|(before, _)| *before != 20.0))
        .map(|(before, is_fine)| Tick {
            x: Scale::percent(120_000.0 - before * 1e3),
            text: format!("-{before} s"),
            is_fine,
        })
        .collect()
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
    names.into_iter().take(48).map(|(name, class)| (class, name.to_owned())).collect()
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

    fn picture(view: &View) -> StreamChart {
        StreamChart::of(view, &Colours::of(view), None)
    }

    fn bar(function: &str, from: f64, to: f64) -> Bar {
        let (from, to) = (crate::view::Seconds(from), crate::view::Seconds(to));
        Bar { function: function.into(), from, to, count: 1, end: BarEnd::Value }
    }

    #[test]
    fn a_bar_that_has_ended_stays_where_it_was() {
        let (one, two) = (picture(&sample::busy(NOW)), picture(&sample::busy(NOW + 500)));
        let places = |picture: &StreamChart, class: bool| -> Vec<String> {
            let bars = picture.lanes.iter().flat_map(|lane| &lane.bars);
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
    fn a_lost_worker_is_cut_off_with_what_became_of_its_jobs() {
        let picture = picture(&sample::lost(NOW));
        let cut = &picture.cuts[0];
        assert_eq!((picture.cuts.len(), cut.is_far, cut.is_late), (1, true, false));
        assert_eq!(format!("{}{}", cut.text, cut.more), "lost 34 s ago: 4 jobs placed again");
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
        let large = picture(&sample::large(NOW));
        assert!(large.lanes.iter().map(|lane| lane.bars.len()).sum::<usize>() <= BARS);
        assert!(large.merged.is_some());
    }
}
