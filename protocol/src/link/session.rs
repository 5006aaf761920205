//! What an owner can do on one generation of its link.

use std::fmt;
use std::sync::{Arc, PoisonError, Weak};

use bytes::Bytes;
use lapin::Channel;
use lapin::options::{
    BasicCancelOptions, BasicGetOptions, BasicPublishOptions, QueueDeclareOptions,
    QueuePurgeOptions,
};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::mpsc;

use super::connection::is_locked;
use super::consumer::{Intake, channel, consume};
use super::generation::{Failure, Live, in_time};
use super::plan::{declare, declare_queue};
use super::publisher::properties;
use super::{Consume, Lane, Outgoing, Reason, Source};
use crate::topology::{Declaration, Name, QueueSpec};
use crate::{Generation, UserName};

/// One generation of a link, to publish and to ask on. Cheap to clone; of no use after `Down`.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

pub(super) struct Inner {
    pub(super) generation: Generation,
    pub(super) user: UserName,
    pub(super) jobs: mpsc::Sender<Outgoing>,
    pub(super) control: mpsc::Sender<Outgoing>,
    pub(super) live: Weak<Live>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.0.generation).finish()
    }
}

/// The publisher's queue is full, or the generation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the publisher takes no more")]
pub struct Full;

/// What is in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Messages that wait.
    pub messages: u32,
    /// Those who consume it.
    pub consumers: u32,
}

/// A message taken out of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its bytes.
    pub body: Bytes,
    /// Whether the broker may have handed it out before. If not, nobody ever had it.
    pub redelivered: bool,
}

/// The most messages that [`Session::empty`] hands over: a pool's window is far smaller.
pub const TAKEN: usize = 4096;

impl Session {
    pub(super) fn new(inner: Inner) -> Self {
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

    /// Publishes. Returns at once; what becomes of it is told by [`Event::Settled`] if it has a
    /// token.
    ///
    /// [`Event::Settled`]: super::Event::Settled
    pub fn publish(&self, message: Outgoing) -> Result<(), Full> {
        let lane = match message.lane {
            Lane::Jobs => &self.0.jobs,
            Lane::Control => &self.0.control,
        };
        lane.try_send(message).map_err(|_| Full)
    }

    /// Declares something on the consuming connection.
    pub async fn declare(&self, declaration: Declaration) -> Result<(), Reason> {
        let live = self.live()?;
        let channel = answered(&live, live.declares.take(&live.broker.consuming)).await?;
        answered(&live, declare(&channel, &declaration)).await?;
        live.declares.keep(channel);
        Ok(())
    }

    /// Declares an exclusive queue unless somebody holds it: true if it is ours now, false if
    /// anybody has it, us included. Asks by a mandatory publish first, since a refused
    /// declaration is an error in the broker's log.
    pub async fn claim(&self, queue: QueueSpec) -> Result<bool, Reason> {
        let live = self.live()?;
        if live.patience.is_blocked() {
            return Err(Reason::Lost("the broker takes no messages".to_owned()));
        }
        let asking = answered(&live, live.claims.take(&live.broker.publishing)).await?;
        let free = answered(&live, is_nowhere(&asking, queue.name.short())).await?;
        live.claims.keep(asking);
        if !free {
            return Ok(false);
        }
        let channel = answered(&live, live.declares.take(&live.broker.consuming)).await?;
        match in_time(declare_queue(&channel, &queue)).await {
            Ok(()) => {
                live.declares.keep(channel);
                Ok(true)
            }
            Err(Failure::Answer(error)) if is_locked(&error) => Ok(false),
            Err(failure) => Err(failed(&live, failure)),
        }
    }

    /// Consumes one more queue.
    pub async fn consume(&self, next: Consume) -> Result<(), Reason> {
        let live = self.live()?;
        let idle = {
            let mut intakes = live.intakes.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |intake: &&mut Intake| {
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

    /// Consumes a queue no longer; what was delivered may still be acked.
    pub async fn cancel(&self, source: Source) -> Result<(), Reason> {
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

    /// How many messages wait in a queue; none if there is no such queue.
    pub async fn depth(&self, queue: Name) -> Result<Option<Depth>, Reason> {
        let live = self.live()?;
        let channel = answered(&live, live.questions.take(&live.broker.consuming)).await?;
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let asked = channel.queue_declare(queue.short(), options, FieldTable::default());
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

    /// Empties a queue: takes up to [`TAKEN`] messages out of it, and drops the rest.
    pub async fn empty(&self, queue: Name) -> Result<Vec<Taken>, Reason> {
        let live = self.live()?;
        let channel = answered(&live, live.questions.take(&live.broker.consuming)).await?;
        let mut taken = Vec::new();
        while taken.len() < TAKEN {
            let options = BasicGetOptions { no_ack: true };
            let got = answered(&live, channel.basic_get(queue.short(), options)).await?;
            let Some(message) = got else { break };
            let redelivered = message.delivery.redelivered;
            taken.push(Taken { body: message.delivery.data.into(), redelivered });
        }
        if taken.len() == TAKEN {
            let purged = channel.queue_purge(queue.short(), QueuePurgeOptions::default());
            answered(&live, purged).await?;
        }
        live.questions.keep(channel);
        Ok(taken)
    }

    fn live(&self) -> Result<Arc<Live>, Reason> {
        let over = || Reason::Lost("the generation is over".to_owned());
        self.0.live.upgrade().ok_or_else(over)
    }
}

/// Whether an empty message to this queue comes back. It expires at once where it does not, so
/// that asking leaves nothing behind.
async fn is_nowhere(channel: &Channel, queue: ShortString) -> Result<bool, lapin::Error> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties =
        properties(None).with_expiration(ShortString::try_new("0").expect("one digit"));
    let confirm =
        channel.basic_publish(ShortString::default(), queue, options, &[], properties).await?;
    // One question at a time on this channel, so what comes back is this one.
    Ok(confirm.await?.take_message().is_some())
}

async fn answered<T>(
    live: &Live,
    answer: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, Reason> {
    in_time(answer).await.map_err(|failure| failed(live, failure))
}

/// A broker that does not answer is lost, unless it said that it would not.
fn failed(live: &Live, failure: Failure) -> Reason {
    let late = matches!(failure, Failure::Late);
    let reason = Reason::from(failure);
    if late && !live.patience.is_blocked() {
        live.faults.tell(reason.clone());
    }
    reason
}
