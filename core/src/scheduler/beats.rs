//! Workers' beats, the pools that follow from them, welcome and drain.

use std::time::Duration;

use simple_dist_protocol::limits::ROUND_TRIP;
use simple_dist_protocol::message::{Bound, Control, WorkerBeat, WorkerState};
use simple_dist_protocol::{PoolId, Term, UserName, WorkerId};

use super::fact::{Fact, IgnoreReason};
use super::fleet::pools::{Pool, PoolQueue};
use super::fleet::workers::Liveness;
use super::ids::Key;
use super::{Core, Effect};

/// The most characters kept of a worker's host and version.
const LABEL: usize = 128;
/// The most slots a worker may claim.
const SLOTS: u32 = 65_536;

impl Core {
    pub(super) fn beat(&mut self, user: &UserName, beat: WorkerBeat) {
        if !self.leadership.is_up() {
            return;
        }
        let (id, says) = (beat.worker, beat.term);
        let mut back = true;
        if let Some(known) = self.fleet.workers.get(id) {
            if known.user != *user {
                self.outbox.ignore(IgnoreReason::Forged(1));
                return;
            }
            if known.is_outdated(&beat, self.now) {
                return;
            }
            back = !(known.is_heard() && known.is_alive());
        }
        let pool = match self.fleet.intern_pool(id, &beat, self.now) {
            Ok((pool, is_new)) => {
                if is_new && let Some(pool) = self.fleet.pools.get(&pool) {
                    self.backlog.offer(&pool.functions);
                }
                pool
            }
            Err(bound) => return self.refuse_beat(user, &beat, bound),
        };
        let now = self.now;
        let served = self.fleet.pools.get(&pool).map(Pool::said);
        let Some(worker) = self.fleet.workers.get_or_insert(id, user, now) else {
            return self.refuse_beat(user, &beat, Bound::Workers);
        };
        worker.generation = beat.generation;
        worker.seq = beat.seq;
        worker.host = beat.host.chars().take(LABEL).collect();
        worker.version = beat.version.chars().take(LABEL).collect();
        (worker.functions, worker.deterministic, worker.memo) = served.unwrap_or_default();
        worker.slots = beat.slots.min(SLOTS);
        let round_trip = Duration::from_micros(beat.round_trip_us.unwrap_or_default().into());
        worker.round_trip = round_trip.min(ROUND_TRIP);
        worker.isolated = beat.isolated;
        (worker.state, worker.leaves, worker.load) = (beat.state, beat.leaves, beat.load);
        worker.heard = Some(now);
        worker.liveness = Liveness::Heard;
        worker.requested_state =
            worker.requested_state.filter(|requested_state| *requested_state != beat.state);
        let moves = worker.pool != Some(pool);
        self.outbox.emit(Fact::WorkerHeard(id, beat.printed));
        if moves {
            let left = self.fleet.change_pool(id, pool);
            left.into_iter().for_each(|pool| self.remove_if_empty(pool));
        }
        let live = self.fleet.workers.get(id).is_some_and(|worker| !worker.drains());
        if let Some(pool) = self.fleet.pools.get_mut(&pool) {
            pool.workers.insert(id);
            if live {
                pool.heard = Some(now);
            }
        }
        self.revoke_strikes(id, &beat.held);
        self.update_holders(id, beat.held);
        if back {
            for ended in self.jobs.recent.take_unverified(user, id) {
                self.ended(id, Key::of(&ended.key), ended);
            }
        }
        self.listen_to(id, says);
        self.ensure_declared(pool);
        self.welcome(id);
        self.write_will(id);
        self.send_requested_state(id);
        self.fleet.recount(id, self.leadership.term());
        self.relieve(id);
    }

    /// Ignores a beat that exceeds a limit, and tells its worker why.
    fn refuse_beat(&mut self, user: &UserName, beat: &WorkerBeat, bound: Bound) {
        self.outbox.emit(Fact::LimitReached(bound));
        if self.leadership.leading().is_none() {
            return;
        }
        let control = Control::Refused { bound };
        self.control_at(user.clone(), (beat.worker, beat.generation), control);
    }

