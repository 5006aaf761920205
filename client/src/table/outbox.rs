//! What waits to be sent, and what was sent and is not settled.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use simple_dist_protocol::{JobId, limits};
use tokio::time::Instant;

/// The most submissions unsettled at once, and their bytes: enough to keep lists full, few enough
/// for the publisher's queue.
const WINDOW: (usize, usize) = (4096, 32 * 1024 * 1024);
/// How long the publisher is left alone after it was full.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Outbox {
    queue: VecDeque<JobId>,
    /// By token, and so by time.
    unsettled: BTreeMap<u64, Sent>,
    bytes: usize,
    next: u64,
    /// The last time that something was settled, or that waiting for it began.
    progress: Instant,
    /// Something was given up unsettled: still a sign against the link until something settles.
    given_up: bool,
    /// Nothing is overdue for what was before this: the broker took nothing then.
    resumed: Instant,
    paused: Option<Instant>,
}

#[derive(Debug)]
struct Sent {
    id: JobId,
    at: Instant,
    bytes: usize,
}

impl Outbox {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            unsettled: BTreeMap::new(),
            bytes: 0,
            next: 0,
            progress: now,
            given_up: false,
            resumed: now,
            paused: None,
        }
    }

    pub(super) fn push(&mut self, id: JobId) {
        self.queue.push_back(id);
    }

    /// The next job to send, if the window has room.
    pub(super) fn next(&mut self, now: Instant) -> Option<JobId> {
        let (most, most_bytes) = WINDOW;
        let full = self.unsettled.len() >= most || self.bytes >= most_bytes;
        if full || self.paused.is_some_and(|until| until > now) {
            return None;
        }
        self.paused = None;
        self.queue.pop_front()
    }

    /// The time of the next try, after the publisher was full.
    pub(super) fn paused(&self) -> Option<Instant> {
        self.paused
    }

    /// A job goes out: the token it goes under.
    pub(super) fn sent(&mut self, id: JobId, bytes: usize, now: Instant) -> u64 {
        if self.unsettled.is_empty() && !self.given_up {
            self.progress = now;
        }
        let token = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.unsettled.insert(token, Sent { id, at: now, bytes });
        token
    }

    /// The broker settled a token; the job it belonged to.
    pub(super) fn settled(&mut self, token: u64, now: Instant) -> Option<JobId> {
        (self.progress, self.given_up) = (now, false);
        self.forget(token)
    }

    /// The publisher did not take a token: its job is the next again, a little later.
    pub(super) fn refused(&mut self, token: u64, now: Instant) -> Option<JobId> {
        self.paused = Some(now + PAUSE);
        let id = self.forget(token)?;
        self.queue.push_front(id);
        Some(id)
    }

    fn forget(&mut self, token: u64) -> Option<JobId> {
        let sent = self.unsettled.remove(&token)?;
        self.bytes -= sent.bytes;
        Some(sent.id)
    }

    /// A token that has waited too long for its confirm, with its job.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<(u64, JobId)> {
        let (&token, sent) = self.unsettled.first_key_value()?;
        if now < sent.at.max(self.resumed) + limits::RESEND {
            return None;
        }
        self.given_up = true;
        self.forget(token).map(|id| (token, id))
    }

    /// For how long confirms are waited for and none has come.
    pub(super) fn unconfirmed(&self, now: Instant) -> Duration {
        if self.unsettled.is_empty() && !self.given_up {
            Duration::ZERO
        } else {
            now - self.progress
        }
    }

    /// The broker takes messages again.
    pub(super) fn resume(&mut self, now: Instant) {
        (self.progress, self.resumed) = (now, now);
    }

    /// The link is gone, and what was unsettled on it is unknown.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.unsettled.clear();
        self.bytes = 0;
        self.given_up = false;
        self.paused = None;
    }
}
