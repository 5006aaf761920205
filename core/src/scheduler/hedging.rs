//! Hedging: a job that runs for longer than nearly all of its function is placed a second time where
//! a slot is idle, beside the attempt that goes on. The first answer counts, and the other attempt is
//! cancelled. Each function earns its extra runs by ordinary ones (`fleet/slow_runs.rs`).
//!
//! A placement cannot name its worker, so the second attempt may come to the same one: most likely
//! not, since a slot is idle elsewhere and the slow job keeps one of that worker's own. It is placed
//! again only as long as nobody is known to run the second attempt: then that may have come to a
//! worker that is frozen, too.

use std::time::Duration;

use simple_dist_protocol::{Attempt, PoolId, WorkerId};

use super::Core;
use super::fact::Fact;
use super::fleet::pools::Pool;
use super::fleet::slow_runs::SOONEST;
use super::ids::{FunctionRef, JobRef};
use super::jobs::rivals::RIVALS;
use super::jobs::{InFlight, Job};

/// The most jobs looked at after one event; the rest waits for the next.
const LOOKS: usize = 256;

impl Core {
    /// Places the jobs again whose time has come, as far as there are idle slots.
    pub(super) fn hedge(&mut self) {
        if !self.leadership.may_act || self.leadership.leading().is_none() {
            return;
        }
        for _ in 0..LOOKS {
            let Some(job) = self.jobs.slow(self.now) else { return };
            if let Some(next) = self.hedge_or_wait(job) {
                self.jobs.watch(job, next);
            }
        }
    }

    /// Places a job again, or returns when to look at it next, if ever.
    fn hedge_or_wait(&mut self, job: JobRef) -> Option<Duration> {
        let found = self.jobs.get(job)?;
        let in_flight = found.in_flight().filter(|in_flight| may_be_hedged(found, in_flight))?;
        let function = self.fleet.functions.get(found.function);
        let since = in_flight.running().map_or(in_flight.since, |running| running.since);
        let age = self.now.saturating_sub(since);
        // Rarer and rarer, so that a long job costs as little as a short one.
        let later = Some(self.now + (age / 4).max(SOONEST));
        let Some(limit) = function.slow.limit() else { return later };
        // The job and its answer have been on their way for so long.
        let pool = in_flight.pool.and_then(|pool| self.fleet.pools.get(&pool));
        let way = self.leadership.round_trip() + pool.map(Pool::round_trip).unwrap_or_default();
        let limit = limit + way;
        if age < limit {
            return Some(since + limit);
        }
        let is_placed = in_flight.confirmed.is_some() || in_flight.holder.is_some();
        if !is_placed || !function.slow.has_earned() {
            return later;
        }
        let holder = in_flight.holder.map(|holder| holder.worker);
        let (id, here) = (found.function, in_flight.pool);
        let Some(pool) = self.idle_pool(id, here, holder) else { return later };
        self.fleet.functions.get_mut(id).slow.spend();
        self.place_beside(job, pool, false);
        self.outbox.emit(Fact::Hedged);
        None
    }

    /// An attempt has answered first.
    pub(super) fn race_ended(&mut self, job: JobRef, attempt: Attempt) {
        let rivals = self.jobs.get(job).and_then(|job| job.rivals.as_ref());
        if let Some(rivals) = rivals.filter(|rivals| rivals.hedges > 0) {
            self.outbox.emit(Fact::HedgeEnded { won: !rivals.contains(attempt) });
        }
    }

    /// A pool with a slot for one more job that is not of the worker that runs it: rather another
    /// pool than the same.
    pub(super) fn idle_pool(
        &self,
        function: FunctionRef,
        here: Option<PoolId>,
        holder: Option<WorkerId>,
    ) -> Option<PoolId> {
        let has_other = |id: &PoolId| {
            let workers = self.fleet.pools.get(id).map_or(0, |pool| pool.workers.len());
            here != Some(*id) || workers > 1
        };
        let pools = self.fleet.functions.get(function).pools.iter().copied();
        let idle = pools.filter(|id| has_other(id) && self.fleet.idle_slots(*id, holder) > 0);
        idle.min_by_key(|id| here == Some(*id))
    }

    /// Places a job in a pool beside its attempt in flight, which goes on until the first of them
    /// answers, or is cancelled at once (`is_over`).
    pub(super) fn place_beside(&mut self, job: JobRef, pool: PoolId, is_over: bool) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let Some(before) = found.in_flight().cloned() else { return };
        let (key, function) = (found.key, found.function);
        let rivals = found.rivals.get_or_insert_default();
        rivals.add(before.attempt);
        rivals.hedges += u8::from(!is_over);
        self.place(job, pool, function);
        let user = self.backlog.users.name(key.user);
        self.fleet.leave_behind((key, user), function, &before, (is_over, self.now));
    }
}

/// Not if it was, unless to a worker that may be frozen.
fn may_be_hedged(job: &Job, in_flight: &InFlight) -> bool {
    let is_first = job.rivals.is_none();
    may_go_beside(job, in_flight) && (is_first || !in_flight.runs())
}

/// Not if there is evidence against it, or doubt where it is, nor ever again.
pub(super) fn may_go_beside(job: &Job, in_flight: &InFlight) -> bool {
    let rivals = job.rivals.as_ref().map_or(0, |rivals| rivals.count);
    let is_lost = in_flight.came_back || in_flight.holder.is_some_and(|holder| holder.dropped);
    job.is_blameless() && !is_lost && rivals < RIVALS
}
