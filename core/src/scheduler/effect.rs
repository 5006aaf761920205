//! All that the scheduler wants done. What can fail carries a [`Token`] and comes back as
//! [`Event::Settled`](super::Event::Settled).

use std::time::Duration;

use simple_dist_protocol::message::{Control, Delivery, Placement, Presence};
use simple_dist_protocol::{ClientId, Generation, PoolId, Term, UserName, WorkerId};

/// Something to be done, in the order given.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Declare a pool's queue, and answer [`Event::PoolDeclared`](super::Event::PoolDeclared).
    DeclarePool(PoolId),
    /// Empty a pool's queue: no worker is left to take what waits there. Answer
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
        /// its measured run time, or its share of all slots where few jobs are under way; more
        /// than there is for a job that must travel alone, because it is marked or was never
        /// measured.
        work: Duration,
        /// Comes back when it is settled.
        token: Token,
    },
    /// Publish news of a job to a client's queue, mandatory.
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
    /// Publish nothing to a client's queue, mandatory: whether it can be delivered is all that is
    /// wanted.
    ProbeClient {
        /// Whose queue.
        to: Origin,
        /// The term, for the message's envelope.
        term: Term,
        /// Comes back when it is settled.
        token: Token,
    },
    /// Give the link up, and the lock with it: another distributor has begun to lead.
    StepDown,
    /// Publish to a worker's control queue, mandatory.
    Control {
        /// The worker's login.
        user: UserName,
        /// The worker.
        worker: WorkerId,
        /// The generation its queue's name ends in.
        generation: Generation,
        /// What to tell it.
        control: Control,
        /// Comes back when it is settled.
        token: Token,
    },
    /// Publish to everybody, unconfirmed.
    Presence(Presence),
    /// Ask how many messages wait in the queues of these pools and in `sd.answers`, all together:
    /// answer [`Event::Depths`](super::Event::Depths), or
    /// [`Event::DepthsUnseen`](super::Event::DepthsUnseen) if that is not to be had in time.
    AskDepths {
        /// To be copied into the answer.
        asked_at: Duration,
        /// The pools; there may be none.
        pools: Vec<PoolId>,
    },
}

/// Names a publish whose outcome the scheduler waits for. Unique in one process; after
/// [`Event::LinkDown`](super::Event::LinkDown) older ones mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Where a job came from and its answer goes: a client's queue, by its newest generation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The login the broker checked.
    pub user: UserName,
    /// The client.
    pub client: ClientId,
    /// The generation its queue's name ends in.
    pub generation: Generation,
}
