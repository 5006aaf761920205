//! The link and the term, across all rooms: a term begins with what an earlier one left behind,
//! sends presence, and at its end forgets all jobs, which their clients send again.

use simple_dist_protocol::limits::BEAT;
use simple_dist_protocol::message::Presence;
use simple_dist_protocol::{PoolId, Term};

use super::fact::Fact;
use super::fleet::pools::PoolQueue;
use super::leadership::Next;
use super::sweep::Sweep;
use super::{Core, Effect};

impl Core {
    pub(super) fn link_up(&mut self) {
        self.forget_term();
        self.leadership.link_up(self.now);
    }

    pub(super) fn link_down(&mut self) {
        self.forget_term();
        self.outbox.emit(Fact::LinkLost);
        self.fleet.forget_all();
        self.leadership.link_down();
    }

    pub(super) fn block(&mut self, blocked: bool) {
        self.leadership.block(blocked);
        self.update_link_state();
    }

    pub(super) fn lead(&mut self, term: Term) {
        self.forget_term();
        let workers = self.fleet.workers.iter().filter(|(_, worker)| worker.is_alive());
        let workers = workers.map(|(id, _)| id).collect();
        self.leadership.lead(term, workers, self.now);
        self.ask_depths(vec![]);
        let pools: Vec<_> = self.fleet.pools.keys().copied().collect();
        pools.into_iter().for_each(|pool| self.ensure_declared(pool));
    }

    /// A presence arrived.
    pub(super) fn seen(&mut self, presence: &Presence) {
        if self.leadership.seen(presence, self.config.distributor, self.now) {
            self.outbox.push(Effect::StepDown);
        }
        self.update_link_state();
    }

    /// Updates whether we may act; if we may again, every pool may have room.
    pub(super) fn update_link_state(&mut self) {
        if self.leadership.update_may_act(self.now) {
            self.fleet.may_have_room.extend(self.fleet.pools.keys());
        }
        if !self.leadership.may_act {
            self.sweep.discard();
        }
    }

    /// Takes the next step of the term; after the listening period, releases the jobs held back for
    /// it.
    pub(super) fn advance_term(&mut self) {
        self.end_listening();
        match self.leadership.next(self.fleet.served_changed, self.now) {
            Next::Wait => {}
            Next::AskDepths => self.ask_depths(vec![]),
            Next::SendPresence => self.send_presence(),
        }
    }

    fn send_presence(&mut self) {
        let live = self.fleet.functions.iter().filter(|(_, function)| function.is_live());
        let functions = live.filter_map(|(_, function)| function.address.clone()).collect();
        let cut = self.fleet.functions.iter().filter(|(_, function)| {
            function.out_of_reach && !function.is_live() && !function.pools.is_empty()
        });
        let expected = cut.filter_map(|(_, function)| function.address.clone()).collect();
        let (distributor, backlog) = (self.config.distributor, self.jobs.waiting());
        let bound = self.jobs.full_for(0, self.config.capacity);
        let Some((term, seq)) = self.leadership.presence_sent(self.now) else { return };
        self.fleet.served_changed = false;
        let room = bound.is_none();
        let presence = Presence {
            distributor,
            term,
            seq,
            functions,
            expected,
            backlog,
            room,
            bound,
            past: None,
        };
        self.outbox.push(Effect::Presence(presence));
    }

    /// Declares failed queues again, and resumes pools whose placements were refused.
    pub(super) fn retry_pools(&mut self) {
        let mut failed: Vec<PoolId> = vec![];
        for (id, pool) in &mut self.fleet.pools {
            if std::mem::take(&mut pool.paused) {
                self.fleet.may_have_room.insert(*id);
            }
            if let PoolQueue::Failed { at } = pool.queue
                && self.now.saturating_sub(at) >= BEAT
            {
                pool.queue = PoolQueue::Unknown;
                failed.push(*id);
            }
        }
        failed.into_iter().for_each(|pool| self.ensure_declared(pool));
    }

    /// Expires old entries.
    pub(super) fn expire_old(&mut self) {
        if self.leadership.is_time_to_expire(self.now) {
            self.jobs.recent.age(self.now);
            self.memo.age(self.now);
            self.fleet.workers.age(self.now);
        }
    }

    /// Forgets all jobs; workers, functions and recent answers stay.
    fn forget_term(&mut self) {
        self.outbox.emit(Fact::TermOver);
        self.outbox.forget_term();
        self.jobs.forget_term();
        self.fleet.forget_term();
        self.backlog.forget_term();
        self.memo.clear();
        self.forget_trials();
        self.disputes.clear();
        self.sweep = Sweep::default();
    }
}
