//! One lane for all slots of a worker: how many of them were busy, in the look of what took most of
//! the time; and where runs failed.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{BarShape, Scale};
use crate::page::colour::Colours;
use crate::view::{BarEnd, Lane};

/// The height of the lane.
pub(super) const HEIGHT: u32 = 13;
/// The height of its highest bar, in equal steps.
const FULL: u32 = HEIGHT - 1;
/// The steps: coarse, so that what is about as busy is one bar.
const STEPS: f64 = 4.0;
/// The span of the shortest bar, in milliseconds; it divides the era.
const SPAN: f64 = 2000.0;
/// The height of the mark of a failure.
const MARK: u32 = 4;

/// What one span of time had.
#[derive(Default)]
struct Bucket<'a> {
    /// How long each function ran, in all slots together.
    runs: BTreeMap<&'a str, f64>,
    failed: u64,
}

/// The bars of a worker's lane, and the marks of its failures.
pub(super) fn lane(
    lanes: &[&Lane],
    y: u32,
    scale: &Scale,
    colours: &Colours,
) -> [Vec<BarShape>; 2] {
    let buckets = buckets(lanes, scale);
    let slots = lanes.len().max(1) as f64;
    let lost = lanes.first().and_then(|lane| lane.lost);
    let end = lost.map_or(f64::INFINITY, |lost| scale.now - lost.0 * 1e3);
    let load = |number: i64, bucket: &Bucket<'_>| {
        let (function, _) = bucket.runs.iter().max_by(|one, two| one.1.total_cmp(two.1))?;
        let seen = (scale.now - number as f64 * SPAN).clamp(1.0, SPAN);
        let busy = (bucket.runs.values().sum::<f64>() / seen / slots).min(1.0);
        Some(((*function).to_owned(), (busy * STEPS).ceil().max(1.0) as u32))
    };
    let loads = alike(&buckets, load).into_iter().map(|(span, (function, steps))| {
        let height = FULL * steps / STEPS as u32;
        let busy = f64::from(steps) / STEPS * slots;
        let title = format!("{function} · at most {busy:.0} of {slots} slots busy");
        shape(span, end, (y + FULL - height, height), colours.class(&function), title)
    });
    let failed = |_: i64, bucket: &Bucket<'_>| (bucket.failed > 0).then_some(());
    let failures = alike(&buckets, failed).into_iter().map(|(span, ())| {
        let all: u64 = buckets.range(span.clone()).map(|(_, bucket)| bucket.failed).sum();
        shape(span, end, (y, MARK), "bad".to_owned(), format!("{all} failed or lost"))
    });
    [loads.collect(), failures.collect()]
}

fn buckets<'a>(lanes: &[&'a Lane], scale: &Scale) -> BTreeMap<i64, Bucket<'a>> {
    let mut buckets: BTreeMap<i64, Bucket<'a>> = BTreeMap::new();
    for bar in lanes.iter().flat_map(|lane| &lane.bars) {
        let (from, to) = (scale.now - bar.from.0 * 1e3, scale.now - bar.to.0 * 1e3);
        let last = (to / SPAN).floor() as i64;
        for number in (from / SPAN).floor() as i64..=last {
            let bucket = buckets.entry(number).or_default();
            let begins = number as f64 * SPAN;
            let ran = (to.min(begins + SPAN) - from.max(begins)).max(0.0);
            if ran > 0.0 {
                *bucket.runs.entry(&bar.function).or_default() += ran;
            }
            let is_bad = matches!(bar.end, BarEnd::Failed | BarEnd::Lost) && number == last;
            bucket.failed += if is_bad { bar.count.max(1) } else { 0 };
        }
    }
    buckets
}

/// The spans of neighbours that are alike.
fn alike<T: PartialEq>(
    buckets: &BTreeMap<i64, Bucket<'_>>,
    of: impl Fn(i64, &Bucket<'_>) -> Option<T>,
) -> Vec<(Range<i64>, T)> {
    let mut spans: Vec<(Range<i64>, T)> = Vec::new();
    for (number, bucket) in buckets {
        let Some(value) = of(*number, bucket) else { continue };
        match spans.last_mut() {
            Some((span, last)) if span.end == *number && *last == value => span.end += 1,
            _ => spans.push((*number..number + 1, value)),
        }
    }
    spans
}

/// A bar over these buckets, as far as they are before `end`.
fn shape(
    span: Range<i64>,
    end: f64,
    (y, height): (u32, u32),
    class: String,
    title: String,
) -> BarShape {
    let from = span.start as f64 * SPAN;
    let width = Scale::percent((span.end as f64 * SPAN).min(end) - from);
    BarShape { x: Scale::percent(from), width, y, height, class, title }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Bar, Seconds, sample};

    #[test]
    fn a_lane_is_as_high_as_its_slots_were_busy_and_marks_failures() {
        let bar = |from: f64, to: f64, end| {
            let (from, to) = (Seconds(from), Seconds(to));
            Bar { function: "fib@1".into(), from, to, count: 3, end }
        };
        let lane_of = |slot, bars| Lane { worker: sample::worker_id(1), slot, lost: None, bars };
        let lanes = [
            lane_of(0, vec![bar(100.0, 60.0, BarEnd::Value), bar(20.0, 19.9, BarEnd::Failed)]),
            lane_of(1, vec![bar(80.0, 60.0, BarEnd::Value)]),
        ];
        let lanes: Vec<&Lane> = lanes.iter().collect();
        let view = sample::idle(1_700_000_123_000);
        let scale = Scale { now: 200_000.0 };
        let [load, failures] = lane(&lanes, 20, &scale, &Colours::of(&view));
        let seen: Vec<_> = load.iter().map(|bar| (&*bar.width, bar.y, bar.height)).collect();
        // Twenty seconds are a sixth of the window.
        let short = ("1.67%", 29, 3);
        assert_eq!(seen, [("16.67%", 26, 6), ("16.67%", 20, 12), short]);
        let marks: Vec<_> = failures.iter().map(|bar| (&*bar.class, &*bar.title)).collect();
        assert_eq!(marks, [("bad", "3 failed or lost")]);
    }
}
