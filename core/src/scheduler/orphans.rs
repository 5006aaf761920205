//! Attempts that belong to no job under way. Their job was cancelled, has expired, or was answered
//! by another attempt; or it is under way elsewhere; or nobody has sent it to us yet. They take
//! room in a pool's queue and slots of its workers all the same, and whoever may come to begin one
//! whose job has ended is told not to.
//!
//! There are never more than the pools' windows have let out and the workers have slots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::{CLIENT_EXPIRES, LIST_JOBS, SWEEP_AFTER};
use simple_dist_protocol::message::{Answer, Control, End};
use simple_dist_protocol::{Attempt, JobKey, PoolId, Term, UserName, WorkerId};

use super::Rooms;
use super::holding::STILL_HELD;
use super::jobs::{Holder, Job, Key, Out, Running};
use super::workers::HeldJob;

/// The most cancels published in one tick, beyond those of one list: what is left is told in the
/// next one. Each goes to one worker and names up to 256 attempts; an attempt that lies in a queue
/// is told to every worker of its pool once.
const TOLD_PER_TICK: usize = 1024;

/// An attempt, by its job.
pub(super) type OrphanId = (Key, Attempt);

/// An attempt that belongs to no job under way.
#[derive(Debug)]
pub(super) struct Orphan {
    pub(super) user: UserName,
    pub(super) function: Arc<str>,
    /// Its job has ended: nobody waits for it.
    pub(super) is_over: bool,
    /// We placed it, or took it for placed. Otherwise all that is known of it is a worker's word.
    is_ours: bool,
    since: Duration,
    pub(super) place: Place,
}

/// Where it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// In its pool's queue, or with a worker that has not begun it.
    Queue {
        pool: PoolId,
        /// Since when the broker has its message.
        confirmed: Option<Duration>,
        /// When the queue was first seen empty after that, or a beat named it last.
        seen: Option<Duration>,
    },
    /// It runs.
    Slot {
        worker: WorkerId,
        running: Running,
        /// The worker's beat that this rests on.
        seq: u64,
    },
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    known: BTreeMap<OrphanId, Orphan>,
    /// Those that are over and that no worker was told of.
    untold: BTreeSet<OrphanId>,
}

impl Orphans {
    pub(super) fn get(&self, id: &OrphanId) -> Option<&Orphan> {
        self.known.get(id)
    }

    /// Whether nobody waits for this attempt any more.
    pub(super) fn is_over(&self, id: &OrphanId) -> bool {
        self.known.get(id).is_some_and(|orphan| orphan.is_over)
    }

    /// The last attempt of the job in this term: if it is sent again, its next one is another.
    pub(super) fn last_attempt(&self, key: Key, term: Term) -> u32 {
        let of_term =
            (key, Attempt { term, number: 0 })..=(key, Attempt { term, number: u32::MAX });
        let ours = self.known.range(of_term).rfind(|(_, orphan)| orphan.is_ours);
        ours.map_or(0, |((_, attempt), _)| attempt.number)
    }

    /// Forgets them all.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.untold.clear();
    }

    /// Nobody waits for any attempt of this job.
    fn end_all(&mut self, key: Key) {
        let first = Attempt { term: Term(0), number: 0 };
        let last = Attempt { term: Term(u64::MAX), number: u32::MAX };
        for (id, orphan) in self.known.range_mut((key, first)..=(key, last)) {
            if !std::mem::replace(&mut orphan.is_over, true) {
                self.untold.insert(*id);
            }
        }
    }
}

