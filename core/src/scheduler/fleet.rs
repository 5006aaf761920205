//! The fleet: who serves what, with how many slots, and what takes room there. Functions are
//! interned, workers form pools by the functions they serve, and attempts that belong to no job
//! under way (the orphans) take room in a pool's queue and in its workers' slots like any other.

pub(crate) mod functions;
pub(crate) mod orphans;
pub(crate) mod pools;
pub(crate) mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::{LIST_JOBS, SWEEP_AFTER};
use simple_dist_protocol::message::{Answer, Bound, End, WorkerBeat};
use simple_dist_protocol::{Address, PoolId, Selector, Term, UserName, WorkerId};

use super::jobs::{Holder, Key, Out, Running};

use functions::{FunctionRef, Functions};
use orphans::{Orphan, OrphanId, Orphans, Place};
use pools::{POOLS, Pool, PoolQueue, Pools};
use workers::{HeldJob, Worker, Workers};

/// The most functions of a worker, and of all pools together.
const SERVED: (usize, usize) = (1024, 65_536);
/// The most jobs in one worker's hands, and in all: each takes some 250 bytes here.
const HELD: (usize, usize) = (65_536, 262_144);
/// The most lists in a worker's hands for each of its slots: one that runs, and one that is next.
const LISTS: usize = 2;

/// Who serves what.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) functions: Functions,
    pub(crate) pools: Pools,
    pub(crate) workers: Workers,
    pub(crate) orphans: Orphans,
    /// Pools where there may be room for a job that waits.
    pub(crate) open: BTreeSet<PoolId>,
    /// Functions that have become live, whose jobs may wait under another name.
    pub(crate) revived: Vec<FunctionRef>,
    /// What is served has changed.
    pub(crate) changed: bool,
}

