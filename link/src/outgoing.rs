//! Outgoing messages, and the queue in which they wait for a publisher.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};

use simple_dist_protocol::codec::Encoded;
use simple_dist_protocol::topology::Name;

/// The most items waiting for one publisher.
const WAITING: usize = 1_048_576;
/// The most bytes of these, unless a single one is larger: what the broker does not accept waits
/// here, until it does or the generation ends.
const WAITING_BYTES: usize = 256 * 1024 * 1024;

/// Where and how a message is published. Items with equal routes may travel as one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The exchange.
    pub exchange: Name,
    /// The routing key.
    pub key: Name,
    /// Whether a message that reaches no queue is returned.
    pub mandatory: bool,
    /// For list messages, the encoded message around the list
    /// ([`codec::envelope`](simple_dist_protocol::codec::envelope)); `None` for messages that
    /// travel alone.
    pub envelope: Option<Bytes>,
}

/// By its key: few routes have the same, and each item that is sent looks up its own.
impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// A message, or one item of a list message.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The route.
    pub route: Arc<Route>,
    /// The encoded item, or the whole message if the route has no envelope.
    pub body: Encoded,
    /// The measured run time of the job in it, or zero: a list carries at most
    /// [`LIST_WORK`](simple_dist_protocol::limits::LIST_WORK).
    pub work: Duration,
    /// Comes back in [`Settled`](crate::Settled); `None` if the outcome does not matter.
    pub token: Option<u64>,
    /// The publisher to use.
    pub lane: Lane,
}

/// Separate publishers, so that control messages never wait behind jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Jobs and answers.
    Jobs,
    /// Beats, presence, control.
    Control,
}

/// The publisher's queue is full, or the generation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the publisher's queue is full, or its connection is lost")]
pub struct Full;

/// The sending end of a publisher's queue.
pub(super) struct Queue {
    items: mpsc::Sender<Outgoing>,
    /// The bytes that may still be added.
    room: Arc<Semaphore>,
}

/// The receiving end.
pub(super) struct Waiting {
    pub(super) items: mpsc::Receiver<Outgoing>,
    pub(super) room: Arc<Semaphore>,
}

impl Queue {
    pub(super) fn new() -> (Self, Waiting) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        (Self { items: sender, room: room.clone() }, Waiting { items: receiver, room })
    }

    /// Adds an item; its bytes count until it is settled.
    pub(super) fn put(&self, item: Outgoing) -> Result<(), Full> {
        let weight = u32::try_from(weight(&item.body)).unwrap_or(u32::MAX);
        let taken = self.room.try_acquire_many(weight).map_err(|_| Full)?;
        self.items.try_send(item).map_err(|_| Full)?;
        taken.forget();
        Ok(())
    }
}

/// The bytes that an item counts for.
pub(super) fn weight(body: &Encoded) -> usize {
    body.len().min(WAITING_BYTES)
}
