//! Between the distributor and workers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Answer, Bound, Crash, Load, Memo, Printed, Progressed};
use crate::{Address, Attempt, Generation, JobKey, PoolId, Term, WorkerId};

/// From the distributor to a pool's queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The term that places them.
    pub term: Term,
    /// 1 to 256 jobs.
    pub jobs: Vec<Placement>,
}

/// One job as a worker gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// The job.
    pub key: JobKey,
    /// The function, version resolved.
    pub function: Address,
    /// The argument in MessagePack.
    pub args: Bytes,
    /// Milliseconds left until its caller gives up.
    pub budget_ms: u64,
    /// The count of this attempt within the term, from 1.
    pub attempt: u32,
    /// Whether `Started` must be confirmed before the job runs: a marked job.
    #[serde(default)]
    pub start_confirmed: bool,
    /// A W3C `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// From a worker to the distributor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// How attempts ended.
    Answers(Answers),
    /// Attempts that begin now.
    Started(Started),
    /// How the worker is.
    Beat(Box<WorkerBeat>),
    /// How far attempts are.
    Progress(Progressed),
}

/// How attempts ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// The worker.
    pub worker: WorkerId,
    /// 1 to 256 attempts.
    pub jobs: Vec<Ended>,
}

/// The end of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The job.
    pub key: JobKey,
    /// The attempt.
    pub attempt: Attempt,
    /// How it ended.
    pub end: End,
    /// Microseconds of running.
    pub took_us: u64,
}

impl Ended {
    /// What a value or an error in it is encoded as.
    pub fn payload(&self) -> Option<&Bytes> {
        match &self.end {
            End::Answer(answer) => answer.payload(),
            End::Returned { .. } | End::Crashed(_) => None,
        }
    }
}

/// How an attempt ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum End {
    /// With an answer: `Value`, `Failed`, `Panicked`, `BadArguments`, `TooLarge`, `NotServed`, `Expired` or
    /// `Cancelled`.
    Answer(Answer),
    /// Unstarted: the message came redelivered, or (`willing`) the worker chose to hand it back,
    /// late in a list or while draining.
    Returned {
        /// Whether the worker handed it back by its own will.
        willing: bool,
    },
    /// The child process that ran it ended.
    Crashed(Crash),
}

/// Attempts that begin now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The worker.
    pub worker: WorkerId,
    /// The sequence number of the worker's last beat: only a later one can say "not holding".
    pub seq: u64,
    /// 1 to 256 attempts.
    pub jobs: Vec<StartedJob>,
}

/// One attempt that begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartedJob {
    /// The job.
    pub key: JobKey,
    /// The attempt.
    pub attempt: Attempt,
}

/// The full snapshot of a worker, every second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerBeat {
    /// The worker.
    pub worker: WorkerId,
    /// The count of its beats.
    pub seq: u64,
    /// The generation of its link: its control queue's name ends in it.
    pub generation: Generation,
    /// The machine it runs on, as a name for people.
    pub host: String,
    /// The version of its program.
    pub version: String,
    /// What it serves.
    pub functions: Vec<Address>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// Whether it takes jobs.
    pub state: WorkerState,
    /// Every job it holds, started or not.
    pub held: Vec<Held>,
    /// The term that last welcomed it on this link, which thereby knows that this beat came after
    /// whatever an earlier term had sent here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<Term>,
    /// Whether each slot is a process of its own, so that no job can end the worker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub isolated: bool,
    /// Whether this is its last beat: it has stopped gracefully.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaves: bool,
    /// Those of its functions whose same arguments always give the same bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deterministic: Vec<Address>,
    /// How busy its machine is, if it can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Those of the deterministic ones whose answers may be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memo: Vec<Memo>,
    /// How long a round trip to the broker takes it, in microseconds, once it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_us: Option<u32>,
    /// The last lines that its jobs printed, oldest first, if it shares them: all that it keeps
    /// whenever one is new, or the term is; none otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub printed: Vec<Printed>,
}

/// Whether a worker takes jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerState {
    /// It does.
    Live,
    /// It finishes what it holds.
    Draining,
}

/// A job that a worker holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The job.
    pub key: JobKey,
    /// Its function, so that a distributor that never placed it can show it.
    pub function: Address,
    /// The attempt.
    pub attempt: Attempt,
    /// The slot that runs it, from 0; none while it waits its turn.
    pub slot: Option<u32>,
    /// Milliseconds since it began, or since it came.
    pub age_ms: u64,
}

/// From the distributor to one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Control {
    /// The worker was heard and its pool's queue is there: consume it.
    Welcome {
        /// The term that welcomes it.
        term: Term,
        /// Its pool.
        pool: PoolId,
    },
    /// Nobody waits for these attempts any more.
    Cancel {
        /// The jobs: at most 256 in one message.
        keys: Vec<JobKey>,
        /// The attempt of each of them, in the same order. A worker that does not have it yet
        /// remembers it, and does not begin it when it comes. A job without one here is cancelled
        /// where it is held, whatever its attempt.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attempts: Vec<Attempt>,
    },
    /// Finish what is held and take no more.
    Drain,
    /// Take jobs again.
    Resume,
    /// Says nothing: that it can be delivered is the news.
    Probe,
    /// The worker's beat does not count: it gets no jobs.
    Refused {
        /// What it does not fit into.
        bound: Bound,
    },
}

/// From the distributor to the queue of a worker's will, and back to it when the worker's link has
/// ended. The worker holds it and need not read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Will {
    /// Whose link.
    pub worker: WorkerId,
    /// Which of its links.
    pub generation: Generation,
    /// The mark of the distributor that wrote it: nobody else can.
    pub seal: Bytes,
}
