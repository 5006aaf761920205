//! Quarantine: a worker whose answers differ from those of all others gets no more jobs. It is drained
//! as by an operator, who may resume it; a worker that alone serves a function goes on.
//!
//! A function that differs by itself, now and then, puts the blame on whoever ran it. So a worker must
//! have been outvoted so often that chance would rarely have hit it alone.

use std::sync::Arc;

use simple_dist_protocol::{Address, WorkerId};

use super::Core;
use super::fact::Fact;
use super::fleet::workers::Outvoted;

/// In how many calls a worker must have been outvoted at least.
const FEWEST: u32 = 3;
/// And how unlikely it must be that all of them fell upon one worker by chance: once in so many times.
const ODDS: f64 = 100.0;

impl Core {
    /// Judges those that were outvoted.
    pub(super) fn quarantine_outvoted(&mut self) {
        for (worker, function, calls) in std::mem::take(&mut self.disputes.outvoted) {
            let found = self.fleet.workers.get(worker);
            let is_new = found.is_some_and(|it| it.is_alive() && !it.is_quarantined());
            if is_new && self.is_to_blame(worker, &function, calls) {
                self.quarantine(worker, &function, calls);
            }
        }
    }

    /// Whether it was hardly chance: that would have the first difference fall upon anybody, and each
    /// further one upon this worker by its share of the function's slots.
    fn is_to_blame(&self, worker: WorkerId, function: &Address, calls: u32) -> bool {
        let Some(function) = self.fleet.functions.find(function) else { return false };
        let pools = self.fleet.functions.get(function).pools.iter();
        let slots = pools.filter_map(|pool| self.fleet.pools.get(pool)).map(|pool| pool.slots);
        let (own, all) =
            (self.fleet.workers.get(worker).map_or(0, |it| it.counted), slots.sum::<u32>());
        let odds = f64::from(all) / f64::from(own.max(1));
        calls >= FEWEST && odds.powi(calls as i32 - 1) >= ODDS
    }

    fn quarantine(&mut self, id: WorkerId, function: &Address, calls: u32) {
        let serves_alone = self.serves_alone(id);
        let function = self.fleet.functions.name_of(function);
        let Some(worker) = self.fleet.workers.get_mut(id) else { return };
        let is_first = worker.outvoted.is_none();
        let goes = serves_alone.is_none();
        let since = self.now;
        worker.outvoted = Some(Box::new(Outvoted { function, calls, since, serves_alone }));
        if goes {
            self.memo.forget_worker(id);
            self.set_draining(id, true);
        }
        if goes || is_first {
            self.outbox.emit(Fact::Quarantined { is_drained: goes });
        }
    }

    /// A function that no other worker takes jobs of.
    fn serves_alone(&self, id: WorkerId) -> Option<Arc<str>> {
        let term = self.leadership.term();
        let serves = |worker: &WorkerId| {
            *worker != id && self.fleet.workers.get(*worker).is_some_and(|it| it.takes_jobs(term))
        };
        let pool =
            self.fleet.workers.get(id).and_then(|worker| self.fleet.pools.get(&worker.pool?));
        let alone = pool?.functions.iter().find(|function| {
            let pools = self.fleet.functions.get(**function).pools.iter();
            let mut pools = pools.filter_map(|pool| self.fleet.pools.get(pool));
            !pools.any(|pool| pool.workers.iter().any(serves))
        });
        alone.map(|function| Arc::clone(&self.fleet.functions.get(*function).name))
    }
}
