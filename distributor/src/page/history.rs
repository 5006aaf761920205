//! The page of the hours before: what was slow, and what failed, at three o'clock.

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::colour::Colours;
use super::{Frame, Page, Visitor, html};
use crate::history::{Asked, Point, Range, Row, Span};
use crate::view::Seconds;
use crate::view::format::{Measure, clock, count, weekday};

/// The height of one of the curves, and of what is above it.
const BAND: (f64, f64) = (52.0, 14.0);
/// How many times are written under the picture.
const TICKS: u64 = 6;

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    spans: Vec<(Span, &'static str)>,
    span: Span,
    says: String,
    /// The ends of the ranges before and after.
    earlier: u64,
    later: Option<u64>,
    picture: Picture,
    rows: Vec<RowView>,
}

/// Which part of the history is shown, as the address says.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Part {
    #[serde(default)]
    span: Span,
    /// Its end, in seconds of Unix time; now, if it is missing.
    #[serde(default)]
    to: Option<u64>,
}

/// Curves above each other, over the same time.
struct Picture {
    width: usize,
    height: f64,
    bands: Vec<Band>,
    /// Where nothing is known: place and width, in steps.
    gaps: Vec<(usize, usize)>,
    terms: Vec<String>,
    /// Times, in percent from the left.
    ticks: Vec<(String, String)>,
    /// What is said of a step, and the range it leads to.
    steps: Vec<Step>,
}

