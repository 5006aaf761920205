//! The functions, with their measurements.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Seconds;

/// A function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Function {
    /// `fib@1`; or `fib` for jobs that wait for any version.
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// Live workers that serve it.
    pub workers: usize,
    /// Their slots that accept jobs.
    pub slots: u32,
    /// The versions of this name that live workers serve; more than one is skew.
    pub versions: Vec<u32>,
    /// The share of the calls without a version that go to this one now: 0 to 1.
    #[serde(default)]
    pub unversioned: f64,
    /// Jobs waiting in the distributor.
    pub queued: usize,
    /// Jobs at its pools that are not known to run yet.
    pub placed: usize,
    /// Jobs running on a worker.
    pub running: usize,
    /// Jobs that ended with a value.
    pub done: u64,
    /// Jobs that ended without a value, other than by timeout or cancel.
    pub failed: u64,
    /// Jobs that ran out of time.
    #[serde(default)]
    pub timed_out: u64,
    /// Jobs that were cancelled.
    #[serde(default)]
    pub cancelled: u64,
    /// How its jobs ended, over the last one to two minutes.
    #[serde(default)]
    pub lately: RecentEndings,
    /// Every answer by kind, including `value`, but not refusals.
    pub answers: BTreeMap<String, u64>,
    /// Local runs of clients by reason, as they report.
    pub local: BTreeMap<String, u64>,
    /// The share of local runs among all runs, over the last one to two minutes: 0 to 1.
    pub local_share: f64,
    /// Whether it was found not to be deterministic, although its workers declare it.
    #[serde(default)]
    pub refuted: bool,
    /// What was saved by answers that calls shared.
    #[serde(default)]
    pub saved: Saved,
    /// Jobs that ended with a value, per second, over the last ten seconds.
    pub rate: f64,
    /// The time from submission to start, over the last one to two minutes; what still waits counts
    /// with its wait so far where that is longer.
    pub wait: Percentiles,
    /// The time from start to end as workers measure it, over the last one to two minutes.
    pub run: Percentiles,
    /// Waits since the process started, for the metrics.
    #[serde(skip)]
    pub waits: Distribution,
    /// Run times since the process started, for the metrics.
    #[serde(skip)]
    pub runs: Distribution,
    /// The look that is its own on the page, if one is.
    #[serde(skip)]
    pub look: Option<u8>,
    /// One sample for each of the last 120 seconds, newest last; none while nothing ends.
    #[serde(skip)]
    pub series: Arc<Vec<FunctionSample>>,
}

/// One second of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FunctionSample {
    /// Jobs that ended with a value in this second.
    pub done: u32,
    /// Jobs that failed or ran out of time in this second.
    pub failed: u32,
    /// The 95th percentile of the wait in seconds, over the last one to two minutes; 0 if there is
    /// none.
    pub wait_p95: f32,
    /// The same of the run time.
    pub run_p95: f32,
}

/// How jobs ended, over the last one to two minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecentEndings {
    /// Jobs that ended, in any way.
    pub ended: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that ran out of time.
    pub timed_out: u64,
}

/// Three percentiles, each within a fifth of its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Percentiles {
    /// The median; `None` if nothing was measured.
    pub p50: Option<Seconds>,
    /// The 95th percentile.
    pub p95: Option<Seconds>,
    /// The 99th percentile.
    pub p99: Option<Seconds>,
    /// The number of measurements.
    pub count: u64,
}

/// Jobs that the run of an equal one answered, since the process started, and how long it took: so
/// long they would have run themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Saved {
    /// Jobs that waited for that run.
    pub coalesced: u64,
    /// The time that this saved.
    pub coalesced_seconds: Seconds,
    /// Jobs that got its answer later, from the memo.
    pub memo: u64,
    /// The time that this saved.
    pub memo_seconds: Seconds,
}

/// Counts by duration, in the form of a Prometheus histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// Upper bounds in seconds, ascending, each with the cumulative count.
    pub buckets: Vec<(f64, u64)>,
    /// The total count.
    pub count: u64,
    /// The sum of all durations in seconds.
    pub sum: f64,
}
