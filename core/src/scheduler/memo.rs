//! The memo: answers of deterministic functions, kept for equal calls to come. It is bounded by bytes,
//! those of each function and of all together; what was used least recently makes room, in constant
//! time. What is too old is dropped when it is asked for, or when it has become the least recently
//! used of its function: at most one more time to live later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use simple_dist_protocol::message::{Answer, Answered};
use simple_dist_protocol::{MemoPolicy, WorkerId};

use super::ids::CallKey;

/// The bytes that an answer takes besides its own: two entries in lists and in tables that double as
/// they grow, and what the allocator adds. `what_is_counted_is_taken` below measures it.
pub(crate) const OVERHEAD: usize = 576;

/// The answers.
#[derive(Debug)]
pub(crate) struct Memo {
    most: usize,
    pub(crate) bytes: usize,
    answers: LruCache<CallKey, Kept>,
    functions: BTreeMap<Arc<str>, OfFunction>,
    /// How many have made room for others.
    pub(crate) evicted: u64,
}

/// The answers of one function.
#[derive(Debug)]
struct OfFunction {
    calls: LruCache<CallKey, ()>,
    bytes: usize,
}

/// An answer, and the run that gave it.
#[derive(Debug)]
struct Kept {
    function: Arc<str>,
    answer: Answer,
    worker: WorkerId,
    attempt: u32,
    took_us: u64,
    bytes: usize,
    at: Duration,
    until: Duration,
}

impl Memo {
    /// A memo of at most so many bytes; 0 keeps nothing.
    pub(crate) fn new(most: usize) -> Self {
        let (answers, functions) = (LruCache::unbounded(), BTreeMap::new());
        Self { most, bytes: 0, answers, functions, evicted: 0 }
    }

    /// How many it has.
    pub(crate) fn answers(&self) -> usize {
        self.answers.len()
    }

    /// The answer to a call, unless it is older than this.
    pub(crate) fn find(
        &mut self,
        call: &CallKey,
        ttl: Duration,
        now: Duration,
    ) -> Option<Answered> {
        let kept = self.answers.get(call)?;
        let age = now.saturating_sub(kept.at);
        if now >= kept.until || age >= ttl {
            self.forget(call);
            return None;
        }
        if let Some(of) = self.functions.get_mut(&kept.function) {
            of.calls.promote(call);
        }
        Some(Answered {
            answer: kept.answer.clone(),
            worker: Some(kept.worker),
            attempt: kept.attempt,
            waited_ms: 0,
            took_us: kept.took_us,
            bound: None,
            coalesced: false,
            memo_age_ms: Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        })
    }

    /// Keeps the answer that a worker gave, in place of an older one, if it is a value or an error of
    /// the function.
    pub(crate) fn keep(
        &mut self,
        (call, function): (CallKey, &Arc<str>),
        (answered, worker): (&Answered, WorkerId),
        policy: MemoPolicy,
        now: Duration,
    ) {
        // A copy, since what came with other answers in one message would keep all of it.
        let answer = match &answered.answer {
            answer @ (Answer::Value(_) | Answer::Failed { .. }) => answer.copied(),
            Answer::Panicked { .. }
            | Answer::Poisoned { .. }
            | Answer::NotServed
            | Answer::BadArguments { .. }
            | Answer::TooLarge { .. }
            | Answer::Busy
            | Answer::Cancelled
            | Answer::Expired => return,
        };
        self.forget(&call);
        let bytes = OVERHEAD + answer.weight();
        let most = usize::try_from(policy.bytes).unwrap_or(usize::MAX).min(self.most);
        if bytes > most {
            return;
        }
        while self.functions.get(function).is_some_and(|of| of.bytes + bytes > most) {
            let of = self.functions.get(function);
            let oldest = of.and_then(|of| of.calls.peek_lru()).map(|(call, ())| *call);
            oldest.into_iter().for_each(|call| self.evict(&call));
        }
        while self.bytes + bytes > self.most {
            let oldest = self.answers.peek_lru().map(|(call, _)| *call);
            oldest.into_iter().for_each(|call| self.evict(&call));
        }
        let of = self.functions.entry(Arc::clone(function));
        let of = of.or_insert_with(|| OfFunction { calls: LruCache::unbounded(), bytes: 0 });
        of.bytes += bytes;
        of.calls.put(call, ());
        self.bytes += bytes;
        let (attempt, took_us) = (answered.attempt, answered.took_us);
        let (function, until) = (Arc::clone(function), now.saturating_add(policy.ttl));
        let kept = Kept { function, answer, worker, attempt, took_us, bytes, at: now, until };
        self.answers.put(call, kept);
    }

    /// Drops what this worker has said: it may be wrong.
    pub(crate) fn forget_worker(&mut self, worker: WorkerId) {
        let said = self.answers.iter().filter(|(_, kept)| kept.worker == worker);
        let said: Vec<CallKey> = said.map(|(call, _)| *call).collect();
        said.iter().for_each(|call| self.forget(call));
    }

    /// Drops what is kept of this function.
    pub(crate) fn forget_function(&mut self, function: &str) {
        let of = self.functions.get(function);
        let kept: Vec<CallKey> =
            of.iter().flat_map(|of| of.calls.iter().map(|(call, ())| *call)).collect();
        kept.iter().for_each(|call| self.forget(call));
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self { evicted: self.evicted, ..Self::new(self.most) };
    }

