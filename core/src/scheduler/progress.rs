//! How far running jobs are: for people, and for the callers that asked for it.

use simple_dist_protocol::message::{Delivered, Progress, Progressed, ProgressedJob};
use simple_dist_protocol::{Attempt, UserName, WorkerId};

use super::Core;
use super::fact::{Fact, IgnoreReason, Step};
use super::ids::{JobRef, Key};

impl Core {
    pub(super) fn progressed(&mut self, user: &UserName, told: Progressed) {
        let Some(known) = self.fleet.workers.get(told.worker) else { return };
        if known.user != *user {
            return self.outbox.ignore(IgnoreReason::Forged(1));
        }
        for ProgressedJob { key, attempt, progress } in told.jobs {
            // One that has ended is no news.
            let Some(job) = self.jobs.find(Key::of(&key)) else { continue };
            if !self.may_run_attempt(told.worker, job, attempt) {
                self.outbox.ignore(IgnoreReason::Outdated);
                continue;
            }
            let progress = Progress::new(progress.fraction, progress.text);
            self.deliver_progress(job, &progress);
            for follower in self.jobs.runs.followers(job).collect::<Vec<_>>() {
                self.deliver_progress(follower, &progress);
            }
            self.outbox.emit(Fact::Job(job, Step::Progressed(progress)));
        }
    }

    /// Whether it may be this worker that runs the attempt in flight. The word that it does may be
    /// behind that of its progress.
    fn may_run_attempt(&self, worker: WorkerId, job: JobRef, attempt: Attempt) -> bool {
        let in_flight = self.jobs.get(job).and_then(|job| job.in_flight());
        in_flight.is_some_and(|in_flight| {
            in_flight.attempt == attempt
                && in_flight.holder.is_none_or(|holder| holder.worker == worker)
                && self.may_hold(worker, job, in_flight)
        })
    }

    /// A client that does not take what it has is sent none: the next will be newer.
    fn deliver_progress(&mut self, job: JobRef, progress: &Progress) {
        let Some(found) = self.jobs.get(job).filter(|job| job.progress) else { return };
        let (id, client) = (found.key.id, (found.key.user, found.client));
        if self.outbox.deliveries.is_idle(client) && !self.jobs.clients.is_silent(&client, self.now)
        {
            self.deliver(client, id, Delivered::Progress(progress.clone()));
        }
    }
}