// How they come and go.
impl Rooms {
    /// A job has ended; this attempt of it may go on, and so may older ones.
    pub(super) fn orphan(&mut self, gone: &Job, out: Option<&Out>) {
        self.orphans.end_all(gone.key);
        let Some(out) = out else { return };
        let place = match (out.holder, out.pool) {
            // Its worker has it no more: its answer is on the way.
            (Some(Holder { dropped: true, .. }), _) | (None, None) => return,
            (Some(Holder { worker, running: Some(running), seq, .. }), _) => {
                Place::Slot { worker, running, seq }
            }
            (Some(_), None) => return,
            (Some(_), Some(pool)) => {
                Place::Queue { pool, confirmed: out.confirmed, seen: Some(self.now) }
            }
            (None, Some(pool)) => {
                Place::Queue { pool, confirmed: out.confirmed, seen: out.seen_empty }
            }
        };
        let id = (gone.key, out.attempt);
        let function = Arc::clone(&self.functions.get(gone.function).name);
        let (is_over, is_ours, since) = (true, true, self.now);
        let user = self.users.name(gone.key.user).clone();
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
                self.recount(worker);
            }
        }
        self.orphans.known.insert(id, orphan);
        if untold {
            self.orphans.untold.insert(id);
        }
    }

    /// The attempt takes no room any more, or belongs to a job again.
    pub(super) fn forget_orphan(&mut self, id: &OrphanId) {
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
                self.recount(worker);
            }
        }
    }

    /// All that was in these hands is gone.
    pub(super) fn forget_orphans(&mut self, ids: BTreeSet<OrphanId>) {
        ids.iter().for_each(|id| self.forget_orphan(id));
    }

    /// All that was in this queue is gone.
    pub(super) fn forget_queue(&mut self, pool: PoolId) {
        let orphans = self.pools.get_mut(&pool).map(|pool| std::mem::take(&mut pool.orphans));
        self.forget_orphans(orphans.unwrap_or_default());
    }

    /// The broker has its message, or has not.
    pub(super) fn orphan_settled(&mut self, id: &OrphanId, is_there: bool) {
        let now = self.now;
        match self.orphans.known.get_mut(id).map(|orphan| &mut orphan.place) {
            Some(Place::Queue { confirmed, .. }) if is_there => {
                confirmed.get_or_insert(now);
            }
            Some(Place::Queue { .. }) => self.forget_orphan(id),
            Some(Place::Slot { .. }) | None => {}
        }
    }

    /// A worker says that it begins it.
    pub(super) fn orphan_begun(&mut self, worker: WorkerId, seq: u64, id: &OrphanId) {
        let pool_of = self.workers.get(worker).and_then(|worker| worker.pool);
        let now = self.now;
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
    pub(super) fn orphan_ended(&mut self, worker: WorkerId, id: &OrphanId, end: &End) {
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
}

// What beats and looks at the queues say of them.
impl Rooms {
    /// Whether an attempt that a beat names is an orphan that runs there, and then whether it is
    /// over.
    pub(super) fn runs_beside(
        &mut self,
        worker: WorkerId,
        key: Key,
        held: &HeldJob,
    ) -> Option<bool> {
        let id = (key, held.attempt);
        let now = self.now;
        let orphan = self.orphans.known.get_mut(&id);
        if held.slot.is_none() {
            if let Some(Place::Queue { seen, .. }) = orphan.map(|orphan| &mut orphan.place) {
                *seen = Some(now);
            }
            return None;
        }
        if let Some(job) = self.jobs.find(key).and_then(|job| self.jobs.get(job)) {
            let is_it = job.out().is_some_and(|out| out.attempt == held.attempt);
            return (!is_it).then_some(false);
        }
        if let Some(orphan) = orphan {
            let elsewhere = matches!(orphan.place, Place::Slot { worker: by, .. } if by != worker);
            // Every client would have sent it by now.
            let unasked = now.saturating_sub(orphan.since.max(self.link.fresh)) >= CLIENT_EXPIRES
                && self.link.leading().is_some();
            let is_over = orphan.is_over || unasked || self.recent.find(key).is_some();
            return (!elsewhere).then_some(is_over);
        }
        match self.recent.find(key) {
            // The beat has crossed its answer.
            Some(kept)
                if kept.answered.worker.is_some() && now.saturating_sub(kept.at) < STILL_HELD =>
            {
                None
            }
            kept => Some(kept.is_some()),
        }
    }

    /// A beat has named these: all that runs in the worker's slots beside the jobs under way.
    pub(super) fn hear_orphans(
        &mut self,
        id: WorkerId,
        named: BTreeMap<OrphanId, (HeldJob, bool)>,
    ) {
        let Some(worker) = self.workers.get(id) else { return };
        let (seq, slots, now) = (worker.seq, worker.slots as usize, self.now);
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
    pub(super) fn orphans_seen_out(&mut self, pool: PoolId, asked_at: Duration) {
        let Some(pool) = self.pools.get(&pool) else { return };
        for id in &pool.orphans {
            if let Some(Place::Queue { confirmed: Some(confirmed), seen, .. }) =
                self.orphans.known.get_mut(id).map(|orphan| &mut orphan.place)
                && *confirmed <= asked_at
            {
                seen.get_or_insert(self.now);
            }
        }
    }

    /// Whether any may lie in the pool's queue.
    pub(super) fn has_orphans_in(&self, orphans: &BTreeSet<OrphanId>) -> bool {
        let lies_there = |id: &OrphanId| {
            let place = self.orphans.get(id).map(|orphan| orphan.place);
            matches!(place, Some(Place::Queue { seen: None, .. }))
        };
        orphans.iter().any(lies_there)
    }

    /// Forgets those that are neither in a queue nor in a beat: their messages are gone.
    pub(super) fn sweep_orphans(&mut self) {
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
}

// Who is told.
impl Rooms {
    /// Tells of those that are over: its worker, or every worker that may come to have it.
    pub(super) fn tell_orphans(&mut self) {
        if self.orphans.untold.is_empty() || self.link.leading().is_none() {
            return;
        }
        let mut queued: BTreeMap<PoolId, Vec<OrphanId>> = BTreeMap::new();
        let mut running: BTreeMap<WorkerId, Vec<OrphanId>> = BTreeMap::new();
        for id in std::mem::take(&mut self.orphans.untold) {
            match self.orphans.get(&id).map(|orphan| orphan.place) {
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
            let workers = self.pools.get(&pool).map(|pool| pool.workers.clone());
            let workers = workers.unwrap_or_default();
            for list in ids.chunks(LIST_JOBS) {
                if told >= TOLD_PER_TICK {
                    self.orphans.untold.extend(list);
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
        let Some(worker) = self.workers.get(id) else { return };
        let queued = worker.pool.and_then(|pool| self.pools.get(&pool));
        let queued = queued.into_iter().flat_map(|pool| &pool.orphans);
        let over = queued.chain(&worker.orphans).filter(|id| self.orphans.is_over(id));
        let over: Vec<OrphanId> = over.copied().collect();
        self.cancel_at(id, self.named(&over));
    }

    /// As they are called on the wire.
    fn named(&self, ids: &[OrphanId]) -> Vec<(JobKey, Attempt)> {
        let name = |id: &OrphanId| {
            let user = self.orphans.get(id)?.user.clone();
            Some((JobKey { user, id: id.0.id }, id.1))
        };
        ids.iter().filter_map(name).collect()
    }

    /// Tells a worker not to begin these, unless it is still to be welcomed: then it is told.
    pub(super) fn cancel_at(&mut self, id: WorkerId, attempts: Vec<(JobKey, Attempt)>) {
        let term = self.term();
        let is_welcome = self.workers.get(id).is_some_and(|worker| {
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
}
