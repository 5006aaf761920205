//! Questions to the broker: each runs in its own task, and its result becomes an event.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use simple_dist_link::{Consume, Drained, Reason};
use simple_dist_protocol::message::Place;
use simple_dist_protocol::topology::{Declaration, Name, Topology};
use simple_dist_protocol::{Attempt, Generation, JobKey, PoolId, codec, limits};

use simple_dist_core::scheduler::Event;

use tokio::time::Instant;

use super::{Service, Session};
use crate::wire::decode::{LeaderQueue, Source};

/// How many queues are asked about at once: they share one round trip.
const TOGETHER: usize = 32;
/// How long a standby waits when it could not ask for the lock.
const CLAIM_REST: Duration = Duration::from_secs(1);
/// How soon a refused consumer is tried again: the previous leader's may not be gone yet.
const RETRY: Duration = Duration::from_millis(250);

/// The result of a broker call.
#[derive(Debug)]
pub(super) enum CallResult {
    /// Whether we got the lock of the active distributor.
    Claimed(Result<bool, Reason>),
    /// Whether a queue is being consumed now.
    Consumed(LeaderQueue, Result<(), Reason>),
    /// A pool's queue was declared.
    Declared(PoolId, Result<(), Reason>),
    /// How deep the queues are.
    Depths { asked_at: Duration, depths: Result<Depths, Reason> },
    /// A pool's queue was emptied.
    Purged(PoolId, Result<Vec<Drained>, Reason>),
}

#[derive(Debug)]
pub(super) struct Depths {
    pools: Vec<(PoolId, Option<u32>)>,
    answers: u32,
}

impl Service {
    fn broker_call(
        &mut self,
        session: &Session,
        call: impl Future<Output = CallResult> + Send + 'static,
    ) {
        let generation = session.generation();
        self.broker_calls.spawn(async move { (generation, call.await) });
    }

    pub(super) fn claim(&mut self) {
        let Some(session) = self.session.clone() else { return };
        if !self.leading && !self.claiming && self.claim_at <= Instant::now() {
            self.claiming = true;
            let locks = self.topology.leader();
            let asking = session.clone();
            self.broker_call(
                &session,
                async move { CallResult::Claimed(asking.claim(&locks).await) },
            );
        }
    }

    pub(super) fn consume(&mut self, session: Session, source: LeaderQueue, delay: Duration) {
        let queue = match source {
            LeaderQueue::Answers => self.topology.answers(),
            LeaderQueue::Submissions => self.topology.submissions(),
            LeaderQueue::ClientControl => self.topology.control(),
        };
        let prefetch = limits::LEADER_QUEUE_PREFETCH;
        let asking = session.clone();
        self.broker_call(&session, async move {
            tokio::time::sleep(delay).await;
            let consume =
                Consume { tag: Source::Leader(source).tag(), queue, prefetch, exclusive: false };
            CallResult::Consumed(source, asking.consume(consume).await)
        });
    }

    pub(super) fn declare(&mut self, session: Session, pool: PoolId) {
        if let Some(declare) = self.purging.get_mut(&pool) {
            *declare = true;
            return;
        }
        let queue = Declaration::Queue(self.topology.pool(pool));
        let asking = session.clone();
        self.broker_call(&session, async move {
            CallResult::Declared(pool, asking.declare(queue).await)
        });
    }

    pub(super) fn purge(&mut self, session: Session, pool: PoolId) {
        self.purging.insert(pool, false);
        let queue = self.topology.pool(pool).name;
        let asking = session.clone();
        self.broker_call(&session, async move {
            CallResult::Purged(pool, asking.drain_queue(queue).await)
        });
    }

    pub(super) fn ask_depths(&mut self, session: Session, asked_at: Duration, pools: Vec<PoolId>) {
        let topology = self.topology.clone();
        let asking = session.clone();
        self.broker_call(&session, async move {
            CallResult::Depths { asked_at, depths: depths(&asking, &topology, pools).await }
        });
    }

    pub(super) fn done(&mut self, generation: Generation, done: CallResult) {
        let Some(session) = self.session.clone() else { return };
        if session.generation() != generation {
            return;
        }
        match done {
            CallResult::Claimed(claimed) => {
                self.claiming = false;
                match claimed {
                    Ok(true) => self.start_term(session),
                    Ok(false) => tracing::debug!("another distributor is active"),
                    Err(error) => {
                        tracing::warn!(%error, "cannot ask for the lock");
                        self.claim_at = Instant::now() + CLAIM_REST;
                    }
                }
            }
            CallResult::Consumed(queue, Ok(())) => tracing::debug!(?queue, "consuming"),
            CallResult::Consumed(queue, Err(error)) => {
                tracing::warn!(%error, ?queue, "cannot consume yet");
                self.consume(session, queue, RETRY);
            }
            CallResult::Declared(pool, result) => {
                if let Err(error) = &result {
                    tracing::warn!(%error, %pool, "cannot declare a pool's queue");
                }
                self.feed(Event::PoolDeclared { pool, declared: result.is_ok() });
            }
            CallResult::Depths { asked_at, depths: Ok(Depths { pools, answers }) } => {
                self.feed(Event::Depths { asked_at, pools, answers });
            }
            CallResult::Depths { asked_at, depths: Err(error) } => {
                tracing::warn!(%error, "cannot read the depths of the queues");
                self.feed(Event::DepthsFailed { asked_at });
            }
            CallResult::Purged(pool, taken) => {
                match taken {
                    Ok(taken) => self.feed(Event::Purged { untouched: untouched(&taken) }),
                    Err(error) => tracing::warn!(%error, %pool, "cannot purge a pool's queue"),
                }
                if self.purging.remove(&pool) == Some(true) {
                    self.declare(session, pool);
                }
            }
        }
    }
}

/// The attempts in messages that no worker ever received.
fn untouched(taken: &[Drained]) -> Vec<(JobKey, Attempt)> {
    let places = taken.iter().filter(|message| !message.redelivered);
    // Anybody with the right to write there may have put something else into the queue.
    let places = places.filter_map(|message| codec::decode::<Place>(&message.body).ok());
    let attempts = places.flat_map(|Place { term, jobs }| {
        jobs.into_iter().map(move |job| (job.key, Attempt { term, number: job.attempt }))
    });
    attempts.collect()
}

/// How many messages wait in the pools' queues and in the answers; asked concurrently.
async fn depths(
    session: &Session,
    topology: &Topology,
    pools: Vec<PoolId>,
) -> Result<Depths, Reason> {
    let pools = stream::iter(pools)
        .map(|pool| async move { Ok((pool, messages(session, topology.pool(pool).name).await?)) });
    let pools = pools.buffer_unordered(TOGETHER).try_collect::<Vec<_>>();
    let (pools, answers) = tokio::try_join!(pools, messages(session, topology.answers()))?;
    Ok(Depths { pools, answers: answers.unwrap_or(0) })
}

async fn messages(session: &Session, queue: Name) -> Result<Option<u32>, Reason> {
    Ok(session.depth(queue).await?.map(|depth| depth.messages))
}
