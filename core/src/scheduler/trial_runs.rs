//! Makes trials: places each in a slot that is idle after everything that waits has been placed, and
//! hands its answer to whoever wanted it. One that finds no slot, takes too long or is lost has no
//! answer, and is not repeated.

use std::time::Duration;

use simple_dist_protocol::limits::{LIST_WORK, TIMEOUT_MAX};
use simple_dist_protocol::message::{Answer, End, Ended, Placement};
use simple_dist_protocol::{PoolId, WorkerId};

use super::completion::millis;
use super::fact::{Fact, IgnoreReason, TrialStep};
use super::fleet::orphans::{Location, OrphanId};
use super::fleet::pools::Pool;
use super::ids::Key;
use super::outbox::Sent;
use super::trials::{Overdue, Purpose, Trial, attempt};
use super::{Core, Effect};

/// The most trials looked at after one event; the rest waits for the next.
const LOOKS: usize = 4;
/// A trial that takes so many times longer than the run that it repeats is given up, but not before
/// the least.
const LONGER: u32 = 4;
const LEAST: Duration = Duration::from_secs(1);
/// The least of a shadow: by then a worker that it has ended is known to be lost.
const SHADOW_LEAST: Duration = Duration::from_secs(5);

/// What a trial's run has answered.
pub(super) struct Tried {
    pub(super) answer: Answer,
    pub(super) worker: WorkerId,
    pub(super) took: Duration,
}

impl Core {
    /// Places the trials whose turn it is, as far as there are idle slots.
    pub(super) fn place_trials(&mut self) {
        if !self.leadership.may_act || self.leadership.leading().is_none() {
            return;
        }
        self.make_way();
        for _ in 0..LOOKS.min(self.trials.waiting()) {
            let Some((since, trial)) = self.trials.next() else { return };
            match self.pool_for_trial(&trial) {
                Some(pool) => self.place_trial(trial, pool),
                None => self.trials.wait(since, trial),
            }
        }
    }

    /// Gives up the trials that run in pools with more to do than slots: something waits behind them. Of
    /// one in a queue nobody knows whether a worker has begun it, and was ended by it.
    fn make_way(&mut self) {
        let (fleet, term) = (&self.fleet, self.leadership.term());
        let runs = |id: &OrphanId| match fleet.orphans.get(id).map(|orphan| orphan.location) {
            Some(Location::Slot { worker, .. }) => {
                fleet.workers.get(worker).is_some_and(|worker| worker.takes_jobs(term))
            }
            Some(Location::Queue { .. }) | None => false,
        };
        let is_full = |pool: PoolId| {
            fleet.pools.get(&pool).is_some_and(|pool| pool.load() > pool.slots as usize)
        };
        for key in self.trials.give_up(|id, pool| is_full(pool) && runs(id)) {
            self.fleet.orphans.end_all(key);
            self.cancel_orphans();
        }
    }

    /// A pool with an idle slot, of another worker if there is any that serves the function.
    fn pool_for_trial(&self, trial: &Trial) -> Option<PoolId> {
        let function = self.fleet.functions.find(&trial.function)?;
        let here = self.fleet.workers.get(trial.beside).and_then(|worker| worker.pool);
        let elsewhere = self.idle_pool(function, here, Some(trial.beside));
        let pools = || self.fleet.functions.get(function).pools.iter().copied();
        let linked = pools().filter_map(|pool| self.fleet.pools.get(&pool)).map(|pool| pool.linked);
        let is_alone = linked.sum::<usize>() == 1;
        elsewhere
            .or_else(|| pools().find(|pool| is_alone && self.fleet.idle_slots(*pool, None) > 0))
    }

    fn place_trial(&mut self, trial: Trial, pool: PoolId) {
        let Some(term) = self.leadership.term() else { return };
        let Some(function) = self.fleet.functions.find(&trial.function) else { return };
        let key = self.trials.next_key(term);
        let (id, attempt) = (Key::of(&key), attempt(term));
        let least = if trial.is_shadow() { SHADOW_LEAST } else { LEAST };
        let limit = (trial.took * LONGER).max(least);
        let way = self.fleet.pools.get(&pool).map(Pool::round_trip).unwrap_or_default();
        let until = self.now + limit + way + self.leadership.round_trip();
        self.fleet.add_trial((id, attempt), (key.user.clone(), function), pool, self.now);
        let placement = Placement {
            key,
            function: trial.function.clone(),
            args: trial.args.clone(),
            budget_ms: millis(limit),
            attempt: attempt.number,
            start_confirmed: false,
            trace: None,
        };
        self.trials.place((id, attempt), trial, pool, until);
        self.outbox.emit(Fact::Trial(TrialStep::Placed));
        let token = self.outbox.token(Sent::Placement { job: None, key: id, attempt, pool });
        let work = LIST_WORK * 2;
        self.outbox.push(Effect::Place { pool, term, placement, work, token });
    }

