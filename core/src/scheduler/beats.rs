//! What workers say of themselves: beats, the pools they form by them, welcome, drain.

use std::sync::Arc;

use simple_dist_protocol::message::{Bound, Control, WorkerBeat, WorkerState};
use simple_dist_protocol::{PoolId, UserName, WorkerId};

use super::Rooms;
use super::fact::{Fact, Why};
use super::fleet::pools::PoolQueue;
use super::fleet::workers::Fate;

/// The most characters kept of what a worker calls its host and its version.
const LABEL: usize = 128;
/// The most slots that a worker may claim.
const SLOTS: u32 = 65_536;

impl Rooms {
    pub(super) fn beat(&mut self, user: &UserName, beat: WorkerBeat) {
        if !self.leadership.is_up() {
            return;
        }
        let id = beat.worker;
        let mut back = true;
        if let Some(known) = self.fleet.workers.get(id) {
            if known.user != *user {
                self.outbox.ignore(Why::Forged(1));
                return;
            }
            if known.is_heard() && (beat.generation, beat.seq) <= (known.generation, known.seq) {
                return;
            }
            back = !(known.is_heard() && known.is_alive());
        }
        let pool = match self.fleet.meet_pool(id, &beat, self.now) {
            Ok((pool, is_new)) => {
                if is_new && let Some(pool) = self.fleet.pools.get(&pool) {
                    self.backlog.offer(&pool.functions);
                }
                pool
            }
            Err(bound) => return self.refuse_beat(user, &beat, bound),
        };
        let now = self.now;
        let served = self.fleet.pools.get(&pool).map(|pool| Arc::clone(&pool.served));
        let Some(worker) = self.fleet.workers.meet(id, user, now) else {
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
        self.outbox.tell(Fact::WorkerHeard(id));
        if moves {
            let left = self.fleet.change_pool(id, pool);
            left.into_iter().for_each(|pool| self.empty_if_deserted(pool));
        }
        let live = self.fleet.workers.get(id).is_some_and(|worker| !worker.drains());
        if let Some(pool) = self.fleet.pools.get_mut(&pool) {
            pool.workers.insert(id);
            if live {
                pool.heard = Some(now);
            }
        }
        self.take_strikes_back(id, &beat.held);
        self.hear_held(id, beat.held);
        if back {
            for ended in self.jobs.recent.prove(user, id) {
                self.ended(id, ended);
            }
        }
        self.want_declared(pool);
        self.welcome(id);
        self.want_again(id);
        self.fleet.recount(id, self.leadership.term());
    }

    /// A beat does not fit: nothing of it counts, and its worker is told why.
    fn refuse_beat(&mut self, user: &UserName, beat: &WorkerBeat, bound: Bound) {
        self.outbox.tell(Fact::TurnedAway(bound));
        if self.leadership.leading().is_none() {
            return;
        }
        let control = Control::Refused { bound };
        self.control_at(user.clone(), (beat.worker, beat.generation), control);
    }

    /// Lets a worker consume its pool, once on every link of it in every term.
    fn welcome(&mut self, id: WorkerId) {
        let Some(term) = self.leadership.term() else { return };
        let Some(worker) = self.fleet.workers.get_mut(id) else { return };
        let Some(pool) = worker.pool else { return };
        let declared =
            self.fleet.pools.get(&pool).is_some_and(|pool| pool.queue == PoolQueue::Declared);
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
        self.fleet.open.insert(id);
        for worker in pool.workers.clone() {
            self.welcome(worker);
            self.fleet.recount(worker, self.leadership.term());
        }
    }

    /// A person wants a worker to drain, or to go on.
    pub(super) fn want_draining(&mut self, id: WorkerId, draining: bool) {
        let wanted = if draining { WorkerState::Draining } else { WorkerState::Live };
        let Some(worker) = self.fleet.workers.get_mut(id).filter(|worker| worker.is_alive()) else {
            return;
        };
        worker.wanted = Some(wanted);
        self.want_again(id);
        self.fleet.recount(id, self.leadership.term());
    }

    fn want_again(&mut self, id: WorkerId) {
        if self.leadership.leading().is_none() {
            return;
        }
        match self.fleet.workers.get(id).and_then(|worker| worker.wanted) {
            Some(WorkerState::Draining) => self.control(id, Control::Drain),
            Some(WorkerState::Live) => self.control(id, Control::Resume),
            None => {}
        }
    }
}
