//! The fleet: which worker serves what, with how many slots, and what occupies them. Functions are
//! interned, workers form pools by the functions they serve, and attempts that belong to no
//! unfinished job (orphans) take space in a pool's queue and in its workers' slots like any other.

pub(crate) mod functions;
pub(crate) mod orphans;
pub(crate) mod pools;
pub(crate) mod workers;

use std::collections::BTreeSet;
use std::time::Duration;

use simple_dist_protocol::limits::LIST_JOBS;
use simple_dist_protocol::message::{Bound, WorkerBeat};
use simple_dist_protocol::{Address, PoolId, Selector, Term, WorkerId};

use super::ids::FunctionRef;
use functions::Functions;
use orphans::Orphans;
use pools::{POOLS, Pool, PoolQueue, Pools};
use workers::{Worker, Workers};

/// The most functions of one worker, and of all pools together.
const SERVED: (usize, usize) = (1024, 65_536);
/// The most jobs that one worker may hold, and that all together may: each takes some 250 bytes
/// here.
const HELD: (usize, usize) = (65_536, 262_144);
/// The most lists a worker may hold for each of its slots: one running, one next.
const LISTS: usize = 2;

/// Functions, pools, workers and orphans.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) functions: Functions,
    pub(crate) pools: Pools,
    pub(crate) workers: Workers,
    pub(crate) orphans: Orphans,
    /// Pools that may have room for a waiting job.
    pub(crate) may_have_room: BTreeSet<PoolId>,
    /// Functions that are now live and whose jobs may wait under the bare name.
    pub(crate) newly_live: Vec<FunctionRef>,
    /// Whether the set of served functions has changed since presence last showed it.
    pub(crate) served_changed: bool,
}

impl Fleet {
    /// The pool of a beat and whether it is new, or the limit that the beat exceeds.
    pub(crate) fn intern_pool(
        &mut self,
        worker: WorkerId,
        beat: &WorkerBeat,
        now: Duration,
    ) -> Result<(PoolId, bool), Bound> {
        let holds = beat.held.len();
        let most = HELD.0.min((beat.slots as usize + 1).saturating_mul(LISTS * LIST_JOBS));
        if holds > most || self.workers.held_by_others(worker) + holds > HELD.1 {
            return Err(Bound::Held);
        }
        if let Some(known) = self.workers.get(worker)
            && let Some(pool) = known.pool
            && *known.functions == *beat.functions
            && self.pools.contains_key(&pool)
        {
            return Ok((pool, false));
        }
        if !(1..=SERVED.0).contains(&beat.functions.len()) {
            return Err(Bound::Served);
        }
        let id = PoolId::of(&beat.functions);
        let is_new = !self.pools.contains_key(&id);
        if is_new {
            if self.pools.len() >= POOLS {
                return Err(Bound::Pools);
            }
            let served: usize = self.pools.values().map(|pool| pool.served.len()).sum();
            if served + beat.functions.len() > SERVED.1 {
                return Err(Bound::Served);
            }
            let functions = self.intern_functions(id, &beat.functions, now)?;
            let served = beat.functions.iter().map(|function| self.functions.address(function));
            self.pools.insert(id, Pool::new(functions, served.collect()));
        }
        Ok((id, is_new))
    }

    /// The functions of a new pool: all of them, or none if there are too many.
    fn intern_functions(
        &mut self,
        pool: PoolId,
        served: &[Address],
        now: Duration,
    ) -> Result<Vec<FunctionRef>, Bound> {
        let mut interned = vec![];
        for address in served {
            match self.functions.intern(&address.clone().into(), now) {
                // Membership in a pool keeps it known while the others are interned.
                Some(function) => {
                    if self.functions.get_mut(function).pools.insert(pool) {
                        interned.push(function);
                    }
                }
                None => {
                    for function in interned {
                        self.functions.get_mut(function).pools.remove(&pool);
                    }
                    return Err(Bound::Functions);
                }
            }
        }
        Ok(interned)
    }

    /// Moves a worker to a pool and returns the one it leaves. Real workers never change their
    /// functions, but nothing forbids it.
    pub(crate) fn change_pool(&mut self, id: WorkerId, pool: PoolId) -> Option<PoolId> {
        let worker = self.workers.get_mut(id)?;
        let before = worker.pool.replace(pool);
        let counted = std::mem::take(&mut worker.counted);
        let occupied = std::mem::take(&mut worker.occupied);
        worker.welcomed = None;
        let left = self.pools.get_mut(&before?)?;
        left.workers.remove(&id);
        left.occupied -= occupied;
        self.change_slots(before?, counted, 0);
        before
    }

