//! The sweep finds placed jobs whose message was lost: the pool's queue was seen empty, no later
//! beat names the job, and no answer waits to be read. Such a job is placed again.
//!
//! At most one query about the queues is open at a time, however long its reply takes. What it
//! will decide is fixed when it is asked: the reply speaks for that moment, and for what the beats
//! had said by then.

use std::time::Duration;

use simple_dist_protocol::limits::{SWEEP, SWEEP_AFTER, SWEEP_MARKED_AFTER};
use simple_dist_protocol::message::WorkerState;
use simple_dist_protocol::{Attempt, PoolId};

use super::fact::{Fact, Step};
use super::fleet::pools::{Pool, PoolQueue};
use super::ids::JobRef;
use super::{Core, Effect};

/// The state of the sweep.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    asked_at: Duration,
    /// The open query.
    query: Option<DepthQuery>,
    /// Attempts that the beats did not name while no answer waited to be read: lost, unless their
    /// answer was just on its way, which would arrive before the next tick.
    missing: Vec<(JobRef, Attempt)>,
}

/// An open query for the depths of the queues.
#[derive(Debug)]
struct DepthQuery {
    asked_at: Duration,
    /// The attempts that the beats did not name when it was asked.
    candidates: Vec<(JobRef, Attempt)>,
}

impl Sweep {
    /// Discards what was seen so far; the query stays open.
    pub(super) fn discard(&mut self) {
        self.missing.clear();
        if let Some(query) = &mut self.query {
            query.candidates.clear();
        }
    }
}

impl Core {
    pub(super) fn sweep(&mut self) {
        if self.leadership.leading().is_none() || !self.leadership.may_act {
            return;
        }
        for (job, attempt) in std::mem::take(&mut self.sweep.missing) {
            self.sweep_job(job, attempt);
        }
        if self.now.saturating_sub(self.sweep.asked_at) >= SWEEP && self.sweep.query.is_none() {
            self.purge_draining_pools();
            let missing = self.fleet.missing_orphans();
            self.rivals_lost(&missing);
            self.fleet.forget_orphans(missing);
            let candidates =
                self.fleet.pools.values().flat_map(|pool| self.missing_in(pool)).collect();
            self.ask_depths(candidates);
        }
    }

    /// Asks about the queues that a job may have been lost from, and `sd.answers`, unless a
    /// query is open.
    pub(super) fn ask_depths(&mut self, candidates: Vec<(JobRef, Attempt)>) {
        if self.sweep.query.is_some() {
            return;
        }
        let lies_there = |job: &JobRef| {
            let in_flight = self.jobs.get(*job).and_then(|job| job.in_flight());
            in_flight.is_some_and(|in_flight| in_flight.seen_empty.is_none())
        };
        let pools: Vec<PoolId> = self
            .fleet
            .pools
            .iter()
            .filter(|(_, pool)| {
                pool.in_flight.iter().any(lies_there) || self.fleet.has_orphans_in(&pool.orphans)
            })
            .map(|(id, _)| *id)
            .collect();
        self.sweep.asked_at = self.now;
        if !pools.is_empty() || !candidates.is_empty() || self.leadership.is_draining() {
            self.sweep.query = Some(DepthQuery { asked_at: self.now, candidates });
            self.outbox.push(Effect::AskDepths { asked_at: self.now, pools });
        }
    }

    /// The query failed: the next one may be asked.
    pub(super) fn depths_failed(&mut self, asked_at: Duration) {
        self.sweep.query.take_if(|query| query.asked_at == asked_at);
    }

    pub(super) fn depths(
        &mut self,
        asked_at: Duration,
        pools: &[(PoolId, Option<u32>)],
        answers: u32,
    ) {
        // A reply to a query of another term is ignored.
        let asked = self.sweep.query.take_if(|query| query.asked_at == asked_at);
        let Some(DepthQuery { candidates, .. }) = asked else { return };
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
                self.ensure_declared(*id);
            }
        }
        if answers == 0 {
            self.leadership.answers_seen_empty();
            self.sweep.missing = candidates;
        }
    }

    /// The pool's queue is empty: every job in it before the query is with a worker, or lost.
    fn pool_seen_empty(&mut self, id: PoolId, asked_at: Duration) {
        let Some(pool) = self.fleet.pools.get(&id) else { return };
        for job in &pool.in_flight {
            if let Some(in_flight) = self.jobs.get_mut(*job).and_then(|job| job.in_flight_mut())
                && in_flight.confirmed.is_some_and(|confirmed| confirmed <= asked_at)
            {
                in_flight.seen_empty.get_or_insert(self.now);
            }
        }
    }

    /// The pool's attempts that should be in a beat and are not.
    fn missing_in(&self, pool: &Pool) -> Vec<(JobRef, Attempt)> {
        let heard = |worker| self.fleet.workers.get(worker).and_then(|worker| worker.heard);
        let floor = pool.workers.iter().map(|worker| heard(*worker)).min().flatten();
        let Some(floor) = floor else { return vec![] };
        let is_missing = |job: &JobRef| {
            let attempt = self.jobs.get(*job)?.in_flight()?.attempt;
            self.is_missing(*job, pool, floor).then_some((*job, attempt))
        };
        pool.in_flight.iter().filter_map(is_missing).collect()
    }

    /// Whether a job is missing from the beats. `floor` is when the worker heard longest ago was
    /// heard.
    fn is_missing(&self, job: JobRef, pool: &Pool, floor: Duration) -> bool {
        let Some((found, in_flight)) =
            self.jobs.get(job).and_then(|found| Some((found, found.in_flight()?)))
        else {
            return false;
        };
        if let Some(holder) = in_flight.holder.filter(|holder| holder.evidence) {
            // Its worker has started it: only that worker can say that it no longer holds it.
            return holder.dropped && !self.fleet.workers.names(holder.worker, found.key);
        }
        let after = if found.is_marked() { SWEEP_MARKED_AFTER } else { SWEEP_AFTER };
        let seen = in_flight.seen_empty.is_some_and(|seen| floor >= seen + after);
        seen && !self
            .fleet
            .workers
            .holders_of(found.key)
            .any(|worker| pool.workers.contains(&worker))
    }

    fn sweep_job(&mut self, job: JobRef, attempt: Attempt) {
        let in_flight = self.jobs.get(job).and_then(|job| job.in_flight());
        let Some(in_flight) = in_flight.filter(|in_flight| in_flight.attempt == attempt) else {
            return;
        };
        let Some(pool) = in_flight.pool.and_then(|pool| self.fleet.pools.get(&pool)) else {
            return;
        };
        if !self.is_missing(job, pool, self.now) {
            return;
        }
        let attempt = in_flight.run;
        self.outbox.emit(Fact::Job(job, Step::Swept { attempt }));
        self.requeue_marked(job);
    }

    /// Purges pools whose workers all drain: jobs in their queues go elsewhere.
    fn purge_draining_pools(&mut self) {
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
            let Some(pool) = self.fleet.pools.get(&id) else { continue };
            let crashed = pool.crashed;
            let unheld: Vec<JobRef> = pool
                .in_flight
                .iter()
                .filter(|job| {
                    let in_flight = self.jobs.get(**job).and_then(|job| job.in_flight());
                    in_flight.is_some_and(|in_flight| in_flight.holder.is_none())
                })
                .copied()
                .collect();
            if unheld.is_empty() {
                continue;
            }
            self.empty_queue(id, unheld, crashed);
            self.ensure_declared(id);
        }
    }
}
