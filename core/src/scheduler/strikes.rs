//! Marks and strikes as they are given and taken back. What they are: [`super::jobs::strikes`].

use std::collections::BTreeSet;

use simple_dist_protocol::limits::RESEND;
use simple_dist_protocol::message::Held;
use simple_dist_protocol::{Attempt, JobKey, WorkerId};

use super::Rooms;
use super::fact::{Fact, RunEnd, Step};
use super::jobs::{JobRef, Key, State};

impl Rooms {
    /// A worker was lost that had started the attempt.
    pub(super) fn strike(&mut self, job: JobRef, worker: WorkerId) {
        let Some(out) = self.detach(job) else { return };
        self.ran_in_vain(job, &out, RunEnd::Lost);
        let Some(found) = self.jobs.get_mut(job) else { return };
        let counts = found.suspicion_mut().strike(worker, out.attempt);
        self.outbox.tell(Fact::Job(job, Step::Struck { attempt: out.run, worker, counts }));
        if counts {
            self.jobs.strikers.entry(worker).or_default().insert(job);
        }
        self.requeue(job);
    }

    /// A lost worker was heard again: it was not the jobs that it does not hold any more.
    pub(super) fn take_strikes_back(&mut self, worker: WorkerId, held: &[Held]) {
        let Some(struck) = self.jobs.strikers.remove(&worker) else { return };
        let held: BTreeSet<Key> = held.iter().map(|held| Key::of(&held.key)).collect();
        for job in struck {
            let Some(found) = self.jobs.get_mut(job) else { continue };
            // What it still has may kill it yet, and then nobody would count that.
            if held.contains(&found.key) {
                self.jobs.strikers.entry(worker).or_default().insert(job);
                continue;
            }
            if !found.suspicion_mut().unstrike(worker) {
                continue;
            }
            self.outbox.tell(Fact::Job(job, Step::Unstruck));
            match found.state {
                State::Queued(_) | State::Unnoted { .. } => {
                    self.detach(job);
                    self.requeue(job);
                }
                State::Out(_) | State::Nowhere => {}
            }
            if !self.jobs.unnoted.contains(&job) {
                self.tell_marks(job);
            }
        }
    }

    /// Attempts that were purged before any worker had them: it was not the job.
    pub(super) fn take_marks_back(&mut self, untouched: &[(JobKey, Attempt)]) {
        for (key, attempt) in untouched {
            let Some(job) = self.jobs.find(Key::of(key)) else { continue };
            let Some(found) = self.jobs.get_mut(job) else { continue };
            if !found.suspicion_mut().unmark(*attempt) {
                continue;
            }
            found.runs = found.runs.saturating_sub(1);
            self.outbox.tell(Fact::Job(job, Step::Unmarked));
            if matches!(found.state, State::Queued(_) | State::Unnoted { .. }) {
                self.detach(job);
                self.requeue(job);
            }
            self.tell_marks(job);
        }
    }

    /// Receipts may get lost, and what they answer too.
    pub(super) fn tell_unnoted_again(&mut self) {
        for job in self.jobs.unnoted_for(RESEND, self.now) {
            self.tell_marks(job);
        }
    }
}
