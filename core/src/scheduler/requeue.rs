//! Runs a job again: puts it back into its queue with its marks, asks its client for a receipt
//! first, or ends it as poisoned.

use std::sync::Arc;

use simple_dist_protocol::WorkerId;

use super::Core;
use super::fact::{Fact, Run, RunEnd, Step};
use super::ids::JobRef;
use super::jobs::{InFlight, State};

impl Core {
    /// Sends a detached job where its marks allow: into the queue, to its client for a receipt, or
    /// to its end.
    pub(super) fn requeue(&mut self, job: JobRef) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let Some(strikes) = &found.strikes else { return self.enqueue(job) };
        if strikes.is_fatal() {
            let poisoned = strikes.poisoned();
            self.end_with(job, poisoned);
        } else if strikes.is_noted() {
            self.enqueue(job);
        } else {
            found.state = State::Unnoted { told: self.now };
            self.jobs.unnoted.insert(job);
            self.outbox.emit(Fact::Job(job, Step::Queued));
            self.send_marks(job);
        }
    }

    /// The attempt in flight is gone, and as far as we know was never started: requeues the job
    /// with a mark.
    pub(super) fn requeue_marked(&mut self, job: JobRef) {
        let Some(in_flight) = self.detach(job) else { return };
        let Some(found) = self.jobs.get_mut(job) else { return };
        if found.strikes_mut().mark(in_flight.attempt) {
            self.outbox.emit(Fact::Job(job, Step::Marked));
        }
        self.requeue(job);
    }

    /// Requeues a purged job; with a mark if a lost worker may have had it.
    pub(super) fn requeue_purged(&mut self, job: JobRef, crashed: bool) {
        if crashed {
            self.requeue_marked(job);
        } else {
            if let Some(found) = self.jobs.get_mut(job) {
                found.uncount_run();
            }
            self.detach(job);
            self.requeue(job);
        }
    }

    /// Requeues a job that a lost worker held, without evidence that it had started it.
    pub(super) fn requeue_lost(&mut self, job: JobRef, worker: WorkerId) {
        if let Some(in_flight) = self.jobs.get(job).and_then(|job| job.in_flight()).cloned() {
            let attempt = in_flight.run;
            self.outbox.emit(Fact::Job(job, Step::LostWith { attempt, worker }));
            self.record_lost_run(job, &in_flight, RunEnd::Lost);
        }
        self.requeue_marked(job);
    }

    /// Records the part of the attempt that a worker had run when it was last heard.
    pub(super) fn record_lost_run(&mut self, job: JobRef, in_flight: &InFlight, end: RunEnd) {
        let Some((holder, found)) = in_flight.holder.zip(self.jobs.get(job)) else { return };
        let Some((running, worker)) = holder.running.zip(self.fleet.workers.get(holder.worker))
        else {
            return;
        };
        let to = worker.heard.unwrap_or(self.now);
        let run = Run {
            job,
            attempt: in_flight.run,
            name: Arc::clone(&self.fleet.functions.get(found.function).name),
            worker: holder.worker,
            slots: worker.slots,
            slot: running.slot,
            from: running.since.min(to),
            to,
            end,
        };
        self.outbox.emit(Fact::Ran(Box::new(run)));
    }
}
