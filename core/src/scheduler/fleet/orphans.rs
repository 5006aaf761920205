//! Orphans: attempts that belong to no unfinished job here. Their job was cancelled, expired or
//! answered by another attempt; or it is in flight elsewhere; or nobody has sent it to us yet; or it is a trial, which has none. They
//! still take space in a pool's queue and in its workers' slots, and workers that may start one
//! whose job has ended are told not to.
//!
//! Their number is bounded by the pools' windows and the workers' slots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::SWEEP_AFTER;
use simple_dist_protocol::{Attempt, PoolId, Term, UserName, WorkerId};

use super::Fleet;
use super::workers::HeldJob;
use crate::scheduler::ids::{FunctionRef, Key};
use crate::scheduler::jobs::{Holder, InFlight, Running};

/// A job's key and an attempt of it.
pub(crate) type OrphanId = (Key, Attempt);

/// An attempt that belongs to no unfinished job here.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) user: UserName,
    pub(crate) function: Arc<str>,
    /// Whether its job has ended, so that nobody waits for it.
    pub(crate) is_over: bool,
    /// Whether we placed or adopted it. If not, it is known only by a worker's word.
    pub(crate) is_ours: bool,
    pub(crate) since: Duration,
    pub(crate) location: Location,
}

/// Where an orphan is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Location {
    /// In its pool's queue, or with a worker that has not started it.
    Queue {
        pool: PoolId,
        /// When the broker confirmed its message.
        confirmed: Option<Duration>,
        /// When the queue was first seen empty after that, or a beat last named it.
        seen: Option<Duration>,
    },
    /// Running in a slot.
    Slot {
        worker: WorkerId,
        running: Running,
        /// The number of the beat this is based on.
        seq: u64,
    },
}

/// All orphans.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    pub(crate) known: BTreeMap<OrphanId, Orphan>,
    /// Those whose job has ended and that no worker was told to cancel.
    pub(crate) uncancelled: BTreeSet<OrphanId>,
}

impl Orphans {
    pub(crate) fn get(&self, id: &OrphanId) -> Option<&Orphan> {
        self.known.get(id)
    }

    /// Whether nobody waits for this attempt.
    pub(crate) fn is_over(&self, id: &OrphanId) -> bool {
        self.known.get(id).is_some_and(|orphan| orphan.is_over)
    }

    /// The number of the job's last attempt in this term, so that a resent job gets a higher one.
    pub(crate) fn last_attempt(&self, key: Key, term: Term) -> u32 {
        let of_term =
            (key, Attempt { term, number: 0 })..=(key, Attempt { term, number: u32::MAX });
        let ours = self.known.range(of_term).rfind(|(_, orphan)| orphan.is_ours);
        ours.map_or(0, |((_, attempt), _)| attempt.number)
    }

    /// Forgets all orphans.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.uncancelled.clear();
    }

    /// Marks all attempts of this job as over.
    pub(crate) fn end_all(&mut self, key: Key) {
        let first = Attempt { term: Term(0), number: 0 };
        let last = Attempt { term: Term(u64::MAX), number: u32::MAX };
        for (id, orphan) in self.known.range_mut((key, first)..=(key, last)) {
            if !std::mem::replace(&mut orphan.is_over, true) {
                self.uncancelled.insert(*id);
            }
        }
    }
}

impl Fleet {
    /// Counts those of the pool's slots that orphans occupy.
    pub(super) fn recount_occupied(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        let occupied = u32::try_from(worker.orphans.len()).unwrap_or(u32::MAX).min(worker.counted);
        let before = std::mem::replace(&mut worker.occupied, occupied);
        let Some(id) = worker.pool else { return };
        if let Some(pool) = self.pools.get_mut(&id) {
            pool.occupied = pool.occupied - before + occupied;
        }
        if occupied < before {
            self.may_have_room.insert(id);
        }
    }

    /// A job has ended, but this attempt and older ones may go on: keeps them as orphans.
    pub(crate) fn orphan(
        &mut self,
        (key, user): (Key, &UserName),
        function: FunctionRef,
        in_flight: Option<&InFlight>,
        now: Duration,
    ) {
        self.orphans.end_all(key);
        if let Some(in_flight) = in_flight {
            self.leave_behind((key, user), function, in_flight, (true, now));
        }
    }

