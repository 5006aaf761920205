//! Places waiting jobs, in the order of the backlog, as far as the pools have room.

use std::time::Duration;

use simple_dist_protocol::limits::LIST_WORK;
use simple_dist_protocol::message::Placement;
use simple_dist_protocol::{Attempt, JobKey, PoolId};

use super::backlog::queue::QueueClass;
use super::fact::{Fact, Step};
use super::fleet::pools::FillLevel;
use super::ids::{FunctionRef, JobRef};
use super::jobs::InFlight;
use super::outbox::Sent;
use super::{Core, Effect};

/// What a job of a function without measurements costs in its caller's share.
const UNMEASURED: Duration = Duration::from_millis(1);

impl Core {
    /// Places waiting jobs as far as there is room: first into free slots, then behind them.
    pub(super) fn place_waiting(&mut self) {
        if !self.leadership.may_act || self.leadership.leading().is_none() {
            return;
        }
        for function in self.backlog.take_ready() {
            if let Some(known) = self.fleet.functions.known(function) {
                self.backlog.rank(function, &known.pools);
                self.fleet.may_have_room.extend(&known.pools);
            }
        }
        let pools = std::mem::take(&mut self.fleet.may_have_room);
        for level in [FillLevel::Slots, FillLevel::Window] {
            for pool in &pools {
                while self.place_first(*pool, level) {}
            }
        }
    }

    /// After the listening period, releases the jobs held back for it.
    pub(super) fn end_listening(&mut self) {
        if self.leadership.listening_ended(self.now) {
            self.fleet.may_have_room.extend(self.fleet.pools.keys());
        }
    }

    /// Places the first job that this pool may take. Returns whether there was one.
    fn place_first(&mut self, id: PoolId, level: FillLevel) -> bool {
        let echo = self.leadership.round_trip();
        let Some(pool) = self.fleet.pools.get(&id) else { return false };
        if !pool.has_room(Some(Duration::ZERO), level, echo) {
            return false;
        }
        let suspects_too = pool.isolated || pool.suspect.is_none();
        let listened = self.leadership.has_listened(self.now);
        let lines = [
            (QueueClass::Unmarked, true),
            (QueueClass::Resent, listened),
            (QueueClass::Marked, listened && suspects_too),
        ];
        let open = lines.into_iter().filter(|(_, open)| *open);
        let firsts = open.filter_map(|(line, _)| self.backlog.first(id, line));
        let first = firsts.min_by_key(|first| first.rank());
        let Some(first) = first else { return false };
        let Some(function) = self.jobs.get(first.job).map(|job| job.function) else { return false };
        let work = self.fleet.functions.get(function).work.mean();
        if !self.fleet.pools.get(&id).is_some_and(|pool| pool.has_room(work, level, echo)) {
            return false;
        }
        if self.end_by_memo(first.job) {
            return true;
        }
        match self.run_to_join(first.job) {
            Some(leader) => {
                self.detach(first.job);
                self.join(first.job, leader);
            }
            None => self.place(first.job, id, function),
        }
        true
    }

    pub(super) fn place(&mut self, job: JobRef, pool: PoolId, function: FunctionRef) {
        let Some(term) = self.leadership.term() else { return };
        let now = self.now;
        self.detach(job);
        let isolated = self.fleet.pools.get(&pool).is_some_and(|pool| pool.isolated);
        let Some(found) = self.jobs.get_mut(job) else { return };
        found.attempts += 1;
        let run = found.runs + 1;
        let (attempt, start_confirmed) = (found.attempts, found.is_suspect(isolated));
        let is_marked = found.is_marked();
        let function = self.fleet.functions.get(function);
        let measured = function.work.mean();
        // When there are few jobs, spread them over all slots instead of batching them.
        let slots = self.fleet.pools.get(&pool).map_or(1, |pool| pool.slots);
        let share = LIST_WORK * slots / u32::try_from(function.jobs).unwrap_or(u32::MAX).max(1);
        let placement = Placement {
            key: JobKey { user: self.backlog.users.name(found.key.user).clone(), id: found.key.id },
            function: function.address.clone().expect("what has a pool has an address"),
            args: found.args.clone(),
            budget_ms: u64::try_from(found.deadline.saturating_sub(now).as_millis())
                .unwrap_or(u64::MAX),
            attempt,
            start_confirmed,
            trace: found.trace.clone(),
        };
        let (user, client, key) = (found.key.user, found.client, found.key);
        let attempt = Attempt { term, number: attempt };
        self.backlog.users.charge(user, client, measured.unwrap_or(UNMEASURED));
        self.set_in_flight(
            job,
            InFlight {
                pool: Some(pool),
                attempt,
                run: 0,
                since: now,
                confirmed: None,
                seen_empty: None,
                holder: None,
                came_back: false,
                looked_at: None,
            },
        );
        self.outbox.emit(Fact::Job(job, Step::Placed { attempt: run, pool }));
        let token = self.outbox.token(Sent::Placement { job: Some(job), key, attempt, pool });
        let alone = LIST_WORK * 2;
        let work = if is_marked { alone } else { measured.map_or(alone, |it| it.max(share)) };
        self.outbox.push(Effect::Place { pool, term, placement, work, token });
    }
}
