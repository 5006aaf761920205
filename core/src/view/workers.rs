//! The workers, what each holds, and the pools they form.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::{JobId, PoolId, UserName, WorkerId};
use utoipa::ToSchema;

use super::{Seconds, text};

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// The worker: a new one at every start.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: WorkerId,
    /// Its login.
    #[schema(value_type = String)]
    pub user: UserName,
    /// The machine it runs on, as it says.
    pub host: String,
    /// The version of its program, as it says.
    pub version: String,
    /// How it is.
    pub state: WorkerState,
    /// How long we have known it.
    pub age: Seconds,
    /// Since its last beat.
    pub silent: Seconds,
    /// What it serves.
    #[schema(value_type = Vec<String>)]
    pub functions: Vec<Arc<str>>,
    /// Its pool.
    #[serde(with = "text::optional")]
    #[schema(value_type = Option<String>)]
    pub pool: Option<PoolId>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// Slots that run a job.
    pub busy: u32,
    /// Those of them whose job nobody waits for any more: it was cancelled or has expired, and
    /// runs on.
    #[serde(default)]
    pub abandoned: u32,
    /// Jobs it holds, running or waiting their turn there.
    pub holds: usize,
    /// Some of them: those that run first, then the oldest; at most 64.
    pub held: Vec<HeldJob>,
    /// Jobs it has ended with a value since we know it.
    pub done: u64,
    /// Jobs it has ended without one.
    pub failed: u64,
    /// Jobs placed again when it was lost.
    pub gave_back: u32,
}

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It takes jobs.
    Live,
    /// It finishes what it holds, or a person wants it to.
    Draining,
    /// Its beat is late.
    Late,
    /// Its link to the broker is gone.
    Unreachable,
    /// Silent for too long: its jobs were placed again.
    Lost,
    /// It drained and went.
    Left,
}

impl WorkerState {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Draining => "draining",
            Self::Late => "late",
            Self::Unreachable => "unreachable",
            Self::Lost => "lost",
            Self::Left => "left",
        }
    }

    /// Neither lost nor gone.
    pub fn is_alive(self) -> bool {
        match self {
            Self::Live | Self::Draining | Self::Late | Self::Unreachable => true,
            Self::Lost | Self::Left => false,
        }
    }
}

/// A job in a worker's hands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeldJob {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: JobId,
    /// Whose it is.
    #[schema(value_type = String)]
    pub user: UserName,
    /// Its function.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// The count of this attempt in its term, from 1; see `attempts` of a job.
    pub attempt: u32,
    /// The slot that runs it; none while it waits its turn.
    pub slot: Option<u32>,
    /// Since it began, or came.
    pub age: Seconds,
    /// Nobody waits for it any more: it was cancelled or has expired, and runs on.
    #[serde(default)]
    pub abandoned: bool,
}

/// A pool: the workers that serve the same functions and share one queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// The pool.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: PoolId,
    /// What it serves.
    #[schema(value_type = Vec<String>)]
    pub functions: Vec<Arc<str>>,
    /// Its workers.
    pub workers: usize,
    /// Their slots that take jobs.
    pub slots: u32,
    /// Jobs in its queue or with its workers.
    pub out: usize,
    /// What is there of jobs that nobody waits for any more, or of others that are not ours.
    #[serde(default)]
    pub abandoned: usize,
}
