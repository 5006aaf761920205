//! What workers say of attempts that have ended: answers, and what they hand back.

use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::{LIST_PATIENCE, TIMEOUT_MAX};
use simple_dist_protocol::message::{Answer, Answered, Answers, Bound, End, Ended};
use simple_dist_protocol::{Attempt, UserName, WorkerId};

use super::Rooms;
use super::completion::millis;
use super::fact::{Caller, Fact, Run, RunEnd, Step, Why};
use super::jobs::{JobRef, Key, Out};

impl Rooms {
    pub(super) fn answers(&mut self, user: &UserName, answers: Answers) {
        let worker = answers.worker;
        match self.fleet.workers.get(worker) {
            Some(known) if known.user != *user => {
                let count = answers.jobs.len() as u64;
                self.outbox.ignore(Why::Forged(count));
            }
            Some(known) if known.is_heard() => {
                for ended in answers.jobs {
                    self.ended(worker, ended);
                }
            }
            Some(_) | None => {
                for ended in answers.jobs {
                    if !self.jobs.recent.keep_unproven(user, worker, ended, self.now) {
                        self.outbox.tell(Fact::TurnedAway(Bound::Unclaimed));
                    }
                }
            }
        }
    }

    /// An attempt ended, says a worker that we have heard.
    pub(super) fn ended(&mut self, worker: WorkerId, ended: Ended) {
        let key = Key::of(&ended.key);
        let job = self.jobs.find(key);
        let took = Duration::from_micros(ended.took_us).min(TIMEOUT_MAX);
        self.fleet.orphan_ended(worker, &(key, ended.attempt), &ended.end);
        match ended.end {
            End::Returned { willing } => {
                let out = job.and_then(|job| Some((job, self.jobs.get(job)?.out()?)));
                match out.filter(|(_, out)| out.attempt == ended.attempt) {
                    Some((job, out)) if self.may_have(worker, job, out) => {
                        if willing && self.fleet.workers.get(worker).is_some_and(|it| !it.drains())
                        {
                            self.turned_out_long(job);
                        }
                        self.returned(job, willing);
                    }
                    Some(_) => self.outbox.ignore(Why::Forged(1)),
                    None => self.outbox.ignore(Why::Outdated),
                }
            }
            End::Answer(Answer::Poisoned { .. } | Answer::Busy) => {
                self.outbox.ignore(Why::Forged(1))
            }
            End::Answer(answer) => {
                let answered = Answered {
                    answer,
                    worker: Some(worker),
                    attempt: ended.attempt.number,
                    waited_ms: 0,
                    took_us: ended.took_us,
                    bound: None,
                };
                match job {
                    Some(job) => self.answered(job, (worker, ended.attempt), answered, took),
                    None if self.jobs.recent.find(key).is_some() => self.outbox.ignore(Why::Late),
                    // That attempt was cancelled, by an earlier term: whether its job was, only its
                    // client knows.
                    None if answered.answer == Answer::Cancelled => self.outbox.ignore(Why::Late),
                    None => self.jobs.recent.keep(key, answered, true, self.now),
                }
            }
        }
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
            self.outbox.ignore(Why::Forged(1));
            return;
        }
        let current = found.out().filter(|out| out.attempt == attempt);
        if matches!(answered.answer, Answer::Cancelled) {
            // Nobody cancelled this job, or it would not be here: its worker was told so for an
            // earlier caller of the same job.
            if current.is_some_and(|out| self.may_have(worker, job, out)) {
                self.returned(job, true);
            }
            return;
        }
        let by_holder = |out: &Out| out.holder.is_none_or(|holder| holder.worker == worker);
        let is_over = current.is_some_and(by_holder);
        let began = found.began.unwrap_or(self.now.saturating_sub(took)).max(found.since);
        answered.waited_ms = millis(began - found.since);
        answered.attempt = found.runs.max(1);
        let pool = found.out().and_then(|out| out.pool);
        self.ran(job, worker, took, &answered.answer);
        if let Answer::Value(_) | Answer::Failed { .. } | Answer::Panicked { .. } = answered.answer
        {
            if let Some(pool) = pool.and_then(|pool| self.fleet.pools.get_mut(&pool)) {
                pool.work.measure(took);
            }
            self.fleet.functions.get_mut(function).work.measure(took);
        }
        if is_over {
            self.detach(job);
        }
        self.end(job, answered, Caller::Waits);
    }

    /// A worker ran a job to its end.
    fn ran(&mut self, job: JobRef, worker: WorkerId, took: Duration, answer: &Answer) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let (attempt, slot) = found.out().map_or((found.runs, None), |out| {
            let holder = out.holder.filter(|holder| holder.worker == worker);
            (out.run, holder.and_then(|holder| holder.running?.slot))
        });
        let from = self.now.saturating_sub(took).max(found.since);
        found.began.get_or_insert(from);
        let name = Arc::clone(&self.fleet.functions.get(found.function).name);
        let Some(slots) = self.fleet.workers.get(worker).map(|worker| worker.slots) else { return };
        let end = RunEnd::Answered { took, is_value: matches!(answer, Answer::Value(_)) };
        let run = Run { job, attempt, name, worker, slots, slot, from, to: self.now, end };
        self.outbox.tell(Fact::Ran(Box::new(run)));
    }

    /// The attempt under way was handed back.
    fn returned(&mut self, job: JobRef, willing: bool) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let attempt = found.out().map_or(0, |out| out.run);
        self.outbox.tell(Fact::Job(job, Step::Returned { attempt, willing }));
        if willing {
            found.uncount_run();
            self.detach(job);
            self.requeue(job);
            return;
        }
        let Some(out) = found.out_mut() else { return };
        if out.holder.is_some_and(|holder| holder.evidence) {
            // Its worker has begun it. Lost, it strikes the job; heard and not holding it, the
            // sweep finds that out; heard and holding it, its answer comes.
            out.came_back = true;
        } else {
            let out = out.clone();
            self.ran_in_vain(job, &out, RunEnd::CameBack);
            self.place_again_marked(job);
        }
    }

    /// A worker that takes jobs hands one back since its turn did not come: what goes before it
    /// takes long, whatever was measured so far. So no more of them lie behind it.
    fn turned_out_long(&mut self, job: JobRef) {
        let Some(found) = self.jobs.get(job) else { return };
        self.fleet.functions.get_mut(found.function).work.at_least(LIST_PATIENCE);
        let pool = found.out().and_then(|out| out.pool);
        if let Some(pool) = pool.and_then(|pool| self.fleet.pools.get_mut(&pool)) {
            pool.work.at_least(LIST_PATIENCE);
        }
    }
}
