//! What silence says. Late workers are probed, silent ones lost, and a pool without workers is
//! emptied. Clients ask after their jobs every 15 s: the queue of one that was not heard for twice
//! as long is looked for (the broker deletes it 60 s after its client is gone), and when it is gone
//! its jobs are cancelled. If that client lives after all, it sends them again.

use simple_dist_protocol::limits::{BEAT, BEAT_LATE, WORKER_SILENCE};
use simple_dist_protocol::message::{Control, WorkerState};
use simple_dist_protocol::{Generation, PoolId, WorkerId};

use super::fact::Fact;
use super::fleet::pools::PoolQueue;
use super::fleet::workers::{Fate, Worker};
use super::outbox::Sent;
use super::{Effect, Origin, Rooms};

/// The most queues looked for in one tick.
const PROBES_PER_TICK: usize = 1000;

impl Rooms {
    /// The worker's own queue is gone: it will not take anything before it has a new link.
    pub(super) fn worker_unreachable(&mut self, id: WorkerId, generation: Generation) {
        let Some(worker) = self.fleet.workers.get_mut(id) else { return };
        if worker.generation != generation || !worker.is_alive() || !worker.is_heard() {
            return;
        }
        worker.fate = Fate::Unreachable;
        worker.welcomed = None;
        let idle = worker.held.is_empty() && worker.holds.is_empty();
        if (worker.leaves || worker.state == WorkerState::Draining) && idle {
            self.lose(id);
        } else {
            self.fleet.recount(id, self.leadership.term());
        }
    }

    /// Who is late is probed, who is silent is lost: one look at each, and then at what each of the
    /// lost held.
    pub(super) fn judge_silence(&mut self) {
        let (now, fresh, leading) =
            (self.now, self.leadership.fresh, self.leadership.leading().is_some());
        let silence =
            |worker: &Worker| now.saturating_sub(worker.heard.unwrap_or(worker.since).max(fresh));
        let mut late = vec![];
        let mut lost = vec![];
        for (id, worker) in self.fleet.workers.iter().filter(|(_, worker)| worker.is_alive()) {
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
            if let Some(worker) = self.fleet.workers.get_mut(id) {
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
        let Some(worker) = self.fleet.workers.get_mut(id) else { return };
        let idle = worker.state == WorkerState::Draining && worker.held.is_empty();
        let left = worker.leaves || idle;
        worker.fate = if left { Fate::Left { at } } else { Fate::Lost { at } };
        worker.wanted = None;
        let (pool, holds) = (worker.pool, std::mem::take(&mut worker.holds));
        let orphans = std::mem::take(&mut worker.orphans);
        let (was_heard, held) = (worker.is_heard(), holds.len());
        self.outbox.tell(Fact::WorkerLost { worker: id, left, was_heard, held });
        for job in holds {
            let out = self.jobs.get(job).and_then(|job| job.out());
            let Some(holder) = out.and_then(|out| out.holder) else { continue };
            if left {
                // It had them in its hands and knew that it would go: none of them has killed it.
                self.detach(job);
                self.requeue(job);
            } else if holder.evidence && !holder.dropped {
                self.strike(job, id);
            } else {
                self.place_again_after_loss(job, id);
            }
        }
        self.fleet.forget_orphans(orphans);
        self.fleet.recount(id, self.leadership.term());
        let Some(pool_id) = pool else { return };
        if let Some(pool) = self.fleet.pools.get_mut(&pool_id) {
            pool.workers.remove(&id);
            pool.crashed |= !left;
            self.empty_if_deserted(pool_id);
        }
    }

    /// A pool without workers: what lies in its queue is placed elsewhere, or held.
    pub(super) fn empty_if_deserted(&mut self, id: PoolId) {
        let Some(pool) = self.fleet.pools.get(&id).filter(|pool| pool.workers.is_empty()) else {
            return;
        };
        let (jobs, crashed) = (pool.out.clone(), pool.crashed);
        if self.leadership.leading().is_some() && pool.queue == PoolQueue::Declared {
            self.outbox.push(Effect::Purge(id));
        }
        for job in jobs {
            self.take_from_queue(job, crashed);
        }
        self.fleet.forget_queue(id);
        self.fleet.remove_pool(id);
        self.backlog.forget_pool(id);
    }

    /// Looks for the queues of silent clients. Silence counts only while our own link carries.
    pub(super) fn probe_silent_clients(&mut self) {
        let Some(term) = self.leadership.term().filter(|_| self.leadership.judges) else { return };
        for _ in 0..PROBES_PER_TICK {
            let next = self.jobs.clients.next_silent(self.leadership.fresh, self.now);
            let Some(((user, client), queue)) = next else { return };
            let Some(generation) = queue else { continue };
            let to = Origin { user: self.backlog.users.name(user).clone(), client, generation };
            let token = self.outbox.token(Sent::Delivery { user, client, generation, bytes: 0 });
            self.outbox.push(Effect::ProbeClient { to, term, token });
        }
    }
}
