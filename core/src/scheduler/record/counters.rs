//! What was taken in, and what became of it. At every moment
//! `accepted = queued + placed + running + done + failed + timed out + cancelled`.

use std::collections::BTreeMap;

use simple_dist_protocol::message::Answer;

use crate::scheduler::fact::Why;
use crate::view::{self, By};

/// Counts since the process began; those under way are of this term.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Jobs taken in. What a term's end makes us forget is taken off again: its clients send it
    /// anew, to whoever leads then.
    pub accepted: u64,
    /// Jobs that wait here.
    pub queued: u64,
    /// Jobs in a pool's queue, or with a worker that has not begun them as far as we heard.
    pub placed: u64,
    /// Jobs that a worker runs.
    pub running: u64,
    /// Jobs that ended with a value.
    pub done: u64,
    /// Jobs that ended without one, though somebody waited for it and there was time.
    pub failed: u64,
    /// Jobs whose time passed.
    pub timed_out: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// The cancelled, by who did it.
    pub cancelled_by: BTreeMap<By, u64>,
    /// The failed, by the kind of their answer.
    pub failed_by: BTreeMap<&'static str, u64>,
    /// Jobs not taken in, by the kind of their answer: counted apart.
    pub refused_by: BTreeMap<&'static str, u64>,
    /// Jobs forgotten when a term ended.
    pub forgotten: u64,
    /// Jobs sent again that we knew, running or answered.
    pub resent: u64,
    /// Placements made.
    pub placements: u64,
    /// Attempts handed back.
    pub returned: u64,
    /// Attempts handed back by the worker's own will.
    pub willing: u64,
    /// Attempts whose message was found to be gone.
    pub swept: u64,
    /// Marks given.
    pub marks: u64,
    /// Marks taken back, because no worker ever had the attempt.
    pub unmarked: u64,
    /// Strikes given.
    pub strikes: u64,
    /// Strikes taken back, because the worker was heard again.
    pub unstruck: u64,
    /// Workers lost.
    pub lost: u64,
    /// Answers for jobs that had ended: another attempt was first, or nobody waited any more.
    pub late: u64,
    /// Hand-backs and starts of older attempts.
    pub outdated: u64,
    /// Messages of workers that cannot be theirs: a foreign login, a function they do not serve,
    /// an answer that no worker gives.
    pub forged: u64,
    /// Answers that an earlier term left behind, of workers we do not know to serve the function:
    /// the job runs again.
    pub unproven: u64,
    /// Messages beyond a limit: too many users, workers, or functions.
    pub crowded: u64,
}

/// How a job ended, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Failed,
    TimedOut,
    Cancelled(By),
}

impl Ending {
    /// `by` is who ended it, if it is cancelled.
    pub(super) fn of(answer: &Answer, by: By) -> Self {
        match answer {
            Answer::Value(_) => Self::Done,
            Answer::Expired => Self::TimedOut,
            Answer::Cancelled => Self::Cancelled(by),
            Answer::Failed { .. }
            | Answer::Panicked { .. }
            | Answer::Poisoned { .. }
            | Answer::NotServed
            | Answer::BadArguments { .. }
            | Answer::TooLarge { .. }
            | Answer::Busy => Self::Failed,
        }
    }
}

/// Jobs that ended, by how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Endings {
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) timed_out: u64,
    pub(super) cancelled: u64,
}

impl Endings {
    pub(super) fn all(&self) -> u64 {
        self.done + self.failed + self.timed_out + self.cancelled
    }

    pub(super) fn count(&mut self, ending: Ending) {
        *match ending {
            Ending::Done => &mut self.done,
            Ending::Failed => &mut self.failed,
            Ending::TimedOut => &mut self.timed_out,
            Ending::Cancelled(_) => &mut self.cancelled,
        } += 1;
    }
}

/// Which of the three a job under way is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Under {
    Queued,
    Placed,
    Running,
}

impl Counters {
    /// Jobs that have not ended.
    pub fn under_way(&self) -> u64 {
        self.queued + self.placed + self.running
    }

    /// Whether they balance.
    pub fn balance(&self) -> bool {
        let ended = self.done + self.failed + self.timed_out + self.cancelled;
        self.accepted == self.under_way() + ended
            && self.failed == self.failed_by.values().sum::<u64>()
            && self.cancelled == self.cancelled_by.values().sum::<u64>()
    }

    /// A job goes from one column to another.
    pub(super) fn go(&mut self, from: Option<Under>, to: Option<Under>) {
        from.into_iter().for_each(|under| *self.column(under) -= 1);
        to.into_iter().for_each(|under| *self.column(under) += 1);
    }

    pub(super) fn ignore(&mut self, why: Why) {
        match why {
            Why::Late => self.late += 1,
            Why::Outdated => self.outdated += 1,
            Why::Forged(count) => self.forged += count,
            Why::Unproven => self.unproven += 1,
        }
    }

    pub(super) fn end(&mut self, kind: &'static str, ending: Ending) {
        match ending {
            Ending::Done => self.done += 1,
            Ending::Failed => {
                self.failed += 1;
                *self.failed_by.entry(kind).or_default() += 1;
            }
            Ending::TimedOut => self.timed_out += 1,
            Ending::Cancelled(by) => {
                self.cancelled += 1;
                *self.cancelled_by.entry(by).or_default() += 1;
            }
        }
    }

    pub(super) fn refuse(&mut self, kind: &'static str) {
        *self.refused_by.entry(kind).or_default() += 1;
    }

    /// The term is over: what was under way is its clients' again.
    pub(super) fn forget(&mut self) {
        let under_way = self.under_way();
        self.accepted -= under_way;
        self.forgotten += under_way;
        (self.queued, self.placed, self.running) = (0, 0, 0);
    }

    fn column(&mut self, under: Under) -> &mut u64 {
        match under {
            Under::Queued => &mut self.queued,
            Under::Placed => &mut self.placed,
            Under::Running => &mut self.running,
        }
    }
}

/// Counts by what the API calls each.
pub(super) fn named(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

impl Counters {
    pub(super) fn view(&self) -> view::Books {
        let events = [
            ("forgotten", self.forgotten),
            ("resent", self.resent),
            ("placements", self.placements),
            ("returned", self.returned),
            ("willing", self.willing),
            ("swept", self.swept),
            ("marks", self.marks),
            ("unmarked", self.unmarked),
            ("strikes", self.strikes),
            ("unstruck", self.unstruck),
            ("lost", self.lost),
            ("late", self.late),
            ("outdated", self.outdated),
            ("forged", self.forged),
            ("unproven", self.unproven),
            ("crowded", self.crowded),
        ];
        view::Books {
            accepted: self.accepted,
            queued: self.queued,
            placed: self.placed,
            running: self.running,
            done: self.done,
            failed: self.failed,
            timed_out: self.timed_out,
            cancelled: self.cancelled,
            cancelled_by: self.cancelled_by.clone(),
            failed_by: named(&self.failed_by),
            refused_by: named(&self.refused_by),
            events: events.map(|(name, count)| (name.to_owned(), count)).into(),
        }
    }
}
