//! What has happened, one fact per change, in order. The rules emit facts and never read them;
//! [`record`](super::record) makes of them what people see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::message::{Answer, Answered, Bound, Printed, Progress};
use simple_dist_protocol::{ClientId, JobId, PoolId, UserName, WorkerId};

use super::ids::{FunctionRef, JobRef, UserRef};
use super::jobs::Running;

/// Something that has happened.
#[derive(Debug)]
pub(super) enum Fact {
    /// A step of an unfinished job.
    Job(JobRef, Step),
    /// A job has ended.
    Completed(Box<Completed>),
    /// A job has ended the child process in which it ran.
    Crashed(Box<Crashed>),
    /// A known or answered job was sent again.
    Resent,
    /// A job was refused.
    Refused { kind: &'static str, bound: Option<Bound> },
    /// A limit other than those for jobs was reached.
    LimitReached(Bound),
    /// A delivery was dropped because its client has too many unread.
    Undelivered,
    /// A message was ignored.
    Ignored(IgnoreReason),
    /// A worker has run an attempt, completely or in part.
    Ran(Box<Run>),
    /// A slow job was placed a second time.
    Hedged,
    /// What a draining worker ran was placed elsewhere.
    Relieved,
    /// A job that was placed a second time was answered: by the second attempt, or the first.
    HedgeEnded { won: bool },
    /// A step of a run of our own accord.
    Trial(TrialStep),
    /// The answers of two runs of a call are the same, or differ; `elsewhere`
    /// if two workers have run it.
    Checked { agreed: bool, elsewhere: bool },
    /// What became of a call of a function that has a shadow, by the pair's number.
    Shadow { pair: usize, step: ShadowStep },
    /// Answers of a call differ, and no more are to come.
    Differed(Box<Differed>),
    /// A worker was outvoted too often; it gets no more jobs if it is drained.
    Quarantined { is_drained: bool },
    /// A worker was heard; if it tells anything new of them, with the last lines that its jobs printed.
    WorkerHeard(WorkerId, Vec<Printed>),
    /// A worker is gone, holding `held` jobs; `left` if it had announced that.
    WorkerLost { worker: WorkerId, left: bool, was_heard: bool, held: usize },
    /// A client was heard.
    ClientHeard { client: (UserRef, ClientId), user: UserName },
    /// A client ran jobs of a function locally: how many, by reason.
    RanLocally {
        client: (UserRef, ClientId),
        function: FunctionRef,
        name: Arc<str>,
        reasons: BTreeMap<String, u64>,
    },
    /// The term is over; all jobs are forgotten.
    TermOver,
    /// The link is down.
    LinkLost,
}

/// What happens to a job until it ends. `attempt` counts the job's runs.
#[derive(Debug)]
pub(super) enum Step {
    /// It was admitted.
    Admitted,
    /// It waits in the backlog.
    Queued,
    /// It is in flight: placed by us, or found with a worker.
    UnderWay,
    /// An equal job's run is to answer it.
    Joined,
    /// We placed an attempt.
    Placed { attempt: u32, pool: PoolId },
    /// A worker holds the attempt in flight, and perhaps runs it.
    Held { attempt: u32, worker: WorkerId, running: Option<Running> },
    /// Its function says how far the attempt in flight is.
    Progressed(Progress),
    /// The attempt in flight was handed back.
    Returned { attempt: u32, willing: bool },
    /// Its message was found missing.
    Swept { attempt: u32 },
    /// Its worker was lost, without evidence that it had started the job.
    LostWith { attempt: u32, worker: WorkerId },
    /// Its worker was lost after it had started the job. `counts` if it had not struck the job
    /// before.
    Struck { attempt: u32, worker: WorkerId, counts: bool },
    /// It ended the child process in which it ran. `counts` if that was not known before.
    Crashed { attempt: u32, worker: WorkerId, signal: Option<i32>, code: Option<i32>, counts: bool },
    /// A strike was revoked.
    StrikeRevoked,
    /// A mark was given.
    Marked,
    /// A mark was revoked.
    MarkRevoked,
}

/// What happens to a run of our own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrialStep {
    /// It was placed.
    Placed,
    /// It was never run: no slot was idle, or there was no room for it.
    Skipped,
    /// It took much longer than the run that it repeats.
    Expired,
    /// It ended without an answer, or was lost with its worker: its call is not tried again.
    Lost,
}

