//! Gives up what a worker out of reach leaves behind: what lies in its pool's queue, if nobody else
//! consumes that; and, if it is isolated, what it holds, since its silence says nothing about that.
//! Each job of isolated workers is given up like that only once in a term, so that a link that comes
//! and goes does not multiply its runs; later it waits until its worker is heard or lost.
//!
//! What runs in the threads of another worker is doubted: it may have ended that. It has its mark at
//! once, so that its caller does not run it meanwhile, and loses it when the worker is heard with it.

use simple_dist_protocol::{PoolId, WorkerId};

use super::fact::{Fact, Step};
use super::fleet::pools::PoolQueue;
use super::ids::JobRef;
use super::{Core, Effect};

impl Core {
    /// A worker is out of reach.
    pub(super) fn release(&mut self, id: WorkerId) {
        let Some(worker) = self.fleet.workers.get(id) else { return };
        let (pool, holds) = (worker.pool, worker.holds.clone());
        let (isolated, leaves) = (worker.isolated, worker.leaves);
        let unheld = pool.map(|pool| self.unheld(pool)).unwrap_or_default();
        for job in holds {
            if !isolated {
                self.doubt(job);
            } else if self.may_be_released(job) {
                self.requeue_lost(job, id);
            }
        }
        if !isolated && !leaves {
            self.doubt_rivals(id);
        }
        let left_behind = isolated || !unheld.is_empty();
        if let Some(pool) = pool.filter(|pool| left_behind && self.is_out_of_reach(*pool)) {
            self.empty_queue(pool, unheld, true);
        }
    }

    /// Takes what is left out of a pool's queue, and requeues these jobs, whose attempts were there.
    /// Before it is used again it has to be declared.
    pub(super) fn empty_queue(&mut self, id: PoolId, jobs: Vec<JobRef>, crashed: bool) {
        let Some(pool) = self.fleet.pools.get_mut(&id) else { return };
        pool.queue = PoolQueue::Unknown;
        self.outbox.push(Effect::Purge(id));
        for job in jobs {
            self.requeue_purged(job, crashed);
        }
        self.forget_queue(id, crashed);
    }

    /// Forgets the orphans in a pool's queue, which a lost worker may have had.
    pub(super) fn forget_queue(&mut self, id: PoolId, crashed: bool) {
        let Some(pool) = self.fleet.pools.get_mut(&id) else { return };
        let orphans = std::mem::take(&mut pool.orphans);
        if crashed {
            self.rivals_lost(&orphans);
        }
        self.fleet.forget_orphans(orphans);
    }

    fn doubt(&mut self, job: JobRef) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let Some(attempt) = found.in_flight().filter(|it| it.runs()).map(|it| it.attempt) else {
            return;
        };
        if found.strikes_mut().doubt(attempt) {
            self.outbox.emit(Fact::Job(job, Step::Marked));
            self.send_marks(job);
        }
    }

    fn may_be_released(&self, job: JobRef) -> bool {
        let strikes = self.jobs.get(job).and_then(|job| job.strikes.as_ref());
        !strikes.is_some_and(|strikes| strikes.was_spared())
    }

    /// Whether no worker of the pool can be reached.
    fn is_out_of_reach(&self, id: PoolId) -> bool {
        let pool = self.fleet.pools.get(&id);
        self.leadership.leading().is_some()
            && pool.is_some_and(|pool| pool.queue == PoolQueue::Declared && pool.linked == 0)
    }

    /// The pool's jobs that no worker is known to hold, and that may be released.
    fn unheld(&self, id: PoolId) -> Vec<JobRef> {
        let Some(pool) = self.fleet.pools.get(&id) else { return vec![] };
        let is_unheld = |job: &JobRef| {
            let in_flight = self.jobs.get(*job).and_then(|job| job.in_flight());
            in_flight.is_some_and(|in_flight| in_flight.holder.is_none())
        };
        let may_go = |job: &JobRef| !pool.isolated || self.may_be_released(*job);
        pool.in_flight.iter().copied().filter(|job| is_unheld(job) && may_go(job)).collect()
    }
}