    /// A worker reports the end of a trial.
    pub(super) fn trial_ended(&mut self, worker: WorkerId, ended: Ended) {
        let id = (Key::of(&ended.key), ended.attempt);
        let is_cancelled = ended.end == End::Answer(Answer::Cancelled);
        let pool = self.fleet.workers.get(worker).and_then(|worker| worker.pool);
        match self.trials.pool(&id) {
            Some(sent_to) if pool != Some(sent_to) => {
                return self.outbox.ignore(IgnoreReason::Forged(1));
            }
            Some(_) => {}
            None if is_cancelled => {}
            None => self.outbox.ignore(IgnoreReason::Late),
        }
        let was_given_up = self.trials.is_given_up(&id);
        let took = Duration::from_micros(ended.took_us).min(TIMEOUT_MAX);
        if let Some((trial, _)) = self.trials.take(&id) {
            match ended.end {
                End::Answer(answer @ (Answer::Value(_) | Answer::Failed { .. })) => {
                    self.tried(trial, Tried { answer, worker, took });
                }
                End::Answer(Answer::Expired | Answer::Cancelled) if was_given_up => {
                    self.untried(trial, TrialStep::Skipped);
                }
                End::Answer(Answer::Expired | Answer::Cancelled) => {
                    self.untried(trial, TrialStep::Expired);
                }
                End::Answer(
                    answer @ (Answer::Panicked { .. }
                    | Answer::BadArguments { .. }
                    | Answer::TooLarge { .. }),
                ) => match trial.purpose {
                    Purpose::Check(_) => self.blame_trial(trial),
                    Purpose::Shadow(_) => self.tried(trial, Tried { answer, worker, took }),
                },
                End::Answer(Answer::Poisoned { .. } | Answer::NotServed | Answer::Busy)
                | End::Crashed(_) => self.blame_trial(trial),
                // It may have ended the worker that had it first.
                End::Returned { willing: false } if trial.is_shadow() => self.blame_trial(trial),
                End::Returned { .. } => self.untried(trial, TrialStep::Skipped),
            }
        }
        self.fleet.orphan_ended(worker, &id, is_cancelled);
    }

    /// The broker did not take its message.
    pub(super) fn trial_unplaced(&mut self, id: &OrphanId) {
        if let Some((trial, _)) = self.trials.take(id) {
            self.untried(trial, TrialStep::Skipped);
        }
    }

    /// Gives up the trials whose time is over.
    pub(super) fn age_trials(&mut self) {
        let orphans = &self.fleet.orphans;
        for (key, trial, why) in self.trials.overdue(|id| orphans.get(id).is_some(), self.now) {
            match why {
                Overdue::Waiting => self.untried(trial, TrialStep::Skipped),
                Overdue::Running => {
                    key.into_iter().for_each(|key| self.fleet.orphans.end_all(key));
                    self.untried(trial, TrialStep::Expired);
                }
                Overdue::Gone => self.blame_trial(trial),
            }
        }
    }

    /// It may have ended its process, or its worker: its call is not tried again.
    fn blame_trial(&mut self, trial: Trial) {
        for other in self.trials.blame(&trial) {
            self.untried(other, TrialStep::Skipped);
        }
        self.untried(trial, TrialStep::Lost);
    }

    /// A trial has an answer.
    fn tried(&mut self, trial: Trial, tried: Tried) {
        let Trial { function, args, purpose, .. } = trial;
        match purpose {
            Purpose::Check(check) => self.checked((function, args), *check, tried),
            Purpose::Shadow(shadowed) => self.shadowed(*shadowed, args, tried),
        }
    }

    /// A trial has none.
    fn untried(&mut self, trial: Trial, why: TrialStep) {
        self.outbox.emit(Fact::Trial(why));
        match trial.purpose {
            Purpose::Check(check) => self.unchecked(&trial.function, trial.args, *check),
            Purpose::Shadow(shadowed) => self.unshadowed(*shadowed, why),
        }
    }

    /// The term is over.
    pub(super) fn forget_trials(&mut self) {
        for _ in 0..self.trials.clear() {
            self.outbox.emit(Fact::Trial(TrialStep::Skipped));
        }
    }
}
