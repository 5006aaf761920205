//! Measurements of a function: since the process started, and over the last one to two minutes
//! ("recently").

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::scheduler::fact::Shared;
use crate::view::{FunctionSample, Percentiles, RecentEndings, Saved, Seconds, WINDOW};

use super::counters::{Ending, Endings};
use super::histogram::Histogram;

/// The seconds of a window, a minute of the clock. Two make "the last one to two minutes".
const SPAN: u64 = 60;

/// The seconds over which rates are averaged.
pub(super) const RATE_OVER: usize = 10;

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
    /// The number of its minute; none before the first second.
    minute: Option<u64>,
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
    pub(super) saved: Saved,
    /// One sample for each of the last 120 seconds, newest last; none while nothing ends.
    pub(super) series: Arc<Vec<FunctionSample>>,
    /// The counts at the last sample.
    sampled: Endings,
}

impl FunctionStats {
    /// An empty record.
    pub(super) fn new(name: Arc<str>) -> Self {
        let (ended, local, stats, saved, series, sampled) = Default::default();
        Self { name, ended, local, stats, saved, series, sampled }
    }

    /// Once a second: begins a new window when it is time, and takes a sample.
    pub(super) fn age(&mut self, waiting: &Histogram, clock: Duration) {
        self.stats.roll(clock);
        let before = std::mem::replace(&mut self.sampled, self.ended);
        let seconds = |of: Percentiles| of.p95.map_or(0.0, |span| span.0 as f32);
        let count = |now: u64, before: u64| u32::try_from(now - before).unwrap_or(u32::MAX);
        if self.stats.is_quiet() && waiting.count() == 0 {
            self.series = Arc::default();
            return;
        }
        let sample = FunctionSample {
            done: count(self.ended.done, before.done),
            failed: count(self.ended.bad(), before.bad()),
            wait_p95: seconds(self.stats.wait(waiting)),
            run_p95: seconds(self.stats.run()),
        };
        let series = Arc::make_mut(&mut self.series);
        series.resize(WINDOW.as_secs() as usize, FunctionSample::default());
        series.rotate_left(1);
        series.last_mut().into_iter().for_each(|last| *last = sample);
    }

    /// Jobs that ended with a value, per second, over the last ten seconds.
    pub(super) fn rate(&self) -> f64 {
        let done = self.series.iter().rev().take(RATE_OVER).map(|sample| u64::from(sample.done));
        done.sum::<u64>() as f64 / RATE_OVER as f64
    }

