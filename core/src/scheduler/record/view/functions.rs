//! The functions as they are seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::scheduler::fleet::functions::{Function, FunctionRef};
use crate::scheduler::jobs::JobRef;
use crate::scheduler::record::counters::named;
use crate::scheduler::record::stats::Of;
use crate::view;

use super::Viewer;

/// The most versions of a name that each of them names: the highest.
const VERSIONS: usize = 32;

impl Viewer<'_> {
    pub(super) fn functions(&self) -> Vec<view::Function> {
        let mut under_way: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        let out: BTreeSet<JobRef> =
            self.rooms.fleet.pools.values().flat_map(|pool| pool.out.iter().copied()).collect();
        for job in out.into_iter().filter_map(|job| self.rooms.jobs.get(job)) {
            let (placed, running) = under_way.entry(job.function).or_default();
            let runs = job.out().is_some_and(|out| out.runs());
            *(if runs { running } else { placed }) += 1;
        }
        let functions = &self.rooms.fleet.functions;
        let mut views: Vec<_> = functions
            .iter()
            .map(|(id, function)| {
                self.function(id, function, under_way.remove(&id).unwrap_or_default())
            })
            .collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    fn function(
        &self,
        id: FunctionRef,
        function: &Function,
        (placed, running): (usize, usize),
    ) -> view::Function {
        let pools = || function.pools.iter().filter_map(|pool| self.rooms.fleet.pools.get(pool));
        let versions = self.rooms.fleet.functions.versions(function.selector.name());
        let mut versions: Vec<u32> = versions
            .take(VERSIONS)
            .map(|version| self.rooms.fleet.functions.get(version))
            .filter(|version| !version.pools.is_empty())
            .filter_map(|version| Some(version.address.as_ref()?.version()))
            .collect();
        versions.sort_unstable();
        let none = Of::new(Arc::clone(&function.name));
        let Of { ended, local, stats, .. } =
            self.record.function(id, &function.name).unwrap_or(&none);
        view::Function {
            name: Arc::clone(&function.name),
            workers: pools().map(|pool| pool.workers.len()).sum(),
            slots: pools().map(|pool| pool.slots).sum(),
            versions,
            queued: function.jobs.saturating_sub(placed + running),
            placed,
            running,
            done: ended.done,
            failed: ended.failed,
            timed_out: ended.timed_out,
            cancelled: ended.cancelled,
            lately: stats.lately(),
            answers: named(&stats.answers),
            local: local.clone(),
            local_share: stats.local_share(),
            rate: stats.rate(self.now),
            wait: stats.wait(),
            run: stats.run(),
            waits: stats.waits.distribution(),
            runs: stats.runs.distribution(),
        }
    }
}
