//! What becomes of an attempt that goes on beside a newer one of its job. Its answer counts like any
//! other; its loss is evidence against the job like that of any other, so that a job that kills its
//! workers is known as such, and not run by its caller, whichever attempt does it.

use simple_dist_protocol::message::Crash;
use simple_dist_protocol::{Attempt, WorkerId};

use super::Core;
use super::fact::{Fact, Step};
use super::fleet::orphans::{Location, OrphanId};
use super::ids::JobRef;
use super::jobs::State;

impl Core {
    /// The unfinished job for which an attempt goes on beside a newer one.
    fn rival_of(&self, (key, attempt): &OrphanId) -> Option<JobRef> {
        let job = self.jobs.find(*key)?;
        let rivals = self.jobs.get(job)?.rivals.as_ref()?;
        rivals.contains(*attempt).then_some(job)
    }

    /// The same, if this worker may have held the attempt.
    pub(super) fn rival_at(&self, worker: WorkerId, id: &OrphanId) -> Option<JobRef> {
        let job = self.rival_of(id)?;
        let pool = self.fleet.workers.get(worker)?.pool?;
        (self.fleet.pool_of_orphan(id) == Some(pool)).then_some(job)
    }

    /// Workers that hold other attempts of a job, from an earlier term, go on with them.
    pub(super) fn note_rivals(&mut self, job: JobRef, newest: Attempt) {
        let Some(key) = self.jobs.get(job).map(|job| job.key) else { return };
        let named = self.fleet.workers.holders_of(key).filter_map(|worker| {
            let worker = self.fleet.workers.get(worker).filter(|worker| worker.is_alive())?;
            worker.held.get(&key).filter(|held| held.slot.is_some()).map(|held| held.attempt)
        });
        let is_over = |attempt: &Attempt| self.fleet.orphans.is_over(&(key, *attempt));
        let others = named.filter(|attempt| *attempt != newest && !is_over(attempt));
        let others: Vec<Attempt> = others.collect();
        let Some(found) = self.jobs.get_mut(job).filter(|_| !others.is_empty()) else { return };
        let rivals = found.rivals.get_or_insert_default();
        others.into_iter().for_each(|attempt| rivals.add(attempt));
    }

    /// A worker hands a rival back.
    pub(super) fn rival_returned(&mut self, job: JobRef, id: &OrphanId, willing: bool) {
        if !willing {
            return self.rival_lost(id);
        }
        self.forget_rival(job, id);
    }

    /// A rival is gone, and may have taken its worker with it.
    pub(super) fn rival_lost(&mut self, id: &OrphanId) {
        let Some(job) = self.rival_of(id) else { return };
        let pool = self.fleet.pool_of_orphan(id).and_then(|pool| self.fleet.pools.get(&pool));
        let isolated = pool.is_some_and(|pool| pool.isolated);
        self.forget_rival(job, id);
        let Some(found) = self.jobs.get_mut(job) else { return };
        let strikes = found.strikes_mut();
        if isolated && strikes.spare(id.1) {
            return;
        }
        if strikes.mark(id.1) {
            self.outbox.emit(Fact::Job(job, Step::Marked));
            self.judge_again(job);
        }
    }

    /// These are gone, with a worker or from a queue.
    pub(super) fn rivals_lost<'a>(&mut self, ids: impl IntoIterator<Item = &'a OrphanId>) {
        ids.into_iter().for_each(|id| self.rival_lost(id));
    }

    /// A rival ended the child process in which it ran.
    pub(super) fn rival_crashed(&mut self, job: JobRef, id: &OrphanId, crash: Crash) {
        self.forget_rival(job, id);
        let run = self.jobs.get(job).map_or(0, |found| found.runs);
        self.note_crash(job, run, crash);
        self.judge_again(job);
    }

    fn forget_rival(&mut self, job: JobRef, id: &OrphanId) {
        let rivals = self.jobs.get_mut(job).and_then(|job| job.rivals.as_mut());
        rivals.into_iter().for_each(|rivals| _ = rivals.remove(id.1));
    }

    /// There is more evidence against a job than when it was sent where it is now.
    fn judge_again(&mut self, job: JobRef) {
        match self.jobs.get(job).map(|job| &job.state) {
            Some(State::Queued(_) | State::Unnoted { .. } | State::Following { .. }) => {
                self.detach(job);
                self.requeue(job);
            }
            Some(State::InFlight(_) | State::Nowhere) | None => {}
        }
        if self.jobs.get(job).is_some() && !self.jobs.unnoted.contains(&job) {
            self.send_marks(job);
        }
    }

    /// The worker that runs these is out of reach, not isolated, and has not announced that.
    pub(super) fn doubt_rivals(&mut self, worker: WorkerId) {
        let orphans = self.fleet.workers.get(worker).map(|worker| worker.orphans.clone());
        for id in orphans.unwrap_or_default() {
            let Some(job) = self.rival_of(&id) else { continue };
            let Some(found) = self.jobs.get_mut(job) else { continue };
            if found.strikes_mut().doubt(id.1) {
                self.outbox.emit(Fact::Job(job, Step::Marked));
                self.judge_again(job);
            }
        }
    }

    /// A worker that was out of reach is heard, and runs a rival.
    pub(super) fn rival_held(&mut self, worker: WorkerId, id: &OrphanId) {
        let location = self.fleet.orphans.get(id).map(|orphan| orphan.location);
        if matches!(location, Some(Location::Slot { worker: by, .. }) if by == worker)
            && let Some(job) = self.rival_of(id)
        {
            self.revoke_doubt(job, id.1);
        }
    }
}
