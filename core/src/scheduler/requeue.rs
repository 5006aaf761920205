//! A job that is to run again: back into its queue, with what speaks against it; or first to its
//! client for a receipt; or to its end.

use std::sync::Arc;

use simple_dist_protocol::WorkerId;

use super::Rooms;
use super::fact::{Fact, Run, RunEnd, Step};
use super::jobs::{JobRef, Out, State};

impl Rooms {
    /// A job that is nowhere goes where its counts allow: into the queue, or first to its client
    /// for a receipt, or to its end.
    pub(super) fn requeue(&mut self, job: JobRef) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let Some(suspicion) = &found.suspicion else { return self.enqueue(job) };
        if suspicion.is_fatal() {
            let poisoned = suspicion.poisoned();
            self.end_by_us(job, poisoned);
        } else if suspicion.is_noted() {
            self.enqueue(job);
        } else {
            found.state = State::Unnoted { told: self.now };
            self.jobs.unnoted.insert(job);
            self.outbox.tell(Fact::Job(job, Step::Queued));
            self.tell_marks(job);
        }
    }

    /// The attempt under way is gone without having been started, as far as we know.
    pub(super) fn place_again_marked(&mut self, job: JobRef) {
        let Some(out) = self.detach(job) else { return };
        let Some(found) = self.jobs.get_mut(job) else { return };
        if found.suspicion_mut().mark(out.attempt) {
            self.outbox.tell(Fact::Job(job, Step::Marked));
        }
        self.requeue(job);
    }

    /// A purged job is placed again; with a mark if a worker that was lost may have had it.
    pub(super) fn take_from_queue(&mut self, job: JobRef, crashed: bool) {
        if crashed {
            self.place_again_marked(job);
        } else {
            if let Some(found) = self.jobs.get_mut(job) {
                found.uncount_run();
            }
            self.detach(job);
            self.requeue(job);
        }
    }

    /// A lost worker had the job, and nothing says that it had begun it by order.
    pub(super) fn place_again_after_loss(&mut self, job: JobRef, worker: WorkerId) {
        if let Some(out) = self.jobs.get(job).and_then(|job| job.out()).cloned() {
            let attempt = out.run;
            self.outbox.tell(Fact::Job(job, Step::LostWith { attempt, worker }));
            self.ran_in_vain(job, &out, RunEnd::Lost);
        }
        self.place_again_marked(job);
    }

    /// What a worker had run of the attempt under way when it was heard last: its message came
    /// back, or it is lost.
    pub(super) fn ran_in_vain(&mut self, job: JobRef, out: &Out, end: RunEnd) {
        let Some((holder, found)) = out.holder.zip(self.jobs.get(job)) else { return };
        let Some((running, worker)) = holder.running.zip(self.fleet.workers.get(holder.worker))
        else {
            return;
        };
        let to = worker.heard.unwrap_or(self.now);
        let run = Run {
            job,
            attempt: out.run,
            name: Arc::clone(&self.fleet.functions.get(found.function).name),
            worker: holder.worker,
            slots: worker.slots,
            slot: running.slot,
            from: running.since.min(to),
            to,
            end,
        };
        self.outbox.tell(Fact::Ran(Box::new(run)));
    }
}
