//! Moves a job between its function's queue, a pool's queue and a worker. Every such change is made
//! here, and told to all rooms that count it.

use simple_dist_protocol::PoolId;

use super::Core;
use super::backlog::queue::QueueClass;
use super::fact::{Fact, Step};
use super::fleet::slow_runs::SOONEST;
use super::ids::JobRef;
use super::jobs::{Holder, InFlight, State};

impl Core {
    /// Puts a detached job into its function's queue.
    pub(super) fn enqueue(&mut self, job: JobRef) {
        self.resolve_again(job);
        let Some(found) = self.jobs.get_mut(job) else { return };
        let line = if found.is_marked() {
            QueueClass::Marked
        } else if found.first || self.leadership.has_listened(self.now) {
            QueueClass::Unmarked
        } else {
            QueueClass::Resent
        };
        if line != QueueClass::Marked
            && let Some(leader) = self.run_to_join(job)
        {
            return self.join(job, leader);
        }
        let Some(found) = self.jobs.get_mut(job) else { return };
        found.state = State::Queued(line);
        if let Some(call) = found.call.filter(|_| line != QueueClass::Marked && !found.fresh) {
            self.jobs.runs.wait(call, job);
        }
        let Some(found) = self.jobs.get(job) else { return };
        let (position, function) = (found.position(), found.function);
        let has_fallback = found.has_fallback;
        self.outbox.emit(Fact::Job(job, Step::Queued));
        self.backlog.push(function, line, position, job);
        if has_fallback && self.fleet.is_out_of_reach(function) {
            self.jobs.stranded.push_back(job);
        }
    }

    /// Puts a detached job in flight to a pool or a worker.
    pub(super) fn set_in_flight(&mut self, job: JobRef, in_flight: InFlight) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let (pool, holder) = (in_flight.pool, in_flight.holder);
        let id = (found.key, in_flight.attempt);
        found.runs += 1;
        found.rivals.iter_mut().for_each(|rivals| _ = rivals.remove(in_flight.attempt));
        found.state =
            State::InFlight(Box::new(InFlight { holder: None, run: found.runs, ..in_flight }));
        self.fleet.forget_orphan(&id);
        self.jobs.in_flight += 1;
        self.watch(job);
        self.outbox.emit(Fact::Job(job, Step::UnderWay));
        if let Some(pool) = pool {
            self.add_to_pool(job, pool);
        }
        if let Some(holder) = holder {
            self.hold(job, holder);
        }
        for equal in self.open_run(job) {
            self.detach(equal);
            self.join(equal, job);
        }
    }

    /// The attempt in flight may be slow later.
    fn watch(&mut self, job: JobRef) {
        let Some(found) = self.jobs.get(job).filter(|_| self.config.hedging.share > 0.0) else {
            return;
        };
        let limit = self.fleet.functions.get(found.function).slow.limit().unwrap_or(SOONEST);
        if found.is_blameless() {
            self.jobs.watch(job, self.now + limit);
        }
    }

    /// Counts a job as in flight in a pool.
    pub(super) fn add_to_pool(&mut self, job: JobRef, pool: PoolId) {
        if let Some(pool) = self.fleet.pools.get_mut(&pool) {
            pool.in_flight.insert(job);
            if self.jobs.get(job).is_some_and(|job| job.is_suspect(pool.isolated)) {
                pool.suspect.get_or_insert(job);
            }
        }
    }

    /// Notes that a worker holds the job's attempt.
    pub(super) fn hold(&mut self, job: JobRef, holder: Holder) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        if let Some(running) = holder.running {
            found.began.get_or_insert(running.since);
        }
        let Some(in_flight) = found.in_flight_mut() else { return };
        let before = in_flight.holder.replace(holder);
        let Holder { worker, running, .. } = holder;
        self.outbox.emit(Fact::Job(job, Step::Held { attempt: in_flight.run, worker, running }));
        if let Some(before) = before.filter(|before| before.worker != holder.worker) {
            self.fleet.workers.release(before.worker, job);
        }
        self.fleet.workers.hold(holder.worker, job);
    }

    /// Detaches a job from wherever it is; the caller puts it elsewhere at once.
    pub(super) fn detach(&mut self, job: JobRef) -> Option<Box<InFlight>> {
        let found = self.jobs.get_mut(job)?;
        let (position, call) = (found.position(), found.call);
        match std::mem::replace(&mut found.state, State::Nowhere) {
            State::Nowhere => None,
            State::Queued(line) => {
                self.backlog.remove(found.function, line, position);
                if let Some(call) = call {
                    self.jobs.runs.stop_waiting(call, job);
                }
                None
            }
            State::Following { leader } => {
                self.jobs.runs.unfollow(leader, job);
                None
            }
            State::Unnoted { .. } => {
                self.jobs.unnoted.remove(&job);
                None
            }
            State::InFlight(in_flight) => {
                if let Some(call) = &call {
                    self.jobs.runs.close(call, job);
                }
                self.jobs.in_flight -= 1;
                self.jobs.unwatch(&in_flight);
                if let Some(pool) = in_flight.pool {
                    self.remove_from_pool(job, pool);
                }
                if let Some(holder) = in_flight.holder {
                    self.fleet.workers.release(holder.worker, job);
                }
                Some(in_flight)
            }
        }
    }

    fn remove_from_pool(&mut self, job: JobRef, id: PoolId) {
        let Some(pool) = self.fleet.pools.get_mut(&id) else { return };
        pool.in_flight.remove(&job);
        pool.crashed &= !pool.in_flight.is_empty();
        if pool.suspect == Some(job) {
            pool.suspect = None;
        }
        self.fleet.may_have_room.insert(id);
    }

    /// Resolves a job for any version to a live one.
    pub(super) fn resolve_again(&mut self, job: JobRef) {
        let Some((before, id)) = self.jobs.get(job).map(|job| (job.function, job.key.id)) else {
            return;
        };
        let known = self.fleet.functions.get(before);
        if known.address.is_some() {
            return;
        }
        if let (Some(function), true) = self.resolve(&known.selector, id)
            && let Some(found) = self.jobs.get_mut(job)
        {
            found.function = function;
            self.fleet.functions.get_mut(before).jobs -= 1;
            self.fleet.functions.get_mut(function).jobs += 1;
        }
    }

    /// Moves jobs that wait for any version of a function to the version that is served now.
    pub(super) fn resolve_newly_live(&mut self) {
        for function in std::mem::take(&mut self.fleet.newly_live) {
            let Some(known) = self.fleet.functions.known(function) else { continue };
            let any = self.fleet.functions.unresolved(known.selector.name());
            let waiting: Vec<_> =
                any.into_iter().flat_map(|any| self.backlog.waiting(any)).collect();
            for job in waiting {
                self.detach(job);
                self.enqueue(job);
            }
        }
    }
}
