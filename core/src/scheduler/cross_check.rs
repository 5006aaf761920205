//! Cross-check: some of the calls of deterministic functions are run once more, and the answers
//! compared. The caller has its answer already. If they differ the call is run again until the
//! answers of several workers tell which is right; `disputes` says what that means for the worker
//! and for the function, `quarantine` what becomes of a worker that was outvoted.

use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::limits::TIMEOUT_MAX;
use simple_dist_protocol::message::{Answer, Answered};
use simple_dist_protocol::{Address, WorkerId};

use super::Core;
use super::disputes::{Runs, Verdict};
use super::fact::{Differed, Fact, TrialStep};
use super::jobs::Job;
use super::joining::ARGUMENTS;
use super::trial_runs::Tried;
use super::trials::{Purpose, Trial};

/// So many times as many calls of a function are checked while it is in doubt.
const IN_DOUBT: u16 = 10;

/// A call to check.
#[derive(Debug)]
pub(crate) struct Check {
    runs: Runs,
    /// How long the first of them took.
    took: Duration,
}

impl Check {
    /// The bytes that it keeps.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.iter().map(|(_, answer)| answer.weight()).sum()
    }
}

impl Core {
    /// A job has ended: its call may be checked. Never one that was placed twice, or against which
    /// there is anything.
    pub(super) fn cross_check(&mut self, gone: &Job, answered: &Answered) {
        let share = self.config.cross_check;
        let Some(worker) = answered.worker.filter(|_| share > 0 && !answered.is_shared()) else {
            return;
        };
        let is_answer = matches!(answered.answer, Answer::Value(_) | Answer::Failed { .. });
        let is_small = gone.args.len().max(answered.answer.weight()) <= ARGUMENTS;
        let is_blameless = gone.strikes.is_none() && gone.rivals.is_none();
        let may_be_checked = is_answer && is_small && is_blameless;
        if !may_be_checked || !self.fleet.is_deterministic(gone.function, worker) {
            return;
        }
        let Some(function) = &self.fleet.functions.get(gone.function).address else { return };
        let is_in_doubt = self.disputes.is_open(function, self.now);
        let share = if is_in_doubt { share * IN_DOUBT } else { share };
        if gone.key.id.per_mille() < share {
            let took = Duration::from_micros(answered.took_us).min(TIMEOUT_MAX);
            let check = Check { runs: Runs::of(worker, answered.answer.copied()), took };
            let (function, args) = (function.clone(), Bytes::copy_from_slice(&gone.args));
            self.run_again(function, args, worker, check);
        }
    }

    /// Wants one more run of a call, rather not by this worker.
    fn run_again(&mut self, function: Address, args: Bytes, beside: WorkerId, check: Check) {
        let took = check.took;
        let trial =
            Trial { function, args, took, beside, purpose: Purpose::Check(Box::new(check)) };
        if let Some(refused) = self.trials.propose(trial, self.now) {
            self.outbox.emit(Fact::Trial(TrialStep::Skipped));
            match refused.purpose {
                Purpose::Check(check) => self.unchecked(&refused.function, refused.args, *check),
                Purpose::Shadow(_) => {}
            }
        }
    }

    /// One more run of a call has answered.
    pub(super) fn checked(
        &mut self,
        (function, args): (Address, Bytes),
        mut check: Check,
        tried: Tried,
    ) {
        let Tried { answer, worker, .. } = tried;
        let was_in_doubt = !check.runs.agree();
        check.runs.add(worker, answer.copied());
        let agreed = check.runs.agree();
        if !was_in_doubt {
            let elsewhere = check.runs.is_elsewhere();
            self.outbox.emit(Fact::Checked { agreed, elsewhere });
        }
        if !agreed && check.runs.is_decided() {
            self.conclude(&function, args, check);
        } else if !agreed {
            self.run_again(function, args, worker, check);
        }
    }

    /// No further run of a call has answered.
    pub(super) fn unchecked(&mut self, function: &Address, args: Bytes, check: Check) {
        if !check.runs.agree() {
            self.conclude(function, args, check);
        }
    }

    /// The answers of a call differ, and no more are to come.
    fn conclude(&mut self, function: &Address, args: Bytes, check: Check) {
        if self.fleet.is_refuted(function) {
            return;
        }
        let verdict = self.disputes.note(function, &check.runs, self.now);
        match verdict {
            Verdict::Undecided => {}
            Verdict::Outvoted(worker, calls) => {
                self.disputes.outvoted.push((worker, function.clone(), calls));
            }
            Verdict::NotDeterministic => {
                self.fleet.refute(function);
                self.memo.forget_function(&self.fleet.functions.name_of(function));
            }
        }
        let outvoted = check.runs.outvoted();
        let is_refuted = verdict == Verdict::NotDeterministic;
        let name = self.fleet.functions.name_of(function);
        let runs = check.runs.iter().cloned().collect();
        let differed = Differed { name, args, runs, outvoted, is_refuted };
        self.outbox.emit(Fact::Differed(Box::new(differed)));
    }
}
