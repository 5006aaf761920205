//! A message and its places in queues. Both count themselves in the broker's memory gauge for
//! as long as they live, wherever they are held: ready or unacknowledged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use amq_protocol::types::ShortString;
use bytes::Bytes;

use super::queue::QueueId;

/// What a message costs beside its bytes, roughly.
const MESSAGE_COST: usize = 256;
/// What a place in a queue costs.
const ENTRY_COST: usize = 96;

/// Bytes held by messages, in sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<AtomicUsize>);

impl Memory {
    pub(super) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes of a message that is still coming in.
#[derive(Debug)]
pub(super) struct Held {
    bytes: usize,
    memory: Memory,
}

impl Held {
    pub(super) fn none(memory: &Memory) -> Self {
        Self { bytes: 0, memory: memory.clone() }
    }

    pub(super) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.memory.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A published message, shared by all queues it lies in.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    /// Property flags and list, as on the wire.
    pub(super) properties: Bytes,
    pub(super) body: Bytes,
    /// Its own time to live in milliseconds.
    pub(super) expiration: Option<u64>,
    /// The queues that dropped it, since it was last rejected.
    pub(super) died_in: Vec<QueueId>,
    memory: Memory,
}

/// What a message is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) properties: Bytes,
    pub(super) body: Bytes,
    pub(super) expiration: Option<u64>,
    pub(super) died_in: Vec<QueueId>,
}

impl Message {
    pub(super) fn new(parts: Parts, memory: &Memory) -> Arc<Self> {
        let message = Self {
            exchange: parts.exchange,
            routing_key: parts.routing_key,
            properties: parts.properties,
            body: parts.body,
            expiration: parts.expiration,
            died_in: parts.died_in,
            memory: memory.clone(),
        };
        memory.0.fetch_add(message.cost(), Ordering::Relaxed);
        Arc::new(message)
    }

    fn cost(&self) -> usize {
        MESSAGE_COST + self.properties.len() + self.body.len()
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.cost(), Ordering::Relaxed);
    }
}

/// A message's place in one queue. The place is kept when it is handed out and comes back.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) message: Arc<Message>,
    /// Order of arrival in its queue.
    pub(super) position: u64,
    pub(super) expires: Option<Instant>,
    pub(super) redelivered: bool,
    /// How often it came back.
    pub(super) returns: u32,
}

impl Entry {
    pub(super) fn new(message: Arc<Message>, position: u64, expires: Option<Instant>) -> Self {
        message.memory.0.fetch_add(ENTRY_COST, Ordering::Relaxed);
        Self { message, position, expires, redelivered: false, returns: 0 }
    }

    pub(super) fn has_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.message.memory.0.fetch_sub(ENTRY_COST, Ordering::Relaxed);
    }
}
