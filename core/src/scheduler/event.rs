//! All that can happen to the scheduler. Whatever the shell hears, whatever becomes of what it was
//! told to do, and the clock's tick: nothing else ever changes the scheduler.

use std::time::Duration;

use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{
    Answers, Ids, Noted, Presence, Report, Started, Submit, WorkerBeat,
};
use simple_dist_protocol::{Attempt, JobKey, PoolId, Term, UserName, WorkerId};

use super::effect::Token;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The link is up: we stand by, and hear beats and presence from now on.
    LinkUp,
    /// The consuming connection is lost. Whatever term we had is over, and all jobs but the recent
    /// answers are forgotten: their clients send them to the next term. Also fed when the shell
    /// gives up a term by itself.
    LinkDown,
    /// The broker takes no messages for now. Nothing is placed and nobody judged until it does.
    Blocked,
    /// The broker takes messages again.
    Unblocked,
    /// We hold the lock, the shared topology is declared, and the intakes are being
    /// consumed from now on: a term begins.
    Leading {
        /// Drawn at random for this term.
        term: Term,
    },
    /// A presence came through the broker: our own (then the link carries us both ways), or, while
    /// we stand by, that of the active distributor.
    Seen(Presence),

    /// A client submitted jobs.
    Submitted {
        /// The login the broker checked.
        user: UserName,
        /// The jobs.
        submit: Submit,
    },
    /// A client's callers are gone.
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
    /// A client knows the marks of its job.
    Noted {
        /// The login the broker checked.
        user: UserName,
        /// The job and the marks.
        noted: Noted,
    },
    /// A client tells what it ran itself.
    Reported {
        /// The login the broker checked.
        user: UserName,
        /// The runs.
        report: Report,
    },

    /// A worker tells how it is.
    Beat {
        /// The login the broker checked.
        user: UserName,
        /// The snapshot.
        beat: WorkerBeat,
    },
    /// A worker begins attempts.
    Started {
        /// The login the broker checked.
        user: UserName,
        /// The attempts.
        started: Started,
        /// Where it came from.
        via: Via,
    },
    /// Attempts ended.
    Answers {
        /// The login the broker checked.
        user: UserName,
        /// The ends.
        answers: Answers,
    },

    /// What became of published messages. A message that the shell could not even hand to the
    /// publisher is [`Outcome::Refused`].
    Settled {
        /// The tokens of their effects.
        tokens: Vec<Token>,
        /// What became of them.
        outcome: Outcome,
    },
    /// What became of [`Effect::DeclarePool`](super::Effect::DeclarePool).
    PoolDeclared {
        /// The pool.
        pool: PoolId,
        /// Whether its queue is there now.
        declared: bool,
    },
    /// What [`Effect::Purge`](super::Effect::Purge) found. One that fails is not answered.
    Purged {
        /// The attempts whose messages the broker had never handed to anybody.
        untouched: Vec<(JobKey, Attempt)>,
    },
    /// The answer to [`Effect::AskDepths`](super::Effect::AskDepths). Until it comes, or
    /// [`Event::DepthsUnseen`], no other question is put.
    Depths {
        /// Copied from the effect.
        asked_at: Duration,
        /// The messages that waited in the pools' queues; none where there is no such queue.
        pools: Vec<(PoolId, Option<u32>)>,
        /// The messages that waited in `sd.answers`.
        answers: u32,
    },
    /// [`Effect::AskDepths`](super::Effect::AskDepths) came to nothing.
    DepthsUnseen {
        /// Copied from the effect.
        asked_at: Duration,
    },
    /// Time passes: every [`TICK`](super::TICK).
    Tick,

    /// A person wants a worker to finish and take no more.
    Drain(WorkerId),
    /// A person wants a worker to take jobs again.
    Resume(WorkerId),
    /// A person cancels a job.
    CancelJob(JobKey),
}

/// Where a `Started` came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Through `sd.answers`, confirmed before the job ran: evidence against a marked job.
    Results,
    /// Beside the beats, unconfirmed: news for the page.
    Beats,
}