impl Fleet {
    /// The pool of a beat and whether it is new, or the bound that it does not keep.
    pub(crate) fn meet_pool(
        &mut self,
        worker: WorkerId,
        beat: &WorkerBeat,
        now: Duration,
    ) -> Result<(PoolId, bool), Bound> {
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
            let functions = self.meet_functions(id, &beat.functions, now)?;
            let served = beat.functions.iter().map(|function| self.functions.address(function));
            self.pools.insert(id, Pool::new(functions, served.collect()));
        }
        Ok((id, is_new))
    }

    /// The functions of a new pool; all of them, or none if there are too many.
    fn meet_functions(
        &mut self,
        pool: PoolId,
        served: &[Address],
        now: Duration,
    ) -> Result<Vec<FunctionRef>, Bound> {
        let mut met = vec![];
        for address in served {
            match self.functions.meet(&address.clone().into(), now) {
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
    /// The one it leaves.
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

    /// Whether a worker serves a function. Its pool says so, mostly; the list of a lost one, whose
    /// pool may be gone, is read through.
    pub(crate) fn serves(&self, worker: &Worker, function: FunctionRef) -> bool {
        let function = self.functions.get(function);
        worker.pool.is_some_and(|pool| function.pools.contains(&pool))
            || worker.serves(&function.selector)
    }

    /// Counts a worker's slots in its pool, after anything about it has changed.
    pub(crate) fn recount(&mut self, id: WorkerId, term: Option<Term>) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        let slots = if worker.takes_jobs(term) { worker.slots } else { 0 };
        let counted = std::mem::replace(&mut worker.counted, slots);
        let pool = worker.pool;
        self.recount_occupied(id);
        pool.into_iter().for_each(|pool| self.change_slots(pool, counted, slots));
    }

    /// Counts the slots that orphans take, of those that are counted in the pool.
    fn recount_occupied(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        let occupied = u32::try_from(worker.orphans.len()).unwrap_or(u32::MAX).min(worker.counted);
        let before = std::mem::replace(&mut worker.occupied, occupied);
        let Some(id) = worker.pool else { return };
        if let Some(pool) = self.pools.get_mut(&id) {
            pool.occupied = pool.occupied - before + occupied;
        }
        if occupied < before {
            self.open.insert(id);
        }
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
        self.changed = true;
        for function in pool.functions.clone() {
            self.functions.pool_lives(function, lives);
            if lives {
                self.functions.get_mut(function).expected = false;
                self.revived.push(function);
            }
        }
    }

    /// A job has ended; this attempt of it may go on, and so may older ones.
    pub(crate) fn orphan(
        &mut self,
        (key, user): (Key, &UserName),
        function: FunctionRef,
        out: Option<&Out>,
        now: Duration,
    ) {
        self.orphans.end_all(key);
        let Some(out) = out else { return };
        let place = match (out.holder, out.pool) {
            // Its worker has it no more: its answer is on the way.
            (Some(Holder { dropped: true, .. }), _) | (None, None) => return,
            (Some(Holder { worker, running: Some(running), seq, .. }), _) => {
                Place::Slot { worker, running, seq }
            }
            (Some(_), None) => return,
            (Some(_), Some(pool)) => {
                Place::Queue { pool, confirmed: out.confirmed, seen: Some(now) }
            }
            (None, Some(pool)) => {
                Place::Queue { pool, confirmed: out.confirmed, seen: out.seen_empty }
            }
        };
        let id = (key, out.attempt);
        let function = Arc::clone(&self.functions.get(function).name);
        let (is_over, is_ours, since) = (true, true, now);
        let user = user.clone();
        self.put_orphan(id, Orphan { user, function, is_over, is_ours, since, place });
        self.orphans.untold.insert(id);
    }

    fn put_orphan(&mut self, id: OrphanId, orphan: Orphan) {
        let untold = self.orphans.untold.contains(&id);
        self.forget_orphan(&id);
        match orphan.place {
            Place::Queue { pool, .. } => {
                let Some(pool) = self.pools.get_mut(&pool) else { return };
                pool.orphans.insert(id);
            }
            Place::Slot { worker, .. } => {
                let Some(known) = self.workers.get_mut(worker) else { return };
                known.orphans.insert(id);
                self.recount_occupied(worker);
            }
        }
        self.orphans.known.insert(id, orphan);
        if untold {
            self.orphans.untold.insert(id);
        }
    }

    /// The attempt takes no room any more, or belongs to a job again.
    pub(crate) fn forget_orphan(&mut self, id: &OrphanId) {
        let Some(orphan) = self.orphans.known.remove(id) else { return };
        self.orphans.untold.remove(id);
        match orphan.place {
            Place::Queue { pool, .. } => {
                if let Some(found) = self.pools.get_mut(&pool) {
                    found.orphans.remove(id);
                    self.open.insert(pool);
                }
            }
            Place::Slot { worker, .. } => {
                if let Some(found) = self.workers.get_mut(worker) {
                    found.orphans.remove(id);
                }
                self.recount_occupied(worker);
            }
        }
    }

    /// All that was in these hands is gone.
    pub(crate) fn forget_orphans(&mut self, ids: BTreeSet<OrphanId>) {
        ids.iter().for_each(|id| self.forget_orphan(id));
    }

    /// All that was in this queue is gone.
    pub(crate) fn forget_queue(&mut self, pool: PoolId) {
        let orphans = self.pools.get_mut(&pool).map(|pool| std::mem::take(&mut pool.orphans));
        self.forget_orphans(orphans.unwrap_or_default());
    }

    /// The broker has its message, or has not.
    pub(crate) fn orphan_settled(&mut self, id: &OrphanId, is_there: bool, now: Duration) {
        match self.orphans.known.get_mut(id).map(|orphan| &mut orphan.place) {
            Some(Place::Queue { confirmed, .. }) if is_there => {
                confirmed.get_or_insert(now);
            }
            Some(Place::Queue { .. }) => self.forget_orphan(id),
            Some(Place::Slot { .. }) | None => {}
        }
    }

    /// A worker says that it begins it.
    pub(crate) fn orphan_begun(
        &mut self,
        (worker, seq): (WorkerId, u64),
        id: &OrphanId,
        now: Duration,
    ) {
        let pool_of = self.workers.get(worker).and_then(|worker| worker.pool);
        if let Some(orphan) = self.orphans.known.get(id)
            && let Place::Queue { pool, .. } = orphan.place
            && pool_of == Some(pool)
        {
            let running = Running { since: now, slot: None };
            let (user, function) = (orphan.user.clone(), Arc::clone(&orphan.function));
            let place = Place::Slot { worker, running, seq };
            self.put_orphan(*id, Orphan { user, function, place, ..*orphan });
        }
    }

    /// A worker says how it ended. One that was cancelled while it ran has its slot until a beat
    /// says that it has not.
    pub(crate) fn orphan_ended(&mut self, worker: WorkerId, id: &OrphanId, end: &End) {
        let pool_of = self.workers.get(worker).and_then(|worker| worker.pool);
        let is_gone = match self.orphans.known.get(id).map(|orphan| orphan.place) {
            Some(Place::Queue { pool, .. }) => pool_of == Some(pool),
            Some(Place::Slot { worker: by, .. }) => {
                by == worker && *end != End::Answer(Answer::Cancelled)
            }
            None => false,
        };
        if is_gone {
            self.forget_orphan(id);
        }
    }

    /// A beat has named these: all that runs in the worker's slots beside the jobs under way.
    pub(crate) fn hear_orphans(
        &mut self,
        id: WorkerId,
        named: BTreeMap<OrphanId, (HeldJob, bool)>,
        now: Duration,
    ) {
        let Some(worker) = self.workers.get(id) else { return };
        let (seq, slots) = (worker.seq, worker.slots as usize);
        let is_unnamed = |orphan: &&OrphanId| {
            let place = self.orphans.get(orphan).map(|orphan| orphan.place);
            let older = matches!(place, Some(Place::Slot { seq: told, .. }) if told < seq);
            older && !named.contains_key(*orphan)
        };
        let unnamed = worker.orphans.iter().filter(is_unnamed).copied().collect();
        self.forget_orphans(unnamed);
        for (orphan, (held, is_over)) in named.into_iter().take(slots) {
            let known = self.orphans.get(&orphan);
            let was_over = known.is_some_and(|known| known.is_over);
            let is_ours = known.is_some_and(|known| known.is_ours);
            let function = known.map(|known| Arc::clone(&known.function));
            let since = known.map_or(now, |known| known.since);
            let function = function.unwrap_or_else(|| self.functions.name_of(&held.function));
            let running = Running { since: held.since, slot: held.slot };
            let place = Place::Slot { worker: id, running, seq };
            let user = held.user;
            self.put_orphan(orphan, Orphan { user, function, is_over, is_ours, since, place });
            if is_over && !was_over {
                self.orphans.untold.insert(orphan);
            }
        }
    }

    /// The pool's queue was seen empty by a question put at this time.
    pub(crate) fn orphans_seen_out(&mut self, pool: PoolId, asked_at: Duration, now: Duration) {
        let Some(pool) = self.pools.get(&pool) else { return };
        for id in &pool.orphans {
            if let Some(Place::Queue { confirmed: Some(confirmed), seen, .. }) =
                self.orphans.known.get_mut(id).map(|orphan| &mut orphan.place)
                && *confirmed <= asked_at
            {
                seen.get_or_insert(now);
            }
        }
    }

    /// Whether any may lie in the pool's queue.
    pub(crate) fn has_orphans_in(&self, orphans: &BTreeSet<OrphanId>) -> bool {
        let lies_there = |id: &OrphanId| {
            let place = self.orphans.get(id).map(|orphan| orphan.place);
            matches!(place, Some(Place::Queue { seen: None, .. }))
        };
        orphans.iter().any(lies_there)
    }

    /// Forgets those that are neither in a queue nor in a beat: their messages are gone.
    pub(crate) fn sweep_orphans(&mut self) {
        let mut gone = BTreeSet::new();
        for pool in self.pools.values().filter(|pool| !pool.orphans.is_empty()) {
            let heard = |worker| self.workers.get(worker).and_then(|worker| worker.heard);
            let floor = pool.workers.iter().map(|worker| heard(*worker)).min().flatten();
            let Some(floor) = floor else { continue };
            gone.extend(pool.orphans.iter().filter(|id| {
                let place = self.orphans.get(id).map(|orphan| orphan.place);
                matches!(place, Some(Place::Queue { seen: Some(seen), .. })
                    if floor >= seen + SWEEP_AFTER)
            }));
        }
        self.forget_orphans(gone);
    }

    /// The function that a selector means, and whether it is live. Without a version: the highest
    /// live one, else whichever comes first.
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

    /// The pool's queue is not there, as far as we know: whether it is to be declared.
    pub(crate) fn wants_declared(&mut self, pool: PoolId) -> bool {
        let found = self.pools.get_mut(&pool);
        let unknown = found.filter(|pool| pool.queue == PoolQueue::Unknown);
        unknown.map(|pool| pool.queue = PoolQueue::Asked).is_some()
    }

    /// The pool is no more. Who served its functions last is remembered.
    pub(crate) fn remove_pool(&mut self, id: PoolId) {
        if let Some(pool) = self.pools.remove(&id) {
            for function in pool.functions {
                let function = self.functions.get_mut(function);
                function.pools.remove(&id);
                function.served = function.served.max(pool.heard);
            }
        }
        self.open.remove(&id);
    }

    /// When a worker of the function was last heard that takes jobs.
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

    /// The link is gone: nobody is known to live, and what was served is expected back.
    pub(crate) fn forget_all(&mut self) {
        for function in self.functions.iter_mut() {
            function.expected |= !function.pools.is_empty();
            function.pools.clear();
        }
        self.workers.clear();
        self.pools.clear();
    }

    /// The term is over: nothing is under way, and no slot counts before its worker is welcomed.
    pub(crate) fn forget_term(&mut self) {
        self.orphans.clear();
        self.open.clear();
        self.revived.clear();
        self.changed = false;
        self.functions.forget_term();
        for pool in self.pools.values_mut() {
            pool.out.clear();
            pool.suspect = None;
            pool.orphans.clear();
            pool.queue = PoolQueue::Unknown;
            (pool.slots, pool.occupied) = (0, 0);
        }
        self.workers.forget_term();
    }
}
