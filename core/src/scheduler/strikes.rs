//! Gives and revokes marks and strikes. Their definition is in [`super::jobs::strikes`].

use std::collections::BTreeSet;
use std::sync::Arc;

use simple_dist_protocol::limits::RESEND;
use simple_dist_protocol::message::{Crash, Held};
use simple_dist_protocol::{Attempt, JobKey, WorkerId};

use super::Core;
use super::fact::{Crashed, Fact, RunEnd, Step};
use super::ids::{JobRef, Key};
use super::jobs::State;

impl Core {
    /// A worker that had started the attempt is lost.
    pub(super) fn strike(&mut self, job: JobRef, worker: WorkerId) {
        let Some(in_flight) = self.detach(job) else { return };
        self.record_lost_run(job, &in_flight, RunEnd::Lost);
        if self.spares(job, &in_flight) {
            let lost = Step::LostWith { attempt: in_flight.run, worker };
            self.outbox.emit(Fact::Job(job, lost));
            return self.requeue(job);
        }
        let Some(found) = self.jobs.get_mut(job) else { return };
        let counts = found.strikes_mut().strike(worker, in_flight.attempt);
        self.outbox.emit(Fact::Job(job, Step::Struck { attempt: in_flight.run, worker, counts }));
        if counts {
            let seq = in_flight.holder.map_or(0, |holder| holder.seq);
            self.jobs.struck_by.entry(worker).or_default().insert(job, seq);
        }
        self.requeue(job);
    }

    /// The attempt in flight ended the child process in which it ran.
    pub(super) fn crashed(&mut self, job: JobRef, crash: Crash) {
        let Some(in_flight) = self.detach(job) else { return };
        self.record_lost_run(job, &in_flight, RunEnd::Lost);
        self.note_crash(job, in_flight.run, crash);
        self.requeue(job);
    }

    /// This run of it has ended a child process: that counts against it.
    pub(super) fn note_crash(&mut self, job: JobRef, attempt: u32, crash: Crash) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let Crash { worker, signal, code, .. } = crash;
        let crashed = Crashed {
            id: found.key.id,
            name: Arc::clone(&self.fleet.functions.get(found.function).name),
            args: found.args.clone(),
            worker,
            ending: crash.to_string(),
        };
        let counts = found.strikes_mut().crash(crash);
        let step = Step::Crashed { attempt, worker, signal, code, counts };
        self.outbox.emit(Fact::Job(job, step));
        self.outbox.emit(Fact::Crashed(Box::new(crashed)));
    }

    /// A lost worker is heard again: the jobs that it no longer holds did not kill it.
    pub(super) fn revoke_strikes(&mut self, worker: WorkerId, held: &[Held]) {
        let Some(struck) = self.jobs.struck_by.remove(&worker) else { return };
        let held: BTreeSet<Key> = held.iter().map(|held| Key::of(&held.key)).collect();
        let newest = self.fleet.workers.get(worker).map_or(0, |worker| worker.seq);
        for (job, seq) in struck {
            let Some(found) = self.jobs.get_mut(job) else { continue };
            // A job that it still holds may yet kill it, and that strike must then count; as may one
            // that it began after this beat, which came late.
            if held.contains(&found.key) || newest <= seq {
                self.jobs.struck_by.entry(worker).or_default().insert(job, seq);
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
                State::InFlight(_) | State::Following { .. } | State::Nowhere => {}
            }
            if !self.jobs.unnoted.contains(&job) {
                self.send_marks(job);
            }
        }
    }

    /// A worker that was out of reach is heard, and still runs the attempt.
    pub(super) fn revoke_doubt(&mut self, job: JobRef, attempt: Attempt) {
        let strikes = self.jobs.get_mut(job).and_then(|job| job.strikes.as_mut());
        if strikes.is_some_and(|strikes| strikes.revoke_doubt(attempt)) {
            self.outbox.emit(Fact::Job(job, Step::MarkRevoked));
            self.send_marks(job);
        }
    }

    /// These attempts were purged before any worker received them: their jobs are not to blame.
    pub(super) fn revoke_marks(&mut self, untouched: &[(JobKey, Attempt)]) {
        for (key, attempt) in untouched {
            let Some(job) = self.jobs.find(Key::of(key)) else { continue };
            let Some(found) = self.jobs.get_mut(job) else { continue };
            if found.strikes_mut().revoke_spare(*attempt) {
                found.runs = found.runs.saturating_sub(1);
                continue;
            }
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