    /// Counts a job that the run of another answered, if one did.
    pub(super) fn share(&mut self, shared: Option<(Shared, Duration)>) {
        let Some((how, took)) = shared else { return };
        let (runs, seconds) = match how {
            Shared::Coalesced => (&mut self.saved.coalesced, &mut self.saved.coalesced_seconds),
            Shared::Memo => (&mut self.saved.memo, &mut self.saved.memo_seconds),
        };
        *runs += 1;
        seconds.0 += took.as_secs_f64();
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

    /// Begins a new window when it is time; called every second, with the time of the clock.
    pub(super) fn roll(&mut self, clock: Duration) {
        let minute = clock.as_secs() / SPAN;
        if *self.current.minute.get_or_insert(minute) != minute {
            let next = Window { minute: Some(minute), ..Window::default() };
            self.before = std::mem::replace(&mut self.current, next);
        }
    }

    /// The number of the present minute.
    pub(super) fn minute(&self) -> Option<u64> {
        self.current.minute
    }

    /// The 95th percentiles of the wait and of the run times in the minute before: what still waits
    /// counts with its wait so far, if that is longer.
    pub(super) fn last_minute(&self, waiting: &Histogram) -> (Option<Seconds>, Option<Seconds>) {
        let wait = longer_with(&self.before.waits, waiting);
        (wait.p95, percentiles(&self.before.runs).p95)
    }

    /// How jobs ended in the minute before.
    pub(super) fn ended_last_minute(&self) -> Endings {
        self.before.ended
    }

    /// Of late, where what still waits counts with its wait so far, unless that lowers a figure:
    /// nobody knows yet how long it will wait.
    pub(super) fn wait(&self, waiting: &Histogram) -> Percentiles {
        let mut waits = self.current.waits.clone();
        waits.add(&self.before.waits);
        longer_with(&waits, waiting)
    }

    /// Of late.
    pub(super) fn run(&self) -> Percentiles {
        let mut runs = self.current.runs.clone();
        runs.add(&self.before.runs);
        percentiles(&runs)
    }

    /// Whether nothing ended or ran locally recently.
    fn is_quiet(&self) -> bool {
        let windows = [&self.current, &self.before];
        windows.iter().all(|window| window.ended.all() + window.local == 0)
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

/// The percentiles of what has ended, or with what still waits if they are longer then.
fn longer_with(waits: &Histogram, waiting: &Histogram) -> Percentiles {
    let mut both = waits.clone();
    both.add(waiting);
    let (ended, all) = (percentiles(waits), percentiles(&both));
    let longer = |one: Option<Seconds>, two: Option<Seconds>| match (one, two) {
        (Some(one), Some(two)) => Some(if one > two { one } else { two }),
        (one, two) => one.or(two),
    };
    Percentiles {
        p50: longer(ended.p50, all.p50),
        p95: longer(ended.p95, all.p95),
        p99: longer(ended.p99, all.p99),
        count: ended.count,
    }
}

fn percentiles(of: &Histogram) -> Percentiles {
    let at = |share| of.quantile(share).map(Seconds::from);
    Percentiles { p50: at(0.5), p95: at(0.95), p99: at(0.99), count: of.count() }
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
    fn what_ended_in_its_first_minute_is_told_after_that() {
        let mut stats = Stats::default();
        stats.ended("value", Ending::Done, MS, Some(MS));
        for (now, ended) in [(90, 0), (119, 0), (120, 1), (180, 0)] {
            stats.roll(at(now));
            assert_eq!(stats.ended_last_minute().all(), ended, "{now}");
        }
    }

    #[test]
    fn a_refusal_counts_no_wait() {
        let mut stats = Stats::default();
        stats.ended("not_served", Ending::Failed, at(3), None);
        assert_eq!((stats.wait(&Histogram::default()).count, stats.answers["not_served"]), (0, 1));
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
    fn a_rate_is_of_the_last_ten_seconds() {
        let (mut of, none) = (FunctionStats::new("fib@1".into()), Histogram::default());
        for second in 1..=30 {
            if second <= 15 {
                of.stats.ended("value", Ending::Done, MS, Some(MS));
                of.ended.count(Ending::Done);
            }
            of.age(&none, at(second));
            let rate = match second {
                1..=10 => second as f64 / 10.0,
                11..=15 => 1.0,
                later => (25_u64.saturating_sub(later)) as f64 / 10.0,
            };
            assert_eq!(of.rate(), rate, "{second}");
        }
        assert_eq!((of.series.len(), of.series[104].done, of.series[105].done), (120, 1, 0));
        of.age(&none, at(90));
        of.age(&none, at(151));
        assert_eq!(of.series.len(), 0, "it costs no memory while nothing happens");
    }

    #[test]
    fn what_waits_long_counts_and_what_waits_briefly_does_not_hide_it() {
        let mut stats = Stats::default();
        for _ in 0..20 {
            stats.ended("value", Ending::Done, 11 * MS, Some(MS));
        }
        let p95 = |span: Duration, many| {
            let mut waiting = Histogram::default();
            waiting.record_many(span, many);
            stats.wait(&waiting).p95.unwrap().0
        };
        assert!((8.0..10.0).contains(&p95(Duration::from_secs(9), 40)));
        assert!((0.009..0.013).contains(&p95(Duration::from_micros(20), 1000)));
        assert_eq!(stats.wait(&Histogram::default()).count, 20);
    }
}
