//! One queue: waiting messages in order of arrival, and the consumers that take turns. It knows
//! nothing about connections; the core does.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use amq_protocol::types::ShortString;

use super::{
    ConnectionId,
    arguments::{Arguments, Overflow},
    channel::ConsumerId,
    message::{Entry, Message},
};

/// Identifies a queue for as long as it exists; a queue declared again under the same name is
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct QueueId(pub(super) u64);

/// A consumer in its queue's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscriber {
    pub(super) connection: ConnectionId,
    pub(super) channel: u16,
    pub(super) consumer: ConsumerId,
}

/// Places that an empty queue keeps allocated.
const ROOM_KEPT: usize = 1024;

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: ShortString,
    pub(super) durable: bool,
    pub(super) owner: Option<ConnectionId>,
    pub(super) arguments: Arguments,
    /// The next in turn first.
    pub(super) subscribers: Vec<Subscriber>,
    /// One of the subscribers asked to be the only one.
    pub(super) taken: bool,
    /// Handed out and not yet acknowledged.
    pub(super) unacked: usize,
    pub(super) last_used: Instant,
    /// When it next wants to be looked at.
    pub(super) timer: Option<Instant>,
    /// Stands in the list of queues to look at after the current method.
    pub(super) is_awake: bool,
    entries: VecDeque<Entry>,
    ready_bytes: usize,
    next_position: u64,
}

impl Queue {
    pub(super) fn new(name: ShortString, arguments: Arguments, now: Instant) -> Self {
        Self {
            name,
            durable: false,
            owner: None,
            arguments,
            subscribers: Vec::new(),
            taken: false,
            unacked: 0,
            last_used: now,
            timer: None,
            is_awake: false,
            entries: VecDeque::new(),
            ready_bytes: 0,
            next_position: 0,
        }
    }

    pub(super) fn ready(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Whether one more message of this size has to be refused.
    pub(super) fn refuses(&self, size: usize) -> bool {
        self.arguments.overflow != Overflow::DropHead
            && self.is_over(self.ready() + 1, self.ready_bytes + size)
    }

    /// Puts a message at the end.
    pub(super) fn push(&mut self, message: Arc<Message>, now: Instant) {
        let own = message.expiration.map(Duration::from_millis);
        let ttl = match (own, self.arguments.message_ttl) {
            (Some(own), Some(queue)) => Some(own.min(queue)),
            (own, queue) => own.or(queue),
        };
        let expires = ttl.and_then(|ttl| now.checked_add(ttl));
        self.ready_bytes += message.body.len();
        self.entries.push_back(Entry::new(message, self.next_position, expires));
        self.next_position += 1;
    }

    /// Puts a message that was handed out back to its place.
    pub(super) fn put_back(&mut self, entry: Entry) {
        self.ready_bytes += entry.message.body.len();
        let place = self.entries.partition_point(|other| other.position < entry.position);
        self.entries.insert(place, entry);
    }

    /// Takes the next message.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        // The room of a long backlog is given back when it has been worked off.
        if self.entries.is_empty() && self.entries.capacity() > ROOM_KEPT {
            self.entries = VecDeque::new();
        }
        self.ready_bytes -= entry.message.body.len();
        Some(entry)
    }

    /// Takes one message whose time is over, if one stands at the head.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Entry> {
        if self.entries.front()?.has_expired(now) { self.pop() } else { None }
    }

    /// Takes one message that does not fit any more.
    pub(super) fn pop_overflow(&mut self) -> Option<Entry> {
        if self.arguments.overflow != Overflow::DropHead
            || !self.is_over(self.ready(), self.ready_bytes)
        {
            return None;
        }
        self.pop()
    }

    /// Drops all waiting messages; returns how many.
    pub(super) fn purge(&mut self) -> usize {
        self.ready_bytes = 0;
        std::mem::take(&mut self.entries).len()
    }

    /// When the next message, or the unused queue, expires.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let message = self.entries.front().and_then(|entry| entry.expires);
        match (message, self.unused_until()) {
            (Some(message), Some(unused)) => Some(message.min(unused)),
            (message, unused) => message.or(unused),
        }
    }

    /// When the queue is deleted, if it stays unused.
    pub(super) fn unused_until(&self) -> Option<Instant> {
        let expires = self.arguments.expires.filter(|_| self.subscribers.is_empty())?;
        self.last_used.checked_add(expires)
    }

    /// Adds a consumer behind the others.
    pub(super) fn subscribe(&mut self, subscriber: Subscriber) {
        self.subscribers.push(subscriber);
    }

    /// Sends the consumer at this place to the end of the line.
    pub(super) fn rotate(&mut self, place: usize) {
        self.subscribers[place..].rotate_left(1);
    }

    /// Removes a consumer; false if it was not there.
    pub(super) fn unsubscribe(&mut self, consumer: ConsumerId) -> bool {
        let before = self.subscribers.len();
        self.subscribers.retain(|subscriber| subscriber.consumer != consumer);
        let removed = self.subscribers.len() < before;
        if self.subscribers.is_empty() {
            self.taken = false;
        }
        removed
    }

    fn is_over(&self, count: usize, bytes: usize) -> bool {
        self.arguments.max_length.is_some_and(|most| count > most)
            || self.arguments.max_length_bytes.is_some_and(|most| bytes > most)
    }
}
