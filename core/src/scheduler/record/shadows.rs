//! How functions and their shadows compare.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::JobId;
use simple_dist_protocol::message::Answer;

use crate::scheduler::fact::{EndedRun, ShadowStep, Twins};
use crate::view::{self, Seconds, ShadowExample};

use super::history::{detail, preview};

/// The most calls kept of each pair on which they differ.
const EXAMPLES: usize = 5;

/// The scheduler's time, and the same in Unix time.
type Moment = (Duration, Duration);

/// By the number of the pair.
#[derive(Debug, Default)]
pub(super) struct Shadows(BTreeMap<usize, Pair>);

/// One function and its shadow.
#[derive(Debug, Default)]
struct Pair {
    equal: u64,
    differ: u64,
    failed: u64,
    expired: u64,
    lost: u64,
    skipped: u64,
    faster: u64,
    slower: u64,
    live: Duration,
    shadow: Duration,
    /// Newest first.
    examples: VecDeque<Example>,
}

#[derive(Debug)]
struct Example {
    job: JobId,
    at: Duration,
    arguments: Option<String>,
    live: String,
    shadow: String,
}

impl Shadows {
    /// Records what became of a call of a pair; `shows` tells whether arguments and values may be shown.
    pub(super) fn take(&mut self, pair: usize, step: ShadowStep, shows: bool, now: Duration) {
        let pair = self.0.entry(pair).or_default();
        match step {
            ShadowStep::Ran(twins) => pair.compare(*twins, shows, now),
            ShadowStep::Expired => pair.expired += 1,
            ShadowStep::Lost => pair.lost += 1,
            ShadowStep::Skipped => pair.skipped += 1,
        }
    }

    /// What is known of a pair, for a view that is made at this time; `of` says which it is.
    pub(super) fn view(&self, pair: usize, of: view::Shadow, at: Moment) -> view::Shadow {
        let none = Pair::default();
        let pair = self.0.get(&pair).unwrap_or(&none);
        let Pair { equal, differ, failed, expired, lost, skipped, faster, slower, .. } = *pair;
        let answered = equal + differ;
        let mean =
            |all: Duration| (answered > 0).then(|| Seconds(all.as_secs_f64() / answered as f64));
        let (live_mean, shadow_mean) = (mean(pair.live), mean(pair.shadow));
        let examples = pair.examples.iter().map(|example| example.view(at)).collect();
        let of = view::Shadow { equal, differ, failed, expired, lost, skipped, ..of };
        view::Shadow { faster, slower, live_mean, shadow_mean, examples, ..of }
    }
}

impl Example {
    fn view(&self, (now, unix_now): Moment) -> ShadowExample {
        let at = unix_now.saturating_sub(now.saturating_sub(self.at));
        ShadowExample {
            job: self.job,
            unix_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            arguments: self.arguments.clone(),
            live: self.live.clone(),
            shadow: self.shadow.clone(),
        }
    }
}

impl Pair {
    fn compare(&mut self, twins: Twins, shows: bool, now: Duration) {
        let Twins { job, args, live, shadow } = twins;
        let is_equal = match (&live.answer, &shadow.answer) {
            (Answer::Value(one), Answer::Value(other)) => Some(one == other),
            (Answer::Failed { error: one, .. }, Answer::Failed { error: other, .. }) => {
                Some(one == other)
            }
            (_, Answer::Value(_) | Answer::Failed { .. }) => Some(false),
            (
                _,
                Answer::Panicked { .. }
                | Answer::Poisoned { .. }
                | Answer::NotServed
                | Answer::BadArguments { .. }
                | Answer::TooLarge { .. }
                | Answer::Busy
                | Answer::Cancelled
                | Answer::Expired,
            ) => None,
        };
        *match is_equal {
            Some(true) => &mut self.equal,
            Some(false) => &mut self.differ,
            None => &mut self.failed,
        } += 1;
        if is_equal.is_some() {
            self.live += live.took;
            self.shadow += shadow.took;
            self.faster += u64::from(shadow.took * 10 <= live.took * 9);
            self.slower += u64::from(shadow.took * 10 >= live.took * 11);
        }
        if is_equal != Some(true) {
            let arguments = shows.then(|| preview(&args)).flatten();
            let (live, shadow) = (said(&live, shows), said(&shadow, shows));
            self.examples.truncate(EXAMPLES - 1);
            self.examples.push_front(Example { job, at: now, arguments, live, shadow });
        }
    }
}

/// `value 6765`, `failed "odd"`; or `value, 3 bytes` if that may not be shown.
fn said(run: &EndedRun, shows: bool) -> String {
    let kind = run.answer.kind();
    let of = |bytes: &Bytes| match preview(bytes).filter(|_| shows) {
        Some(text) => format!("{kind} {text}"),
        None => format!("{kind}, {} bytes", bytes.len()),
    };
    match &run.answer {
        Answer::Value(bytes) | Answer::Failed { error: bytes, .. } => of(bytes),
        Answer::Panicked { .. }
        | Answer::Poisoned { .. }
        | Answer::NotServed
        | Answer::BadArguments { .. }
        | Answer::TooLarge { .. }
        | Answer::Busy
        | Answer::Cancelled
        | Answer::Expired => {
            detail(&run.answer).map_or_else(|| kind.to_owned(), |said| format!("{kind}: {said}"))
        }
    }
}
