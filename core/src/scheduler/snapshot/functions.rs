//! The functions as they are seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::scheduler::Scheduler;
use crate::scheduler::functions::Function;
use crate::scheduler::jobs::JobRef;
use crate::scheduler::measures::Measures;
use crate::view;

use super::named;

/// The most versions of a name that each of them names: the highest.
const VERSIONS: usize = 32;

impl Scheduler {
    pub(super) fn functions_view(&self, now: Duration) -> Vec<view::Function> {
        let mut under_way: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        let out: BTreeSet<JobRef> =
            self.pools.values().flat_map(|pool| pool.out.iter().copied()).collect();
        for job in out.into_iter().filter_map(|job| self.jobs.get(job)) {
            let (placed, running) = under_way.entry(job.function).or_default();
            let runs = job.out().is_some_and(|out| out.runs());
            *(if runs { running } else { placed }) += 1;
        }
        let mut views: Vec<_> = self
            .functions
            .iter()
            .map(|(id, function)| {
                self.function_view(function, under_way.remove(&id).unwrap_or_default(), now)
            })
            .collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    fn function_view(
        &self,
        function: &Function,
        (placed, running): (usize, usize),
        now: Duration,
    ) -> view::Function {
        let pools = || function.pools.iter().filter_map(|pool| self.pools.get(pool));
        let versions = self.functions.versions(function.selector.name());
        let mut versions: Vec<u32> = versions
            .take(VERSIONS)
            .map(|version| self.functions.get(version))
            .filter(|version| !version.pools.is_empty())
            .filter_map(|version| Some(version.address.as_ref()?.version()))
            .collect();
        versions.sort_unstable();
        let none = Measures::default();
        let measures = function.measures.as_deref().unwrap_or(&none);
        view::Function {
            name: Arc::clone(&function.name),
            workers: pools().map(|pool| pool.workers.len()).sum(),
            slots: pools().map(|pool| pool.slots).sum(),
            versions,
            queued: function.jobs.saturating_sub(placed + running),
            placed,
            running,
            done: function.ended.done,
            failed: function.ended.failed,
            timed_out: function.ended.timed_out,
            cancelled: function.ended.cancelled,
            lately: measures.lately(),
            answers: named(&measures.answers),
            local: function.local.clone(),
            local_share: measures.local_share(),
            rate: measures.rate(now),
            wait: measures.wait(),
            run: measures.run(),
            waits: measures.waits.distribution(),
            runs: measures.runs.distribution(),
        }
    }
}