    /// This attempt may go on beside another of its job, or for nobody (`is_over`), and is then
    /// cancelled: keeps it as an orphan.
    pub(crate) fn leave_behind(
        &mut self,
        (key, user): (Key, &UserName),
        function: FunctionRef,
        in_flight: &InFlight,
        (is_over, now): (bool, Duration),
    ) {
        let location = match (in_flight.holder, in_flight.pool) {
            // Its worker no longer holds it: the answer is on its way.
            (Some(Holder { dropped: true, .. }), _) | (None, None) => return,
            (Some(Holder { worker, running: Some(running), seq, .. }), _) => {
                Location::Slot { worker, running, seq }
            }
            (Some(_), None) => return,
            (Some(_), Some(pool)) => {
                Location::Queue { pool, confirmed: in_flight.confirmed, seen: Some(now) }
            }
            (None, Some(pool)) => {
                Location::Queue { pool, confirmed: in_flight.confirmed, seen: in_flight.seen_empty }
            }
        };
        let id = (key, in_flight.attempt);
        let function = Arc::clone(&self.functions.get(function).name);
        let (user, is_ours, since) = (user.clone(), true, now);
        self.put_orphan(id, Orphan { user, function, is_over, is_ours, since, location });
        if is_over {
            self.orphans.uncancelled.insert(id);
        }
    }

    /// A run of our own accord is sent to this pool.
    pub(crate) fn add_trial(
        &mut self,
        id: OrphanId,
        (user, function): (UserName, FunctionRef),
        pool: PoolId,
        now: Duration,
    ) {
        let function = Arc::clone(&self.functions.get(function).name);
        let location = Location::Queue { pool, confirmed: None, seen: None };
        let (is_over, is_ours, since) = (false, true, now);
        self.put_orphan(id, Orphan { user, function, is_over, is_ours, since, location });
    }

    fn put_orphan(&mut self, id: OrphanId, orphan: Orphan) {
        let uncancelled = self.orphans.uncancelled.contains(&id);
        self.forget_orphan(&id);
        match orphan.location {
            Location::Queue { pool, .. } => {
                let Some(pool) = self.pools.get_mut(&pool) else { return };
                pool.orphans.insert(id);
            }
            Location::Slot { worker, .. } => {
                let Some(known) = self.workers.get_mut(worker) else { return };
                known.orphans.insert(id);
                self.recount_occupied(worker);
            }
        }
        self.orphans.known.insert(id, orphan);
        if uncancelled {
            self.orphans.uncancelled.insert(id);
        }
    }

    /// Forgets an orphan: it has ended, or belongs to a job again.
    pub(crate) fn forget_orphan(&mut self, id: &OrphanId) {
        let Some(orphan) = self.orphans.known.remove(id) else { return };
        self.orphans.uncancelled.remove(id);
        match orphan.location {
            Location::Queue { pool, .. } => {
                if let Some(found) = self.pools.get_mut(&pool) {
                    found.orphans.remove(id);
                    self.may_have_room.insert(pool);
                }
            }
            Location::Slot { worker, .. } => {
                if let Some(found) = self.workers.get_mut(worker) {
                    found.orphans.remove(id);
                }
                self.recount_occupied(worker);
            }
        }
    }

    /// Forgets these orphans.
    pub(crate) fn forget_orphans(&mut self, ids: BTreeSet<OrphanId>) {
        ids.iter().for_each(|id| self.forget_orphan(id));
    }

    /// The broker has its message, or has rejected it.
    pub(crate) fn orphan_settled(&mut self, id: &OrphanId, is_there: bool, now: Duration) {
        match self.orphans.known.get_mut(id).map(|orphan| &mut orphan.location) {
            Some(Location::Queue { confirmed, .. }) if is_there => {
                confirmed.get_or_insert(now);
            }
            Some(Location::Queue { .. }) => self.forget_orphan(id),
            Some(Location::Slot { .. }) | None => {}
        }
    }

