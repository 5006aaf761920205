//! One job: under way or ended, and what happened to it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::{ClientId, JobId, PoolId, UserName, WorkerId};
use utoipa::ToSchema;

use super::{Seconds, text};

/// A job that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecentJob {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: JobId,
    /// Whose it was.
    #[schema(value_type = String)]
    pub user: UserName,
    /// Which client's.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub client: ClientId,
    /// Its function.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// The kind of its answer: `value`, `panicked`, `unsendable`, `poisoned`, `not_served`,
    /// `bad_arguments`, `too_large`, `busy`, `cancelled`, `expired`.
    pub answer: String,
    /// Who cancelled it, if it was.
    #[serde(default)]
    pub cancelled_by: Option<By>,
    /// What a panic said, the first 200 characters; or which workers were lost with it.
    pub detail: Option<String>,
    /// Its arguments as JSON, the first 120 characters: only where the distributor was told to
    /// keep them.
    pub arguments: Option<String>,
    /// The worker that answered.
    #[serde(with = "text::optional")]
    #[schema(value_type = Option<String>)]
    pub worker: Option<WorkerId>,
    /// The attempts of this term that ran, or may have: one handed back unstarted, by its worker's
    /// own will, is none.
    pub attempts: u32,
    /// From submission to start.
    pub waited: Seconds,
    /// From start to end, as its worker measured it; none if it was not answered by one.
    pub ran: Option<Seconds>,
    /// When it ended: milliseconds of Unix time.
    pub ended_unix_ms: u64,
    /// What happened to it, from its submission on.
    pub timeline: Vec<Moment>,
}

impl RecentJob {
    /// Whether it ended without a value, though somebody waited for it and there was time.
    pub fn is_failed(&self) -> bool {
        !matches!(self.answer.as_str(), "value" | "cancelled" | "expired")
    }
}

/// Who cancelled a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Its caller.
    Caller,
    /// A person, on the page or by the API.
    Operator,
    /// Nobody was left to take its answer: its client's queue is gone.
    ClientGone,
}

impl By {
    /// As the API names it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Operator => "operator",
            Self::ClientGone => "client_gone",
        }
    }
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Moment {
    /// Since its submission.
    pub after: Seconds,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// It was let in.
    Submitted,
    /// It was put into a pool's queue.
    Placed {
        /// The count of this attempt, from 1.
        attempt: u32,
        /// The pool.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        pool: PoolId,
    },
    /// A worker began it.
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
        /// Whether the worker handed it back by its own will.
        willing: bool,
    },
    /// An attempt's message was found to be gone.
    Swept {
        /// The attempt.
        attempt: u32,
    },
    /// The worker was lost that held it; nothing says that it had begun it.
    Lost {
        /// The attempt.
        attempt: u32,
        /// The worker.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        worker: WorkerId,
    },
    /// A worker was lost that had started it.
    Struck {
        /// The attempt.
        attempt: u32,
        /// The worker.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        worker: WorkerId,
    },
    /// It ended.
    Ended,
}

/// A job that has not ended, or ended lately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Job {
    /// It has not ended.
    UnderWay(JobUnderWay),
    /// It has.
    Ended(RecentJob),
}

/// A job that has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobUnderWay {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: JobId,
    /// Whose it is.
    #[schema(value_type = String)]
    pub user: UserName,
    /// Which client's.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub client: ClientId,
    /// Its function.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// 9 is first.
    pub priority: u8,
    /// Since it was submitted.
    pub age: Seconds,
    /// Until its caller gives up.
    pub left: Seconds,
    /// Where it is.
    pub place: Place,
    /// Since it is there.
    pub place_age: Seconds,
    /// The worker that holds it.
    #[serde(with = "text::optional")]
    #[schema(value_type = Option<String>)]
    pub worker: Option<WorkerId>,
    /// The slot that runs it, once its worker has named it.
    pub slot: Option<u32>,
    /// The attempts of this term that ran, or may have: one handed back unstarted, by its worker's
    /// own will, is none.
    pub attempts: u32,
    /// Whether a first attempt came back.
    pub mark: bool,
    /// The workers lost with it.
    #[schema(value_type = Vec<String>)]
    pub strikes: Vec<String>,
    /// Its arguments as JSON: see [`RecentJob::arguments`].
    pub arguments: Option<String>,
    /// What happened to it, from its submission on.
    pub timeline: Vec<Moment>,
}

/// Where a job that has not ended is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the distributor.
    Queued,
    /// In the distributor, until its client has noted its marks.
    Unnoted,
    /// In a pool's queue, or with a worker that has not begun it.
    Placed,
    /// A worker runs it.
    Running,
}
