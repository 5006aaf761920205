//! What is kept about jobs that are not known: recent answers, for jobs sent again; and answers and
//! starts from an earlier term, until their job is sent again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use simple_dist_protocol::message::{Answered, Ended};
use simple_dist_protocol::{Attempt, UserName, WorkerId};

use super::strikes::Spared;
use crate::scheduler::ids::{Key, Table};

/// The bytes an entry costs besides its value.
pub(crate) const OVERHEAD: usize = 256;
/// The most starts kept for jobs that may be sent again: only marked jobs have one.
const STARTS: usize = 10_000;
/// The most jobs of which it is kept that they were spared.
const SPARED: usize = 10_000;
/// The most answers kept from workers that were never heard.
const UNVERIFIED: usize = 10_000;
/// The most bytes of those answers.
const UNVERIFIED_BYTES: usize = 64 * 1024 * 1024;

/// Recent answers, bounded by bytes and age; the oldest are dropped first.
#[derive(Debug)]
pub(crate) struct Recent {
    answers: Table<Key, RecentAnswer>,
    order: VecDeque<(Duration, Key, u64)>,
    bytes: usize,
    count: u64,
    limit: (usize, Duration),
    starts: BTreeMap<Key, Start>,
    spared: BTreeMap<Key, (Spared, Duration)>,
    unverified: VecDeque<UnverifiedAnswer>,
    unverified_bytes: usize,
}

/// A recent answer.
#[derive(Debug, Clone)]
pub(crate) struct RecentAnswer {
    pub(crate) answered: Answered,
    pub(crate) at: Duration,
    /// Whether its job was unknown when it came, so that it is still to be checked whether its
    /// worker serves the function.
    pub(crate) unchecked: bool,
    serial: u64,
}

/// A confirmed `Started` of an attempt that we did not place.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) user: UserName,
    pub(crate) worker: WorkerId,
    pub(crate) attempt: Attempt,
    pub(crate) seq: u64,
    at: Duration,
}

/// An answer from a worker that we have not heard yet.
#[derive(Debug)]
struct UnverifiedAnswer {
    at: Duration,
    user: UserName,
    worker: WorkerId,
    ended: Ended,
}

impl Recent {
    /// An empty store with these limits: bytes and age.
    pub(crate) fn new(limit: (usize, Duration)) -> Self {
        Self {
            answers: Table::default(),
            order: VecDeque::new(),
            bytes: 0,
            count: 0,
            limit,
            starts: BTreeMap::new(),
            spared: BTreeMap::new(),
            unverified: VecDeque::new(),
            unverified_bytes: 0,
        }
    }

    /// Keeps an answer, unless there is one for this job already.
    pub(crate) fn keep(&mut self, key: Key, answered: Answered, unchecked: bool, now: Duration) {
        self.starts.remove(&key);
        if self.answers.contains_key(&key) {
            return;
        }
        self.count += 1;
        self.bytes += cost(&answered);
        self.order.push_back((now, key, self.count));
        self.answers.insert(key, RecentAnswer { answered, at: now, unchecked, serial: self.count });
        while self.bytes > self.limit.0 && self.drop_oldest() {}
    }

    /// The answer of a job, if it is still kept.
    pub(crate) fn find(&self, key: Key) -> Option<&RecentAnswer> {
        self.answers.get(&key)
    }

    /// The answer counts: its worker serves the function.
    pub(crate) fn mark_checked(&mut self, key: Key) {
        if let Some(kept) = self.answers.get_mut(&key) {
            kept.unchecked = false;
        }
    }

    /// Drops an answer that does not count.
    pub(crate) fn forget(&mut self, key: Key) {
        if let Some(kept) = self.answers.remove(&key) {
            self.bytes -= cost(&kept.answered);
        }
    }

    /// Keeps a start until its job is sent again. Returns false if there is no room.
    pub(crate) fn keep_start(
        &mut self,
        key: Key,
        (user, worker): (&UserName, WorkerId),
        (attempt, seq): (Attempt, u64),
        now: Duration,
    ) -> bool {
        if self.answers.contains_key(&key) {
            return true;
        }
        let room = self.starts.len() < STARTS;
        if room {
            self.starts.insert(key, Start { user: user.clone(), worker, attempt, seq, at: now });
        }
        room
    }

    /// Takes the start of a job that is sent again.
    pub(crate) fn take_start(&mut self, key: Key) -> Option<Start> {
        self.starts.remove(&key)
    }

    /// Keeps how often a job was spared that nobody serves: it may be sent again.
    pub(crate) fn keep_spared(&mut self, key: Key, spared: Spared, now: Duration) {
        if !spared.is_empty() && self.spared.len() < SPARED {
            self.spared.insert(key, (spared, now));
        }
    }

    /// Takes how often a job was spared that is sent again.
    pub(crate) fn take_spared(&mut self, key: Key) -> Option<Spared> {
        self.spared.remove(&key).map(|(spared, _)| spared)
    }

    /// Keeps an answer from an unknown worker: its beat may be on its way. Returns false if there
    /// is no room.
    pub(crate) fn keep_unverified(
        &mut self,
        user: &UserName,
        worker: WorkerId,
        ended: Ended,
        now: Duration,
    ) -> bool {
        let bytes = ended_bytes(&ended);
        if self.unverified.len() >= UNVERIFIED || self.unverified_bytes + bytes > UNVERIFIED_BYTES {
            return false;
        }
        self.unverified_bytes += bytes;
        self.unverified.push_back(UnverifiedAnswer { at: now, user: user.clone(), worker, ended });
        true
    }

    /// Takes the answers kept for a worker that is now heard.
    pub(crate) fn take_unverified(&mut self, user: &UserName, worker: WorkerId) -> Vec<Ended> {
        if self.unverified.iter().all(|answer| answer.worker != worker) {
            return vec![];
        }
        let mut verified = vec![];
        let mut rest = VecDeque::new();
        for answer in self.unverified.drain(..) {
            if answer.worker == worker && answer.user == *user {
                self.unverified_bytes -= ended_bytes(&answer.ended);
                verified.push(answer.ended);
            } else {
                rest.push_back(answer);
            }
        }
        self.unverified = rest;
        verified
    }

    /// Drops entries that are too old.
    pub(crate) fn age(&mut self, now: Duration) {
        let oldest = now.saturating_sub(self.limit.1);
        while self.order.front().is_some_and(|(at, ..)| *at < oldest) {
            self.drop_oldest();
        }
        while let Some(answer) = self.unverified.pop_front_if(|answer| answer.at < oldest) {
            self.unverified_bytes -= ended_bytes(&answer.ended);
        }
        self.starts.retain(|_, start| start.at >= oldest);
        self.spared.retain(|_, (_, at)| *at >= oldest);
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, key, serial)) = self.order.pop_front() else { return false };
        if self.answers.get(&key).is_some_and(|kept| kept.serial == serial) {
            self.forget(key);
        }
        true
    }
}

fn cost(answered: &Answered) -> usize {
    OVERHEAD + answered.answer.weight()
}

fn ended_bytes(ended: &Ended) -> usize {
    OVERHEAD
        + match &ended.end {
            simple_dist_protocol::message::End::Answer(answer) => answer.weight(),
            simple_dist_protocol::message::End::Returned { .. } => 0,
            simple_dist_protocol::message::End::Crashed(crash) => crash.weight(),
        }
}
