//! Everything that can happen to the scheduler: messages, outcomes of its effects, and the clock's
//! tick. Nothing else changes its state.

use std::time::Duration;

use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{
    Answers, Ids, Noted, Presence, Progressed, Report, Started, Submit, WorkerBeat,
};
use simple_dist_protocol::{Attempt, Generation, JobKey, PoolId, Term, UserName, WorkerId};

use super::effect::Token;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The link is up: we are on standby and consume beats and presence from now on.
    LinkUp,
    /// The consuming connection is lost. If we had a term it is over, and all jobs but the recent
    /// answers are forgotten: their clients send them to the next term. The shell also feeds this
    /// when it gives up a term.
    LinkDown,
    /// The broker blocks publishers. Until it stops, no job is placed and no worker is declared
    /// lost.
    Blocked,
    /// The broker accepts messages again.
    Unblocked,
    /// A term begins: we hold the lock, the shared topology is declared, and the leader's queues
    /// are about to be consumed.
    Leading {
        /// The id of this term, chosen at random.
        term: Term,
    },
    /// A presence message arrived through the broker: our own, which proves that the link works
    /// both ways, or that of the active distributor while we are on standby.
    PresenceSeen(Presence),

    /// A client submitted jobs.
    Submitted {
        /// The login the broker checked.
        user: UserName,
        /// The jobs.
        submit: Submit,
    },
    /// A client cancels jobs.
    Cancelled {
        /// The login the broker checked.
        user: UserName,
        /// The jobs.
        ids: Ids,
    },
    /// A client asks whether we know its jobs.
    Asked {
        /// The login the broker checked.
        user: UserName,
        /// The jobs.
        ids: Ids,
    },
    /// A client acknowledges the marks of its job.
    Noted {
        /// The login the broker checked.
        user: UserName,
        /// The job and the marks.
        noted: Noted,
    },
    /// A client reports its local runs.
    Reported {
        /// The login the broker checked.
        user: UserName,
        /// The runs.
        report: Report,
    },

    /// A worker's beat.
    Beat {
        /// The login the broker checked.
        user: UserName,
        /// The snapshot.
        beat: WorkerBeat,
    },
    /// A worker starts attempts.
    Started {
        /// The login the broker checked.
        user: UserName,
        /// The attempts.
        started: Started,
        /// How it arrived.
        via: Via,
    },
    /// How far attempts are.
    Progress {
        /// The login the broker checked.
        user: UserName,
        /// What the worker says of them.
        progressed: Progressed,
    },
    /// Attempts ended.
    Answers {
        /// The login the broker checked.
        user: UserName,
        /// The ends.
        answers: Answers,
    },

    /// A worker's will came back: this link of it has ended.
    LinkEnded {
        /// The worker.
        worker: WorkerId,
        /// Which of its links.
        generation: Generation,
    },

    /// The outcome of published messages. A message that the publisher did not even accept is
    /// [`Outcome::Refused`].
    Settled {
        /// The tokens of their effects.
        tokens: Vec<Token>,
        /// Their outcome.
        outcome: Outcome,
    },
    /// The outcome of [`Effect::DeclarePool`](super::Effect::DeclarePool).
    PoolDeclared {
        /// The pool.
        pool: PoolId,
        /// Whether its queue exists now.
        declared: bool,
    },
    /// The result of [`Effect::Purge`](super::Effect::Purge). A failed purge is not reported.
    Purged {
        /// The attempts whose messages the broker had never delivered.
        untouched: Vec<(JobKey, Attempt)>,
    },
    /// The reply to [`Effect::AskDepths`](super::Effect::AskDepths). Until it or
    /// [`Event::DepthsFailed`] comes, the scheduler asks no further question.
    Depths {
        /// Copied from the effect.
        asked_at: Duration,
        /// The number of messages in each pool's queue; `None` if there is no such queue.
        pools: Vec<(PoolId, Option<u32>)>,
        /// The number of messages in `sd.answers`.
        answers: u32,
    },
    /// [`Effect::AskDepths`](super::Effect::AskDepths) failed.
    DepthsFailed {
        /// Copied from the effect.
        asked_at: Duration,
    },
    /// Time passes: every [`TICK`](super::TICK).
    Tick,

    /// An operator drains a worker.
    Drain(WorkerId),
    /// An operator lets a worker take jobs again.
    Resume(WorkerId),
    /// An operator cancels a job.
    CancelJob(JobKey),
}

/// How a `Started` arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Through `sd.answers`, confirmed before the job ran: evidence against a marked job.
    Results,
    /// With the beats, unconfirmed: for the page only.
    Beats,
}
