//! Counts of durations in buckets of equal ratio: bounded, cheap, and precise enough to compare
//! percentiles.

use std::time::Duration;

use crate::view::Distribution;

/// Four buckets per doubling, from ten microseconds to half a day.
const BUCKETS: usize = 128;
const FIRST: f64 = 1e-5;
const PER_DOUBLING: f64 = 4.0;
/// Every eighth bucket is exported to the metrics: a factor of four from one to the next.
const TOLD: usize = 8;

/// Counts of durations.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: [u32; BUCKETS],
    count: u64,
    sum: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], count: 0, sum: Duration::ZERO }
    }
}

impl Histogram {
    pub(super) fn record(&mut self, span: Duration) {
        self.record_many(span, 1);
    }

    /// Records as many of the same duration.
    pub(super) fn record_many(&mut self, span: Duration, many: u64) {
        let bucket = (span.as_secs_f64() / FIRST).log2() * PER_DOUBLING;
        // Below the first bucket this is negative or minus infinity: the cast makes it 0.
        let bucket = (bucket.ceil() as usize).min(BUCKETS - 1);
        let counts = u32::try_from(many).unwrap_or(u32::MAX);
        self.counts[bucket] = self.counts[bucket].saturating_add(counts);
        self.count += many;
        self.sum = self.sum.saturating_add(span.saturating_mul(counts));
    }

    /// Adds all that the other counts.
    pub(super) fn add(&mut self, other: &Self) {
        for (into, from) in self.counts.iter_mut().zip(&other.counts) {
            *into = into.saturating_add(*from);
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The duration that this share of all does not exceed, within a tenth.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += u64::from(*count);
            if below >= rank {
                return Some(Duration::from_secs_f64(bound(bucket as f64 - 0.5)));
            }
        }
        None
    }

    /// All counts, for the metrics.
    pub(super) fn distribution(&self) -> Distribution {
        let mut below = 0;
        let mut buckets = vec![];
        for (bucket, count) in self.counts.iter().enumerate().take(BUCKETS - TOLD) {
            below += u64::from(*count);
            if bucket % TOLD == 0 {
                buckets.push((bound(bucket as f64), below));
            }
        }
        Distribution { buckets, count: self.count, sum: self.sum.as_secs_f64() }
    }
}

/// The upper bound of a bucket, in seconds.
fn bound(bucket: f64) -> f64 {
    FIRST * (bucket / PER_DOUBLING).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spans: impl IntoIterator<Item = Duration>) -> Histogram {
        let mut histogram = Histogram::default();
        spans.into_iter().for_each(|span| histogram.record(span));
        histogram
    }

    #[test]
    fn a_quantile_is_right_within_a_tenth() {
        let all = of((1..=1000).map(Duration::from_millis));
        for (share, millis) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = all.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!((found / millis - 1.0).abs() < 0.1, "{share}: {found} is not {millis}");
        }
    }

    #[test]
    fn what_is_added_counts() {
        let mut both = of([Duration::from_millis(1); 50]);
        let mut high = Histogram::default();
        high.record_many(Duration::from_secs(1), 50);
        both.add(&high);
        assert!(both.quantile(0.5).unwrap() < Duration::from_millis(2));
        assert!(both.quantile(0.51).unwrap() > Duration::from_millis(900));
        assert_eq!((both.count(), both.sum), (100, Duration::from_millis(50_050)));
    }

    #[test]
    fn nothing_measured_has_no_quantile_and_nothing_is_out_of_range() {
        let none = Histogram::default();
        assert_eq!(none.quantile(0.5), None);
        let ends = of([Duration::ZERO, Duration::MAX]);
        assert_eq!(ends.count(), 2);
        let told = ends.distribution();
        assert_eq!((told.count, told.buckets.first().unwrap().1), (2, 1));
    }

    #[test]
    fn the_metrics_buckets_rise() {
        let told = of((0..5000).map(|n| Duration::from_micros(n * n))).distribution();
        assert!(told.buckets.is_sorted_by(|one, two| one.0 < two.0 && one.1 <= two.1));
        assert!(told.buckets.len() > 12, "{told:?}");
    }
}