/// One or two curves on one scale.
struct Band {
    name: &'static str,
    top: String,
    /// Its base.
    y: f64,
    label_y: f64,
    paths: Vec<(&'static str, String)>,
}

struct Step {
    x: usize,
    title: String,
    path: Option<String>,
}

/// A row of the table.
struct RowView {
    /// When it begins, in seconds of Unix time.
    from: u64,
    when: String,
    path: Option<String>,
    done: String,
    failed: Option<String>,
    wait: String,
    run: String,
    /// Class, name, and what is said of it.
    slowest: Option<(String, String, String)>,
    failing: Option<(String, String, String)>,
}

/// `/history`.
pub(super) async fn page(
    State(page): State<Page>,
    visitor: Option<Extension<Visitor>>,
    Query(Part { span, to }): Query<Part>,
) -> Response {
    let range = match page.handle.history(Asked { span, to }).await {
        Ok(range) => range,
        Err(refused) => return page.refused(refused),
    };
    let view = page.handle.view();
    let may_act = page.may_act(visitor);
    let mut frame = page.frame(&view, "history", "History".to_owned(), may_act);
    if to.is_some() {
        // What has passed does not change.
        frame.parts = "status";
    }
    let (length, ..) = span.lengths();
    let colours = Colours::of(&view);
    html(
        &page.base,
        HistoryPage {
            frame,
            spans: Span::ALL.into_iter().zip(["10 minutes", "hour", "day", "week"]).collect(),
            span,
            says: says(&range),
            earlier: range.to.saturating_sub(length),
            later: to.is_some().then_some(range.to + length),
            picture: picture(&range, span),
            rows: range.rows.iter().map(|row| row_view(row, span, &colours)).collect(),
        }
        .render(),
    )
}

/// `From Mon 14:00 to Tue 14:00 UTC; a point is 8 min.`
fn says(range: &Range) -> String {
    let at = |unix| format!("{} {}", weekday(unix), clock(unix));
    let known = range.points.iter().flatten().count();
    let unknown = match range.points.len() - known {
        0 => "",
        _ if known == 0 => " Nothing is known of it.",
        _ => " Where it is grey, nothing is known.",
    };
    let step = Seconds(range.step as f64);
    format!("{} to {} UTC; a step is {step}.{unknown}", at(range.from), at(range.to))
}

fn picture(range: &Range, span: Span) -> Picture {
    let place = |unix: u64| unix.saturating_sub(range.from) as f64 / range.step.max(1) as f64;
    let tick = (range.to - range.from) / TICKS;
    let ticks = (1..TICKS).map(|number| {
        let unix = range.from + number * tick;
        let text = match span {
            Span::Week => format!("{} {}", weekday(unix), clock(unix)),
            Span::Minutes | Span::Hour | Span::Day => clock(unix),
        };
        (format!("{:.2}%", number as f64 / TICKS as f64 * 100.0), text)
    });
    let steps = range.points.iter().enumerate();
    let bands = bands(&range.points);
    Picture {
        width: range.points.len().max(1),
        height: bands.len() as f64 * (BAND.0 + BAND.1) + 2.0,
        bands,
        gaps: gaps(&range.points),
        terms: range.terms.iter().map(|unix| format!("{:.2}", place(*unix))).collect(),
        ticks: ticks.collect(),
        steps: steps.map(|(x, point)| step(range, span, x, point.as_ref())).collect(),
    }
}

/// A figure of a step.
type Figure = fn(&Point) -> f64;

/// The curves, each band on a scale of its own.
fn bands(points: &[Option<Point>]) -> Vec<Band> {
    let band = |number: u32, name, told: fn(f64) -> String, curves: &[(&'static str, Figure)]| {
        let all = points.iter().flatten().flat_map(|it| curves.iter().map(|(_, of)| of(it)));
        let top = all.fold(0.0, f64::max);
        let base = f64::from(number + 1) * (BAND.0 + BAND.1) - 1.0;
        let paths = curves.iter().map(|(class, of)| {
            let is_told = |figure: f64| figure > 0.0 || !class.ends_with("wrong");
            (*class, curve(points, (base, top), *of, is_told))
        });
        let label_y = base - BAND.0 + 10.0;
        Band { name, top: told(top), y: base, label_y, paths: paths.collect() }
    };
    let rate = |top| Measure::rate(top).to_string();
    let whole = |top: f64| count(top.round() as u64);
    let long = |top| format!("p95 {}", Measure::span((top > 0.0).then_some(Seconds(top))));
    vec![
        band(0, "done, failed", rate, &[("curve", |it| it.done), ("curve wrong", |it| it.failed)]),
        band(1, "queued", whole, &[("curve", |it| f64::from(it.queued))]),
        band(
            2,
            "busy, slots",
            whole,
            &[("curve quiet", |it| f64::from(it.slots)), ("curve", |it| it.busy)],
        ),
        band(
            3,
            "wait, run",
            long,
            &[
                ("curve quiet", |it| it.run_p95.unwrap_or_default().0),
                ("curve", |it| it.wait_p95.unwrap_or_default().0),
            ],
        ),
    ]
}

/// Steps from a base up to the top of a band; what is unknown is left out, and that nothing failed.
fn curve(
    points: &[Option<Point>],
    (base, top): (f64, f64),
    figure: Figure,
    is_told: impl Fn(f64) -> bool,
) -> String {
    let (mut path, mut is_drawn) = (String::new(), false);
    for (x, point) in points.iter().enumerate() {
        let Some(figure) = point.as_ref().map(figure).filter(|figure| is_told(*figure)) else {
            is_drawn = false;
            continue;
        };
        let share = if top > 0.0 { figure / top } else { 0.0 };
        let y = base - share * (BAND.0 - 2.0);
        path.push_str(&if is_drawn { format!("V{y:.1}") } else { format!("M{x} {y:.1}") });
        path.push_str(&format!("H{}", x + 1));
        is_drawn = true;
    }
    path
}

/// Runs of steps of which nothing is known.
fn gaps(points: &[Option<Point>]) -> Vec<(usize, usize)> {
    let mut gaps: Vec<(usize, usize)> = vec![];
    for x in points.iter().enumerate().filter(|(_, point)| point.is_none()).map(|(x, _)| x) {
        match gaps.last_mut() {
            Some((from, width)) if *from + *width == x => *width += 1,
            _ => gaps.push((x, 1)),
        }
    }
    gaps
}

fn step(range: &Range, span: Span, x: usize, point: Option<&Point>) -> Step {
    let from = range.from + x as u64 * range.step;
    let title = match point {
        None => format!("{}: nothing is known", clock(from)),
        Some(it) => format!(
            "{}: {} done, {} failed; {} queued; {:.0} of {} busy; wait p95 {}, run p95 {}",
            clock(from),
            Measure::rate(it.done),
            Measure::rate(it.failed),
            count(it.queued),
            it.busy,
            it.slots,
            Measure::span(it.wait_p95),
            Measure::span(it.run_p95),
        ),
    };
    Step { x, title, path: around(span, from) }
}

/// The shorter range that a moment lies in.
fn around(span: Span, unix: u64) -> Option<String> {
    let within = span.within()?;
    let (length, ..) = within.lengths();
    Some(format!("/history?span={}&to={}", within.name(), (unix / length + 1) * length))
}

fn row_view(row: &Row, span: Span, colours: &Colours) -> RowView {
    let long = |wait: Option<Seconds>, run: Option<Seconds>| {
        format!("wait p95 {}, run p95 {}", Measure::span(wait), Measure::span(run))
    };
    let named = |name: &str, says| (colours.class(name), name.to_owned(), says);
    RowView {
        from: row.from,
        when: match span {
            Span::Week => weekday(row.from).to_owned(),
            Span::Minutes | Span::Hour | Span::Day => clock(row.from),
        },
        path: around(span, row.from),
        done: count(row.done),
        failed: (row.failed > 0).then(|| count(row.failed)),
        wait: Measure::span(row.wait_p95).to_string(),
        run: Measure::span(row.run_p95).to_string(),
        slowest: row.slowest.as_ref().map(|of| named(&of.function, long(of.wait_p95, of.run_p95))),
        failing: row
            .failing
            .as_ref()
            .map(|of| named(&of.function, format!("{} failed", count(of.failed)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(points: Vec<Option<Point>>) -> Range {
        Range {
            from: 3600,
            to: 3600 + points.len() as u64 * 60,
            step: 60,
            points,
            ..Range::default()
        }
    }

    #[test]
    fn a_gap_is_a_gap_and_a_step_alone_is_seen() {
        let some = |done| Some(Point { done, ..Point::default() });
        let range = Range {
            terms: vec![3780],
            ..range(vec![some(1.0), None, None, some(2.0), some(1.0), None])
        };
        let picture = picture(&range, Span::Hour);
        assert_eq!(picture.gaps, [(1, 2), (5, 1)]);
        let (band, _) = BAND;
        let (low, high) = (65.0 - (band - 2.0) / 2.0, 65.0 - (band - 2.0));
        let path = format!("M0 {low:.1}H1M3 {high:.1}H4V{low:.1}H5");
        assert_eq!(picture.bands[0].paths[0], ("curve", path));
        assert_eq!(picture.bands[0].paths[1].1, "", "nothing failed");
        assert_eq!(picture.terms, ["3.00"]);
        assert!(picture.steps[1].title.contains("nothing is known"));
        let path = picture.steps[3].path.as_deref();
        assert_eq!(path, Some("/history?span=10m&to=4200"));
        assert!(says(&range).starts_with("Thu 01:00 to Thu 01:06 UTC; a step is 1 min."));
    }

    #[test]
    fn nothing_known_is_said() {
        let range = range(vec![None, None]);
        assert!(says(&range).ends_with("Nothing is known of it."));
        assert_eq!(picture(&range, Span::Day).gaps, [(0, 2)]);
    }
}
