//! Reports of workers about ended attempts: answers and hand-backs.

use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::{LIST_TIMEOUT, TIMEOUT_MAX};
use simple_dist_protocol::message::{Answer, Answered, Answers, Bound, End, Ended};
use simple_dist_protocol::{Attempt, UserName, WorkerId};

use super::Core;
use super::completion::millis;
use super::fact::{Caller, Fact, IgnoreReason, Run, RunEnd, Step};
use super::ids::{JobRef, Key, LastUser};
use super::jobs::InFlight;

impl Core {
    pub(super) fn answers(&mut self, user: &UserName, answers: Answers) {
        let worker = answers.worker;
        match self.fleet.workers.get(worker) {
            Some(known) if known.user != *user => {
                let count = answers.jobs.len() as u64;
                self.outbox.ignore(IgnoreReason::Forged(count));
            }
            Some(known) if known.is_heard() => {
                let mut user_of = LastUser::default();
                for ended in answers.jobs {
                    self.ended(worker, user_of.key(&ended.key), ended);
                }
            }
            Some(_) | None => {
                for ended in answers.jobs {
                    if !self.jobs.recent.keep_unverified(user, worker, ended, self.now) {
                        self.outbox.emit(Fact::LimitReached(Bound::Unclaimed));
                    }
                }
            }
        }
    }

    /// A known worker reports the end of an attempt.
    pub(super) fn ended(&mut self, worker: WorkerId, key: Key, ended: Ended) {
        if ended.key.is_trial() {
            self.trial_ended(worker, ended);
        } else {
            self.attempt_ended(worker, key, ended);
        }
    }

    fn attempt_ended(&mut self, worker: WorkerId, key: Key, ended: Ended) {
        let job = self.jobs.find(key);
        let took = Duration::from_micros(ended.took_us).min(TIMEOUT_MAX);
        let id = (key, ended.attempt);
        let rival = self.rival_at(worker, &id);
        let is_cancelled = ended.end == End::Answer(Answer::Cancelled);
        match ended.end {
            End::Returned { willing } => {
                let in_flight = job.and_then(|job| Some((job, self.jobs.get(job)?.in_flight()?)));
                match in_flight.filter(|(_, in_flight)| in_flight.attempt == ended.attempt) {
                    Some((job, in_flight)) if self.may_hold(worker, job, in_flight) => {
                        if willing && self.fleet.workers.get(worker).is_some_and(|it| !it.drains())
                        {
                            self.raise_run_time_estimate(job);
                        }
                        self.returned(job, willing);
                    }
                    Some(_) => self.outbox.ignore(IgnoreReason::Forged(1)),
                    None => match rival {
                        Some(job) => self.rival_returned(job, &id, willing),
                        None => self.outbox.ignore(IgnoreReason::Outdated),
                    },
                }
            }
            End::Crashed(crash) => {
                let in_flight = job.and_then(|job| Some((job, self.jobs.get(job)?.in_flight()?)));
                let told = (crash.worker, crash.attempt);
                match in_flight.filter(|(_, in_flight)| in_flight.attempt == ended.attempt) {
                    Some((job, in_flight))
                        if told == (worker, ended.attempt)
                            && self.may_hold(worker, job, in_flight) =>
                    {
                        self.crashed(job, crash);
                    }
                    Some(_) => self.outbox.ignore(IgnoreReason::Forged(1)),
                    None => match rival {
                        Some(job) if told == (worker, ended.attempt) => {
                            self.rival_crashed(job, &id, crash);
                        }
                        Some(_) | None => self.outbox.ignore(IgnoreReason::Outdated),
                    },
                }
            }
            End::Answer(Answer::Poisoned { .. } | Answer::Busy) => {
                self.outbox.ignore(IgnoreReason::Forged(1))
            }
            End::Answer(answer) => {
                let answered = Answered {
                    answer,
                    worker: Some(worker),
                    attempt: ended.attempt.number,
                    waited_ms: 0,
                    took_us: ended.took_us,
                    bound: None,
                    coalesced: false,
                    memo_age_ms: None,
                };
                match job {
                    Some(job) => self.answered(job, (worker, ended.attempt), answered, took),
                    None if self.jobs.recent.find(key).is_some() => {
                        self.outbox.ignore(IgnoreReason::Late)
                    }
                    // An earlier term cancelled that attempt; only the client knows whether the job
                    // was.
                    None if answered.answer == Answer::Cancelled => {
                        self.outbox.ignore(IgnoreReason::Late)
                    }
                    None => self.jobs.recent.keep(key, answered, true, self.now),
                }
            }
        }
        self.fleet.orphan_ended(worker, &id, is_cancelled);
    }

