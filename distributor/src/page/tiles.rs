//! The five most important numbers, each with its curve over the last two minutes.

use crate::view::format::{Measure, count};
use crate::view::{Sample, View};

/// The size of the box of a curve, which is stretched to the tile's width.
const BOX: (f64, f64) = (120.0, 24.0);

/// A number, its unit, its curve.
pub(super) struct Tile {
    pub(super) name: &'static str,
    pub(super) number: String,
    pub(super) unit: String,
    /// The points of a polyline, the newest on the right.
    pub(super) curve: String,
    /// A description of the curve for screen readers.
    pub(super) range: String,
}

pub(super) fn of(view: &View) -> [Tile; 5] {
    let totals = &view.totals;
    let series = &view.series;
    let wait = Measure::span(totals.wait_p95);
    let rate = Measure::rate(totals.rate);
    let local = Measure::share(totals.local_share);
    let most_slots = series.iter().map(|sample| sample.slots).max().unwrap_or(0);
    [
        Tile {
            name: "Slots busy",
            number: count(totals.busy),
            unit: format!("of {}", count(totals.slots)),
            curve: curve(series, f64::from(most_slots), |sample| f64::from(sample.busy)),
            range: range(series, |sample| f64::from(sample.busy)),
        },
        Tile {
            name: "Queued",
            number: count(totals.queued),
            unit: totals.oldest.map_or_else(String::new, |oldest| format!("oldest {oldest}")),
            curve: curve(series, 0.0, |sample| sample.queued as f64),
            range: range(series, |sample| sample.queued as f64),
        },
        Tile {
            name: "Wait p95",
            number: wait.number,
            unit: wait.unit.to_owned(),
            curve: curve(series, 0.0, wait_of),
            range: range(series, wait_of),
        },
        Tile {
            name: "Done",
            number: rate.number,
            unit: rate.unit.to_owned(),
            curve: curve(series, 0.0, |sample| sample.done as f64),
            range: range(series, |sample| sample.done as f64),
        },
        Tile {
            name: "Answered locally",
            number: local.number,
            unit: local.unit.to_owned(),
            curve: curve(series, 0.0, |sample| sample.local as f64),
            range: range(series, |sample| sample.local as f64),
        },
    ]
}

fn wait_of(sample: &Sample) -> f64 {
    sample.wait_p95.map_or(0.0, |wait| wait.0)
}

fn highest(series: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    series.iter().map(value).fold(0.0, f64::max)
}

/// The points of one value's curve; its top is the highest value, or `top` if that is higher.
fn curve(series: &[Sample], top: f64, value: impl Fn(&Sample) -> f64) -> String {
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
    format!("at most {:.1} in the last two minutes", highest(series, value))
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
        assert_eq!(curve(&[], 0.0, |_| 0.0), "");
    }
}
