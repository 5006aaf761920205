//! When a run of a function is slow: longer than nearly all of its last runs. And how many extra runs
//! it has earned for those.

use std::time::Duration;

/// How many run times are kept: so many that the slowest five in a hundred are several, so few that
/// they are of now.
const KEPT: usize = 128;
/// After so many runs the limit is computed anew: that takes a microsecond.
const RENEWED: usize = 8;
/// A run is slow when it takes so many times longer than 95 of 100.
const FACTOR: f64 = 1.5;
/// No run is slow before: what takes less is not reported when it starts, and may as well be on its
/// way.
pub(crate) const SOONEST: Duration = Duration::from_millis(50);
/// The most extra runs that are saved up: enough for all slots of one worker that is stuck.
const SAVED: f64 = 32.0;

/// The last run times of a function, and what they have earned.
#[derive(Debug, Default)]
pub(crate) struct SlowRuns {
    /// In microseconds; a ring once it is full.
    last: Vec<u32>,
    next: usize,
    limit: Option<Duration>,
    earned: f64,
}

impl SlowRuns {
    /// A run has ended after this time, and earns this share of an extra run; the limit is known
    /// from so many runs on.
    pub(crate) fn measure(&mut self, took: Duration, share: f64, fewest: usize) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        match self.last.get_mut(self.next) {
            Some(oldest) => *oldest = micros,
            None => self.last.push(micros),
        }
        self.next = (self.next + 1) % KEPT;
        self.earned = (self.earned + share).min(SAVED);
        let is_due = self.limit.is_none() || self.next.is_multiple_of(RENEWED);
        if is_due && self.last.len() >= fewest {
            let mut sorted = self.last.clone();
            let place = (sorted.len() * 95).div_ceil(100).max(1) - 1;
            let (_, p95, _) = sorted.select_nth_unstable(place);
            let slow = Duration::from_micros((*p95).into()).mul_f64(FACTOR);
            self.limit = Some(slow.max(SOONEST));
        }
    }

    /// After how long a run is slow; `None` until enough is known.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Whether an extra run has been earned.
    pub(crate) fn has_earned(&self) -> bool {
        self.earned >= 1.0
    }

    /// An extra run is made.
    pub(crate) fn spend(&mut self) {
        self.earned -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(runs: impl IntoIterator<Item = u64>) -> SlowRuns {
        let mut slow = SlowRuns::default();
        runs.into_iter().for_each(|ms| slow.measure(Duration::from_millis(ms), 0.05, 20));
        slow
    }

    #[test]
    fn a_run_is_slow_when_it_takes_half_as_long_again_as_nearly_all() {
        assert_eq!(after(1..=19).limit(), None);
        // Of 1 to 20 times 100 ms, 95 in 100 take at most 1.9 s.
        assert_eq!(after((1..=20).map(|n| n * 100)).limit(), Some(Duration::from_millis(2850)));
        assert_eq!(after([1; 20]).limit(), Some(SOONEST));
    }

    #[test]
    fn only_the_last_runs_count() {
        assert_eq!(
            after([9000; 20].into_iter().chain([100; KEPT])).limit(),
            Some(Duration::from_millis(150))
        );
        assert_eq!(after([1; 1000]).last.len(), KEPT);
    }

    #[test]
    fn twenty_runs_earn_an_extra_one_and_so_many_are_saved() {
        assert!(!after([1; 19]).has_earned());
        let mut slow = after([1; 10_000]);
        let spent = std::iter::from_fn(|| slow.has_earned().then(|| slow.spend())).count();
        assert_eq!(spent, 32);
    }
}
