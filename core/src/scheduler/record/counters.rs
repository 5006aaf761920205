//! Counts of accepted jobs and how they ended. At every moment `accepted = queued + placed +
//! running + done + failed + timed out + cancelled`.

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_protocol::message::Answer;

use crate::scheduler::completion::millis;
use crate::scheduler::fact::{IgnoreReason, TrialStep};
use crate::view::{self, CancelledBy};

/// Counts since the process started; those of unfinished jobs are of this term.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Jobs accepted. Jobs forgotten at a term's end are subtracted again: their clients send them
    /// to the next active distributor.
    pub accepted: u64,
    /// Jobs in the backlog.
    pub queued: u64,
    /// Jobs in a pool's queue, or with a worker not known to have started them, and those that wait
    /// for the run of an equal one.
    pub placed: u64,
    /// Jobs running on a worker.
    pub running: u64,
    /// Jobs that ended with a value.
    pub done: u64,
    /// Jobs that ended without a value, other than by timeout or cancel.
    pub failed: u64,
    /// Jobs that ran out of time.
    pub timed_out: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// Cancelled jobs, by who cancelled them.
    pub cancelled_by: BTreeMap<CancelledBy, u64>,
    /// Failed jobs, by the kind of their answer.
    pub failed_by: BTreeMap<&'static str, u64>,
    /// Refused jobs, by the kind of their answer; not among the accepted.
    pub refused_by: BTreeMap<&'static str, u64>,
    /// Jobs forgotten when a term ended.
    pub forgotten: u64,
    /// Jobs sent again that were known, running or answered.
    pub resent: u64,
    /// Jobs that the run of an equal one answered.
    pub coalesced: u64,
    /// How long those runs took.
    pub saved: Duration,
    /// Jobs that the kept answer of an equal one answered.
    pub memo: u64,
    /// How long those runs took.
    pub memo_saved: Duration,
    /// Placements.
    pub placements: u64,
    /// Attempts handed back.
    pub returned: u64,
    /// Attempts returned unstarted by their worker, on purpose.
    pub willing: u64,
    /// Attempts whose message was found missing.
    pub swept: u64,
    /// Marks given.
    pub marks: u64,
    /// Marks revoked, because no worker ever received the attempt.
    pub unmarked: u64,
    /// Strikes given.
    pub strikes: u64,
    /// Strikes revoked, because the worker was heard again.
    pub unstruck: u64,
    /// Workers lost.
    pub lost: u64,
    /// Answers for jobs that had already ended.
    pub late: u64,
    /// Hand-backs and starts of older attempts, ignored.
    pub outdated: u64,
    /// Messages that their sender cannot send: a foreign login, a function it does not serve, an
    /// answer that no worker gives.
    pub forged: u64,
    /// Answers from an earlier term, of workers not known to serve the function: the job runs
    /// again.
    pub unproven: u64,
    /// Jobs that a draining worker ran, placed elsewhere.
    pub moved: u64,
    /// Second attempts of slow jobs.
    pub hedges: u64,
    /// Those of them that answered first.
    pub hedges_won: u64,
    /// Those whose job was answered by the first attempt after all.
    pub hedges_lost: u64,
    /// Runs of our own accord.
    pub trials: u64,
    /// Those that were not made, since no slot was idle in time.
    pub trials_skipped: u64,
    /// Those that took much longer than the run that they repeat.
    pub trials_expired: u64,
    /// Those that ended without an answer.
    pub trials_lost: u64,
    /// Calls of which the answers of two runs were compared.
    pub checks: u64,
    /// Those of them that two workers have run.
    pub checks_elsewhere: u64,
    /// Those of them whose answers differed.
    pub checks_differed: u64,
    /// Workers that get no more jobs, since they were outvoted.
    pub quarantined: u64,
    /// Functions found not to be deterministic.
    pub refuted: u64,
    /// Messages refused by a limit: too many users, workers or functions.
    pub crowded: u64,
}

/// How a job ended, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Failed,
    TimedOut,
    Cancelled(CancelledBy),
}

impl Ending {
    /// Classifies an answer; `by` is who cancelled the job, if it was cancelled.
    pub(super) fn of(answer: &Answer, by: CancelledBy) -> Self {
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

/// Ended jobs, by how they ended.
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

    /// Those without a value that nobody wanted to end.
    pub(super) fn bad(&self) -> u64 {
        self.failed + self.timed_out
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

/// What an unfinished job is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Queued,
    Placed,
    Running,
}

impl Counters {
    /// The number of unfinished jobs.
    pub fn under_way(&self) -> u64 {
        self.queued + self.placed + self.running
    }

    /// Whether the counts add up.
    pub fn balance(&self) -> bool {
        let ended = self.done + self.failed + self.timed_out + self.cancelled;
        self.accepted == self.under_way() + ended
            && self.failed == self.failed_by.values().sum::<u64>()
            && self.cancelled == self.cancelled_by.values().sum::<u64>()
    }

    /// Moves a job from one column to another.
    pub(super) fn go(&mut self, from: Option<Phase>, to: Option<Phase>) {
        from.into_iter().for_each(|phase| *self.column(phase) -= 1);
        to.into_iter().for_each(|phase| *self.column(phase) += 1);
    }

    pub(super) fn ignore(&mut self, why: IgnoreReason) {
        match why {
            IgnoreReason::Late => self.late += 1,
            IgnoreReason::Outdated => self.outdated += 1,
            IgnoreReason::Forged(count) => self.forged += count,
            IgnoreReason::Unproven => self.unproven += 1,
        }
    }

    pub(super) fn trial(&mut self, step: TrialStep) {
        *match step {
            TrialStep::Placed => &mut self.trials,
            TrialStep::Skipped => &mut self.trials_skipped,
            TrialStep::Expired => &mut self.trials_expired,
            TrialStep::Lost => &mut self.trials_lost,
        } += 1;
    }

    pub(super) fn checked(&mut self, agreed: bool, elsewhere: bool) {
        self.checks += 1;
        self.checks_elsewhere += u64::from(elsewhere);
        self.checks_differed += u64::from(!agreed);
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

    /// The term is over: subtracts the unfinished jobs.
    pub(super) fn forget(&mut self) {
        let under_way = self.under_way();
        self.accepted -= under_way;
        self.forgotten += under_way;
        (self.queued, self.placed, self.running) = (0, 0, 0);
    }

    fn column(&mut self, phase: Phase) -> &mut u64 {
        match phase {
            Phase::Queued => &mut self.queued,
            Phase::Placed => &mut self.placed,
            Phase::Running => &mut self.running,
        }
    }
}

/// Counts with the names the API uses.
pub(super) fn named(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

impl Counters {
    pub(super) fn view(&self) -> view::JobCounts {
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
            ("coalesced", self.coalesced),
            ("saved_ms", millis(self.saved)),
            ("memo", self.memo),
            ("memo_saved_ms", millis(self.memo_saved)),
            ("moved", self.moved),
            ("hedges", self.hedges),
            ("hedges_won", self.hedges_won),
            ("hedges_lost", self.hedges_lost),
            ("trials", self.trials),
            ("trials_skipped", self.trials_skipped),
            ("trials_expired", self.trials_expired),
            ("trials_lost", self.trials_lost),
            ("checks", self.checks),
            ("checks_elsewhere", self.checks_elsewhere),
            ("checks_differed", self.checks_differed),
            ("quarantined", self.quarantined),
            ("not_deterministic", self.refuted),
        ];
        view::JobCounts {
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