    fn answered(
        &mut self,
        job: JobRef,
        (worker, attempt): (WorkerId, Attempt),
        mut answered: Answered,
        took: Duration,
    ) {
        let Some(found) = self.jobs.get(job) else { return };
        let function = found.function;
        if !self.fleet.workers.get(worker).is_some_and(|worker| self.fleet.serves(worker, function))
        {
            self.outbox.ignore(IgnoreReason::Forged(1));
            return;
        }
        let current = found.in_flight().filter(|in_flight| in_flight.attempt == attempt);
        if matches!(answered.answer, Answer::Cancelled) {
            // This job was not cancelled, or it would be gone: its worker was told to cancel an
            // earlier submission of the same job.
            if current.is_some_and(|in_flight| self.may_hold(worker, job, in_flight)) {
                self.returned(job, true);
            }
            return;
        }
        let by_holder =
            |in_flight: &InFlight| in_flight.holder.is_none_or(|holder| holder.worker == worker);
        let is_over = current.is_some_and(by_holder);
        let began = found.began.unwrap_or(self.now.saturating_sub(took)).max(found.since);
        answered.waited_ms = millis(began - found.since);
        answered.attempt = found.run_of(attempt);
        let pool = found.in_flight().and_then(|in_flight| in_flight.pool);
        self.ran(job, (worker, attempt), took, &answered.answer);
        if let Answer::Value(_) | Answer::Failed { .. } | Answer::Panicked { .. } = answered.answer
        {
            if let Some(pool) = pool.and_then(|pool| self.fleet.pools.get_mut(&pool)) {
                pool.work.measure(took);
            }
            let function = self.fleet.functions.get_mut(function);
            function.work.measure(took);
            function.slow.measure(took, self.config.hedging.share, self.config.hedging.fewest);
        }
        self.race_ended(job, attempt);
        if is_over {
            self.detach(job);
        }
        self.end(job, answered, Caller::Waits);
    }

    /// Records that a worker ran a job to its end.
    fn ran(
        &mut self,
        job: JobRef,
        (worker, attempt): (WorkerId, Attempt),
        took: Duration,
        answer: &Answer,
    ) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let holder = found.in_flight().and_then(|in_flight| in_flight.holder);
        let holder = holder.filter(|holder| holder.worker == worker);
        let slot = holder.and_then(|holder| holder.running?.slot);
        let attempt = found.run_of(attempt);
        let from = self.now.saturating_sub(took).max(found.since);
        found.began.get_or_insert(from);
        let name = Arc::clone(&self.fleet.functions.get(found.function).name);
        let Some(slots) = self.fleet.workers.get(worker).map(|worker| worker.slots) else { return };
        let end = RunEnd::Answered { took, is_value: matches!(answer, Answer::Value(_)) };
        let run = Run { job, attempt, name, worker, slots, slot, from, to: self.now, end };
        self.outbox.emit(Fact::Ran(Box::new(run)));
    }

    /// The attempt in flight was handed back.
    fn returned(&mut self, job: JobRef, willing: bool) {
        let now = self.now;
        let Some(found) = self.jobs.get_mut(job) else { return };
        let attempt = found.in_flight().map_or(0, |in_flight| in_flight.run);
        self.outbox.emit(Fact::Job(job, Step::Returned { attempt, willing }));
        if willing {
            found.uncount_run();
            self.detach(job);
            self.requeue(job);
            return;
        }
        let spares = found.strikes.as_ref().is_some_and(|it| it.was_spared() && it.may_be_spared());
        let Some(in_flight) = found.in_flight_mut() else { return };
        let pool = in_flight.pool.and_then(|pool| self.fleet.pools.get(&pool));
        let waits = spares && pool.is_some_and(|pool| pool.isolated);
        if in_flight.holder.is_some_and(|holder| holder.evidence) || waits {
            // Its worker has started it, or may have. If the worker is lost, so is the attempt; if
            // it beats without the job, the sweep finds out; if it beats with it, the answer will
            // come.
            in_flight.came_back = true;
            in_flight.confirmed.get_or_insert(now);
            in_flight.seen_empty.get_or_insert(now);
        } else {
            let in_flight = in_flight.clone();
            self.record_lost_run(job, &in_flight, RunEnd::CameBack);
            self.requeue_marked(job);
        }
    }

    /// A worker that accepts jobs handed one back because its turn did not come: the jobs before it
    /// take longer than measured. Raising the estimate keeps fewer jobs behind them.
    fn raise_run_time_estimate(&mut self, job: JobRef) {
        let Some(found) = self.jobs.get(job) else { return };
        self.fleet.functions.get_mut(found.function).work.raise_to(LIST_TIMEOUT);
        let pool = found.in_flight().and_then(|in_flight| in_flight.pool);
        if let Some(pool) = pool.and_then(|pool| self.fleet.pools.get_mut(&pool)) {
            pool.work.raise_to(LIST_TIMEOUT);
        }
    }
}
