//! Between clients and the distributor.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Answer, Bound, Crash, Progress};
use crate::{ClientId, Generation, JobId, Term, WorkerId};

/// From a client to the distributor. Its user is the one the broker checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromClient {
    /// Jobs to run, or to join when they are known already.
    Submit(Submit),
    /// Jobs whose callers are gone.
    Cancel(Ids),
    /// Are these known? What is not comes back as `Unknown`.
    Ask(Ids),
    /// The caller knows these marks and strikes of its job.
    Noted(Noted),
    /// What the client ran itself since its last report.
    Report(Report),
}

/// Jobs of one client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submit {
    /// The client, and with `generation` its answer queue.
    pub client: ClientId,
    /// The generation of the client's link.
    pub generation: Generation,
    /// 1 to 256 jobs.
    pub jobs: Vec<Submission>,
}

/// One job as its client submits it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// The job.
    pub id: JobId,
    /// `fib@1`, or `fib`: text until the distributor has checked it.
    pub function: String,
    /// The argument in MessagePack, opaque to the distributor.
    pub args: Bytes,
    /// Milliseconds left until its caller gives up.
    pub budget_ms: u64,
    /// 0 to 9, 9 first.
    pub priority: u8,
    /// What the client knows of its job's accidents.
    #[serde(default)]
    pub marks: Marks,
    /// A W3C `traceparent`, passed on to the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Whether this job was never sent before, to nobody: then no worker can have it, and a new
    /// term places it without having heard them all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first: bool,
    /// Whether its caller wants to hear how far it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub progress: bool,
    /// Whether its caller runs it in its own process if no worker can be reached: then it need not
    /// wait for a worker that is out of reach.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_fallback: bool,
    /// Whether it is to run by itself: it neither joins an equal call's run nor gets a kept answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
}

/// Evidence against a job: whether a first attempt came back, the workers that were lost after they
/// had started it, and the child processes that it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// An attempt came back or was swept.
    pub mark: bool,
    /// The workers lost with it.
    pub strikes: Vec<WorkerId>,
    /// The child processes that it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crashes: Vec<Crash>,
}

impl Marks {
    /// Marks, strikes and crashes together: at [`STRIKES`](crate::limits::STRIKES) the job is poisoned.
    pub fn count(&self) -> usize {
        usize::from(self.mark) + self.strikes.len() + self.crashes.len()
    }

    /// Whether these marks include all of `other`.
    pub fn covers(&self, other: &Self) -> bool {
        (self.mark || !other.mark)
            && other.strikes.iter().all(|worker| self.strikes.contains(worker))
            && other.crashes.iter().all(|crash| self.has_crash(crash))
    }

    /// Whether they have this crash.
    pub fn has_crash(&self, crash: &Crash) -> bool {
        let attempt = (crash.worker, crash.attempt);
        self.crashes.iter().any(|known| (known.worker, known.attempt) == attempt)
    }
}

/// Some jobs of one client, by id alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ids {
    /// The client.
    pub client: ClientId,
    /// The generation of the client's link.
    pub generation: Generation,
    /// 1 to 256 jobs.
    pub ids: Vec<JobId>,
}

/// The client's receipt for [`Delivered::Struck`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Noted {
    /// The client.
    pub client: ClientId,
    /// The generation of the client's link.
    pub generation: Generation,
    /// The job.
    pub id: JobId,
    /// The marks the client now knows.
    pub marks: Marks,
}

/// What a client ran itself, by function and reason, since its last report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The client.
    pub client: ClientId,
    /// Runs by function, then by reason (at most 64 functions).
    pub local: BTreeMap<String, BTreeMap<String, u64>>,
}

/// From the distributor to the client's own queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deliveries {
    /// The term that answers.
    pub term: Term,
    /// 1 to 256 of them.
    pub jobs: Vec<Delivery>,
}

/// What the distributor has to say of one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The job.
    pub id: JobId,
    /// The news.
    pub body: Delivered,
}

impl Delivery {
    /// What a value or an error in it is encoded as.
    pub fn payload(&self) -> Option<&Bytes> {
        match &self.body {
            Delivered::Answer(answered) => answered.answer.payload(),
            Delivered::Struck(_) | Delivered::Unknown | Delivered::Progress(_) => None,
        }
    }
}

/// News of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Delivered {
    /// The job has ended.
    Answer(Answered),
    /// The job bears these marks: answer `Noted`, or `Cancel` if it is not held any more.
    Struck(Marks),
    /// The distributor does not know the job: send it again.
    Unknown,
    /// The job runs and is so far: only to whom asked for it in its submission.
    Progress(Progress),
}

/// An answer with where it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// How the job ended.
    pub answer: Answer,
    /// The worker that ran it, if one did.
    #[serde(default)]
    pub worker: Option<WorkerId>,
    /// The attempt that ended it, from 1; 0 if none did.
    #[serde(default)]
    pub attempt: u32,
    /// Milliseconds from submission to start, as the distributor saw them.
    #[serde(default)]
    pub waited_ms: u64,
    /// Microseconds of running, as the worker measured them.
    #[serde(default)]
    pub took_us: u64,
    /// With [`Answer::Busy`]: what is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// Whether it did not run itself: the run of an equal job answered both, and `worker` and
    /// `took_us` are of that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub coalesced: bool,
    /// If it is the kept answer of an equal job that ended before: how many milliseconds ago that was.
    /// `worker` and `took_us` are of its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo_age_ms: Option<u64>,
}
