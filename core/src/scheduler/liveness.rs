//! Liveness. Late workers are probed, silent ones are declared lost, and pools without workers are
//! removed. Clients ask about their jobs every 15 s: if a client is silent for twice as long, its
//! queue is probed (the broker deletes it 60 s after the client is gone), and if the queue is gone,
//! the client's jobs are cancelled. If that client is alive after all, it sends them again.

use simple_dist_protocol::limits::{BEAT, BEAT_LATE, WORKER_SILENCE};
use simple_dist_protocol::message::{Control, WorkerState};
use simple_dist_protocol::{Generation, PoolId, WorkerId};

use super::fact::Fact;
use super::fleet::pools::PoolQueue;
use super::fleet::workers::{Liveness, Worker};
use super::outbox::Sent;
use super::{Core, Effect, Origin};

/// The most client queues probed in one tick.
const PROBES_PER_TICK: usize = 1000;

impl Core {
    /// A worker's will came back: its link has ended. That is sure, but no sign of its death.
    pub(super) fn link_ended(&mut self, id: WorkerId, generation: Generation) {
        let Some(worker) = self.fleet.workers.get_mut(id) else { return };
        if worker.generation == generation {
            worker.ended = Some((generation, self.now));
            self.worker_unreachable(id, generation);
        }
    }

    /// A worker's control queue is gone: it consumes nothing until it has a new link.
    pub(super) fn worker_unreachable(&mut self, id: WorkerId, generation: Generation) {
        let Some(worker) = self.fleet.workers.get_mut(id) else { return };
        let can_be_reached = matches!(worker.liveness, Liveness::Heard | Liveness::Late);
        if worker.generation != generation || !can_be_reached || !worker.is_heard() {
            return;
        }
        worker.liveness = Liveness::Unreachable;
        worker.welcomed = None;
        let idle = worker.held.is_empty() && worker.holds.is_empty();
        if (worker.leaves || worker.state == WorkerState::Draining) && idle {
            return self.declare_lost(id);
        }
        self.fleet.recount(id, self.leadership.term());
        self.release(id);
    }

    /// Probes late workers and declares silent ones lost. Costs one look at each worker, then at
    /// what each lost one held.
    pub(super) fn check_liveness(&mut self) {
        let (now, silence_from, leading) =
            (self.now, self.leadership.silence_from, self.leadership.leading().is_some());
        let silence = |worker: &Worker| {
            now.saturating_sub(worker.heard.unwrap_or(worker.since).max(silence_from))
        };
        let mut late = vec![];
        let mut lost = vec![];
        for (id, worker) in self.fleet.workers.iter().filter(|(_, worker)| worker.is_alive()) {
            // The answers of a leaving worker may still be on their way.
            let left = worker.leaves && worker.holds.is_empty();
            if left || silence(worker) >= WORKER_SILENCE {
                lost.push(id);
            } else if silence(worker) >= BEAT + BEAT_LATE
                && worker.is_heard()
                && worker.liveness == Liveness::Heard
                && leading
            {
                late.push(id);
            }
        }
        for id in late {
            if let Some(worker) = self.fleet.workers.get_mut(id) {
                worker.liveness = Liveness::Late;
            }
            self.control(id, Control::Probe);
        }
        for id in lost {
            self.declare_lost(id);
        }
    }

    /// Declares a worker lost or left, and deals with what it held.
    fn declare_lost(&mut self, id: WorkerId) {
        let at = self.now;
        let Some(worker) = self.fleet.workers.get_mut(id) else { return };
        let idle = worker.state == WorkerState::Draining && worker.held.is_empty();
        let left = worker.leaves || idle;
        worker.liveness = if left { Liveness::Left { at } } else { Liveness::Lost { at } };
        worker.requested_state = None;
        let (pool, holds) = (worker.pool, std::mem::take(&mut worker.holds));
        let orphans = std::mem::take(&mut worker.orphans);
        let (was_heard, held) = (worker.is_heard(), holds.len());
        self.leadership.stop_awaiting(id);
        self.outbox.emit(Fact::WorkerLost { worker: id, left, was_heard, held });
        for job in holds {
            let in_flight = self.jobs.get(job).and_then(|job| job.in_flight());
            let Some(holder) = in_flight.and_then(|in_flight| in_flight.holder) else { continue };
            if left {
                // It held them and announced its departure: none of them killed it.
                self.detach(job);
                self.requeue(job);
            } else if holder.evidence && !holder.dropped {
                self.strike(job, id);
            } else {
                self.requeue_lost(job, id);
            }
        }
        if !left {
            self.rivals_lost(&orphans);
        }
        self.fleet.forget_orphans(orphans);
        self.fleet.recount(id, self.leadership.term());
        let Some(pool_id) = pool else { return };
        if !left {
            self.fleet.lose_reach(pool_id);
        }
        if let Some(pool) = self.fleet.pools.get_mut(&pool_id) {
            pool.workers.remove(&id);
            pool.crashed |= !left;
            self.remove_if_empty(pool_id);
        }
    }

    /// Removes a pool without workers: jobs in its queue are placed elsewhere, or wait.
    pub(super) fn remove_if_empty(&mut self, id: PoolId) {
        let Some(pool) = self.fleet.pools.get(&id).filter(|pool| pool.workers.is_empty()) else {
            return;
        };
        let (jobs, crashed) = (pool.in_flight.clone(), pool.crashed);
        if self.leadership.leading().is_some() && pool.queue == PoolQueue::Declared {
            self.outbox.push(Effect::Purge(id));
        }
        for job in jobs {
            self.requeue_purged(job, crashed);
        }
        self.forget_queue(id, crashed);
        self.fleet.remove_pool(id);
        self.backlog.forget_pool(id);
    }

    /// Probes the queues of silent clients. Silence counts only while our own link works.
    pub(super) fn probe_silent_clients(&mut self) {
        let Some(term) = self.leadership.term().filter(|_| self.leadership.may_act) else { return };
        for _ in 0..PROBES_PER_TICK {
            let next = self.jobs.clients.next_silent(self.leadership.silence_from, self.now);
            let Some(((user, client), queue)) = next else { return };
            let Some(generation) = queue else { continue };
            let to = Origin { user: self.backlog.users.name(user).clone(), client, generation };
            let token = self.outbox.token(Sent::Delivery { user, client, generation, bytes: 0 });
            self.outbox.push(Effect::ProbeClient { to, term, token });
        }
    }
}