    /// Welcomes a worker to its pool, once per link and term: only then does it consume.
    fn welcome(&mut self, id: WorkerId) {
        let Some(term) = self.leadership.term() else { return };
        let Some(worker) = self.fleet.workers.get_mut(id) else { return };
        let Some(pool) = worker.pool else { return };
        let declared =
            self.fleet.pools.get(&pool).is_some_and(|pool| pool.queue == PoolQueue::Declared);
        let now = Some((worker.generation, term));
        let reached = worker.is_alive() && worker.liveness != Liveness::Unreachable;
        if declared && reached && worker.welcomed != now {
            worker.welcomed = now;
            self.control(id, Control::Welcome { term, pool });
            self.cancel_orphans_at(id);
        }
    }

    /// A beat came that names the term that its worker knows: ours waits for one of every worker.
    fn listen_to(&mut self, id: WorkerId, says: Option<Term>) {
        if says.is_some() && says == self.leadership.term() {
            self.leadership.stop_awaiting(id);
            self.end_listening();
        }
    }

    /// Has the worker hold a message that comes back to us at once when its link ends.
    fn write_will(&mut self, id: WorkerId) {
        let (now, Some(term)) = (self.now, self.leadership.term()) else { return };
        let Some(worker) = self.fleet.workers.get_mut(id) else { return };
        if worker.take_will_due(term, now) {
            let (user, generation) = (worker.user.clone(), worker.generation);
            self.outbox.push(Effect::Will { user, worker: id, generation });
        }
    }

    /// Jobs wait in the pool's queue. A worker that holds nothing may have missed its welcome, the
    /// one message that nobody acknowledges, so it gets it again.
    pub(super) fn welcome_idle(&mut self, id: PoolId) {
        let Some(term) = self.leadership.term() else { return };
        let workers =
            self.fleet.pools.get(&id).map(|pool| pool.workers.clone()).unwrap_or_default();
        for worker in workers {
            let known = self.fleet.workers.get(worker);
            if known.is_some_and(|it| it.held.is_empty() && it.takes_jobs(Some(term))) {
                self.control(worker, Control::Welcome { term, pool: id });
            }
        }
    }

    pub(super) fn pool_declared(&mut self, id: PoolId, declared: bool) {
        let now = self.now;
        let Some(pool) =
            self.fleet.pools.get_mut(&id).filter(|pool| pool.queue == PoolQueue::Asked)
        else {
            return;
        };
        if !declared {
            pool.queue = PoolQueue::Failed { at: now };
            return;
        }
        pool.queue = PoolQueue::Declared;
        self.fleet.may_have_room.insert(id);
        for worker in pool.workers.clone() {
            self.welcome(worker);
            self.fleet.recount(worker, self.leadership.term());
        }
    }

    /// An operator wants a worker to drain, or to resume.
    pub(super) fn set_draining(&mut self, id: WorkerId, draining: bool) {
        let requested_state = if draining { WorkerState::Draining } else { WorkerState::Live };
        let Some(worker) = self.fleet.workers.get_mut(id).filter(|worker| worker.is_alive()) else {
            return;
        };
        if !draining {
            worker.outvoted = None;
            self.disputes.pardon(id);
        }
        worker.requested_state = Some(requested_state);
        self.send_requested_state(id);
        self.fleet.recount(id, self.leadership.term());
    }

    fn send_requested_state(&mut self, id: WorkerId) {
        if self.leadership.leading().is_none() {
            return;
        }
        let Some(worker) = self.fleet.workers.get(id) else { return };
        let is_wanted_to_drain = worker.is_quarantined() && worker.state == WorkerState::Live;
        let drain = is_wanted_to_drain.then_some(WorkerState::Draining);
        match worker.requested_state.or(drain) {
            Some(WorkerState::Draining) => self.control(id, Control::Drain),
            Some(WorkerState::Live) => self.control(id, Control::Resume),
            None => {}
        }
    }
}
