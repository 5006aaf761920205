//! Everything the scheduler wants done. An effect that can fail carries a [`Token`], and its
//! outcome comes back as [`Event::Settled`](super::Event::Settled).

use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::message::{Control, Delivery, Placement, Presence};
use simple_dist_protocol::{ClientId, Generation, JobId, PoolId, Term, UserName, WorkerId};

/// Something to do, in the order given.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Declare a pool's queue; reply with [`Event::PoolDeclared`](super::Event::PoolDeclared).
    DeclarePool(PoolId),
    /// Purge a pool's queue, because no worker is left to consume it; reply with
    /// [`Event::Purged`](super::Event::Purged).
    Purge(PoolId),
    /// Publish a job to a pool's queue, mandatory.
    Place {
        /// The pool.
        pool: PoolId,
        /// The term, for the message's envelope.
        term: Term,
        /// The job.
        placement: Placement,
        /// How much of a list's [`LIST_WORK`](simple_dist_protocol::limits::LIST_WORK) it takes:
        /// its measured run time, or its share of all slots while there are few jobs; more than the
        /// whole for a job that must travel alone, because it is marked or was never measured.
        work: Duration,
        /// Comes back when it is settled.
        token: Token,
    },
    /// Publish an answer or notice to a client's queue, mandatory.
    Deliver {
        /// Whose queue.
        to: Origin,
        /// The term, for the message's envelope.
        term: Term,
        /// The news.
        delivery: Delivery,
        /// Comes back when it is settled.
        token: Token,
    },
    /// Publish an empty message to a client's queue, mandatory, only to learn whether the queue
    /// exists.
    ProbeClient {
        /// Whose queue.
        to: Origin,
        /// The term, for the message's envelope.
        term: Term,
        /// Comes back when it is settled.
        token: Token,
    },
    /// Drop the link, and the lock with it: another distributor is active.
    StepDown,
    /// Publish to a worker's control queue, mandatory.
    Control {
        /// The worker's login.
        user: UserName,
        /// The worker.
        worker: WorkerId,
        /// The generation its queue's name ends in.
        generation: Generation,
        /// The message.
        control: Control,
        /// Comes back when it is settled.
        token: Token,
    },
    /// Publish a message into the queue of a worker's will, where its link holds it; reply with
    /// [`Event::LinkEnded`](super::Event::LinkEnded) when it comes back.
    Will {
        /// The worker's login.
        user: UserName,
        /// The worker.
        worker: WorkerId,
        /// Which of its links.
        generation: Generation,
    },
    /// Publish to everyone, unconfirmed.
    Presence(Presence),
    /// Record in the trace of a job that has ended how long it waited for its run.
    Trace(Box<QueueTime>),
    /// Ask how many messages wait in the queues of these pools and in `sd.answers`, all together;
    /// reply with [`Event::Depths`](super::Event::Depths), or with
    /// [`Event::DepthsFailed`](super::Event::DepthsFailed) if that fails.
    AskDepths {
        /// To be copied into the reply.
        asked_at: Duration,
        /// The pools; may be empty.
        pools: Vec<PoolId>,
    },
}

/// The wait of a job for its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueTime {
    /// The call's `traceparent`, as its client sent it.
    pub trace: String,
    /// The job.
    pub id: JobId,
    /// What it computes, `name@version`.
    pub function: Arc<str>,
    /// When it was accepted, on the scheduler's clock.
    pub from: Duration,
    /// When it was known to run, or had ended without a run.
    pub to: Duration,
    /// How it ended, in one word, if no worker answered.
    pub failure: Option<&'static str>,
}

/// Identifies a publish whose outcome the scheduler waits for. Unique in one process; after
/// [`Event::LinkDown`](super::Event::LinkDown) older ones are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// A client's queue: where a job came from and its answer goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The login the broker checked.
    pub user: UserName,
    /// The client.
    pub client: ClientId,
    /// The generation its queue's name ends in.
    pub generation: Generation,
}
