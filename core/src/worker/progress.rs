//! How far jobs are, told at most four times a second: the newest of each, in the end.

use std::time::Duration;

use simple_dist_protocol::limits::{LIST_JOBS, PROGRESS_PAUSE};
use simple_dist_protocol::message::{Progress, Progressed, ProgressedJob};

use super::jobs::State;
use super::{Effect, Executor, Number, Publication};

/// When news of progress are to be collected.
#[derive(Debug, Default)]
pub(super) struct Pace {
    due: Option<Duration>,
    /// Not before.
    next: Duration,
}

impl Executor {
    /// There are news to collect.
    pub(super) fn progresses(&mut self, now: Duration) {
        self.pace.due.get_or_insert(self.pace.next.max(now));
    }

    /// When they are. Without a link they wait, and are replaced by newer ones.
    pub(super) fn progress_due(&self) -> Option<Duration> {
        self.pace.due.filter(|_| self.link.is_some())
    }

    pub(super) fn collect_progress(&mut self, now: Duration) {
        if self.progress_due().is_some_and(|due| due <= now) {
            self.pace = Pace { due: None, next: now + PROGRESS_PAUSE };
            self.effects.push(Effect::CollectProgress);
        }
    }

    /// Publishes what was collected of what still runs for somebody.
    pub(super) fn progressed(&mut self, news: Vec<(Number, Progress)>) {
        let running = |(number, progress)| {
            let job = self.jobs.get(number)?;
            let runs = matches!(job.state, State::Running { .. });
            runs.then(|| ProgressedJob { key: job.key.clone(), attempt: job.attempt, progress })
        };
        let jobs: Vec<ProgressedJob> = news.into_iter().filter_map(running).collect();
        for jobs in jobs.chunks(LIST_JOBS) {
            let told = Progressed { worker: self.profile.worker, jobs: jobs.to_vec() };
            self.effects.push(Effect::Publish(Publication::Progress(told)));
        }
    }
}
