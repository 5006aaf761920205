//! Relief: what a draining worker runs is placed elsewhere at once, where a slot is idle and the rest
//! of the run is expected to take longer than it has run so far. The worker is told to give it up,
//! and leaves when it holds nothing more. Whatever else it runs it ends.

use simple_dist_protocol::WorkerId;
use simple_dist_protocol::message::WorkerState;

use super::Core;
use super::fact::Fact;
use super::hedging::may_go_beside;
use super::ids::JobRef;

impl Core {
    /// A worker is heard: if it drains, what it runs goes elsewhere, as far as that is worth it.
    pub(super) fn relieve(&mut self, id: WorkerId) {
        let leads = self.leadership.may_act && self.leadership.leading().is_some();
        let Some(worker) = self.fleet.workers.get(id).filter(|_| leads && self.config.relief)
        else {
            return;
        };
        if worker.state != WorkerState::Draining {
            return;
        }
        for job in worker.holds.clone() {
            if self.is_worth_a_restart(job)
                && let Some(found) = self.jobs.get(job)
                && let Some(pool) = found.in_flight().map(|in_flight| in_flight.pool)
                && let Some(pool) = self.idle_pool(found.function, pool, Some(id))
            {
                self.place_beside(job, pool, true);
                self.outbox.emit(Fact::Relieved);
            }
        }
    }

    /// Whether what a job has run so far takes less time than is left of it, by the run times of its
    /// function. A run longer than those may end at any moment.
    fn is_worth_a_restart(&self, job: JobRef) -> bool {
        let Some(found) = self.jobs.get(job) else { return false };
        let Some(in_flight) = found.in_flight().filter(|it| may_go_beside(found, it)) else {
            return false;
        };
        let mean = self.fleet.functions.get(found.function).work.mean();
        let Some((running, mean)) = in_flight.running().zip(mean) else { return false };
        let age = self.now.saturating_sub(running.since);
        mean.checked_sub(age).is_some_and(|rest| rest > age)
    }
}
