//! The workers, what each holds, and the pools they form.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::message;
use simple_dist_protocol::{JobId, PoolId, UserName, WorkerId};
use utoipa::ToSchema;

use super::{Outvoted, Progress, Seconds, text};

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// The worker's id, new at every start.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: WorkerId,
    /// Its login.
    #[schema(value_type = String)]
    pub user: UserName,
    /// The machine it runs on, as it reports.
    pub host: String,
    /// The version of its program, as it reports.
    pub version: String,
    /// Its state.
    pub state: WorkerState,
    /// The time since we first heard of it.
    pub age: Seconds,
    /// The time since its last beat.
    pub silent: Seconds,
    /// The functions it serves.
    #[schema(value_type = Vec<String>)]
    pub functions: Vec<Arc<str>>,
    /// Its pool.
    #[serde(with = "text::optional")]
    #[schema(value_type = Option<String>)]
    pub pool: Option<PoolId>,
    /// Whether each slot is a process of its own.
    #[serde(default)]
    pub isolated: bool,
    /// How busy its machine is, if it tells.
    #[serde(default)]
    pub load: Option<Load>,
    /// How many jobs it can run at once.
    pub slots: u32,
    /// Slots that are running a job.
    pub busy: u32,
    /// Busy slots whose job nobody waits for any more: it was cancelled or has expired, and runs
    /// on.
    #[serde(default)]
    pub abandoned: u32,
    /// Jobs it holds, running or waiting for a slot.
    pub holds: usize,
    /// Some of them: running ones first, then the oldest; at most 64.
    pub held: Vec<HeldJob>,
    /// Jobs it has ended with a value since we first heard of it.
    pub done: u64,
    /// Jobs it has ended without a value.
    pub failed: u64,
    /// Jobs placed again when it was lost.
    pub gave_back: u32,
    /// What its answers are held against, if they differ from those of all others.
    #[serde(default)]
    pub outvoted: Option<Outvoted>,
    /// The last lines that its jobs printed, oldest first, if it shares them: 20 at most. Left out of
    /// lists.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<Printed>)]
    pub printed: Arc<[Printed]>,
}

/// A line that a job printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Printed {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub job: JobId,
    /// Its function.
    pub function: String,
    /// The beginning of the line, at most 200 bytes.
    pub line: String,
}

impl From<message::Printed> for Printed {
    fn from(message::Printed { job, function, line }: message::Printed) -> Self {
        Self { job, function: function.to_string(), line }
    }
}

/// How busy a worker's machine was at its last beat, as it reports.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Load {
    /// The share of its processors' time that was used in the last second: 0 to 1.
    pub cpu: f64,
    /// How many threads ran or waited for a processor, on average over the last minute.
    pub average: f64,
    /// Bytes of its memory in use, caches apart.
    pub memory: u64,
    /// Bytes of its memory.
    pub memory_total: u64,
    /// Bytes that the worker itself has in memory, without its child processes.
    pub resident: u64,
}

impl From<message::Load> for Load {
    /// What is no number is none: a view is written as JSON.
    fn from(load: message::Load) -> Self {
        let number = |figure: f32| if figure.is_finite() { f64::from(figure) } else { 0.0 };
        let (cpu, average) = (number(load.cpu).clamp(0.0, 1.0), number(load.average).max(0.0));
        let message::Load { memory, memory_total, resident, .. } = load;
        Self { cpu, average, memory, memory_total, resident }
    }
}

/// The state of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It accepts jobs.
    Live,
    /// It would accept jobs, but half of its slots or more run what nobody waits for any more.
    Degraded,
    /// It finishes what it holds and accepts no more.
    Draining,
    /// It drains since its answers differ from those of all others, until an operator resumes it.
    Quarantined,
    /// Its beat is late.
    Late,
    /// Its link to the broker is down.
    Unreachable,
    /// Silent for too long: its jobs were placed again.
    Lost,
    /// It drained and stopped.
    Left,
}

impl WorkerState {
    /// The state in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
            Self::Quarantined => "quarantined",
            Self::Late => "late",
            Self::Unreachable => "unreachable",
            Self::Lost => "lost",
            Self::Left => "left",
        }
    }

    /// Whether it is neither lost nor left.
    pub fn is_alive(self) -> bool {
        match self {
            Self::Live
            | Self::Degraded
            | Self::Draining
            | Self::Quarantined
            | Self::Late
            | Self::Unreachable => true,
            Self::Lost | Self::Left => false,
        }
    }
}

/// A job that a worker holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeldJob {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: JobId,
    /// The login of its caller.
    #[schema(value_type = String)]
    pub user: UserName,
    /// Its function.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// The number of this attempt in its term, from 1; see `attempts` of a job.
    pub attempt: u32,
    /// The slot that runs it; `None` while it waits for one.
    pub slot: Option<u32>,
    /// The time since it started, or arrived.
    pub age: Seconds,
    /// How far it is, if its function says so.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// Whether nobody waits for it any more: it was cancelled or has expired, and runs on.
    #[serde(default)]
    pub abandoned: bool,
    /// Why the distributor runs it of its own accord, in one word: `check`; `None` for a caller's.
    #[serde(default)]
    pub trial: Option<String>,
}

/// A pool: the workers that serve the same functions and share one queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// The pool.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: PoolId,
    /// The functions it serves.
    #[schema(value_type = Vec<String>)]
    pub functions: Vec<Arc<str>>,
    /// The number of its live workers.
    pub workers: usize,
    /// Their slots that accept jobs.
    pub slots: u32,
    /// Jobs in its queue or with its workers.
    pub in_flight: usize,
    /// Attempts in its queue or slots that belong to no unfinished job.
    #[serde(default)]
    pub abandoned: usize,
}
