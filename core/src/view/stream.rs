//! The last two minutes: what each slot ran, and a sample of every second.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::WorkerId;
use utoipa::ToSchema;

use super::{Seconds, text};

/// What each slot ran in the last two minutes, and the local runs of clients.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stream {
    /// One lane per slot, ordered by worker and slot; at most 128, of workers that ran something
    /// first. Those of a worker that is gone stay for a minute.
    pub lanes: Vec<Lane>,
    /// Local runs of clients: each bar is the span of a report.
    pub local: Vec<Bar>,
    /// The number of slots that are not shown.
    pub more: usize,
}

/// One slot of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lane {
    /// The worker.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub worker: WorkerId,
    /// The slot, from 0.
    pub slot: u32,
    /// The time since the worker was lost, if it was.
    pub lost: Option<Seconds>,
    /// What it ran, oldest first. Runs of one function shorter than a tenth of a second in close
    /// succession share one bar.
    pub bars: Vec<Bar>,
}

/// Runs of a function in a slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bar {
    /// The function.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// How long ago the first run started.
    pub from: Seconds,
    /// How long ago the last run ended; 0 while it runs.
    pub to: Seconds,
    /// The number of runs.
    pub count: u64,
    /// How they ended.
    pub end: BarEnd,
}

/// How the runs of a bar ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BarEnd {
    /// Still running.
    Running,
    /// Still running, though nobody waits for it any more.
    Abandoned,
    /// With a value.
    Value,
    /// Without one.
    Failed,
    /// Lost with its worker.
    Lost,
}

/// One second of the recent past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// When it was, in seconds of Unix time.
    #[serde(default)]
    pub unix: u64,
    /// Slots of live workers.
    pub slots: u32,
    /// Slots that ran a job.
    pub busy: u32,
    /// Jobs that waited.
    pub queued: u64,
    /// Jobs accepted in this second.
    #[serde(default)]
    pub accepted: u64,
    /// Jobs refused in this second.
    #[serde(default)]
    pub refused: u64,
    /// Jobs that ended with a value in this second.
    pub done: u64,
    /// Jobs that failed in this second.
    pub failed: u64,
    /// Jobs that ran out of time in this second.
    #[serde(default)]
    pub timed_out: u64,
    /// Jobs that were cancelled in this second.
    #[serde(default)]
    pub cancelled: u64,
    /// Local runs of clients, as reported in this second.
    pub local: u64,
    /// The 95th percentile of the wait, over the last one to two minutes.
    pub wait_p95: Option<Seconds>,
}

impl Sample {
    /// Jobs that ended in this second, in any way.
    pub fn ended(&self) -> u64 {
        self.done + self.failed + self.timed_out + self.cancelled
    }
}