    /// Whether a worker serves a function. Usually its pool says so; for a lost worker, whose pool
    /// may be gone, its list is searched.
    pub(crate) fn serves(&self, worker: &Worker, function: FunctionRef) -> bool {
        let function = self.functions.get(function);
        worker.pool.is_some_and(|pool| function.pools.contains(&pool))
            || worker.serves(&function.selector)
    }

    /// Counts a worker's slots in its pool again, after anything about it has changed.
    pub(crate) fn recount(&mut self, id: WorkerId, term: Option<Term>) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        let slots = if worker.takes_jobs(term) { worker.slots } else { 0 };
        let counted = std::mem::replace(&mut worker.counted, slots);
        let pool = worker.pool;
        self.recount_occupied(id);
        pool.into_iter().for_each(|pool| self.change_slots(pool, counted, slots));
    }

    /// The pool's worker counted for `counted` slots and now counts for `slots`.
    fn change_slots(&mut self, id: PoolId, counted: u32, slots: u32) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        let before = pool.slots;
        pool.slots = before - counted + slots;
        if pool.slots == before {
            return;
        }
        self.may_have_room.insert(id);
        let live = pool.slots > 0;
        if live == (before > 0) {
            return;
        }
        self.served_changed = true;
        for function in pool.functions.clone() {
            self.functions.set_pool_live(function, live);
            if live {
                self.functions.get_mut(function).expected = false;
                self.newly_live.push(function);
            }
        }
    }

    /// The function that a selector means, and whether it is live. Without a version: the highest
    /// live one, else the placeholder for any version.
    pub(crate) fn resolve(&self, selector: &Selector) -> (Option<FunctionRef>, bool) {
        match selector.address() {
            Some(address) => {
                let function = self.functions.find(&address);
                (function, function.is_some_and(|known| self.functions.get(known).is_live()))
            }
            None => match self.functions.live_version(selector.name()) {
                Some(function) => (Some(function), true),
                None => (self.functions.unresolved(selector.name()), false),
            },
        }
    }

    /// Whether it, or any version of it, was served before the link was lost.
    pub(crate) fn is_expected(&self, function: FunctionRef) -> bool {
        let function = self.functions.get(function);
        function.expected
            || function.address.is_none()
                && self
                    .functions
                    .versions(function.selector.name())
                    .any(|version| self.functions.get(version).expected)
    }

    /// Whether the pool's queue has to be declared; if so, notes that this has begun.
    pub(crate) fn start_declaring(&mut self, pool: PoolId) -> bool {
        let found = self.pools.get_mut(&pool);
        let unknown = found.filter(|pool| pool.queue == PoolQueue::Unknown);
        unknown.map(|pool| pool.queue = PoolQueue::Asked).is_some()
    }

    /// Removes a pool, and remembers when its functions were last served.
    pub(crate) fn remove_pool(&mut self, id: PoolId) {
        if let Some(pool) = self.pools.remove(&id) {
            for function in pool.functions {
                let function = self.functions.get_mut(function);
                function.pools.remove(&id);
                function.served = function.served.max(pool.heard);
            }
        }
        self.may_have_room.remove(&id);
    }

    /// When a worker that takes jobs of this function was last heard.
    pub(crate) fn served(&self, function: FunctionRef) -> Option<Duration> {
        let function = self.functions.get(function);
        if function.address.is_none() {
            return self.last_served(function.selector.name()).and_then(|it| self.served(it));
        }
        let pools = function.pools.iter().filter_map(|pool| self.pools.get(pool));
        pools.filter_map(|pool| pool.heard).max().max(function.served)
    }

    /// The version of this name that was served last.
    pub(crate) fn last_served(&self, name: &str) -> Option<FunctionRef> {
        self.functions.versions(name).max_by_key(|version| self.served(*version))
    }

    /// The link is down: no worker is known to be alive, and the served functions are expected
    /// back.
    pub(crate) fn forget_all(&mut self) {
        for function in self.functions.iter_mut() {
            function.expected |= !function.pools.is_empty();
            function.pools.clear();
        }
        self.workers.clear();
        self.pools.clear();
    }

    /// The term is over: nothing is in flight, and no slot counts until its worker is welcomed.
    pub(crate) fn forget_term(&mut self) {
        self.orphans.clear();
        self.may_have_room.clear();
        self.newly_live.clear();
        self.served_changed = false;
        self.functions.forget_term();
        for pool in self.pools.values_mut() {
            pool.in_flight.clear();
            pool.suspect = None;
            pool.orphans.clear();
            pool.queue = PoolQueue::Unknown;
            (pool.slots, pool.occupied) = (0, 0);
        }
        self.workers.forget_term();
    }
}
