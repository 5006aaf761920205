//! What workers say of themselves: beats, the pools they form by them, welcome, drain.

use std::sync::Arc;

use simple_dist_protocol::limits::LIST_JOBS;
use simple_dist_protocol::message::{Bound, Control, WorkerBeat, WorkerState};
use simple_dist_protocol::{Address, PoolId, UserName, WorkerId};

use super::fact::{Fact, Why};
use super::functions::FunctionRef;
use super::jobs::JobRef;
use super::pools::{POOLS, Pool, PoolQueue};
use super::workers::{Fate, Worker};
use super::{Effect, Rooms, Sent};

/// The most functions of a worker, and of all pools together.
const SERVED: (usize, usize) = (1024, 65_536);
/// The most jobs in one worker's hands, and in all: each takes some 250 bytes here.
const HELD: (usize, usize) = (65_536, 262_144);
/// The most lists in a worker's hands for each of its slots: one that runs, and one that is next.
const LISTS: usize = 2;
/// The most characters kept of what a worker calls its host and its version.
const LABEL: usize = 128;
/// The most slots that a worker may claim.
const SLOTS: u32 = 65_536;

impl Rooms {
    pub(super) fn beat(&mut self, user: &UserName, beat: WorkerBeat) {
        if !self.link.is_up() {
            return;
        }
        let id = beat.worker;
        let mut back = true;
        if let Some(known) = self.workers.get(id) {
            if known.user != *user {
                self.ignore(Why::Forged(1));
                return;
            }
            if known.is_heard() && (beat.generation, beat.seq) <= (known.generation, known.seq) {
                return;
            }
            back = !(known.is_heard() && known.is_alive());
        }
        let pool = match self.meet_pool(id, &beat) {
            Ok(pool) => pool,
            Err(bound) => return self.refuse_beat(user, &beat, bound),
        };
        let now = self.now;
        let served = self.pools.get(&pool).map(|pool| Arc::clone(&pool.served));
        let Some(worker) = self.workers.meet(id, user, now) else {
            return self.refuse_beat(user, &beat, Bound::Workers);
        };
        worker.generation = beat.generation;
        worker.seq = beat.seq;
        worker.host = beat.host.chars().take(LABEL).collect();
        worker.version = beat.version.chars().take(LABEL).collect();
        worker.functions = served.unwrap_or_default();
        worker.slots = beat.slots.min(SLOTS);
        worker.state = beat.state;
        worker.leaves = beat.leaves;
        worker.heard = Some(now);
        worker.fate = Fate::Heard;
        worker.wanted = worker.wanted.filter(|wanted| *wanted != beat.state);
        let moves = worker.pool != Some(pool);
        self.facts.push(Fact::WorkerHeard(id));
        if moves {
            self.change_pool(id, pool);
        }
        let live = self.workers.get(id).is_some_and(|worker| !worker.drains());
        if let Some(pool) = self.pools.get_mut(&pool) {
            pool.workers.insert(id);
            if live {
                pool.heard = Some(now);
            }
        }
        self.take_strikes_back(id, &beat.held);
        self.hear_held(id, beat.held);
        if back {
            for ended in self.recent.prove(user, id) {
                self.ended(id, ended);
            }
        }
        self.want_declared(pool);
        self.welcome(id);
        self.want_again(id);
        self.recount(id);
    }

    /// A beat does not fit: nothing of it counts, and its worker is told why.
    fn refuse_beat(&mut self, user: &UserName, beat: &WorkerBeat, bound: Bound) {
        self.facts.push(Fact::TurnedAway(bound));
        if self.link.leading().is_none() {
            return;
        }
        let (worker, generation) = (beat.worker, beat.generation);
        let token = self.token(Sent::Control { worker, generation });
        let (user, control) = (user.clone(), Control::Refused { bound });
        self.effects.push(Effect::Control { user, worker, generation, control, token });
    }

