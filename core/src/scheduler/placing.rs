//! Where a job is, and how it gets there: into its function's queue, from there to the pool with
//! room, and out of wherever it is.

use std::time::Duration;

use simple_dist_protocol::limits::LIST_WORK;
use simple_dist_protocol::message::{Delivered, Placement};
use simple_dist_protocol::{Attempt, JobKey, PoolId};

use super::fact::{Fact, Step};
use super::functions::FunctionRef;
use super::jobs::{Holder, JobRef, Line, Out, State};
use super::pools::Depth;
use super::queue::First;
use super::{Effect, Rooms, Sent};

/// What a job of a function that was never measured counts for in its caller's share.
const UNMEASURED: Duration = Duration::from_millis(1);

impl Rooms {
    /// Puts a job that is nowhere into its function's queue.
    pub(super) fn enqueue(&mut self, job: JobRef) {
        self.resolve_again(job);
        let Some(found) = self.jobs.get_mut(job) else { return };
        let line = if found.is_suspect() { Line::Suspect } else { Line::Calm };
        found.state = State::Queued(line);
        let (place, function) = (found.place(), found.function);
        self.facts.push(Fact::Job(job, Step::Queued));
        self.users.waits(place.user, place.client);
        self.functions.get_mut(function).queue(line).push(place, job, &self.users);
        self.ready.insert(function);
    }

