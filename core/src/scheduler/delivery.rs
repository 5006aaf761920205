//! Messages to clients and workers: deliveries, control messages, cancels of abandoned attempts.

use std::collections::BTreeMap;

use simple_dist_protocol::limits::LIST_JOBS;
use simple_dist_protocol::message::{Control, Delivered, Delivery};
use simple_dist_protocol::{
    Attempt, ClientId, Generation, JobId, JobKey, PoolId, UserName, WorkerId,
};

use super::fact::Fact;
use super::fleet::orphans::{Location, OrphanId};
use super::ids::{JobRef, UserRef};
use super::outbox::{Sent, delivery_bytes};
use super::{Core, Effect, Origin};

/// The most cancels published in one tick, beyond those of one list; the rest follows in the next.
/// Each goes to one worker and names up to 256 attempts; an attempt in a queue is cancelled at
/// every worker of its pool.
const CANCELS_PER_TICK: usize = 1024;

impl Core {
    /// Sends a delivery to a client that has jobs here.
    pub(super) fn deliver(&mut self, client: (UserRef, ClientId), id: JobId, body: Delivered) {
        let Some(generation) = self.jobs.clients.get(&client).map(|client| client.generation)
        else {
            return;
        };
        let user = self.backlog.users.name(client.0).clone();
        self.deliver_to(&user, (client.0, client.1, generation), id, body);
    }

    /// Sends a delivery to a client's queue. One that exceeds the limits is not lost: the answer
    /// stays among the recent ones, and the client asks again.
    pub(super) fn deliver_to(
        &mut self,
        name: &UserName,
        (user, client, generation): (UserRef, ClientId, Generation),
        id: JobId,
        body: Delivered,
    ) {
        let Some(term) = self.leadership.term() else { return };
        let to = Origin { user: name.clone(), client, generation };
        // An HTTP caller waits in this process, and cannot ask again.
        let bytes = if name.is_http() { 0 } else { delivery_bytes(&body) };
        if !self.outbox.deliveries.reserve((user, client), bytes) {
            return self.outbox.emit(Fact::Undelivered);
        }
        let token = self.outbox.token(Sent::Delivery { user, client, generation, bytes });
        let delivery = Delivery { id, body };
        self.outbox.push(Effect::Deliver { to, term, delivery, token });
    }

    /// Sends the client the marks of its job, and those of the jobs that share its run theirs.
    pub(super) fn send_marks(&mut self, job: JobRef) {
        self.tell_marks(job);
        self.share_evidence(job);
    }

    /// What is known against a job is known against those that share its run: tells their clients
    /// what they do not know.
    pub(super) fn share_evidence(&mut self, leader: JobRef) {
        for follower in self.jobs.runs.followers(leader).collect::<Vec<_>>() {
            let changes = self.jobs.inherit(follower, leader);
            let strikes = self.jobs.get(follower).and_then(|job| job.strikes.as_ref());
            if changes || strikes.is_some_and(|strikes| !strikes.is_noted()) {
                self.tell_marks(follower);
            }
        }
    }

    /// Sends the client the marks of this job alone.
    pub(super) fn tell_marks(&mut self, job: JobRef) {
        let Some(found) = self.jobs.get(job) else { return };
        let Some(strikes) = &found.strikes else { return };
        let (id, marks) = (found.key.id, strikes.marks());
        let client = (found.key.user, found.client);
        self.deliver(client, id, Delivered::Struck(marks));
    }

    pub(super) fn control(&mut self, worker: WorkerId, control: Control) {
        let Some(found) = self.fleet.workers.get(worker) else { return };
        self.control_at(found.user.clone(), (worker, found.generation), control);
    }

    /// Sends a control message by login and generation: the worker may not be known.
    pub(super) fn control_at(
        &mut self,
        user: UserName,
        (worker, generation): (WorkerId, Generation),
        control: Control,
    ) {
        let token = self.outbox.token(Sent::Control { worker, generation });
        self.outbox.push(Effect::Control { user, worker, generation, control, token });
    }

    /// Cancels attempts whose job has ended: at the worker that runs it, or at every worker that
    /// may receive it.
    pub(super) fn cancel_orphans(&mut self) {
        if self.fleet.orphans.uncancelled.is_empty() || self.leadership.leading().is_none() {
            return;
        }
        let mut queued: BTreeMap<PoolId, Vec<OrphanId>> = BTreeMap::new();
        let mut running: BTreeMap<WorkerId, Vec<OrphanId>> = BTreeMap::new();
        for id in std::mem::take(&mut self.fleet.orphans.uncancelled) {
            match self.fleet.orphans.get(&id).map(|orphan| orphan.location) {
                Some(Location::Queue { pool, .. }) => queued.entry(pool).or_default().push(id),
                Some(Location::Slot { worker, .. }) => running.entry(worker).or_default().push(id),
                None => {}
            }
        }
        for (worker, ids) in running {
            self.cancel_at(worker, self.wire_names(&ids));
        }
        let mut sent = 0;
        for (pool, ids) in queued {
            let workers = self.fleet.pools.get(&pool).map(|pool| pool.workers.clone());
            let workers = workers.unwrap_or_default();
            for list in ids.chunks(LIST_JOBS) {
                if sent >= CANCELS_PER_TICK {
                    self.fleet.orphans.uncancelled.extend(list);
                    continue;
                }
                sent += workers.len();
                for worker in &workers {
                    self.cancel_at(*worker, self.wire_names(list));
                }
            }
        }
    }

    /// Sends a newly welcomed worker the cancels it has missed.
    pub(super) fn cancel_orphans_at(&mut self, id: WorkerId) {
        let Some(worker) = self.fleet.workers.get(id) else { return };
        let queued = worker.pool.and_then(|pool| self.fleet.pools.get(&pool));
        let queued = queued.into_iter().flat_map(|pool| &pool.orphans);
        let over = queued.chain(&worker.orphans).filter(|id| self.fleet.orphans.is_over(id));
        let over: Vec<OrphanId> = over.copied().collect();
        self.cancel_at(id, self.wire_names(&over));
    }

    /// The keys and attempts that messages carry.
    fn wire_names(&self, ids: &[OrphanId]) -> Vec<(JobKey, Attempt)> {
        let name = |id: &OrphanId| {
            let user = self.fleet.orphans.get(id)?.user.clone();
            Some((JobKey { user, id: id.0.id }, id.1))
        };
        ids.iter().filter_map(name).collect()
    }

    /// Sends a worker cancels, unless it has yet to be welcomed: then it gets them after that.
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

    /// Declares the pool's queue if that is needed and we lead.
    pub(super) fn ensure_declared(&mut self, pool: PoolId) {
        if self.leadership.leading().is_some() && self.fleet.start_declaring(pool) {
            self.outbox.push(Effect::DeclarePool(pool));
        }
    }
}
