//! One job in the view: unfinished, or recently ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::{JobId, JobKey, WorkerId};

use crate::scheduler::jobs::{Holder, Job, State};
use crate::scheduler::record::history::preview;
use crate::view::{self, Affected, CrashReport, JobFilter, Place, Seconds, UnfinishedJob};

use super::Viewer;
use crate::scheduler::ids::{FunctionRef, JobRef, Key, UserRef};

impl Viewer<'_> {
    /// The jobs with this id, of any user, unfinished or recently ended.
    pub(in crate::scheduler) fn find(&self, id: JobId, unix_now: Duration) -> Vec<view::Job> {
        let under_way = self.core.backlog.users.all().filter_map(|user| {
            let job = self.core.jobs.find(Key { user, id })?;
            self.core.jobs.get(job).map(|found| view::Job::UnderWay(self.job(job, found)))
        });
        let ended = self.record.history.ended().filter(|job| job.id == id);
        let ended = ended.map(|job| view::Job::Ended(job.view(self.now, unix_now)));
        under_way.chain(ended).collect()
    }

    /// At most `most` of the unfinished jobs.
    pub(in crate::scheduler) fn jobs(&self, most: usize) -> Vec<UnfinishedJob> {
        self.core.jobs.iter().take(most).map(|(id, job)| self.job(id, job)).collect()
    }

    /// How many jobs under way a filter means, by function.
    pub(in crate::scheduler) fn affected(&self, filter: &JobFilter) -> Vec<Affected> {
        let mut all: BTreeMap<FunctionRef, (u64, u64)> = BTreeMap::new();
        for (function, runs, _) in self.meant(filter) {
            let (queued, running) = all.entry(function).or_default();
            *(if runs { running } else { queued }) += 1;
        }
        let of = |(function, (queued, running)): (FunctionRef, _)| Affected {
            function: Arc::clone(&self.core.fleet.functions.get(function).name),
            queued,
            running,
        };
        all.into_iter().map(of).collect()
    }

    /// At most `most` of the jobs under way that a filter means.
    pub(in crate::scheduler) fn some_of(&self, filter: &JobFilter, most: usize) -> Vec<JobKey> {
        let name = |user| self.core.backlog.users.name(user).clone();
        let key = |(_, _, key): (_, _, Key)| JobKey { user: name(key.user), id: key.id };
        self.meant(filter).take(most).map(key).collect()
    }

    /// The jobs under way that a filter means: the function of each, whether it runs, and its key.
    fn meant(&self, filter: &JobFilter) -> impl Iterator<Item = (FunctionRef, bool, Key)> {
        let known = self.core.fleet.functions.iter();
        let functions: Vec<_> = known
            .filter(|(_, function)| filter.has_function(&function.name))
            .map(|(id, _)| id)
            .collect();
        let user = filter.user.as_ref().map(UserRef::of);
        let (client, queued) = (filter.client, filter.queued);
        self.core.jobs.iter().filter_map(move |(_, job)| {
            let runs = job.in_flight().is_some_and(|in_flight| in_flight.runs());
            let is_meant = functions.binary_search(&job.function).is_ok()
                && user.is_none_or(|user| job.key.user == user)
                && client.is_none_or(|client| job.client == client)
                && !(queued && runs);
            is_meant.then_some((job.function, runs, job.key))
        })
    }

    /// What a job says of itself.
    pub(super) fn progress(&self, id: JobRef) -> Option<view::Progress> {
        let progress = self.record.job(id).progress.as_deref()?;
        Some(view::Progress { fraction: progress.fraction, text: progress.text.clone() })
    }

    fn job(&self, id: JobRef, job: &Job) -> UnfinishedJob {
        let now = self.now;
        let since = |then: Duration| Seconds::from(now.saturating_sub(then));
        let (place, place_since, holder) = match &job.state {
            State::Nowhere | State::Queued(_) => (Place::Queued, job.since, None),
            State::Unnoted { .. } => (Place::Unnoted, job.since, None),
            State::Following { .. } => (Place::Placed, job.since, None),
            State::InFlight(in_flight) => match in_flight.holder {
                Some(holder @ Holder { running: Some(running), .. }) => {
                    (Place::Running, running.since, Some(holder))
                }
                holder => (Place::Placed, in_flight.since, holder),
            },
        };
        let marks = job.strikes.as_ref().map(|strikes| strikes.marks()).unwrap_or_default();
        UnfinishedJob {
            id: job.key.id,
            user: self.core.backlog.users.name(job.key.user).clone(),
            client: job.client,
            function: Arc::clone(&self.core.fleet.functions.get(job.function).name),
            priority: job.priority,
            age: since(job.since),
            left: job.deadline.saturating_sub(now).into(),
            place,
            place_age: since(place_since),
            worker: holder.map(|holder| holder.worker),
            slot: holder.and_then(|holder| holder.running?.slot),
            progress: self.progress(id),
            attempts: job.runs,
            mark: marks.mark,
            strikes: marks.strikes.iter().map(WorkerId::to_string).collect(),
            crashes: marks.crashes.iter().map(CrashReport::from).collect(),
            arguments: self.record.preview.then(|| preview(&job.args)).flatten(),
            timeline: self.record.job(id).timeline.moments(job.since, None),
        }
    }
}
