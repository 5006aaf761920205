//! Measurements of a function: since the process started, and over the last one to two minutes
//! ("recently").

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::view::{Percentiles, RecentEndings, Seconds};

use super::counters::{Ending, Endings};
use super::histogram::Histogram;

/// The length of a window. Two of them make "the last one to two minutes".
const SPAN: Duration = Duration::from_secs(60);

/// The most kinds of reason kept for one function's local runs.
pub(super) const REASONS: usize = 16;
/// The longest name of a reason, in bytes.
const REASON_BYTES: usize = 64;

/// Measurements of one function, or of all together.
#[derive(Debug, Clone, Default)]
pub(super) struct Stats {
    /// Since the process began.
    pub(super) waits: Histogram,
    /// Since the process began.
    pub(super) runs: Histogram,
    /// Every answer, by kind.
    pub(super) answers: BTreeMap<&'static str, u64>,
    current: Window,
    before: Window,
}

/// What happened in one window.
#[derive(Debug, Clone, Default)]
struct Window {
    since: Duration,
    waits: Histogram,
    runs: Histogram,
    ended: Endings,
    local: u64,
}

/// The record of one function.
#[derive(Debug)]
pub(super) struct FunctionStats {
    pub(super) name: Arc<str>,
    pub(super) ended: Endings,
    /// Local runs of clients, by reason.
    pub(super) local: BTreeMap<String, u64>,
    pub(super) stats: Stats,
}

impl FunctionStats {
    /// An empty record.
    pub(super) fn new(name: Arc<str>) -> Self {
        let (ended, local, stats) = Default::default();
        Self { name, ended, local, stats }
    }

    /// Adds local runs of clients, by reason.
    pub(super) fn ran_locally(&mut self, runs: Vec<(String, u64)>) {
        for (reason, runs) in runs {
            let fits = self.local.len() < REASONS || self.local.contains_key(&reason);
            if fits && reason.len() <= REASON_BYTES {
                let count = self.local.entry(reason).or_default();
                *count = count.saturating_add(runs);
            }
        }
    }
}

impl Stats {
    /// Counts an ended job: the kind of its answer, how long it waited to start, and how long it
    /// ran if a worker ran it.
    pub(super) fn ended(
        &mut self,
        kind: &'static str,
        ending: Ending,
        waited: Duration,
        ran: Option<Duration>,
    ) {
        *self.answers.entry(kind).or_default() += 1;
        self.current.ended.count(ending);
        // A job that never started has not waited for a slot but for something else.
        if let Some(ran) = ran {
            self.waits.record(waited);
            self.current.waits.record(waited);
            self.runs.record(ran);
            self.current.runs.record(ran);
        }
    }

    /// Adds local runs of clients.
    pub(super) fn local(&mut self, runs: u64) {
        self.current.local = self.current.local.saturating_add(runs);
    }

    /// Begins a new window when it is time; called every second.
    pub(super) fn roll(&mut self, now: Duration) {
        if now.saturating_sub(self.current.since) >= SPAN {
            let next = Window { since: now, ..Window::default() };
            self.before = std::mem::replace(&mut self.current, next);
        }
    }

    /// Of late.
    pub(super) fn wait(&self) -> Percentiles {
        percentiles(&self.current.waits, &self.before.waits)
    }

    /// Of late.
    pub(super) fn run(&self) -> Percentiles {
        percentiles(&self.current.runs, &self.before.runs)
    }

    /// Jobs that ended with a value, per second, recently.
    pub(super) fn rate(&self, now: Duration) -> f64 {
        let before = self.before.ended;
        let since = if before.all() > 0 { self.before.since } else { self.current.since };
        let span = now.saturating_sub(since).as_secs_f64().max(1.0);
        (self.current.ended.done + before.done) as f64 / span
    }

    /// How jobs ended recently.
    pub(super) fn lately(&self) -> RecentEndings {
        let (one, two) = (self.current.ended, self.before.ended);
        RecentEndings {
            ended: one.all() + two.all(),
            failed: one.failed + two.failed,
            timed_out: one.timed_out + two.timed_out,
        }
    }

    /// The share of local runs among all runs, recently.
    pub(super) fn local_share(&self) -> f64 {
        let local = self.current.local + self.before.local;
        let all = local + self.current.ended.all() + self.before.ended.all();
        if all == 0 { 0.0 } else { local as f64 / all as f64 }
    }
}

fn percentiles(one: &Histogram, two: &Histogram) -> Percentiles {
    let at = |share| one.quantile(two, share).map(Seconds::from);
    Percentiles { p50: at(0.5), p95: at(0.95), p99: at(0.99), count: one.count() + two.count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn runs_expire_after_two_minutes() {
        let mut stats = Stats::default();
        stats.ended("value", Ending::Done, MS, Some(MS));
        for (now, counted) in [(59, 1), (60, 1), (119, 1), (120, 0)] {
            stats.roll(at(now));
            assert_eq!(stats.run().count, counted, "{now}");
        }
        assert_eq!(stats.runs.count(), 1, "the metrics keep it");
    }

    #[test]
    fn a_refusal_counts_no_wait() {
        let mut stats = Stats::default();
        stats.ended("not_served", Ending::Failed, at(3), None);
        assert_eq!((stats.wait().count, stats.answers["not_served"]), (0, 1));
    }

    #[test]
    fn the_local_share_is_of_all_runs() {
        let mut stats = Stats::default();
        assert_eq!(stats.local_share(), 0.0);
        stats.ended("value", Ending::Done, MS, Some(MS));
        stats.local(3);
        assert_eq!(stats.local_share(), 0.75);
    }

    #[test]
    fn a_rate_is_over_the_time_it_was_counted_in() {
        let mut stats = Stats::default();
        stats.roll(at(100));
        for _ in 0..50 {
            stats.ended("value", Ending::Done, MS, Some(MS));
        }
        assert_eq!(stats.rate(at(110)), 5.0);
        stats.roll(at(160));
        assert_eq!(stats.rate(at(200)), 0.5);
    }
}
