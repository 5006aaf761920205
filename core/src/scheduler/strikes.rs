//! Gives and revokes marks and strikes. Their definition is in [`super::jobs::strikes`].

use std::collections::BTreeSet;

use simple_dist_protocol::limits::RESEND;
use simple_dist_protocol::message::Held;
use simple_dist_protocol::{Attempt, JobKey, WorkerId};

use super::Core;
use super::fact::{Fact, RunEnd, Step};
use super::ids::{JobRef, Key};
use super::jobs::State;

impl Core {
    /// A worker that had started the attempt is lost.
    pub(super) fn strike(&mut self, job: JobRef, worker: WorkerId) {
        let Some(in_flight) = self.detach(job) else { return };
        self.record_lost_run(job, &in_flight, RunEnd::Lost);
        let Some(found) = self.jobs.get_mut(job) else { return };
        let counts = found.strikes_mut().strike(worker, in_flight.attempt);
        self.outbox.emit(Fact::Job(job, Step::Struck { attempt: in_flight.run, worker, counts }));
        if counts {
            self.jobs.struck_by.entry(worker).or_default().insert(job);
        }
        self.requeue(job);
    }

    /// A lost worker is heard again: the jobs that it no longer holds did not kill it.
    pub(super) fn revoke_strikes(&mut self, worker: WorkerId, held: &[Held]) {
        let Some(struck) = self.jobs.struck_by.remove(&worker) else { return };
        let held: BTreeSet<Key> = held.iter().map(|held| Key::of(&held.key)).collect();
        for job in struck {
            let Some(found) = self.jobs.get_mut(job) else { continue };
            // A job that it still holds may yet kill it, and that strike must then count.
            if held.contains(&found.key) {
                self.jobs.struck_by.entry(worker).or_default().insert(job);
                continue;
            }
            if !found.strikes_mut().revoke_strike(worker) {
                continue;
            }
            self.outbox.emit(Fact::Job(job, Step::StrikeRevoked));
            match found.state {
                State::Queued(_) | State::Unnoted { .. } => {
                    self.detach(job);
                    self.requeue(job);
                }
                State::InFlight(_) | State::Nowhere => {}
            }
            if !self.jobs.unnoted.contains(&job) {
                self.send_marks(job);
            }
        }
    }

    /// These attempts were purged before any worker received them: their jobs are not to blame.
    pub(super) fn revoke_marks(&mut self, untouched: &[(JobKey, Attempt)]) {
        for (key, attempt) in untouched {
            let Some(job) = self.jobs.find(Key::of(key)) else { continue };
            let Some(found) = self.jobs.get_mut(job) else { continue };
            if !found.strikes_mut().revoke_mark(*attempt) {
                continue;
            }
            found.runs = found.runs.saturating_sub(1);
            self.outbox.emit(Fact::Job(job, Step::MarkRevoked));
            if matches!(found.state, State::Queued(_) | State::Unnoted { .. }) {
                self.detach(job);
                self.requeue(job);
            }
            self.send_marks(job);
        }
    }

    /// Sends unacknowledged marks again: the marks or their receipt may have been lost.
    pub(super) fn resend_marks(&mut self) {
        for job in self.jobs.unnoted_for(RESEND, self.now) {
            self.send_marks(job);
        }
    }
}
