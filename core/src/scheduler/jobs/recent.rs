//! What is kept of jobs that are not under way: recent answers, for jobs sent again; and, until
//! their job is sent again, answers and starts that an earlier term left behind.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use simple_dist_protocol::message::{Answered, Ended};
use simple_dist_protocol::{Attempt, UserName, WorkerId};

use super::Key;

/// What an entry costs beyond the bytes of its value.
pub(crate) const OVERHEAD: usize = 256;
/// The most starts kept for jobs that may be sent again: only marked jobs have one.
const STARTS: usize = 10_000;
/// The most answers kept of workers that were never heard.
const UNPROVEN: usize = 10_000;
/// And their bytes.
const UNPROVEN_BYTES: usize = 64 * 1024 * 1024;

/// Answers given a short while ago, within a bound of bytes and age; the oldest go first.
#[derive(Debug)]
pub(crate) struct Recent {
    answers: HashMap<Key, Kept>,
    order: VecDeque<(Duration, Key, u64)>,
    bytes: usize,
    count: u64,
    limit: (usize, Duration),
    starts: BTreeMap<Key, Start>,
    unproven: VecDeque<Unproven>,
    unproven_bytes: usize,
}

/// A recent answer.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) answered: Answered,
    pub(crate) at: Duration,
    /// Its job was unknown when it came: whether its worker serves the function is still to be
    /// checked.
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

/// An answer of a worker that we have not heard yet.
#[derive(Debug)]
struct Unproven {
    at: Duration,
    user: UserName,
    worker: WorkerId,
    ended: Ended,
}

impl Recent {
    /// Nothing yet; at most so many bytes, for at most so long.
    pub(crate) fn new(limit: (usize, Duration)) -> Self {
        Self {
            answers: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            count: 0,
            limit,
            starts: BTreeMap::new(),
            unproven: VecDeque::new(),
            unproven_bytes: 0,
        }
    }

    /// Keeps an answer. The first one stays.
    pub(crate) fn keep(&mut self, key: Key, answered: Answered, unchecked: bool, now: Duration) {
        self.starts.remove(&key);
        if self.answers.contains_key(&key) {
            return;
        }
        self.count += 1;
        self.bytes += cost(&answered);
        self.order.push_back((now, key, self.count));
        self.answers.insert(key, Kept { answered, at: now, unchecked, serial: self.count });
        while self.bytes > self.limit.0 && self.drop_oldest() {}
    }

    /// The answer of a job, if it is still kept.
    pub(crate) fn find(&self, key: Key) -> Option<&Kept> {
        self.answers.get(&key)
    }

    /// The answer is one: its worker serves the function.
    pub(crate) fn believe(&mut self, key: Key) {
        if let Some(kept) = self.answers.get_mut(&key) {
            kept.unchecked = false;
        }
    }

    /// The answer turned out not to be one.
    pub(crate) fn forget(&mut self, key: Key) {
        if let Some(kept) = self.answers.remove(&key) {
            self.bytes -= cost(&kept.answered);
        }
    }

    /// Keeps a start for when its job is sent again. Whether there is room.
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

    /// The start of a job that is sent again.
    pub(crate) fn take_start(&mut self, key: Key) -> Option<Start> {
        self.starts.remove(&key)
    }

    /// Keeps what a worker says that we have not heard yet: its beat may be on its way.
    pub(crate) fn keep_unproven(
        &mut self,
        user: &UserName,
        worker: WorkerId,
        ended: Ended,
        now: Duration,
    ) -> bool {
        let bytes = weight(&ended);
        if self.unproven.len() >= UNPROVEN || self.unproven_bytes + bytes > UNPROVEN_BYTES {
            return false;
        }
        self.unproven_bytes += bytes;
        self.unproven.push_back(Unproven { at: now, user: user.clone(), worker, ended });
        true
    }

    /// The worker was heard: what it had said.
    pub(crate) fn prove(&mut self, user: &UserName, worker: WorkerId) -> Vec<Ended> {
        if self.unproven.iter().all(|said| said.worker != worker) {
            return vec![];
        }
        let mut proven = vec![];
        let mut rest = VecDeque::new();
        for said in self.unproven.drain(..) {
            if said.worker == worker && said.user == *user {
                self.unproven_bytes -= weight(&said.ended);
                proven.push(said.ended);
            } else {
                rest.push_back(said);
            }
        }
        self.unproven = rest;
        proven
    }

    /// Drops what is too old.
    pub(crate) fn age(&mut self, now: Duration) {
        let oldest = now.saturating_sub(self.limit.1);
        while self.order.front().is_some_and(|(at, ..)| *at < oldest) {
            self.drop_oldest();
        }
        while let Some(said) = self.unproven.pop_front_if(|said| said.at < oldest) {
            self.unproven_bytes -= weight(&said.ended);
        }
        self.starts.retain(|_, start| start.at >= oldest);
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

fn weight(ended: &Ended) -> usize {
    OVERHEAD
        + match &ended.end {
            simple_dist_protocol::message::End::Answer(answer) => answer.weight(),
            simple_dist_protocol::message::End::Returned { .. } => 0,
        }
}