    /// Puts a job that is nowhere out to a pool or a worker.
    pub(super) fn put_out(&mut self, job: JobRef, out: Out) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let suspect = found.is_suspect();
        let (pool, holder) = (out.pool, out.holder);
        let id = (found.key, out.attempt);
        found.runs += 1;
        found.state = State::Out(Box::new(Out { holder: None, run: found.runs, ..out }));
        self.forget_orphan(&id);
        self.jobs.out += 1;
        self.facts.push(Fact::Job(job, Step::UnderWay));
        if let Some(pool) = pool {
            self.count_in(job, pool, suspect);
        }
        if let Some(holder) = holder {
            self.hold(job, holder);
        }
    }

    /// Counts a job as under way in a pool.
    pub(super) fn count_in(&mut self, job: JobRef, pool: PoolId, suspect: bool) {
        if let Some(pool) = self.pools.get_mut(&pool) {
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
        self.facts.push(Fact::Job(job, Step::Held { attempt: out.run, worker, running }));
        if let Some(before) = before.filter(|before| before.worker != holder.worker) {
            self.workers.let_go(before.worker, job);
        }
        self.workers.hold(holder.worker, job);
    }

    /// Takes a job out of wherever it is, to be put elsewhere at once.
    pub(super) fn detach(&mut self, job: JobRef) -> Option<Box<Out>> {
        let found = self.jobs.get_mut(job)?;
        let place = found.place();
        match std::mem::replace(&mut found.state, State::Nowhere) {
            State::Nowhere => None,
            State::Queued(line) => {
                self.functions.get_mut(found.function).queue(line).remove(place);
                self.users.waits_no_more(place.user, place.client);
                None
            }
            State::Unnoted { .. } => {
                self.unnoted.remove(&job);
                None
            }
            State::Out(out) => {
                self.jobs.out -= 1;
                if let Some(pool) = out.pool {
                    self.count_out(job, pool);
                }
                if let Some(holder) = out.holder {
                    self.workers.let_go(holder.worker, job);
                }
                Some(out)
            }
        }
    }

    fn count_out(&mut self, job: JobRef, id: PoolId) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        pool.out.remove(&job);
        pool.crashed &= !pool.out.is_empty();
        if pool.suspect == Some(job) {
            pool.suspect = None;
        }
        self.open.insert(id);
    }

    /// Places what waits, as far as there is room: first every slot, then what lies behind them.
    pub(super) fn place_waiting(&mut self) {
        if !self.link.judges || self.link.leading().is_none() {
            return;
        }
        self.offer_ready();
        let pools = std::mem::take(&mut self.open);
        for depth in [Depth::Slots, Depth::Window] {
            for pool in &pools {
                while self.place_first(*pool, depth) {}
            }
        }
    }

    /// Lets the pools know of functions that jobs have come to wait for: once for all jobs of an
    /// event.
    fn offer_ready(&mut self) {
        for function in std::mem::take(&mut self.ready) {
            let Some(known) = self.functions.known_mut(function) else { continue };
            for line in [Line::Calm, Line::Suspect] {
                let Some(first) = known.queue(line).first(&self.users) else { continue };
                for pool in &known.pools {
                    if let Some(pool) = self.pools.get_mut(pool) {
                        pool.turns(line).set(function, Some(first.rank()));
                    }
                }
            }
            self.open.extend(&known.pools);
        }
    }

    /// The first job in this line of all the pool's functions.
    fn first_in(&mut self, id: PoolId, line: Line) -> Option<First> {
        let turns = self.pools.get_mut(&id)?.turns(line);
        loop {
            let (rank, function) = turns.first()?;
            let first = self.functions.get_mut(function).queue(line).first(&self.users);
            let now = first.map(|first| first.rank());
            if now == Some(rank) {
                return first;
            }
            turns.set(function, now);
        }
    }

    /// Places the first of all jobs that this pool may take. Whether it did.
    fn place_first(&mut self, id: PoolId, depth: Depth) -> bool {
        let Some(pool) = self.pools.get(&id) else { return false };
        if !pool.has_room(Some(Duration::ZERO), depth) {
            return false;
        }
        let suspects_too = pool.suspect.is_none();
        let calm = self.first_in(id, Line::Calm);
        let suspect = suspects_too.then(|| self.first_in(id, Line::Suspect)).flatten();
        let first = calm.into_iter().chain(suspect).min_by_key(First::rank);
        let Some(first) = first else { return false };
        let Some(function) = self.jobs.get(first.job).map(|job| job.function) else { return false };
        let work = self.functions.get(function).work.mean();
        if !self.pools.get(&id).is_some_and(|pool| pool.has_room(work, depth)) {
            return false;
        }
        self.place(first.job, id, function);
        true
    }

    fn place(&mut self, job: JobRef, pool: PoolId, function: FunctionRef) {
        let Some(term) = self.term() else { return };
        let now = self.now;
        self.detach(job);
        let Some(found) = self.jobs.get_mut(job) else { return };
        found.attempts += 1;
        let run = found.runs + 1;
        let (attempt, start_confirmed) = (found.attempts, found.is_suspect());
        let function = self.functions.get(function);
        let measured = function.work.mean();
        // Few jobs are spread over all slots before they are lumped together.
        let slots = self.pools.get(&pool).map_or(1, |pool| pool.slots);
        let share = LIST_WORK * slots / u32::try_from(function.jobs).unwrap_or(u32::MAX).max(1);
        let placement = Placement {
            key: JobKey { user: self.users.name(found.key.user).clone(), id: found.key.id },
            function: function.address.clone().expect("what has a pool has an address"),
            args: found.args.clone(),
            budget_ms: u64::try_from(found.deadline.saturating_sub(now).as_millis())
                .unwrap_or(u64::MAX),
            attempt,
            start_confirmed,
            trace: found.trace.clone(),
        };
        let (user, client, key) = (found.key.user, found.client, found.key);
        let attempt = Attempt { term, number: attempt };
        self.users.charge(user, client, measured.unwrap_or(UNMEASURED));
        self.put_out(
            job,
            Out {
                pool: Some(pool),
                attempt,
                run: 0,
                since: now,
                confirmed: None,
                seen_empty: None,
                holder: None,
                came_back: false,
            },
        );
        self.facts.push(Fact::Job(job, Step::Placed { attempt: run, pool }));
        let token = self.token(Sent::Placement { job, key, attempt, pool });
        let alone = LIST_WORK * 2;
        let work = if start_confirmed { alone } else { measured.map_or(alone, |it| it.max(share)) };
        self.effects.push(Effect::Place { pool, term, placement, work, token });
    }

    /// A job that is nowhere goes where its counts allow: into the queue, or first to its client
    /// for a receipt, or to its end.
    pub(super) fn weigh(&mut self, job: JobRef) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let Some(suspicion) = &found.suspicion else { return self.enqueue(job) };
        if suspicion.is_fatal() {
            let poisoned = suspicion.poisoned();
            self.end_by_us(job, poisoned);
        } else if suspicion.is_noted() {
            self.enqueue(job);
        } else {
            found.state = State::Unnoted { told: self.now };
            self.unnoted.insert(job);
            self.facts.push(Fact::Job(job, Step::Queued));
            self.tell_marks(job);
        }
    }

    /// Tells the client what speaks against its job.
    pub(super) fn tell_marks(&mut self, job: JobRef) {
        let Some(found) = self.jobs.get(job) else { return };
        let Some(suspicion) = &found.suspicion else { return };
        let (id, marks) = (found.key.id, suspicion.marks());
        let client = (found.key.user, found.client);
        self.deliver(client, id, Delivered::Struck(marks));
    }
}
