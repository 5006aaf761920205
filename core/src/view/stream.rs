//! The last two minutes: what each slot ran, and a sample of every second.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::WorkerId;
use utoipa::ToSchema;

use super::{Seconds, text};

/// What each slot ran in the last two minutes, and what clients ran themselves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stream {
    /// One lane for each slot, by worker and slot; at most 128.
    pub lanes: Vec<Lane>,
    /// Runs at the clients: each bar is a span in which they report so many.
    pub local: Vec<Bar>,
    /// Slots beyond those shown.
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
    /// Since the worker was lost, if it was.
    pub lost: Option<Seconds>,
    /// What it ran, oldest first. Runs of one function shorter than a tenth of a second that
    /// follow each other closely are one bar.
    pub bars: Vec<Bar>,
}

/// Runs of a function in a slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bar {
    /// The function.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// When the first began, before now.
    pub from: Seconds,
    /// When the last ended, before now; 0 while it runs.
    pub to: Seconds,
    /// How many runs.
    pub count: u64,
    /// How they ended.
    pub end: BarEnd,
}

/// How the runs of a bar ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BarEnd {
    /// It runs.
    Running,
    /// It runs, and nobody waits for it any more.
    Abandoned,
    /// With a value.
    Value,
    /// Without one.
    Failed,
    /// With its worker.
    Lost,
}

/// One second of the recent past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// Slots of living workers.
    pub slots: u32,
    /// Slots that ran one.
    pub busy: u32,
    /// Jobs that waited.
    pub queued: u64,
    /// Jobs that were taken in in this second.
    #[serde(default)]
    pub accepted: u64,
    /// Jobs that were not taken in in this second.
    #[serde(default)]
    pub refused: u64,
    /// Jobs that ended with a value in this second.
    pub done: u64,
    /// Jobs that failed in this second.
    pub failed: u64,
    /// Jobs whose time passed in this second.
    #[serde(default)]
    pub timed_out: u64,
    /// Jobs that were cancelled in this second.
    #[serde(default)]
    pub cancelled: u64,
    /// Runs at the clients, as reported in this second.
    pub local: u64,
    /// The wait of 95 of 100 jobs, over the last one to two minutes.
    pub wait_p95: Option<Seconds>,
}

impl Sample {
    /// Jobs that ended in this second, however.
    pub fn ended(&self) -> u64 {
        self.done + self.failed + self.timed_out + self.cancelled
    }
}
