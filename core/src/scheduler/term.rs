//! The link and the term as all rooms live them: a term begins with what an earlier one left
//! behind, shows itself, and when it is over all jobs are their clients' again.

use simple_dist_protocol::limits::BEAT;
use simple_dist_protocol::message::Presence;
use simple_dist_protocol::{PoolId, Term};

use super::fact::Fact;
use super::fleet::pools::PoolQueue;
use super::leadership::Next;
use super::sweep::Sweep;
use super::{Effect, Rooms};

impl Rooms {
    pub(super) fn link_up(&mut self) {
        self.forget_term();
        self.leadership.link_up(self.now);
    }

    pub(super) fn link_down(&mut self) {
        self.forget_term();
        self.outbox.tell(Fact::LinkLost);
        self.fleet.forget_all();
        self.leadership.link_down();
    }

    pub(super) fn block(&mut self, blocked: bool) {
        self.leadership.block(blocked);
        self.watch_link();
    }

    pub(super) fn lead(&mut self, term: Term) {
        self.forget_term();
        self.leadership.lead(term, self.now);
        self.ask_depths(vec![]);
        let pools: Vec<_> = self.fleet.pools.keys().copied().collect();
        pools.into_iter().for_each(|pool| self.want_declared(pool));
    }

    /// Presence came through the broker.
    pub(super) fn seen(&mut self, presence: &Presence) {
        if self.leadership.seen(presence, self.config.distributor, self.now) {
            self.outbox.push(Effect::StepDown);
        }
        self.watch_link();
    }

    /// Whether we may judge; if we may again, every pool may have room.
    pub(super) fn watch_link(&mut self) {
        if self.leadership.watch(self.now) {
            self.fleet.open.extend(self.fleet.pools.keys());
        }
        if !self.leadership.judges {
            self.sweep.void();
        }
    }

    /// Drains, then shows itself; and when it has listened to the workers, what it held back for that
    /// may go.
    pub(super) fn go_on_with_the_term(&mut self) {
        if self.leadership.comes_to_have_listened(self.now) {
            self.fleet.open.extend(self.fleet.pools.keys());
        }
        match self.leadership.next(self.fleet.changed, self.now) {
            Next::Wait => {}
            Next::AskDepths => self.ask_depths(vec![]),
            Next::Show => self.show(),
        }
    }

    fn show(&mut self) {
        let live = self.fleet.functions.iter().filter(|(_, function)| function.is_live());
        let functions = live.filter_map(|(_, function)| function.address.clone()).collect();
        let (distributor, backlog) = (self.config.distributor, self.jobs.waiting());
        let bound = self.jobs.full_for(0, self.config.capacity);
        let Some((term, seq)) = self.leadership.show(self.now) else { return };
        self.fleet.changed = false;
        let presence =
            Presence { distributor, term, seq, functions, backlog, room: bound.is_none(), bound };
        self.outbox.push(Effect::Presence(presence));
    }

    /// Asks again for queues that were not to be had; and what was refused is tried again.
    pub(super) fn mend_pools(&mut self) {
        let mut failed: Vec<PoolId> = vec![];
        for (id, pool) in &mut self.fleet.pools {
            if std::mem::take(&mut pool.paused) {
                self.fleet.open.insert(*id);
            }
            if let PoolQueue::Failed { at } = pool.queue
                && self.now.saturating_sub(at) >= BEAT
            {
                pool.queue = PoolQueue::Unknown;
                failed.push(*id);
            }
        }
        failed.into_iter().for_each(|pool| self.want_declared(pool));
    }

    /// Forgets what is old.
    pub(super) fn age(&mut self) {
        if self.leadership.ages(self.now) {
            self.jobs.recent.age(self.now);
            self.fleet.workers.age(self.now);
        }
    }

    /// All jobs are their clients' again; workers, functions and recent answers stay.
    fn forget_term(&mut self) {
        self.outbox.tell(Fact::TermOver);
        self.outbox.forget_term();
        self.jobs.forget_term();
        self.fleet.forget_term();
        self.backlog.forget_term();
        self.sweep = Sweep::default();
    }
}
