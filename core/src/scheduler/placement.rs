//! Where a job is: in its function's queue, in a pool's queue or with a worker, and out of wherever
//! it is. Every change of that is made here, and told to all rooms that count it.

use simple_dist_protocol::PoolId;

use super::Rooms;
use super::fact::{Fact, Step};
use super::jobs::{Holder, JobRef, Line, Out, State};

impl Rooms {
    /// Puts a job that is nowhere into its function's queue.
    pub(super) fn enqueue(&mut self, job: JobRef) {
        self.resolve_again(job);
        let Some(found) = self.jobs.get_mut(job) else { return };
        let line = if found.is_suspect() {
            Line::Suspect
        } else if found.first || self.leadership.has_listened(self.now) {
            Line::Calm
        } else {
            Line::Resent
        };
        found.state = State::Queued(line);
        let (place, function) = (found.place(), found.function);
        self.outbox.tell(Fact::Job(job, Step::Queued));
        self.backlog.push(function, line, place, job);
    }

    /// Puts a job that is nowhere out to a pool or a worker.
    pub(super) fn put_out(&mut self, job: JobRef, out: Out) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let suspect = found.is_suspect();
        let (pool, holder) = (out.pool, out.holder);
        let id = (found.key, out.attempt);
        found.runs += 1;
        found.state = State::Out(Box::new(Out { holder: None, run: found.runs, ..out }));
        self.fleet.forget_orphan(&id);
        self.jobs.out += 1;
        self.outbox.tell(Fact::Job(job, Step::UnderWay));
        if let Some(pool) = pool {
            self.count_in(job, pool, suspect);
        }
        if let Some(holder) = holder {
            self.hold(job, holder);
        }
    }

    /// Counts a job as under way in a pool.
    pub(super) fn count_in(&mut self, job: JobRef, pool: PoolId, suspect: bool) {
        if let Some(pool) = self.fleet.pools.get_mut(&pool) {
            pool.out.insert(job);
            if suspect {
                pool.suspect.get_or_insert(job);
            }
        }
    }

    /// A worker holds the job's attempt, as we hear.
    pub(super) fn hold(&mut self, job: JobRef, holder: Holder) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        if let Some(running) = holder.running {
            found.began.get_or_insert(running.since);
        }
        let Some(out) = found.out_mut() else { return };
        let before = out.holder.replace(holder);
        let Holder { worker, running, .. } = holder;
        self.outbox.tell(Fact::Job(job, Step::Held { attempt: out.run, worker, running }));
        if let Some(before) = before.filter(|before| before.worker != holder.worker) {
            self.fleet.workers.let_go(before.worker, job);
        }
        self.fleet.workers.hold(holder.worker, job);
    }

    /// Takes a job out of wherever it is, to be put elsewhere at once.
    pub(super) fn detach(&mut self, job: JobRef) -> Option<Box<Out>> {
        let found = self.jobs.get_mut(job)?;
        let place = found.place();
        match std::mem::replace(&mut found.state, State::Nowhere) {
            State::Nowhere => None,
            State::Queued(line) => {
                self.backlog.remove(found.function, line, place);
                None
            }
            State::Unnoted { .. } => {
                self.jobs.unnoted.remove(&job);
                None
            }
            State::Out(out) => {
                self.jobs.out -= 1;
                if let Some(pool) = out.pool {
                    self.count_out(job, pool);
                }
                if let Some(holder) = out.holder {
                    self.fleet.workers.let_go(holder.worker, job);
                }
                Some(out)
            }
        }
    }

    fn count_out(&mut self, job: JobRef, id: PoolId) {
        let Some(pool) = self.fleet.pools.get_mut(&id) else { return };
        pool.out.remove(&job);
        pool.crashed &= !pool.out.is_empty();
        if pool.suspect == Some(job) {
            pool.suspect = None;
        }
        self.fleet.open.insert(id);
    }

    /// A job that asked for any version gets the highest that is live.
    pub(super) fn resolve_again(&mut self, job: JobRef) {
        let Some(before) = self.jobs.get(job).map(|job| job.function) else { return };
        let known = self.fleet.functions.get(before);
        if known.address.is_some() {
            return;
        }
        if let (Some(function), true) = self.fleet.resolve(&known.selector)
            && let Some(found) = self.jobs.get_mut(job)
        {
            found.function = function;
            self.fleet.functions.get_mut(before).jobs -= 1;
            self.fleet.functions.get_mut(function).jobs += 1;
        }
    }

    /// Jobs that wait for any version of a function go to the one that is served now, each of them
    /// once.
    pub(super) fn resolve_revived(&mut self) {
        for function in std::mem::take(&mut self.fleet.revived) {
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
