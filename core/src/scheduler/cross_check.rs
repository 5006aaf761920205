//! Cross-check: some of the answers of deterministic functions are compared with those of another run.
//! The caller has its answer already.

use std::time::Duration;

use simple_dist_protocol::WorkerId;
use simple_dist_protocol::limits::TIMEOUT_MAX;
use simple_dist_protocol::message::{Answer, Answered};

use super::Core;
use super::fact::{Fact, TrialStep};
use super::jobs::Job;
use super::joining::ARGUMENTS;
use super::trial_runs::Tried;
use super::trials::{Purpose, Trial};

/// A call to check: what its run has answered.
#[derive(Debug)]
pub(crate) struct Check {
    answer: Answer,
    worker: WorkerId,
}

impl Check {
    /// The bytes that it keeps.
    pub(crate) fn bytes(&self) -> usize {
        self.answer.weight()
    }
}

impl Core {
    /// A job has ended: its call may be run once more, to compare the answers. Never one that was
    /// placed twice, or against which there is anything.
    pub(super) fn cross_check(&mut self, gone: &Job, answered: &Answered) {
        let share = self.config.cross_check;
        let Some(worker) = answered.worker.filter(|_| share > 0 && !answered.is_shared()) else {
            return;
        };
        let is_answer = matches!(answered.answer, Answer::Value(_) | Answer::Failed { .. });
        let is_small = gone.args.len().max(answered.answer.weight()) <= ARGUMENTS;
        let is_blameless = gone.strikes.is_none() && gone.rivals.is_none();
        let may_be_checked = is_answer && is_small && is_blameless;
        if !may_be_checked || gone.key.id.per_mille() >= share {
            return;
        }
        if !self.fleet.is_deterministic(gone.function, worker) {
            return;
        }
        let Some(function) = self.fleet.functions.get(gone.function).address.clone() else {
            return;
        };
        let check = Check { answer: answered.answer.clone(), worker };
        let trial = Trial {
            function,
            args: gone.args.clone(),
            took: Duration::from_micros(answered.took_us).min(TIMEOUT_MAX),
            beside: worker,
            purpose: Purpose::Check(Box::new(check)),
        };
        if !self.trials.propose(trial, self.now) {
            self.outbox.emit(Fact::Trial(TrialStep::Skipped));
        }
    }

    /// The second run of a call has answered.
    pub(super) fn checked(&mut self, check: Check, tried: Tried) {
        let agreed = check.answer == tried.answer;
        self.outbox.emit(Fact::Checked { agreed, elsewhere: check.worker != tried.worker });
    }
}
