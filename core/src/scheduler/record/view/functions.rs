//! The functions in the view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::scheduler::fleet::functions::Function;
use crate::scheduler::record::counters::named;
use crate::scheduler::record::histogram::Histogram;
use crate::scheduler::record::stats::FunctionStats;
use crate::view;

use super::Viewer;
use crate::scheduler::ids::{FunctionRef, JobRef};

/// The most versions listed per function: the highest.
const VERSIONS: usize = 32;

impl Viewer<'_> {
    pub(super) fn functions(&self, waiting: &BTreeMap<usize, Histogram>) -> Vec<view::Function> {
        let mut under_way: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        let in_flight: BTreeSet<JobRef> = self
            .core
            .fleet
            .pools
            .values()
            .flat_map(|pool| pool.in_flight.iter().copied())
            .collect();
        for job in in_flight.into_iter().filter_map(|job| self.core.jobs.get(job)) {
            let (placed, running) = under_way.entry(job.function).or_default();
            let runs = job.in_flight().is_some_and(|in_flight| in_flight.runs());
            *(if runs { running } else { placed }) += 1;
        }
        let (functions, none) = (&self.core.fleet.functions, Histogram::default());
        let mut views: Vec<_> = functions
            .iter()
            .map(|(id, function)| {
                let waiting = waiting.get(&id.index()).unwrap_or(&none);
                self.function((id, function), under_way.remove(&id).unwrap_or_default(), waiting)
            })
            .collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    fn function(
        &self,
        (id, function): (FunctionRef, &Function),
        (placed, running): (usize, usize),
        waiting: &Histogram,
    ) -> view::Function {
        let pools = || function.pools.iter().filter_map(|pool| self.core.fleet.pools.get(pool));
        let versions = self.core.fleet.functions.versions(function.selector.name());
        let mut versions: Vec<u32> = versions
            .take(VERSIONS)
            .map(|version| self.core.fleet.functions.get(version))
            .filter(|version| !version.pools.is_empty())
            .filter_map(|version| Some(version.address.as_ref()?.version()))
            .collect();
        versions.sort_unstable();
        let none = FunctionStats::new(Arc::clone(&function.name));
        let of = self.record.function(id, &function.name).unwrap_or(&none);
        let FunctionStats { ended, local, stats, saved, series, .. } = of;
        view::Function {
            name: Arc::clone(&function.name),
            workers: pools().map(|pool| pool.workers.len()).sum(),
            slots: pools().map(|pool| pool.slots).sum(),
            versions,
            unversioned: self.core.unversioned_share(id),
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
            refuted: function.refuted,
            saved: *saved,
            rate: of.rate(),
            wait: stats.wait(waiting),
            run: stats.run(),
            waits: stats.waits.distribution(),
            runs: stats.runs.distribution(),
            look: None,
            series: Arc::clone(series),
        }
    }
}
