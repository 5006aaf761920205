//! What the rooms tell of what they have done: one fact for each transition, in order. Whoever
//! decides writes them down and never reads them; [`record`](super::record) makes of them what
//! people see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::message::{Answer, Bound};
use simple_dist_protocol::{ClientId, JobId, PoolId, UserName, WorkerId};

use super::backlog::users::UserRef;
use super::fleet::functions::FunctionRef;
use super::jobs::{JobRef, Running};

/// Something that has happened.
#[derive(Debug)]
pub(super) enum Fact {
    /// To a job that has not ended.
    Job(JobRef, Step),
    /// A job has ended.
    Completed(Box<Completed>),
    /// A job was sent again that is known, or answered.
    Resent,
    /// A job was not let in.
    Refused { kind: &'static str, bound: Option<Bound> },
    /// Something else found no room.
    TurnedAway(Bound),
    /// News for a client found no room on their way to it.
    Undelivered,
    /// Something was said that does not count.
    Ignored(Why),
    /// A worker has run an attempt, or a part of it.
    Ran(Box<Run>),
    /// A worker was heard.
    WorkerHeard(WorkerId),
    /// A worker is gone, with so many jobs in its hands; `left` if it had said that it goes.
    WorkerLost { worker: WorkerId, left: bool, was_heard: bool, held: usize },
    /// A client was heard.
    ClientHeard { client: (UserRef, ClientId), user: UserName },
    /// A client ran so many jobs of a function itself, by reason.
    RanLocally {
        client: (UserRef, ClientId),
        function: FunctionRef,
        name: Arc<str>,
        reasons: BTreeMap<String, u64>,
    },
    /// All jobs are their clients' again.
    TermOver,
    /// Nobody is heard any more.
    LinkLost,
}

/// What happens to a job until it ends. An attempt is given by the count of the job's runs.
#[derive(Debug)]
pub(super) enum Step {
    /// It was let in.
    Admitted,
    /// It waits here from now on.
    Queued,
    /// It is under way from now on, placed by us or found there.
    UnderWay,
    /// We have placed an attempt.
    Placed { attempt: u32, pool: PoolId },
    /// A worker has the attempt that is under way, and runs it or not.
    Held { attempt: u32, worker: WorkerId, running: Option<Running> },
    /// The attempt under way was handed back.
    Returned { attempt: u32, willing: bool },
    /// It was found to be gone.
    Swept { attempt: u32 },
    /// Its worker was lost, and nothing says that it had begun it by order.
    LostWith { attempt: u32, worker: WorkerId },
    /// Its worker was lost and had begun it. `counts` if it had not struck the job before.
    Struck { attempt: u32, worker: WorkerId, counts: bool },
    /// A strike was taken back.
    Unstruck,
    /// A mark was given.
    Marked,
    /// A mark was taken back.
    Unmarked,
}

/// Why something does not count.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why {
    /// Its job had ended.
    Late,
    /// It was of an older attempt.
    Outdated,
    /// Whoever says so many of them cannot know.
    Forged(u64),
    /// It was an answer of a worker that is not known to serve the function.
    Unproven,
}

/// An attempt in a worker's slot.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) job: JobRef,
    pub(super) attempt: u32,
    pub(super) name: Arc<str>,
    pub(super) worker: WorkerId,
    /// The slots of that worker.
    pub(super) slots: u32,
    /// The slot, if a beat named it.
    pub(super) slot: Option<u32>,
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) end: RunEnd,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// After this time, by the worker's measure, with a value or without one.
    Answered { took: Duration, is_value: bool },
    /// Its message came back: it is lost, unless its worker is heard again.
    CameBack,
    /// With its worker.
    Lost,
}

/// A job that has ended.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) job: JobRef,
    pub(super) id: JobId,
    pub(super) user: UserName,
    pub(super) client: ClientId,
    pub(super) function: FunctionRef,
    pub(super) name: Arc<str>,
    pub(super) args: Bytes,
    pub(super) runs: u32,
    pub(super) since: Duration,
    pub(super) deadline: Duration,
    /// When it was first known to run.
    pub(super) began: Option<Duration>,
    /// The worker that ended it, and for how long it ran.
    pub(super) ran: Option<(WorkerId, Duration)>,
    /// With what.
    pub(super) answer: Answer,
    pub(super) caller: Caller,
}

/// Who hears of a job's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// It gets the answer, and again if it sends the job again.
    Waits,
    /// It wants no answer; if a copy of the job is still on its way here, that one has ended too.
    Cancelled,
    /// Its queue is gone. If it lives after all, it sends the job again, and we begin anew.
    Gone,
}
