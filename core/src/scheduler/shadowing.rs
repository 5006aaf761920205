//! Shadow versions: some of the calls of a function also run as another one, to compare the two. The
//! caller has its answer already.
//!
//! Of each pair one such run is under way at a time, so that a shadow that ends its process costs one.
//! That ends the comparison of its pair, and so do runs that take much longer again and again: on a
//! thread, each may keep its slot.

use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::limits::TIMEOUT_MAX;
use simple_dist_protocol::message::{Answer, Answered};
use simple_dist_protocol::{JobId, WorkerId};

use super::Core;
use super::fact::{EndedRun, Fact, ShadowStep, TrialStep, Twins};
use super::jobs::Job;
use super::joining::ARGUMENTS;
use super::rollout::PAIRS;
use super::trial_runs::Tried;
use super::trials::{Purpose, Trial};

/// So many runs in a row that took much longer end the comparison.
const SLOW: u8 = 3;

/// What became of the comparisons, by the number of each pair. It outlives terms.
#[derive(Debug, Default)]
pub(crate) struct Shadows([Comparison; PAIRS]);

#[derive(Debug, Default, Clone, Copy)]
struct Comparison {
    stopped: Option<Stop>,
    /// How many of the last runs took much longer.
    slow: u8,
}

/// Why a pair is compared no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A run as the shadow ended its process, or was lost with its worker.
    Lost,
    /// Several runs in a row took much longer.
    Slow,
}

/// A call that also runs as its shadow: what its own run has answered.
#[derive(Debug)]
pub(crate) struct Shadowed {
    pair: usize,
    job: JobId,
    live: EndedRun,
}

impl Shadowed {
    /// The bytes that it keeps.
    pub(crate) fn bytes(&self) -> usize {
        self.live.answer.weight()
    }
}

impl Shadows {
    /// Why a pair is compared no more, if so.
    pub(crate) fn stopped(&self, pair: usize) -> Option<Stop> {
        self.0[pair].stopped
    }
}

impl Core {
    /// A job has ended: its call may also run as the shadows of its function.
    pub(super) fn shadow(&mut self, gone: &Job, answered: &Answered) {
        if self.config.rollout.shadows().is_empty() {
            return;
        }
        let Some(function) = self.fleet.functions.get(gone.function).address.clone() else {
            return;
        };
        let drawn = self.config.rollout.drawn(&function, gone.key.id);
        let drawn: Vec<usize> =
            drawn.filter(|pair| self.shadows.stopped(*pair).is_none()).collect();
        let Some(worker) = worker_to_try_beside(gone, answered).filter(|_| !drawn.is_empty())
        else {
            return;
        };
        let took = Duration::from_micros(answered.took_us).min(TIMEOUT_MAX);
        for pair in drawn {
            let live = EndedRun { answer: answered.answer.clone(), took };
            let shadowed = Shadowed { pair, job: gone.key.id, live };
            let trial = Trial {
                function: self.config.rollout.shadows()[pair].shadow.clone(),
                args: gone.args.clone(),
                took,
                beside: worker,
                purpose: Purpose::Shadow(Box::new(shadowed)),
            };
            if !self.propose_shadow(pair, trial) {
                self.outbox.emit(Fact::Shadow { pair, step: ShadowStep::Skipped });
            }
        }
    }

    fn propose_shadow(&mut self, pair: usize, trial: Trial) -> bool {
        let function = self.fleet.functions.find(&trial.function);
        let is_live = function.is_some_and(|it| self.fleet.functions.get(it).is_live());
        let is_of_pair = |purpose: &Purpose| match purpose {
            Purpose::Shadow(shadowed) => shadowed.pair == pair,
            Purpose::Check(_) => false,
        };
        is_live && !self.trials.has(is_of_pair) && self.trials.propose(trial, self.now).is_none()
    }

    /// The shadow of a call has answered.
    pub(super) fn shadowed(&mut self, shadowed: Shadowed, args: Bytes, tried: Tried) {
        let Shadowed { pair, job, live } = shadowed;
        self.shadows.0[pair].slow = 0;
        let shadow = EndedRun { answer: tried.answer, took: tried.took };
        let step = ShadowStep::Ran(Box::new(Twins { job, args, live, shadow }));
        self.outbox.emit(Fact::Shadow { pair, step });
    }

    /// The shadow of a call has not.
    pub(super) fn unshadowed(&mut self, Shadowed { pair, .. }: Shadowed, why: TrialStep) {
        let comparison = &mut self.shadows.0[pair];
        let step = match why {
            TrialStep::Placed => return,
            TrialStep::Skipped => ShadowStep::Skipped,
            TrialStep::Expired => {
                comparison.slow += 1;
                if comparison.slow >= SLOW {
                    comparison.stopped = Some(Stop::Slow);
                }
                ShadowStep::Expired
            }
            TrialStep::Lost => {
                comparison.stopped = Some(Stop::Lost);
                ShadowStep::Lost
            }
        };
        self.outbox.emit(Fact::Shadow { pair, step });
    }
}

/// The worker that has run a call, if that may run once more: never one that was placed twice, or
/// against which there is anything.
fn worker_to_try_beside(gone: &Job, answered: &Answered) -> Option<WorkerId> {
    let is_answer = matches!(answered.answer, Answer::Value(_) | Answer::Failed { .. });
    let is_small = gone.args.len().max(answered.answer.weight()) <= ARGUMENTS;
    let is_blameless = gone.strikes.is_none() && gone.rivals.is_none();
    let may_run = is_answer && is_small && is_blameless && !answered.is_shared();
    answered.worker.filter(|_| may_run)
}
