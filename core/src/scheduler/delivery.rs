//! What clients and workers are told: news of jobs, orders, and which attempts nobody waits for.

use std::collections::BTreeMap;

use simple_dist_protocol::limits::LIST_JOBS;
use simple_dist_protocol::message::{Control, Delivered, Delivery};
use simple_dist_protocol::{
    Attempt, ClientId, Generation, JobId, JobKey, PoolId, UserName, WorkerId,
};

use super::backlog::users::UserRef;
use super::fact::Fact;
use super::fleet::orphans::{OrphanId, Place};
use super::jobs::JobRef;
use super::outbox::{Sent, weight};
use super::{Effect, Origin, Rooms};

/// The most cancels published in one tick, beyond those of one list: what is left is told in the
/// next one. Each goes to one worker and names up to 256 attempts; an attempt that lies in a queue
/// is told to every worker of its pool once.
const TOLD_PER_TICK: usize = 1024;

impl Rooms {
    /// News to a client that has jobs here.
    pub(super) fn deliver(&mut self, client: (UserRef, ClientId), id: JobId, body: Delivered) {
        let Some(generation) = self.jobs.clients.get(&client).map(|client| client.generation)
        else {
            return;
        };
        let user = self.backlog.users.name(client.0).clone();
        self.deliver_to(&user, (client.0, client.1, generation), id, body);
    }

    /// News to a client's queue. What finds no room is not lost: answers of jobs are kept with the
    /// recent ones, and the client asks again.
    pub(super) fn deliver_to(
        &mut self,
        name: &UserName,
        (user, client, generation): (UserRef, ClientId, Generation),
        id: JobId,
        body: Delivered,
    ) {
        let Some(term) = self.leadership.term() else { return };
        let to = Origin { user: name.clone(), client, generation };
        // A caller by HTTP waits for it here, and cannot ask again.
        let bytes = if name.is_http() { 0 } else { weight(&body) };
        if !self.outbox.outgoing.take((user, client), bytes) {
            return self.outbox.tell(Fact::Undelivered);
        }
        let token = self.outbox.token(Sent::Delivery { user, client, generation, bytes });
        let delivery = Delivery { id, body };
        self.outbox.push(Effect::Deliver { to, term, delivery, token });
    }

    /// Tells the client what speaks against its job.
    pub(super) fn tell_marks(&mut self, job: JobRef) {
        let Some(found) = self.jobs.get(job) else { return };
        let Some(suspicion) = &found.suspicion else { return };
        let (id, marks) = (found.key.id, suspicion.marks());
        let client = (found.key.user, found.client);
        self.deliver(client, id, Delivered::Struck(marks));
    }

    pub(super) fn control(&mut self, worker: WorkerId, control: Control) {
        let Some(found) = self.fleet.workers.get(worker) else { return };
        self.control_at(found.user.clone(), (worker, found.generation), control);
    }

    /// Tells a worker something by its login and generation: it may not be known.
    pub(super) fn control_at(
        &mut self,
        user: UserName,
        (worker, generation): (WorkerId, Generation),
        control: Control,
    ) {
        let token = self.outbox.token(Sent::Control { worker, generation });
        self.outbox.push(Effect::Control { user, worker, generation, control, token });
    }

    /// Tells of those that are over: its worker, or every worker that may come to have it.
    pub(super) fn tell_orphans(&mut self) {
        if self.fleet.orphans.untold.is_empty() || self.leadership.leading().is_none() {
            return;
        }
        let mut queued: BTreeMap<PoolId, Vec<OrphanId>> = BTreeMap::new();
        let mut running: BTreeMap<WorkerId, Vec<OrphanId>> = BTreeMap::new();
        for id in std::mem::take(&mut self.fleet.orphans.untold) {
            match self.fleet.orphans.get(&id).map(|orphan| orphan.place) {
                Some(Place::Queue { pool, .. }) => queued.entry(pool).or_default().push(id),
                Some(Place::Slot { worker, .. }) => running.entry(worker).or_default().push(id),
                None => {}
            }
        }
        for (worker, ids) in running {
            self.cancel_at(worker, self.named(&ids));
        }
        let mut told = 0;
        for (pool, ids) in queued {
            let workers = self.fleet.pools.get(&pool).map(|pool| pool.workers.clone());
            let workers = workers.unwrap_or_default();
            for list in ids.chunks(LIST_JOBS) {
                if told >= TOLD_PER_TICK {
                    self.fleet.orphans.untold.extend(list);
                    continue;
                }
                told += workers.len();
                for worker in &workers {
                    self.cancel_at(*worker, self.named(list));
                }
            }
        }
    }

    /// Tells a worker that was just welcomed.
    pub(super) fn tell_welcomed(&mut self, id: WorkerId) {
        let Some(worker) = self.fleet.workers.get(id) else { return };
        let queued = worker.pool.and_then(|pool| self.fleet.pools.get(&pool));
        let queued = queued.into_iter().flat_map(|pool| &pool.orphans);
        let over = queued.chain(&worker.orphans).filter(|id| self.fleet.orphans.is_over(id));
        let over: Vec<OrphanId> = over.copied().collect();
        self.cancel_at(id, self.named(&over));
    }

    /// As they are called on the wire.
    fn named(&self, ids: &[OrphanId]) -> Vec<(JobKey, Attempt)> {
        let name = |id: &OrphanId| {
            let user = self.fleet.orphans.get(id)?.user.clone();
            Some((JobKey { user, id: id.0.id }, id.1))
        };
        ids.iter().filter_map(name).collect()
    }

    /// Tells a worker not to begin these, unless it is still to be welcomed: then it is told.
    pub(super) fn cancel_at(&mut self, id: WorkerId, attempts: Vec<(JobKey, Attempt)>) {
        let term = self.leadership.term();
        let is_welcome = self.fleet.workers.get(id).is_some_and(|worker| {
            worker.is_alive()
                && term.is_some_and(|term| worker.welcomed == Some((worker.generation, term)))
        });
        if is_welcome {
            for list in attempts.chunks(LIST_JOBS) {
                let (keys, attempts) = list.iter().cloned().unzip();
                self.control(id, Control::Cancel { keys, attempts });
            }
        }
    }

    /// Sees to it that the pool's queue is declared, if we lead.
    pub(super) fn want_declared(&mut self, pool: PoolId) {
        if self.leadership.leading().is_some() && self.fleet.wants_declared(pool) {
            self.outbox.push(Effect::DeclarePool(pool));
        }
    }
}