    /// Drops what is too old and was not used since.
    pub(crate) fn age(&mut self, now: Duration) {
        let functions: Vec<_> = self.functions.keys().cloned().collect();
        for function in functions {
            while let Some(of) = self.functions.get(&function)
                && let Some((call, ())) = of.calls.peek_lru()
                && self.answers.peek(call).is_some_and(|kept| now >= kept.until)
            {
                let call = *call;
                self.forget(&call);
            }
        }
    }

    fn evict(&mut self, call: &CallKey) {
        self.evicted += 1;
        self.forget(call);
    }

    fn forget(&mut self, call: &CallKey) {
        let Some(kept) = self.answers.pop(call) else { return };
        self.bytes -= kept.bytes;
        let Some(of) = self.functions.get_mut(&kept.function) else { return };
        of.calls.pop(call);
        of.bytes -= kept.bytes;
        if of.calls.is_empty() {
            self.functions.remove(&kept.function);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use simple_dist_protocol::CallDigest;

    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn call(number: u8) -> CallKey {
        CallKey { user: None, digest: CallDigest::of(&"fib@1".parse().unwrap(), &[number]) }
    }

    pub(crate) fn answered(value: Bytes) -> Answered {
        Answered {
            answer: Answer::Value(value),
            worker: None,
            attempt: 1,
            waited_ms: 2,
            took_us: 3,
            bound: None,
            coalesced: false,
            memo_age_ms: None,
        }
    }

    fn keep(memo: &mut Memo, number: u8, bytes: u64, seconds: u64) {
        let answered = answered(Bytes::from(vec![number; 100]));
        let (policy, name) = (MemoPolicy { ttl: TTL, bytes }, if number < 100 { "a" } else { "b" });
        let worker = WorkerId::from_u128(1);
        let now = Duration::from_secs(seconds);
        memo.keep((call(number), &name.into()), (&answered, worker), policy, now);
    }

    fn has(memo: &mut Memo, number: u8, seconds: u64) -> bool {
        memo.find(&call(number), TTL, Duration::from_secs(seconds)).is_some()
    }

    #[test]
    fn what_was_used_least_recently_makes_room() {
        let one = (OVERHEAD + 100) as u64;
        let mut memo = Memo::new(3 * one as usize);
        for number in [1, 2] {
            keep(&mut memo, number, 2 * one, 0);
        }
        assert!(has(&mut memo, 1, 1));
        keep(&mut memo, 3, 2 * one, 1);
        assert_eq!([1, 2, 3].map(|number| has(&mut memo, number, 1)), [true, false, true]);
        // Another function has room of its own, and then takes that of all.
        keep(&mut memo, 101, one * 9, 1);
        assert_eq!((memo.answers(), memo.evicted), (3, 1));
        keep(&mut memo, 102, one * 9, 1);
        assert_eq!(
            [1, 3, 101, 102].map(|number| has(&mut memo, number, 1)),
            [false, true, true, true]
        );
        assert_eq!((memo.answers(), memo.evicted, memo.bytes), (3, 2, 3 * one as usize));
    }

    #[test]
    fn what_is_too_old_is_dropped_when_asked_for_and_when_nobody_does() {
        let mut memo = Memo::new(1 << 20);
        [1, 2, 101].into_iter().for_each(|number| keep(&mut memo, number, 1 << 20, 0));
        assert!(has(&mut memo, 1, 9) && !has(&mut memo, 1, 10));
        keep(&mut memo, 3, 1 << 20, 5);
        memo.age(Duration::from_secs(10));
        assert_eq!((memo.answers(), memo.functions.len(), memo.evicted), (1, 1, 0));
        memo.age(Duration::from_secs(15));
        assert_eq!((memo.answers(), memo.functions.len(), memo.bytes), (0, 0, 0));
    }

    /// The process's memory, in bytes.
    pub(crate) fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() * 1024
    }

    #[test]
    #[ignore = "it measures the process's memory: run it alone"]
    fn what_is_counted_is_taken() {
        let mut kept = vec![]; // What they freed would be taken again.
        for (many, size) in [(131_073, 8), (200_000, 100), (262_143, 100), (20_000, 4096)] {
            let before = resident();
            let mut memo = Memo::new(usize::MAX);
            for number in 0..many as u32 {
                let digest = CallDigest::of(&"fib@1".parse().unwrap(), &number.to_be_bytes());
                let call = CallKey { user: None, digest };
                let answered = answered(Bytes::from(vec![1; size]));
                let policy = MemoPolicy { ttl: TTL, bytes: u64::MAX };
                let worker = WorkerId::from_u128(1);
                memo.keep((call, &"a".into()), (&answered, worker), policy, TTL);
                memo.find(&call, TTL, TTL).unwrap();
            }
            let (counted, taken) = (memo.bytes, resident() - before);
            assert!(taken < counted && counted < 2 * taken, "{many}: {taken} of {counted}");
            kept.push(memo);
        }
    }

    #[test]
    fn an_answer_without_room_is_not_kept_nor_any_if_it_is_off() {
        let mut memo = Memo::new(1 << 20);
        keep(&mut memo, 1, 99, 0);
        let mut off = Memo::new(0);
        keep(&mut off, 1, 1 << 20, 0);
        assert_eq!((memo.answers(), off.answers()), (0, 0));
    }
}
