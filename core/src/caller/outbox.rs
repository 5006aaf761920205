//! What waits to be sent, and what was sent and is not settled.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use simple_dist_protocol::JobId;

/// The most submissions unsettled at once, and their bytes: enough to keep lists full, few enough
/// for the publisher's queue.
const WINDOW: (usize, usize) = (4096, 32 * 1024 * 1024);
/// How long the publisher is left alone after it was full.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<JobId>,
    /// By token: the job, and its bytes.
    unsettled: HashMap<u64, (JobId, usize)>,
    bytes: usize,
    next: u64,
    paused: Option<Duration>,
}

impl Outbox {
    pub(super) fn push(&mut self, id: JobId) {
        self.queue.push_back(id);
    }

    /// The next job to send, if the window has room.
    pub(super) fn next(&mut self, now: Duration) -> Option<JobId> {
        let (most, most_bytes) = WINDOW;
        let full = self.unsettled.len() >= most || self.bytes >= most_bytes;
        if full || self.paused.is_some_and(|until| until > now) {
            return None;
        }
        self.paused = None;
        self.queue.pop_front()
    }

    /// The time of the next try, after the publisher was full.
    pub(super) fn paused(&self) -> Option<Duration> {
        self.paused
    }

    /// A job goes out: the token it goes under.
    pub(super) fn sent(&mut self, id: JobId, bytes: usize) -> u64 {
        let token = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.unsettled.insert(token, (id, bytes));
        token
    }

    /// The broker settled a token; the job it belonged to.
    pub(super) fn settled(&mut self, token: u64) -> Option<JobId> {
        let (id, bytes) = self.unsettled.remove(&token)?;
        self.bytes -= bytes;
        Some(id)
    }

    /// The publisher did not take a token: its job is the next again, a little later.
    pub(super) fn refused(&mut self, token: u64, now: Duration) -> Option<JobId> {
        self.paused = Some(now + PAUSE);
        let id = self.settled(token)?;
        self.queue.push_front(id);
        Some(id)
    }

    /// The link is gone, and what was unsettled on it is unknown.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.unsettled.clear();
        self.bytes = 0;
        self.paused = None;
    }
}