    /// The pool of a beat, or the bound that it does not keep.
    fn meet_pool(&mut self, worker: WorkerId, beat: &WorkerBeat) -> Result<PoolId, Bound> {
        let holds = beat.held.len();
        let most = HELD.0.min((beat.slots as usize + 1).saturating_mul(LISTS * LIST_JOBS));
        if holds > most || self.workers.held_beside(worker) + holds > HELD.1 {
            return Err(Bound::Held);
        }
        if let Some(known) = self.workers.get(worker)
            && let Some(pool) = known.pool
            && *known.functions == *beat.functions
            && self.pools.contains_key(&pool)
        {
            return Ok(pool);
        }
        if !(1..=SERVED.0).contains(&beat.functions.len()) {
            return Err(Bound::Served);
        }
        let id = PoolId::of(&beat.functions);
        if !self.pools.contains_key(&id) {
            if self.pools.len() >= POOLS {
                return Err(Bound::Pools);
            }
            let served: usize = self.pools.values().map(|pool| pool.served.len()).sum();
            if served + beat.functions.len() > SERVED.1 {
                return Err(Bound::Served);
            }
            let functions = self.meet_functions(id, &beat.functions)?;
            let waits = |function: &&FunctionRef| self.functions.get(**function).waits();
            self.ready.extend(functions.iter().filter(waits));
            let served = beat.functions.iter().map(|function| self.functions.address(function));
            self.pools.insert(id, Pool::new(functions, served.collect()));
        }
        Ok(id)
    }

    /// The functions of a new pool; all of them, or none if there are too many.
    fn meet_functions(
        &mut self,
        pool: PoolId,
        served: &[Address],
    ) -> Result<Vec<FunctionRef>, Bound> {
        let mut met = vec![];
        for address in served {
            match self.functions.meet(&address.clone().into(), self.now) {
                // Being of a pool keeps it known while the others are met.
                Some(function) => {
                    if self.functions.get_mut(function).pools.insert(pool) {
                        met.push(function);
                    }
                }
                None => {
                    for function in met {
                        self.functions.get_mut(function).pools.remove(&pool);
                    }
                    return Err(Bound::Functions);
                }
            }
        }
        Ok(met)
    }

