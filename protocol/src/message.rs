//! Every message on the wire. `docs/PROTOCOL.md` describes them for other languages; a test holds
//! the bytes of each.
//!
//! A message that carries a list has it as its last field, so that a publisher can join what is
//! waiting without decoding it: see [`envelope`](crate::codec::envelope).

mod answer;
mod bound;
pub mod crash;
mod load;
mod memo;
mod past;
mod progress;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::answer::Answer;
pub use self::bound::Bound;
pub use self::crash::Crash;
pub use self::load::Load;
pub use self::memo::Memo;
pub use self::past::{Minute, MinuteOf, Moment, Past};
pub use self::progress::{Progress, Progressed, ProgressedJob};
use crate::{Address, Attempt, ClientId, Generation, JobId, JobKey, PoolId, Term, WorkerId};

/// The version of the wire, in the header `sd-v` of every message.
pub const VERSION: u8 = 1;

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
    Beat(WorkerBeat),
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

/// The active distributor's beat, to everybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// Who is active.
    pub distributor: crate::DistributorId,
    /// Since when: a new term has forgotten all jobs.
    pub term: Term,
    /// The count of its beats in this term.
    pub seq: u64,
    /// Functions with a live worker.
    pub functions: Vec<Address>,
    /// Functions whose workers are all out of reach, and not lost yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Address>,
    /// Jobs that wait.
    pub backlog: u64,
    /// Whether there is room for more.
    pub room: bool,
    /// If not: what is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// What has just passed, for those on standby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
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
