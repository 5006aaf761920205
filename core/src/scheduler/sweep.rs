//! The sweep: what became of placed jobs that nobody speaks of. A job whose queue was seen empty,
//! and which then is in no beat, while no answer waits to be read, is gone, and is placed again.
//!
//! At most one question about the queues is under way, however long its answer takes, and what it
//! is to decide is written down when it is put: the answer speaks for that moment, and for
//! whatever the beats said until then.

use std::time::Duration;

use simple_dist_protocol::limits::{SWEEP, SWEEP_AFTER, SWEEP_MARKED_AFTER};
use simple_dist_protocol::message::WorkerState;
use simple_dist_protocol::{Attempt, PoolId};

use super::fact::{Fact, Step};
use super::fleet::pools::{Pool, PoolQueue};
use super::jobs::JobRef;
use super::{Effect, Rooms};

/// The looks at all queues.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    asked_at: Duration,
    /// The one under way.
    question: Option<Question>,
    /// What the beats did not name when no answer waited to be read: gone, if no answer was on its
    /// way to us either. That one comes before the next tick.
    unnamed: Vec<(JobRef, Attempt)>,
}

/// A look under way.
#[derive(Debug)]
struct Question {
    asked_at: Duration,
    /// The attempts that the beats did not name then.
    candidates: Vec<(JobRef, Attempt)>,
}

impl Sweep {
    /// What was seen does not count; the question is under way all the same.
    pub(super) fn void(&mut self) {
        self.unnamed.clear();
        if let Some(question) = &mut self.question {
            question.candidates.clear();
        }
    }
}

impl Rooms {
    pub(super) fn sweep(&mut self) {
        if self.leadership.leading().is_none() || !self.leadership.judges {
            return;
        }
        for (job, attempt) in std::mem::take(&mut self.sweep.unnamed) {
            self.sweep_job(job, attempt);
        }
        if self.now.saturating_sub(self.sweep.asked_at) >= SWEEP && self.sweep.question.is_none() {
            self.empty_drained();
            self.fleet.sweep_orphans();
            let candidates =
                self.fleet.pools.values().flat_map(|pool| self.gone_of(pool)).collect();
            self.ask_depths(candidates);
        }
    }

    /// Asks about the queues that a job may have been lost from, and `sd.answers`; unless a
    /// question is under way.
    pub(super) fn ask_depths(&mut self, candidates: Vec<(JobRef, Attempt)>) {
        if self.sweep.question.is_some() {
            return;
        }
        let lies_there = |job: &JobRef| {
            let out = self.jobs.get(*job).and_then(|job| job.out());
            out.is_some_and(|out| out.seen_empty.is_none())
        };
        let pools: Vec<PoolId> = self
            .fleet
            .pools
            .iter()
            .filter(|(_, pool)| {
                pool.out.iter().any(lies_there) || self.fleet.has_orphans_in(&pool.orphans)
            })
            .map(|(id, _)| *id)
            .collect();
        self.sweep.asked_at = self.now;
        if !pools.is_empty() || !candidates.is_empty() || self.leadership.is_draining() {
            self.sweep.question = Some(Question { asked_at: self.now, candidates });
            self.outbox.push(Effect::AskDepths { asked_at: self.now, pools });
        }
    }

    /// A look failed: the next one may begin.
    pub(super) fn depths_unseen(&mut self, asked_at: Duration) {
        self.sweep.question.take_if(|question| question.asked_at == asked_at);
    }

    pub(super) fn depths(
        &mut self,
        asked_at: Duration,
        pools: &[(PoolId, Option<u32>)],
        answers: u32,
    ) {
        // Of another term: what it asked about is forgotten.
        let asked = self.sweep.question.take_if(|question| question.asked_at == asked_at);
        let Some(Question { candidates, .. }) = asked else { return };
        for (id, messages) in pools {
            if messages.unwrap_or(0) == 0 {
                self.pool_seen_empty(*id, asked_at);
                self.fleet.orphans_seen_out(*id, asked_at, self.now);
            } else {
                self.welcome_idle(*id);
            }
            if messages.is_none()
                && let Some(pool) = self.fleet.pools.get_mut(id)
                && pool.queue == PoolQueue::Declared
            {
                pool.queue = PoolQueue::Unknown;
                self.want_declared(*id);
            }
        }
        if answers == 0 {
            self.leadership.answers_seen_empty();
            self.sweep.unnamed = candidates;
        }
    }

