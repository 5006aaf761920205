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
        self.interrupt_run(job);
        let Some(found) = self.jobs.get_mut(job) else { return };
        if let Some(left) = found.left {
            return self.cancel(job, left);
        }
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
            self.tell_marks(job);
        }
    }

    /// The run that others share has ended without an answer. If there is evidence against it they
    /// stay with it, else each is queued again.
    fn interrupt_run(&mut self, leader: JobRef) {
        if !self.jobs.runs.leads(leader) {
            return;
        }
        self.share_evidence(leader);
        if self.jobs.get(leader).is_some_and(|job| !job.is_marked()) {
            for follower in self.jobs.runs.take_followers(leader) {
                self.detach(follower);
                self.requeue(follower);
            }
        }
    }

    /// Queues the jobs whose run has ended without an answer for them.
    pub(super) fn requeue_released(&mut self) {
        for job in std::mem::take(&mut self.jobs.runs.released) {
            if matches!(self.jobs.get(job).map(|job| &job.state), Some(State::Nowhere)) {
                self.requeue(job);
            }
        }
    }

    /// A job that shares the run of another leads its next attempt: its client knows what there is
    /// against it, and that of the leader has yet to say so.
    pub(super) fn lead_instead(&mut self, job: JobRef, leader: JobRef) {
        self.detach(job);
        self.detach(leader);
        let others = self.jobs.runs.take_followers(leader);
        for other in others.into_iter().chain([leader]) {
            self.join(other, job);
        }
        self.jobs.pass_strikes_on(leader, job);
        self.requeue(job);
    }

    /// The attempt in flight is gone, and as far as we know was never started: requeues the job
    /// with a mark, unless it is spared.
    pub(super) fn requeue_marked(&mut self, job: JobRef) {
        let Some(in_flight) = self.detach(job) else { return };
        if self.spares(job, &in_flight) {
            return self.requeue(job);
        }
        let Some(found) = self.jobs.get_mut(job) else { return };
        if found.strikes_mut().mark(in_flight.attempt) {
            self.outbox.emit(Fact::Job(job, Step::Marked));
        }
        self.requeue(job);
    }

    /// Whether the loss of an attempt says nothing about its job: its worker is an isolated one.
    pub(super) fn spares(&mut self, job: JobRef, lost: &InFlight) -> bool {
        let pool = lost.pool.and_then(|pool| self.fleet.pools.get(&pool));
        let holder = lost.holder.and_then(|holder| self.fleet.workers.get(holder.worker));
        let isolated =
            pool.is_some_and(|pool| pool.isolated) || holder.is_some_and(|worker| worker.isolated);
        let found = self.jobs.get_mut(job).filter(|_| isolated);
        found.is_some_and(|found| found.strikes_mut().spare(lost.attempt))
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
