//! The functions, with what was measured of them.

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
    /// Workers that live and serve it.
    pub workers: usize,
    /// Their slots that take jobs.
    pub slots: u32,
    /// The versions of this name that live workers serve: more than one is skew.
    pub versions: Vec<u32>,
    /// Jobs that wait in the distributor.
    pub queued: usize,
    /// Jobs at its pools that nobody is known to run yet.
    pub placed: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs ended with a value.
    pub done: u64,
    /// Jobs ended without one, though somebody waited for it and there was time.
    pub failed: u64,
    /// Jobs whose time passed.
    #[serde(default)]
    pub timed_out: u64,
    /// Jobs that were cancelled.
    #[serde(default)]
    pub cancelled: u64,
    /// How its jobs ended over the last one to two minutes.
    #[serde(default)]
    pub lately: Lately,
    /// Every answer, by kind, `value` too; refused ones not.
    pub answers: BTreeMap<String, u64>,
    /// Runs at the clients, by reason, as they report.
    pub local: BTreeMap<String, u64>,
    /// The clients' share of all runs, over the last one to two minutes: 0 to 1.
    pub local_share: f64,
    /// Jobs ended with a value a second, over the last one to two minutes.
    pub rate: f64,
    /// From submission to start, over the last one to two minutes.
    pub wait: Percentiles,
    /// From start to end as workers measure it, over the last one to two minutes.
    pub run: Percentiles,
    /// Waits since the process began, for the metrics.
    #[serde(skip)]
    pub waits: Distribution,
    /// Runs since the process began, for the metrics.
    #[serde(skip)]
    pub runs: Distribution,
}

/// How jobs ended over the last one to two minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lately {
    /// All that ended.
    pub ended: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those whose time passed.
    pub timed_out: u64,
}

/// Three percentiles, each within a fifth of its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Percentiles {
    /// Of 50 of 100; none if nothing was measured.
    pub p50: Option<Seconds>,
    /// Of 95 of 100.
    pub p95: Option<Seconds>,
    /// Of 99 of 100.
    pub p99: Option<Seconds>,
    /// How many were measured.
    pub count: u64,
}

/// Counts by duration, as Prometheus wants them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// Upper bounds in seconds, ascending, each with the count of all at most that long.
    pub buckets: Vec<(f64, u64)>,
    /// How many there are in all.
    pub count: u64,
    /// Their sum in seconds.
    pub sum: f64,
}
