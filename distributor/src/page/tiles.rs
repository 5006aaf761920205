//! The six most important numbers, each with its curve over the last two minutes.

use crate::view::format::{Measure, count};
use crate::view::{Function, FunctionSample, Sample, Seconds, View};

/// The size of the box of a curve, which is stretched to the tile's width.
const BOX: (f64, f64) = (120.0, 24.0);
/// In samples.
const MINUTE: usize = 60;

/// A number, its unit, its curve.
pub(super) struct Tile {
    pub(super) name: String,
    /// Where what it counts is listed.
    pub(super) path: Option<&'static str>,
    pub(super) number: String,
    pub(super) unit: String,
    /// The points of a polyline, the newest on the right.
    pub(super) curve: String,
    /// A description of the curve for screen readers.
    pub(super) range: String,
}

pub(super) fn of(view: &View) -> [Tile; 6] {
    let totals = &view.totals;
    let series = &view.series;
    let wait = Measure::span(totals.wait_p95);
    let rate = Measure::rate(totals.rate);
    let local = Measure::share(totals.local_share);
    let most_slots = series.iter().map(|sample| sample.slots).max().unwrap_or(0);
    [
        Tile {
            name: match totals.abandoned {
                0 => "Slots busy".to_owned(),
                some => format!("Slots busy, {} abandoned", count(some)),
            },
            path: Some("/workers?q=busy"),
            number: count(totals.busy),
            unit: format!("of {}", count(totals.slots)),
            curve: curve(series, f64::from(most_slots), |sample| f64::from(sample.busy)),
            range: range(series, |sample| f64::from(sample.busy)),
        },
        Tile {
            name: "Queued".to_owned(),
            path: Some("/jobs"),
            number: count(totals.queued),
            unit: totals.oldest.map_or_else(String::new, |oldest| format!("oldest {oldest}")),
            curve: curve(series, 0.0, |sample| sample.queued as f64),
            range: range(series, |sample| sample.queued as f64),
        },
        Tile {
            name: "Wait p95".to_owned(),
            path: Some("/functions"),
            number: wait.number,
            unit: wait.unit.to_owned(),
            curve: curve(series, 0.0, wait_of),
            range: most(&Measure::span(Some(Seconds(highest(series, wait_of)))).to_string()),
        },
        Tile {
            name: "Done".to_owned(),
            path: Some("/functions"),
            number: rate.number,
            unit: rate.unit.to_owned(),
            curve: curve(series, 0.0, |sample| sample.done as f64),
            range: range(series, |sample| sample.done as f64),
        },
        Tile {
            name: "Failures".to_owned(),
            path: Some("/jobs?failed=on"),
            number: count(series.iter().rev().take(MINUTE).map(failures).sum::<u64>()),
            unit: "in a minute".to_owned(),
            curve: curve(series, 0.0, |sample| failures(sample) as f64),
            range: range(series, |sample| failures(sample) as f64),
        },
        Tile {
            name: "Answered locally".to_owned(),
            path: Some("/functions"),
            number: local.number,
            unit: local.unit.to_owned(),
            curve: curve(series, 0.0, |sample| sample.local as f64),
            range: range(series, |sample| sample.local as f64),
        },
    ]
}

/// What was cancelled has not failed.
fn failures(sample: &Sample) -> u64 {
    sample.failed + sample.timed_out
}

fn wait_of(sample: &Sample) -> f64 {
    sample.wait_p95.map_or(0.0, |wait| wait.0)
}

/// The tiles of one function.
pub(super) fn of_function(function: &Function) -> [Tile; 4] {
    let series = function.series.as_slice();
    let failed = series.iter().rev().take(MINUTE).map(|second| u64::from(second.failed));
    let tile =
        |name: &str, measure: Measure, value: fn(&FunctionSample) -> f64, top: String| Tile {
            name: String::from(name),
            path: None,
            number: measure.number,
            unit: measure.unit.to_owned(),
            curve: curve(series, 0.0, value),
            range: most(&top),
        };
    let [done, bad, wait, run]: [fn(&FunctionSample) -> f64; 4] = [
        |second| second.done.into(),
        |second| second.failed.into(),
        |second| second.wait_p95.into(),
        |second| second.run_p95.into(),
    ];
    let span = |value| Measure::span(Some(Seconds(highest(series, value)))).to_string();
    let failures = Measure { number: count(failed.sum::<u64>()), unit: "in a minute" };
    [
        tile(
            "Done",
            Measure::rate(function.rate),
            done,
            format!("{:.0} /s", highest(series, done)),
        ),
        tile("Failures", failures, bad, format!("{:.0} /s", highest(series, bad))),
        tile("Wait p95", Measure::span(function.wait.p95), wait, span(wait)),
        tile("Run p95", Measure::span(function.run.p95), run, span(run)),
    ]
}

fn highest<T>(series: &[T], value: impl Fn(&T) -> f64) -> f64 {
    series.iter().map(value).fold(0.0, f64::max)
}

/// The points of one value's curve; its top is the highest value, or `top` if that is higher.
fn curve<T>(series: &[T], top: f64, value: impl Fn(&T) -> f64) -> String {
    let (width, height) = BOX;
    let top = highest(series, &value).max(top);
    let scale = if top > 0.0 { (height - 2.0) / top } else { 0.0 };
    let step = width / 119.0;
    let start = width - step * series.len().saturating_sub(1) as f64;
    let points: Vec<String> = series
        .iter()
        .enumerate()
        .map(|(place, sample)| {
            let x = start + step * place as f64;
            format!("{x:.1},{:.1}", height - 1.0 - value(sample) * scale)
        })
        .collect();
    points.join(" ")
}

fn range(series: &[Sample], value: impl Fn(&Sample) -> f64) -> String {
    most(&format!("{:.1}", highest(series, value)))
}

fn most(value: &str) -> String {
    format!("at most {value} in the last two minutes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_ends_at_the_right_and_fills_its_box() {
        let sample = |queued| Sample { queued, ..Sample::default() };
        let points = curve(&[sample(0), sample(4), sample(2)], 0.0, |sample| sample.queued as f64);
        assert_eq!(points, "118.0,23.0 119.0,1.0 120.0,12.0");
        assert_eq!(curve(&[sample(0)], 0.0, |sample| sample.queued as f64), "120.0,23.0");
        assert_eq!(curve(&[], 0.0, |_: &Sample| 0.0), "");
    }
}