/// What became of a call's run as the shadow of its function.
#[derive(Debug)]
pub(super) enum ShadowStep {
    /// It has ended, as the call's own run.
    Ran(Box<Twins>),
    /// It took much longer.
    Expired,
    /// It ended its process, or was lost with its worker.
    Lost,
    /// It was never made.
    Skipped,
}

/// The two runs of a call.
#[derive(Debug)]
pub(super) struct Twins {
    pub(super) job: JobId,
    pub(super) args: Bytes,
    pub(super) live: EndedRun,
    pub(super) shadow: EndedRun,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct EndedRun {
    pub(crate) answer: Answer,
    pub(crate) took: Duration,
}

/// Answers of a call that differ.
#[derive(Debug)]
pub(super) struct Differed {
    pub(super) name: Arc<str>,
    pub(super) args: Bytes,
    pub(super) runs: Vec<(WorkerId, Answer)>,
    /// The worker that all others contradict.
    pub(super) outvoted: Option<WorkerId>,
    /// Whether it shows that the function is not deterministic.
    pub(super) is_refuted: bool,
}

/// Why a message was ignored.
#[derive(Debug, Clone, Copy)]
pub(super) enum IgnoreReason {
    /// Its job had already ended.
    Late,
    /// It was about an older attempt.
    Outdated,
    /// The sender cannot know this; the number of such entries.
    Forged(u64),
    /// An answer from a worker not known to serve the function.
    Unproven,
}

/// A run of an attempt in a worker's slot.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) job: JobRef,
    pub(super) attempt: u32,
    pub(super) name: Arc<str>,
    pub(super) worker: WorkerId,
    /// The number of slots of that worker.
    pub(super) slots: u32,
    /// The slot, if a beat has named it.
    pub(super) slot: Option<u32>,
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) end: RunEnd,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// With an answer after this time, as the worker measured it.
    Answered { took: Duration, is_value: bool },
    /// Its message came back: the run is lost, unless its worker is heard again.
    CameBack,
    /// Lost with its worker.
    Lost,
}

/// A job that has ended the child process in which it ran.
#[derive(Debug)]
pub(super) struct Crashed {
    pub(super) id: JobId,
    pub(super) name: Arc<str>,
    pub(super) args: Bytes,
    pub(super) worker: WorkerId,
    /// How that ended, in words.
    pub(super) ending: String,
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
    /// The worker that answered it, and how long it ran there.
    pub(super) ran: Option<(WorkerId, Duration)>,
    /// Which of the runs that was.
    pub(super) run: u32,
    /// The answer.
    pub(super) answer: Answer,
    /// How the run of another job answered it, if one did, and how long that took.
    pub(super) shared: Option<(Shared, Duration)>,
    pub(super) caller: Caller,
}

/// How a job is answered by the run of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    /// It waited for that.
    Coalesced,
    /// Its answer was kept.
    Memo,
}

impl Shared {
    /// How this answer was given, and how long its run took; `None` if that was the job's own.
    pub(super) fn of(answered: &Answered) -> Option<(Self, Duration)> {
        let how = if answered.coalesced { Self::Coalesced } else { Self::Memo };
        answered.is_shared().then(|| (how, Duration::from_micros(answered.took_us)))
    }
}

/// Whether anyone hears of a job's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// The caller waits: it gets the answer, and again if it sends the job again.
    Waits,
    /// The caller cancelled: it wants no answer, and a copy of the job still on its way has ended
    /// too.
    Cancelled,
    /// The client's queue is gone. If the client is alive after all, it sends the job again as a
    /// new one.
    Gone,
}