    /// Every job that was in the queue before the question is with a worker now, or gone.
    fn pool_seen_empty(&mut self, id: PoolId, asked_at: Duration) {
        let Some(pool) = self.fleet.pools.get(&id) else { return };
        for job in &pool.out {
            if let Some(out) = self.jobs.get_mut(*job).and_then(|job| job.out_mut())
                && out.confirmed.is_some_and(|confirmed| confirmed <= asked_at)
            {
                out.seen_empty.get_or_insert(self.now);
            }
        }
    }

    /// The pool's attempts that are in no beat though they should be.
    fn gone_of(&self, pool: &Pool) -> Vec<(JobRef, Attempt)> {
        let heard = |worker| self.fleet.workers.get(worker).and_then(|worker| worker.heard);
        let floor = pool.workers.iter().map(|worker| heard(*worker)).min().flatten();
        let Some(floor) = floor else { return vec![] };
        let is_gone = |job: &JobRef| {
            let attempt = self.jobs.get(*job)?.out()?.attempt;
            self.is_gone(*job, pool, floor).then_some((*job, attempt))
        };
        pool.out.iter().filter_map(is_gone).collect()
    }

    /// Whether a job is in no beat. `floor` is when the worker was heard that was heard the
    /// longest ago.
    fn is_gone(&self, job: JobRef, pool: &Pool, floor: Duration) -> bool {
        let Some((found, out)) = self.jobs.get(job).and_then(|found| Some((found, found.out()?)))
        else {
            return false;
        };
        if let Some(holder) = out.holder.filter(|holder| holder.evidence) {
            // Its worker had it. Only that worker can say that it has not any more.
            return holder.dropped && !self.fleet.workers.names(holder.worker, found.key);
        }
        let after = if found.is_suspect() { SWEEP_MARKED_AFTER } else { SWEEP_AFTER };
        let seen = out.seen_empty.is_some_and(|seen| floor >= seen + after);
        seen && !self.fleet.workers.naming(found.key).any(|worker| pool.workers.contains(&worker))
    }

    fn sweep_job(&mut self, job: JobRef, attempt: Attempt) {
        let out = self.jobs.get(job).and_then(|job| job.out());
        let Some(out) = out.filter(|out| out.attempt == attempt) else { return };
        let Some(pool) = out.pool.and_then(|pool| self.fleet.pools.get(&pool)) else { return };
        if !self.is_gone(job, pool, self.now) {
            return;
        }
        let attempt = out.run;
        self.outbox.tell(Fact::Job(job, Step::Swept { attempt }));
        self.place_again_marked(job);
    }

    /// A pool that only drains takes nothing more: what lies in its queue goes elsewhere.
    fn empty_drained(&mut self) {
        let now = self.now;
        let drains = |pool: &Pool| {
            pool.queue == PoolQueue::Declared
                && !pool.workers.is_empty()
                && pool.heard.is_none_or(|heard| now.saturating_sub(heard) >= SWEEP * 2)
                && pool.workers.iter().all(|worker| {
                    let worker = self.fleet.workers.get(*worker);
                    worker.is_some_and(|worker| worker.state == WorkerState::Draining)
                })
        };
        let draining: Vec<PoolId> =
            self.fleet.pools.iter().filter(|(_, pool)| drains(pool)).map(|(id, _)| *id).collect();
        for id in draining {
            let Some(pool) = self.fleet.pools.get_mut(&id) else { continue };
            let crashed = pool.crashed;
            let unheld: Vec<JobRef> = pool
                .out
                .iter()
                .filter(|job| {
                    let out = self.jobs.get(**job).and_then(|job| job.out());
                    out.is_some_and(|out| out.holder.is_none())
                })
                .copied()
                .collect();
            if unheld.is_empty() {
                continue;
            }
            pool.queue = PoolQueue::Unknown;
            self.outbox.push(Effect::Purge(id));
            for job in unheld {
                self.take_from_queue(job, crashed);
            }
            self.fleet.forget_queue(id);
            self.want_declared(id);
        }
    }
}
