//! One job as it is seen: under way, or ended lately.

use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::{JobId, JobKey, WorkerId};

use crate::scheduler::Scheduler;
use crate::scheduler::history::preview;
use crate::scheduler::jobs::{Holder, Job, Key, State};
use crate::view::{self, JobUnderWay, Place, Seconds};

impl Scheduler {
    /// The jobs of this id, under way or ended lately, whosever they are.
    pub fn find(&self, id: JobId, now: Duration, unix_now: Duration) -> Vec<view::Job> {
        let under_way = self.users.all().filter_map(|user| {
            let job = self.jobs.find(Key { user, id })?;
            self.jobs.get(job).map(|job| view::Job::UnderWay(self.job_view(job, now)))
        });
        let ended = self.history.ended().filter(|job| job.id == id);
        let ended = ended.map(|job| view::Job::Ended(job.view(now, unix_now)));
        under_way.chain(ended).collect()
    }

    /// Whether this job is under way.
    pub fn holds(&self, key: &JobKey) -> bool {
        self.jobs.find(Key::of(key)).is_some()
    }

    /// Whether this worker lives, as far as we know.
    pub fn has_worker(&self, worker: WorkerId) -> bool {
        self.workers.is_alive(worker)
    }

    /// Some of the jobs under way, at most so many.
    pub fn jobs(&self, most: usize, now: Duration) -> Vec<JobUnderWay> {
        self.jobs.iter().take(most).map(|job| self.job_view(job, now)).collect()
    }

    fn job_view(&self, job: &Job, now: Duration) -> JobUnderWay {
        let since = |then: Duration| Seconds::from(now.saturating_sub(then));
        let (place, place_since, holder) = match &job.state {
            State::Nowhere | State::Queued(_) => (Place::Queued, job.since, None),
            State::Unnoted { .. } => (Place::Unnoted, job.since, None),
            State::Out(out) => match out.holder {
                Some(holder @ Holder { running: Some(running), .. }) => {
                    (Place::Running, running.since, Some(holder))
                }
                holder => (Place::Placed, out.since, holder),
            },
        };
        let marks = job.suspicion.as_ref().map(|suspicion| suspicion.marks()).unwrap_or_default();
        JobUnderWay {
            id: job.key.id,
            user: self.users.name(job.key.user).clone(),
            client: job.client,
            function: Arc::clone(&self.functions.get(job.function).name),
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
            arguments: self.config.preview.then(|| preview(&job.args)).flatten(),
            timeline: job.timeline.moments(job.since, None),
        }
    }
}
