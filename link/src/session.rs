//! What an owner can do on one generation of its link.

use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use lapin::options::{BasicCancelOptions, BasicGetOptions, QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;

use super::consumer::{Intake, channel, consume};
use super::generation::{Failure, Live, in_time};
use super::plan::{declare, short};
use super::publisher::Queue;
use super::{Consume, Lane, Outgoing, Reason, Source};
use simple_dist_protocol::topology::{Declaration, Name};
use simple_dist_protocol::{Generation, UserName};

/// One generation of a link, to publish and ask questions on. Cheap to clone; useless after `Down`.
pub struct Session<S>(Arc<Inner<S>>);

pub(super) struct Inner<S> {
    pub(super) generation: Generation,
    pub(super) user: UserName,
    pub(super) jobs: Queue,
    pub(super) control: Queue,
    pub(super) live: Weak<Live<S>>,
}

// Written by hand: `S` need not be `Clone`.
impl<S> Clone for Session<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.0.generation).finish()
    }
}

/// The publisher's queue is full, or the generation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the publisher's queue is full, or its connection is lost")]
pub struct Full;

/// The state of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// The number of waiting messages.
    pub messages: u32,
    /// The number of its consumers.
    pub consumers: u32,
}

/// A message taken out of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    /// Its bytes.
    pub body: Bytes,
    /// Whether the broker may have delivered it before. If not, nobody ever received it.
    pub redelivered: bool,
}

/// The most messages that [`Session::drain_queue`] returns: a pool's window is far smaller.
pub const DRAINED: usize = 4096;

impl<S: Source> Session<S> {
    pub(super) fn new(inner: Inner<S>) -> Self {
        Self(Arc::new(inner))
    }

    /// The generation.
    pub fn generation(&self) -> Generation {
        self.0.generation
    }

    /// The login's name.
    pub fn user(&self) -> &UserName {
        &self.0.user
    }

    /// Queues a message for publishing and returns at once. If it has a token, its outcome is
    /// reported by [`Event::Settled`].
    ///
    /// # Errors
    ///
    /// [`Full`] if the publisher's queue is full or the generation has ended; the message is
    /// dropped.
    ///
    /// [`Event::Settled`]: super::Event::Settled
    pub fn publish(&self, message: Outgoing) -> Result<(), Full> {
        match message.lane {
            Lane::Jobs => self.0.jobs.put(message),
            Lane::Control => self.0.control.put(message),
        }
    }

    /// Ends this generation; the link reconnects.
    pub fn give_up(&self, why: &str) {
        // A generation that has ended needs nothing.
        if let Some(live) = self.0.live.upgrade() {
            live.faults.tell(Reason::Lost(why.to_owned()));
        }
    }

    /// Declares an exchange, queue or binding on the consuming connection.
    ///
    /// # Errors
    ///
    /// The reason, if the broker refuses it or does not answer in time, or the generation has
    /// ended.
    pub async fn declare(&self, declaration: Declaration) -> Result<(), Reason> {
        let live = self.live()?;
        let channel = answered(&live, live.declares.take(&live.broker.consuming)).await?;
        answered(&live, declare(&channel, &declaration)).await?;
        live.declares.keep(channel);
        Ok(())
    }

    /// Consumes one more queue.
    ///
    /// # Errors
    ///
    /// The reason, if the broker refuses it or does not answer in time, or the generation has
    /// ended.
    pub async fn consume(&self, next: Consume<S>) -> Result<(), Reason> {
        let live = self.live()?;
        let idle = {
            let mut intakes = live.intakes.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |intake: &&mut Intake<S>| {
                intake.source == next.source
                    && intake.consumed.is_none()
                    && intake.channel.status().connected()
            };
            intakes.iter_mut().find(fits).map(|intake| intake.channel.clone())
        };
        let channel = answered(&live, channel(idle, &live.broker.consuming)).await?;
        let granted = answered(&live, consume(channel, next)).await?;
        let mut intakes = live.intakes.lock().unwrap_or_else(PoisonError::into_inner);
        granted.begin(&live, &mut intakes);
        Ok(())
    }

    /// Stops consuming a queue; what was delivered may still be acked.
    ///
    /// # Errors
    ///
    /// The reason, if the broker does not answer in time, or the generation has ended.
    pub async fn cancel(&self, source: S) -> Result<(), Reason> {
        let live = self.live()?;
        let ending: Vec<_> = {
            let mut intakes = live.intakes.lock().unwrap_or_else(PoisonError::into_inner);
            let of_source = intakes.iter_mut().filter(|intake| intake.source == source);
            of_source
                .filter_map(|intake| Some((intake.channel.clone(), intake.consumed.take()?)))
                .collect()
        };
        for (channel, consumed) in ending {
            consumed.leaving.cancel();
            let cancelled = channel.basic_cancel(consumed.tag, BasicCancelOptions::default());
            answered(&live, cancelled).await?;
        }
        Ok(())
    }

    /// The depth of a queue; `None` if there is no such queue.
    ///
    /// # Errors
    ///
    /// The reason, if the broker does not answer in time, or the generation has ended.
    pub async fn depth(&self, queue: Name) -> Result<Option<Depth>, Reason> {
        let live = self.live()?;
        let channel = answered(&live, live.questions.take(&live.broker.consuming)).await?;
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let asked = channel.queue_declare(short(&queue), options, FieldTable::default());
        match answered(&live, asked).await {
            Ok(queue) => {
                live.questions.keep(channel);
                let (messages, consumers) = (queue.message_count(), queue.consumer_count());
                Ok(Some(Depth { messages, consumers }))
            }
            Err(Reason::Missing(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Empties a queue: returns up to [`DRAINED`] messages, and drops the rest.
    ///
    /// # Errors
    ///
    /// The reason, if the broker does not answer in time, or the generation has ended.
    pub async fn drain_queue(&self, queue: Name) -> Result<Vec<Drained>, Reason> {
        let live = self.live()?;
        let channel = answered(&live, live.questions.take(&live.broker.consuming)).await?;
        let mut taken = Vec::new();
        while taken.len() < DRAINED {
            let options = BasicGetOptions { no_ack: true };
            let got = answered(&live, channel.basic_get(short(&queue), options)).await?;
            let Some(message) = got else { break };
            let redelivered = message.delivery.redelivered;
            taken.push(Drained { body: message.delivery.data.into(), redelivered });
        }
        if taken.len() == DRAINED {
            let purged = channel.queue_purge(short(&queue), QueuePurgeOptions::default());
            answered(&live, purged).await?;
        }
        live.questions.keep(channel);
        Ok(taken)
    }

    /// How long the broker has not confirmed what was written to it. Neither waiting items nor the
    /// time in which this process was frozen count.
    pub fn unconfirmed(&self) -> Duration {
        self.0.live.upgrade().map_or(Duration::ZERO, |live| live.answer_timeout.unconfirmed())
    }

    pub(super) fn live(&self) -> Result<Arc<Live<S>>, Reason> {
        let over = || Reason::Lost("the generation is over".to_owned());
        self.0.live.upgrade().ok_or_else(over)
    }
}

pub(super) async fn answered<T, S: Source>(
    live: &Live<S>,
    answer: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, Reason> {
    in_time(answer).await.map_err(|failure| failed(live, failure))
}

/// A broker that does not answer is lost, unless it is blocked.
pub(super) fn failed<S: Source>(live: &Live<S>, failure: Failure) -> Reason {
    let late = matches!(failure, Failure::Late);
    let reason = Reason::from(failure);
    if late && !live.answer_timeout.is_blocked() {
        live.faults.tell(reason.clone());
    }
    reason
}