    /// A worker reports that it starts an orphan.
    pub(crate) fn orphan_begun(
        &mut self,
        (worker, seq): (WorkerId, u64),
        id: &OrphanId,
        now: Duration,
    ) {
        let pool_of = self.workers.get(worker).and_then(|worker| worker.pool);
        if let Some(orphan) = self.orphans.known.get(id)
            && let Location::Queue { pool, .. } = orphan.location
            && pool_of == Some(pool)
        {
            let running = Running { since: now, slot: None };
            let (user, function) = (orphan.user.clone(), Arc::clone(&orphan.function));
            let location = Location::Slot { worker, running, seq };
            self.put_orphan(*id, Orphan { user, function, location, ..*orphan });
        }
    }

    /// A worker reports the end of an orphan. One cancelled while running keeps its slot until a
    /// beat no longer names it.
    pub(crate) fn orphan_ended(&mut self, worker: WorkerId, id: &OrphanId, is_cancelled: bool) {
        let pool_of = self.workers.get(worker).and_then(|worker| worker.pool);
        let is_gone = match self.orphans.known.get(id).map(|orphan| orphan.location) {
            Some(Location::Queue { pool, .. }) => pool_of == Some(pool),
            Some(Location::Slot { worker: by, .. }) => by == worker && !is_cancelled,
            None => false,
        };
        if is_gone {
            self.forget_orphan(id);
        }
    }

    /// Replaces the orphans in a worker's slots by those that its beat named.
    pub(crate) fn update_orphans(
        &mut self,
        id: WorkerId,
        named: BTreeMap<OrphanId, (HeldJob, bool)>,
        now: Duration,
    ) {
        let Some(worker) = self.workers.get(id) else { return };
        let (seq, slots) = (worker.seq, worker.slots as usize);
        let is_unnamed = |orphan: &&OrphanId| {
            let location = self.orphans.get(orphan).map(|orphan| orphan.location);
            let older = matches!(location, Some(Location::Slot { seq: told, .. }) if told < seq);
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
            let location = Location::Slot { worker: id, running, seq };
            let user = held.user;
            self.put_orphan(orphan, Orphan { user, function, is_over, is_ours, since, location });
            if is_over && !was_over {
                self.orphans.uncancelled.insert(orphan);
            }
        }
    }

    /// The pool's queue was empty when asked at this time.
    pub(crate) fn orphans_seen_out(&mut self, pool: PoolId, asked_at: Duration, now: Duration) {
        let Some(pool) = self.pools.get(&pool) else { return };
        for id in &pool.orphans {
            if let Some(Location::Queue { confirmed: Some(confirmed), seen, .. }) =
                self.orphans.known.get_mut(id).map(|orphan| &mut orphan.location)
                && *confirmed <= asked_at
            {
                seen.get_or_insert(now);
            }
        }
    }

    /// Whether any of these may be in the pool's queue.
    pub(crate) fn has_orphans_in(&self, orphans: &BTreeSet<OrphanId>) -> bool {
        let lies_there = |id: &OrphanId| {
            let location = self.orphans.get(id).map(|orphan| orphan.location);
            matches!(location, Some(Location::Queue { seen: None, .. }))
        };
        orphans.iter().any(lies_there)
    }

    /// The pool in whose queue, or in a slot of whose worker, an orphan is.
    pub(crate) fn pool_of_orphan(&self, id: &OrphanId) -> Option<PoolId> {
        match self.orphans.get(id)?.location {
            Location::Queue { pool, .. } => Some(pool),
            Location::Slot { worker, .. } => self.workers.get(worker)?.pool,
        }
    }

    /// Orphans that are neither in a queue nor in a beat: their messages are gone.
    pub(crate) fn missing_orphans(&self) -> BTreeSet<OrphanId> {
        let mut gone = BTreeSet::new();
        for pool in self.pools.values().filter(|pool| !pool.orphans.is_empty()) {
            let heard = |worker| self.workers.get(worker).and_then(|worker| worker.heard);
            let floor = pool.workers.iter().map(|worker| heard(*worker)).min().flatten();
            let Some(floor) = floor else { continue };
            gone.extend(pool.orphans.iter().filter(|id| {
                let location = self.orphans.get(id).map(|orphan| orphan.location);
                matches!(location, Some(Location::Queue { seen: Some(seen), .. })
                    if floor >= seen + SWEEP_AFTER)
            }));
        }
        gone
    }
}
