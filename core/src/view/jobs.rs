//! One job, unfinished or ended, and its timeline.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::message::Crash;
use simple_dist_protocol::{ClientId, JobId, PoolId, UserName, WorkerId};
use utoipa::ToSchema;

use super::{Seconds, text};

/// A job that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecentJob {
    /// Its id.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: JobId,
    /// The login of its caller.
    #[schema(value_type = String)]
    pub user: UserName,
    /// The client that submitted it.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub client: ClientId,
    /// Its function, such as `fib@1`.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// The kind of its answer: `value`, `failed`, `panicked`, `unsendable`, `poisoned`,
    /// `not_served`, `bad_arguments`, `too_large`, `busy`, `cancelled`, `expired`.
    pub answer: String,
    /// Who cancelled it, if it was cancelled.
    #[serde(default)]
    pub cancelled_by: Option<CancelledBy>,
    /// The first 200 characters of the function's error or panic message, or which workers were lost with it.
    pub detail: Option<String>,
    /// If it was poisoned: the processes that it ended.
    #[serde(default)]
    pub crashes: Vec<CrashReport>,
    /// The first 120 characters of its arguments as JSON, if the distributor keeps them.
    pub arguments: Option<String>,
    /// The worker that answered.
    #[serde(with = "text::optional")]
    #[schema(value_type = Option<String>)]
    pub worker: Option<WorkerId>,
    /// The attempts of this term that ran, or may have. One returned unstarted by its worker
    /// does not count.
    pub attempts: u32,
    /// Which of them answered, from 1: of a job that was placed a second time while its first attempt
    /// went on, that may be the first. `None` if no worker answered.
    #[serde(default)]
    pub answered_by: Option<u32>,
    /// The time from submission to start.
    pub waited: Seconds,
    /// The time from start to end as its worker measured it; `None` if no worker answered.
    pub ran: Option<Seconds>,
    /// When it ended, in milliseconds of Unix time.
    pub ended_unix_ms: u64,
    /// Its timeline, from its submission on.
    pub timeline: Vec<TimelineEntry>,
}

impl RecentJob {
    /// Whether it ended without a value, other than by timeout or cancel.
    pub fn is_failed(&self) -> bool {
        !matches!(self.answer.as_str(), "value" | "cancelled" | "expired")
    }

    /// Whether it can be run again to some purpose: it failed, or ran out of time.
    pub fn may_run_again(&self) -> bool {
        self.is_failed() || self.answer == "expired"
    }
}

/// How the child process ended in which an isolated worker ran a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CrashReport {
    /// The worker whose child it was.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub worker: WorkerId,
    /// How it ended, such as `killed by SIGSEGV`, and what else is known.
    pub ending: String,
    /// The signal that killed it, if one did.
    pub signal: Option<i32>,
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The most memory that it had resident, in bytes; 0 if that is not known.
    pub memory_bytes: u64,
    /// The end of what it printed, up to 2,048 bytes.
    pub output: String,
}

impl From<&Crash> for CrashReport {
    fn from(crash: &Crash) -> Self {
        Self {
            worker: crash.worker,
            ending: crash.to_string(),
            signal: crash.signal,
            code: crash.code,
            memory_bytes: crash.memory_bytes,
            output: crash.output.clone(),
        }
    }
}

/// Who cancelled a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelledBy {
    /// Its caller.
    Caller,
    /// An operator, on the page or through the API.
    Operator,
    /// Nobody: its client's queue is gone.
    ClientGone,
}

impl CancelledBy {
    /// The name the API uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Operator => "operator",
            Self::ClientGone => "client_gone",
        }
    }
}

/// An entry of a job's timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimelineEntry {
    /// The time since its submission.
    pub after: Seconds,
    /// What happened.
    #[serde(flatten)]
    pub what: JobEvent,
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum JobEvent {
    /// It was admitted.
    Submitted,
    /// It was put into a pool's queue.
    Placed {
        /// The number of this attempt, from 1.
        attempt: u32,
        /// The pool.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        pool: PoolId,
    },
    /// A worker started it.
    Started {
        /// The attempt.
        attempt: u32,
        /// The worker.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        worker: WorkerId,
    },
    /// An attempt came back unstarted.
    Returned {
        /// The attempt.
        attempt: u32,
        /// Whether the worker returned it on purpose, unstarted.
        willing: bool,
    },
    /// An attempt's message was found missing.
    Swept {
        /// The attempt.
        attempt: u32,
    },
    /// The worker that held it was lost, without evidence that it had started it.
    Lost {
        /// The attempt.
        attempt: u32,
        /// The worker.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        worker: WorkerId,
    },
    /// The worker that had started it was lost.
    Struck {
        /// The attempt.
        attempt: u32,
        /// The worker.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        worker: WorkerId,
    },
    /// It ended the child process in which it ran.
    Crashed {
        /// The attempt.
        attempt: u32,
        /// The worker.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        worker: WorkerId,
        /// The signal that killed the process, if one did.
        signal: Option<i32>,
        /// Its exit code, if it exited.
        code: Option<i32>,
    },
    /// It ended.
    Ended,
}

/// How far a job is, as its function says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// From 0 to 1.
    pub fraction: f32,
    /// In its own words, at most 200 bytes.
    pub text: String,
}

/// A job, unfinished or recently ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Job {
    /// Unfinished.
    UnderWay(UnfinishedJob),
    /// Ended.
    Ended(RecentJob),
}

/// An unfinished job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnfinishedJob {
    /// Its id.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: JobId,
    /// The login of its caller.
    #[schema(value_type = String)]
    pub user: UserName,
    /// The client that submitted it.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub client: ClientId,
    /// Its function, such as `fib@1`.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// 0 to 9; 9 is first.
    pub priority: u8,
    /// The time since its submission.
    pub age: Seconds,
    /// The time until its deadline.
    pub left: Seconds,
    /// Where it is.
    pub place: Place,
    /// How long it has been there.
    pub place_age: Seconds,
    /// The worker that holds it.
    #[serde(with = "text::optional")]
    #[schema(value_type = Option<String>)]
    pub worker: Option<WorkerId>,
    /// The slot that runs it, once a beat has named it.
    pub slot: Option<u32>,
    /// How far it is, if its function says so.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// The attempts of this term that ran, or may have. One returned unstarted by its worker
    /// does not count.
    pub attempts: u32,
    /// Whether it has a mark: its first attempt came back.
    pub mark: bool,
    /// The workers lost while running it.
    #[schema(value_type = Vec<String>)]
    pub strikes: Vec<String>,
    /// The processes that it ended.
    #[serde(default)]
    pub crashes: Vec<CrashReport>,
    /// Its arguments as JSON; see [`RecentJob::arguments`].
    pub arguments: Option<String>,
    /// Its timeline, from its submission on.
    pub timeline: Vec<TimelineEntry>,
}

/// Where an unfinished job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the distributor's queue.
    Queued,
    /// In the distributor, until its client acknowledges its marks.
    Unnoted,
    /// In a pool's queue, or with a worker that has not started it.
    Placed,
    /// Running on a worker.
    Running,
}