    /// A worker belongs to a pool from now on. That never changes, but nothing forbids it.
    fn change_pool(&mut self, id: WorkerId, pool: PoolId) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        let before = worker.pool.replace(pool);
        let counted = std::mem::take(&mut worker.counted);
        let occupied = std::mem::take(&mut worker.occupied);
        worker.welcomed = None;
        if let Some(before) = before
            && let Some(left) = self.pools.get_mut(&before)
        {
            left.workers.remove(&id);
            left.occupied -= occupied;
            self.change_slots(before, counted, 0);
            self.empty_if_deserted(before);
        }
    }

    /// Whether a worker serves a function. Its pool says so, mostly; the list of a lost one, whose
    /// pool may be gone, is read through.
    pub(super) fn serves(&self, worker: &Worker, function: FunctionRef) -> bool {
        let function = self.functions.get(function);
        worker.pool.is_some_and(|pool| function.pools.contains(&pool))
            || worker.serves(&function.selector)
    }

    /// Lets a worker consume its pool, once on every link of it in every term.
    fn welcome(&mut self, id: WorkerId) {
        let Some(term) = self.term() else { return };
        let Some(worker) = self.workers.get_mut(id) else { return };
        let Some(pool) = worker.pool else { return };
        let declared = self.pools.get(&pool).is_some_and(|pool| pool.queue == PoolQueue::Declared);
        let now = Some((worker.generation, term));
        if declared && worker.is_alive() && worker.welcomed != now {
            worker.welcomed = now;
            self.control(id, Control::Welcome { term, pool });
            self.tell_welcomed(id);
        }
    }

    /// Jobs lie in the pool's queue. A worker that holds nothing may not consume it: its welcome is
    /// the one message that nobody answers, so it gets it again.
    pub(super) fn welcome_idle(&mut self, id: PoolId) {
        let Some(term) = self.term() else { return };
        let workers = self.pools.get(&id).map(|pool| pool.workers.clone()).unwrap_or_default();
        for worker in workers {
            let known = self.workers.get(worker);
            if known.is_some_and(|it| it.held.is_empty() && it.takes_jobs(Some(term))) {
                self.control(worker, Control::Welcome { term, pool: id });
            }
        }
    }

    pub(super) fn pool_declared(&mut self, id: PoolId, declared: bool) {
        let now = self.now;
        let Some(pool) = self.pools.get_mut(&id).filter(|pool| pool.queue == PoolQueue::Asked)
        else {
            return;
        };
        if !declared {
            pool.queue = PoolQueue::Failed { at: now };
            return;
        }
        pool.queue = PoolQueue::Declared;
        self.open.insert(id);
        for worker in pool.workers.clone() {
            self.welcome(worker);
            self.recount(worker);
        }
    }

    /// A person wants a worker to drain, or to go on.
    pub(super) fn want_draining(&mut self, id: WorkerId, draining: bool) {
        let wanted = if draining { WorkerState::Draining } else { WorkerState::Live };
        let Some(worker) = self.workers.get_mut(id).filter(|worker| worker.is_alive()) else {
            return;
        };
        worker.wanted = Some(wanted);
        self.want_again(id);
        self.recount(id);
    }

    fn want_again(&mut self, id: WorkerId) {
        if self.link.leading().is_none() {
            return;
        }
        match self.workers.get(id).and_then(|worker| worker.wanted) {
            Some(WorkerState::Draining) => self.control(id, Control::Drain),
            Some(WorkerState::Live) => self.control(id, Control::Resume),
            None => {}
        }
    }

    /// Counts a worker's slots in its pool, after anything about it has changed.
    pub(super) fn recount(&mut self, id: WorkerId) {
        let term = self.term();
        let Some(worker) = self.workers.get_mut(id) else { return };
        let slots = if worker.takes_jobs(term) { worker.slots } else { 0 };
        let counted = std::mem::replace(&mut worker.counted, slots);
        let occupied = u32::try_from(worker.orphans.len()).unwrap_or(u32::MAX).min(slots);
        let was_occupied = std::mem::replace(&mut worker.occupied, occupied);
        let Some(id) = worker.pool else { return };
        if let Some(pool) = self.pools.get_mut(&id) {
            pool.occupied = pool.occupied - was_occupied + occupied;
        }
        if occupied < was_occupied {
            self.open.insert(id);
        }
        self.change_slots(id, counted, slots);
    }

    /// A worker of the pool counted for so many slots, and does for so many from now on.
    fn change_slots(&mut self, id: PoolId, counted: u32, slots: u32) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        let before = pool.slots;
        pool.slots = before - counted + slots;
        if pool.slots == before {
            return;
        }
        self.open.insert(id);
        let lives = pool.slots > 0;
        if lives == (before > 0) {
            return;
        }
        if let Some(leading) = self.link.leading_mut() {
            leading.changed = true;
        }
        for function in pool.functions.clone() {
            self.functions.pool_lives(function, lives);
            if lives {
                self.functions.get_mut(function).expected = false;
                self.resolve_waiting(function);
            }
        }
    }

    /// Jobs that wait for any version of a function go to the one that is served now, each of them
    /// once.
    fn resolve_waiting(&mut self, function: FunctionRef) {
        let Some(any) = self.functions.unresolved(self.functions.get(function).selector.name())
        else {
            return;
        };
        let from = self.functions.get(any);
        let waiting: Vec<JobRef> = from.calm.jobs().chain(from.suspects.jobs()).collect();
        for job in waiting {
            self.detach(job);
            self.enqueue(job);
        }
    }

    /// A job that asked for any version gets the highest that is live.
    pub(super) fn resolve_again(&mut self, job: JobRef) {
        let Some(before) = self.jobs.get(job).map(|job| job.function) else { return };
        let known = self.functions.get(before);
        if known.address.is_some() {
            return;
        }
        if let (Some(function), true) = self.resolve(&known.selector)
            && let Some(found) = self.jobs.get_mut(job)
        {
            found.function = function;
            self.functions.get_mut(before).jobs -= 1;
            self.functions.get_mut(function).jobs += 1;
        }
    }
}
