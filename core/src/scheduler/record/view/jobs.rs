//! One job in the view: unfinished, or recently ended.

use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::{JobId, WorkerId};

use crate::scheduler::jobs::{Holder, Job, State};
use crate::scheduler::record::history::preview;
use crate::view::{self, Place, Seconds, UnfinishedJob};

use super::Viewer;
use crate::scheduler::ids::{JobRef, Key};

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

    fn job(&self, id: JobRef, job: &Job) -> UnfinishedJob {
        let now = self.now;
        let since = |then: Duration| Seconds::from(now.saturating_sub(then));
        let (place, place_since, holder) = match &job.state {
            State::Nowhere | State::Queued(_) => (Place::Queued, job.since, None),
            State::Unnoted { .. } => (Place::Unnoted, job.since, None),
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
            attempts: job.runs,
            mark: marks.mark,
            strikes: marks.strikes.iter().map(WorkerId::to_string).collect(),
            arguments: self.record.preview.then(|| preview(&job.args)).flatten(),
            timeline: self.record.timeline(id).moments(job.since, None),
        }
    }
}
