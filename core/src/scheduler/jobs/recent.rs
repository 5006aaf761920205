//! What is kept about jobs that are not known: recent answers, for jobs sent again; and answers and
//! starts from an earlier term, until their job is sent again.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use simple_dist_protocol::message::{Answered, Ended};
use simple_dist_protocol::{Attempt, UserName, WorkerId};

use super::strikes::Spared;
use crate::scheduler::ids::{Key, Table};

/// The bytes that an entry takes besides its value, in tables that double as they grow.
/// `what_is_counted_is_taken` below measures it.
pub(crate) const OVERHEAD: usize = 512;
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
    /// In the order of time.
    answers: VecDeque<(Key, RecentAnswer)>,
    /// How many answers were kept before that of each job; none of what is forgotten.
    index: Table<Key, u64>,
    /// How many were dropped at the front.
    dropped: u64,
    bytes: usize,
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
            answers: VecDeque::new(),
            index: Table::default(),
            dropped: 0,
            bytes: 0,
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
        let Entry::Vacant(index) = self.index.entry(key) else { return };
        index.insert(self.dropped + self.answers.len() as u64);
        self.bytes += cost(&answered);
        self.answers.push_back((key, RecentAnswer { answered, at: now, unchecked }));
        while self.bytes > self.limit.0 && self.drop_oldest() {}
    }

    /// The answer of a job, if it is still kept.
    pub(crate) fn find(&self, key: Key) -> Option<&RecentAnswer> {
        self.answers.get(self.position(key)?).map(|(_, kept)| kept)
    }

    fn position(&self, key: Key) -> Option<usize> {
        usize::try_from(self.index.get(&key)? - self.dropped).ok()
    }

    /// The answer counts: its worker serves the function.
    pub(crate) fn mark_checked(&mut self, key: Key) {
        let kept = self.position(key).and_then(|at| self.answers.get_mut(at));
        kept.into_iter().for_each(|(_, kept)| kept.unchecked = false);
    }

    /// Forgets an answer that does not count.
    pub(crate) fn forget(&mut self, key: Key) {
        self.index.remove(&key);
    }

    /// Keeps a start until its job is sent again. Returns false if there is no room.
    pub(crate) fn keep_start(
        &mut self,
        key: Key,
        (user, worker): (&UserName, WorkerId),
        (attempt, seq): (Attempt, u64),
        now: Duration,
    ) -> bool {
        if self.index.contains_key(&key) {
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
        while self.answers.front().is_some_and(|(_, kept)| kept.at < oldest) {
            self.drop_oldest();
        }
        while let Some(answer) = self.unverified.pop_front_if(|answer| answer.at < oldest) {
            self.unverified_bytes -= ended_bytes(&answer.ended);
        }
        self.starts.retain(|_, start| start.at >= oldest);
        self.spared.retain(|_, (_, at)| *at >= oldest);
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((key, kept)) = self.answers.pop_front() else { return false };
        if self.position(key) == Some(0) {
            self.index.remove(&key);
        }
        self.dropped += 1;
        self.bytes -= cost(&kept.answered);
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use simple_dist_protocol::JobId;
    use simple_dist_protocol::message::Answer;

    use super::*;
    use crate::scheduler::ids::UserRef;
    use crate::scheduler::memo::tests::{answered, resident};

    #[test]
    fn what_was_forgotten_and_kept_again_stays_for_its_own_time() {
        let (user, id) = (UserRef::of(&UserName::http()), JobId::new());
        let (key, other) = (Key { user, id }, Key { user, id: JobId::new() });
        let mut recent = Recent::new((3 * (OVERHEAD + 1), Duration::from_secs(10)));
        let value = |recent: &Recent| recent.find(key).map(|kept| kept.answered.answer.clone());
        let kept = |value: u8| Some(Answer::Value(Bytes::from(vec![value])));
        let keep = |recent: &mut Recent, key, value: u8, seconds| {
            let answered = answered(Bytes::from(vec![value]));
            recent.keep(key, answered, false, Duration::from_secs(seconds));
        };
        keep(&mut recent, key, 1, 0);
        keep(&mut recent, key, 9, 0);
        assert_eq!(value(&recent), kept(1), "the first counts");
        recent.forget(key);
        assert_eq!(value(&recent), None);
        keep(&mut recent, other, 2, 1);
        keep(&mut recent, key, 3, 5);
        recent.age(Duration::from_secs(11));
        assert_eq!(
            value(&recent),
            kept(3),
            "what was forgotten is dropped, and takes nothing along"
        );
        assert!(recent.find(other).is_some() && recent.bytes == 2 * (OVERHEAD + 1));
        for seconds in 6..8 {
            keep(&mut recent, Key { user, id: JobId::new() }, 4, seconds);
        }
        assert!(recent.find(other).is_none(), "the oldest makes room");
        assert_eq!(value(&recent), kept(3));
        recent.age(Duration::from_secs(20));
        assert!(recent.index.is_empty() && recent.bytes == 0);
    }

    #[test]
    #[ignore = "it measures the process's memory: run it alone"]
    fn what_is_counted_is_taken() {
        let user = UserRef::of(&UserName::http());
        let mut kept = vec![]; // What they freed would be taken again.
        for (many, size) in [(115_000, 8), (200_000, 100), (229_000, 100), (20_000, 4096)] {
            let before = resident();
            let mut recent = Recent::new((usize::MAX, Duration::MAX));
            for _ in 0..many {
                let answered = answered(Bytes::from(vec![1; size]));
                recent.keep(Key { user, id: JobId::new() }, answered, false, Duration::ZERO);
            }
            let (counted, taken) = (recent.bytes, resident() - before);
            assert!(taken < counted && counted < 2 * taken, "{many}: {taken} of {counted}");
            kept.push(recent);
        }
    }
}
