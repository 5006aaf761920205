//! What the silence of workers says: late ones are probed, silent ones lost, and a pool without
//! workers is emptied.

use simple_dist_protocol::limits::{BEAT, BEAT_LATE, WORKER_SILENCE};
use simple_dist_protocol::message::{Control, WorkerState};
use simple_dist_protocol::{Generation, PoolId, WorkerId};

use super::fact::{Fact, RunEnd, Step};
use super::jobs::JobRef;
use super::pools::PoolQueue;
use super::workers::{Fate, Worker};
use super::{Effect, Rooms};

impl Rooms {
    /// The worker's own queue is gone: it will not take anything before it has a new link.
    pub(super) fn worker_unreachable(&mut self, id: WorkerId, generation: Generation) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        if worker.generation != generation || !worker.is_alive() || !worker.is_heard() {
            return;
        }
        worker.fate = Fate::Unreachable;
        worker.welcomed = None;
        let idle = worker.held.is_empty() && worker.holds.is_empty();
        if (worker.leaves || worker.state == WorkerState::Draining) && idle {
            self.lose(id);
        } else {
            self.recount(id);
        }
    }

    /// Who is late is probed, who is silent is lost: one look at each, and then at what each of the
    /// lost held.
    pub(super) fn judge_silence(&mut self) {
        let (now, fresh, leading) = (self.now, self.link.fresh, self.link.leading().is_some());
        let silence =
            |worker: &Worker| now.saturating_sub(worker.heard.unwrap_or(worker.since).max(fresh));
        let mut late = vec![];
        let mut lost = vec![];
        for (id, worker) in self.workers.iter().filter(|(_, worker)| worker.is_alive()) {
            // The answers of one that leaves may be on their way still.
            let left = worker.leaves && worker.holds.is_empty();
            if left || silence(worker) >= WORKER_SILENCE {
                lost.push(id);
            } else if silence(worker) >= BEAT + BEAT_LATE
                && worker.is_heard()
                && worker.fate == Fate::Heard
                && leading
            {
                late.push(id);
            }
        }
        for id in late {
            if let Some(worker) = self.workers.get_mut(id) {
                worker.fate = Fate::Late;
            }
            self.control(id, Control::Probe);
        }
        for id in lost {
            self.lose(id);
        }
    }

    /// A worker is gone, and so is what it held.
    fn lose(&mut self, id: WorkerId) {
        let at = self.now;
        let Some(worker) = self.workers.get_mut(id) else { return };
        let idle = worker.state == WorkerState::Draining && worker.held.is_empty();
        let left = worker.leaves || idle;
        worker.fate = if left { Fate::Left { at } } else { Fate::Lost { at } };
        worker.wanted = None;
        let (pool, holds) = (worker.pool, std::mem::take(&mut worker.holds));
        let orphans = std::mem::take(&mut worker.orphans);
        let (was_heard, held) = (worker.is_heard(), holds.len());
        self.facts.push(Fact::WorkerLost { worker: id, left, was_heard, held });
        for job in holds {
            let out = self.jobs.get(job).and_then(|job| job.out());
            let Some(holder) = out.and_then(|out| out.holder) else { continue };
            if left {
                // It had them in its hands and knew that it would go: none of them has killed it.
                self.detach(job);
                self.weigh(job);
            } else if holder.evidence && !holder.dropped {
                self.strike(job, id);
            } else {
                self.place_again_after_loss(job, id);
            }
        }
        self.forget_orphans(orphans);
        self.recount(id);
        let Some(pool_id) = pool else { return };
        if let Some(pool) = self.pools.get_mut(&pool_id) {
            pool.workers.remove(&id);
            pool.crashed |= !left;
            self.empty_if_deserted(pool_id);
        }
    }

    /// A lost worker had the job, and nothing says that it had begun it by order.
    fn place_again_after_loss(&mut self, job: JobRef, worker: WorkerId) {
        if let Some(out) = self.jobs.get(job).and_then(|job| job.out()).cloned() {
            let attempt = out.run;
            self.facts.push(Fact::Job(job, Step::LostWith { attempt, worker }));
            self.ran_in_vain(job, &out, RunEnd::Lost);
        }
        self.place_again_marked(job);
    }

    /// A pool without workers: what lies in its queue is placed elsewhere, or held.
    pub(super) fn empty_if_deserted(&mut self, id: PoolId) {
        let Some(pool) = self.pools.get(&id).filter(|pool| pool.workers.is_empty()) else { return };
        let (jobs, crashed) = (pool.out.clone(), pool.crashed);
        if self.link.leading().is_some() && pool.queue == PoolQueue::Declared {
            self.effects.push(Effect::Purge(id));
        }
        for job in jobs {
            self.take_from_queue(job, crashed);
        }
        self.forget_queue(id);
        if let Some(pool) = self.pools.remove(&id) {
            for function in pool.functions {
                let function = self.functions.get_mut(function);
                function.pools.remove(&id);
                function.served = function.served.max(pool.heard);
            }
        }
        self.open.remove(&id);
    }

    /// A purged job is placed again; with a mark if a worker that was lost may have had it.
    pub(super) fn take_from_queue(&mut self, job: JobRef, crashed: bool) {
        if crashed {
            self.place_again_marked(job);
        } else {
            if let Some(found) = self.jobs.get_mut(job) {
                found.uncount_run();
            }
            self.detach(job);
            self.weigh(job);
        }
    }
}
