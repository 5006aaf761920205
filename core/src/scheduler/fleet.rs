//! The fleet: which worker serves what, with how many slots, and what occupies them. Functions are
//! interned, workers form pools by the functions they serve, and attempts that belong to no
//! unfinished job (orphans) take space in a pool's queue and in its workers' slots like any other.

pub(crate) mod functions;
pub(crate) mod orphans;
pub(crate) mod pools;
pub(crate) mod slow_runs;
pub(crate) mod workers;

use std::collections::BTreeSet;
use std::time::Duration;

use simple_dist_protocol::message::{Bound, WorkerBeat};
use simple_dist_protocol::{Address, MemoPolicy, PoolId, Selector, Term, WorkerId};

use super::ids::FunctionRef;
use functions::Functions;
use orphans::Orphans;
use pools::{POOLS, Pool, PoolQueue, Pools};
use workers::{Reach, Worker, Workers};

/// The most functions of one worker, and of all pools together.
const SERVED: (usize, usize) = (1024, 65_536);
/// The most jobs that one worker may hold, and that all together may: each takes some 250 bytes
/// here.
const HELD: (usize, usize) = (65_536, 262_144);

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
    /// Functions that are now out of reach and whose jobs may wait for nothing.
    pub(crate) newly_out_of_reach: Vec<FunctionRef>,
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
        if holds > HELD.0 || self.workers.held_by_others(worker) + holds > HELD.1 {
            return Err(Bound::Held);
        }
        if let Some(known) = self.workers.get(worker)
            && let Some(pool) = known.pool
            && *known.functions == *beat.functions
            && known.isolated == beat.isolated
            && *known.deterministic == *beat.deterministic
            && *known.memo == *beat.memo
            && self.pools.contains_key(&pool)
        {
            return Ok((pool, false));
        }
        let (declared, memo) = (&beat.deterministic, &beat.memo);
        let too_many = declared.len().max(memo.len()) > SERVED.0;
        if !(1..=SERVED.0).contains(&beat.functions.len()) || too_many {
            return Err(Bound::Served);
        }
        let id = PoolId::of(&beat.functions, beat.isolated).declaring(declared, memo);
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
            let mut pool = Pool::new(functions.clone(), served.collect(), beat.isolated);
            (pool.deterministic, pool.memo) = (declared.as_slice().into(), memo.as_slice().into());
            let known = declared.iter().filter_map(|address| self.functions.find(address));
            let known = known.filter(|function| functions.contains(function));
            pool.declares = known.map(|function| (function, None)).collect();
            for memo in memo {
                let function = self.functions.find(&memo.function);
                let declared = function.and_then(|function| pool.declares.get_mut(&function));
                declared.into_iter().for_each(|declared| *declared = Some(memo.policy()));
            }
            self.pools.insert(id, pool);
            functions.into_iter().for_each(|function| self.update_determinism(function));
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

    /// A function is deterministic if all its pools declare it so, and its answers are kept as all of
    /// them allow.
    fn update_determinism(&mut self, function: FunctionRef) {
        let pools = || self.functions.get(function).pools.iter();
        let all = pools().next().is_some() && pools().all(|pool| self.declares(*pool, function));
        let of = |pool| *self.pools.get(pool)?.declares.get(&function)?;
        let memo: Option<Vec<MemoPolicy>> = pools().map(of).collect();
        let memo = memo.and_then(|all| all.into_iter().reduce(MemoPolicy::least));
        let known = self.functions.get_mut(function);
        // Other programs may come when the last worker has gone.
        known.refuted &= !known.pools.is_empty();
        let holds = !known.refuted;
        (known.deterministic, known.memo) = (all && holds, memo.filter(|_| holds));
    }

    /// Whether a function was found not to be deterministic.
    pub(crate) fn is_refuted(&self, function: &Address) -> bool {
        let function = self.functions.find(function);
        function.is_some_and(|function| self.functions.get(function).refuted)
    }

    /// Its answers differ by themselves: it is deterministic no longer, whatever its workers declare.
    pub(crate) fn refute(&mut self, function: &Address) {
        if let Some(function) = self.functions.find(function) {
            self.functions.get_mut(function).refuted = true;
            self.update_determinism(function);
        }
    }

    /// Whether the workers of a pool declare a function deterministic.
    fn declares(&self, pool: PoolId, function: FunctionRef) -> bool {
        self.pools.get(&pool).is_some_and(|pool| pool.declares.contains_key(&function))
    }

    /// Whether this worker, and all others that serve the function, declare it deterministic.
    pub(crate) fn is_deterministic(&self, function: FunctionRef, worker: WorkerId) -> bool {
        let pool = self.workers.get(worker).and_then(|worker| worker.pool);
        self.functions.get(function).deterministic
            && pool.is_some_and(|pool| self.declares(pool, function))
    }

    /// Moves a worker to a pool and returns the one it leaves. Real workers never change their
    /// functions, but nothing forbids it.
    pub(crate) fn change_pool(&mut self, id: WorkerId, pool: PoolId) -> Option<PoolId> {
        let worker = self.workers.get_mut(id)?;
        let before = worker.pool.replace(pool);
        let counted = std::mem::take(&mut worker.counted);
        let trips = std::mem::take(&mut worker.counted_trips);
        let occupied = std::mem::take(&mut worker.occupied);
        let reach = std::mem::replace(&mut worker.reach, Reach::Away);
        worker.welcomed = None;
        let left = self.pools.get_mut(&before?)?;
        left.workers.remove(&id);
        left.occupied -= occupied;
        left.trips -= trips;
        self.change_slots(before?, counted, 0);
        self.change_reach(before?, reach, Reach::Away);
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
        let trips = worker.round_trip * slots;
        let counted_trips = std::mem::replace(&mut worker.counted_trips, trips);
        let now = worker.reach_now();
        let reach = std::mem::replace(&mut worker.reach, now);
        let pool = worker.pool;
        self.recount_occupied(id);
        if let Some(pool) = pool {
            self.change_slots(pool, counted, slots);
            self.change_trips(pool, counted_trips, trips);
            self.change_reach(pool, reach, now);
        }
    }

    /// The pool's worker counted as `before` and now counts as `after`.
    fn change_reach(&mut self, id: PoolId, before: Reach, after: Reach) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        let was_linked = pool.linked > 0;
        for (reach, step) in [(before, -1), (after, 1)] {
            match reach {
                Reach::Linked => pool.linked = pool.linked.saturating_add_signed(step),
                Reach::Cut => pool.cut = pool.cut.saturating_add_signed(step),
                Reach::Away => {}
            }
        }
        let is_linked = pool.linked > 0;
        if is_linked != was_linked {
            for function in pool.functions.clone() {
                self.functions.set_pool_linked(function, is_linked);
            }
        }
        if !is_linked && after == Reach::Cut {
            self.lose_reach(id);
        }
    }

    /// A worker of the pool was lost, or its link. With the last link its functions are out of
    /// reach, unless others serve them.
    pub(crate) fn lose_reach(&mut self, id: PoolId) {
        let Some(pool) = self.pools.get(&id).filter(|pool| pool.linked == 0) else { return };
        for function in pool.functions.clone() {
            if self.functions.lose_reach(function) {
                self.newly_out_of_reach.push(function);
                self.served_changed = true;
            }
        }
    }

    /// Whether all workers of the function, or of any version of it, have lost their links.
    pub(crate) fn is_out_of_reach(&self, function: FunctionRef) -> bool {
        let function = self.functions.get(function);
        if function.address.is_some() {
            return function.out_of_reach;
        }
        let name = function.selector.name();
        let versions = || self.functions.versions(name).map(|version| self.functions.get(version));
        versions().any(|version| version.out_of_reach)
            && versions().all(|version| version.out_of_reach || version.pools.is_empty())
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

    /// The pool's worker counted for `counted` of round trips and now counts for `trips`.
    fn change_trips(&mut self, id: PoolId, counted: Duration, trips: Duration) {
        let Some(pool) = self.pools.get_mut(&id) else { return };
        pool.trips = pool.trips - counted + trips;
        if trips > counted {
            self.may_have_room.insert(id);
        }
    }

    /// The function that a selector means, and whether it is live. Without a version: the highest
    /// live one up to `highest`, else the placeholder for any version.
    pub(crate) fn resolve(
        &self,
        selector: &Selector,
        highest: Option<u32>,
    ) -> (Option<FunctionRef>, bool) {
        match selector.address() {
            Some(address) => {
                let function = self.functions.find(&address);
                (function, function.is_some_and(|known| self.functions.get(known).is_live()))
            }
            None => match self.functions.live_version(selector.name(), highest) {
                Some(function) => (Some(function), true),
                None => (self.functions.unresolved(selector.name()), false),
            },
        }
    }

    /// How many slots of a pool are free that are not of this worker, as far as we know.
    pub(crate) fn idle_slots(&self, id: PoolId, beside: Option<WorkerId>) -> usize {
        let Some(pool) = self.pools.get(&id).filter(|pool| pool.takes_jobs()) else { return 0 };
        let worker = beside.and_then(|worker| self.workers.get(worker));
        let worker = worker.filter(|worker| worker.pool == Some(id));
        let (slots, taken) = worker.map_or((0, 0), |worker| {
            (worker.counted as usize, worker.holds.len() + worker.occupied as usize)
        });
        (pool.slots as usize - slots).saturating_sub(pool.load().saturating_sub(taken))
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
            for id_of in pool.functions {
                let function = self.functions.get_mut(id_of);
                function.pools.remove(&id);
                function.served = function.served.max(pool.heard);
                self.update_determinism(id_of);
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
        self.functions.forget_workers();
        self.workers.clear();
        self.pools.clear();
    }

    /// The term is over: nothing is in flight, and no slot counts until its worker is welcomed.
    pub(crate) fn forget_term(&mut self) {
        self.orphans.clear();
        self.may_have_room.clear();
        self.newly_live.clear();
        self.newly_out_of_reach.clear();
        self.served_changed = false;
        self.functions.forget_term();
        for pool in self.pools.values_mut() {
            pool.in_flight.clear();
            pool.suspect = None;
            pool.orphans.clear();
            pool.queue = PoolQueue::Unknown;
            (pool.slots, pool.occupied, pool.trips) = (0, 0, Duration::ZERO);
        }
        self.workers.forget_term();
    }
}
