//! Outcomes of published messages.

use simple_dist_protocol::{Attempt, Outcome, PoolId};

use super::fleet::pools::PoolQueue;
use super::ids::JobRef;
use super::outbox::Sent;
use super::{Core, Token};

impl Core {
    pub(super) fn settled(&mut self, tokens: &[Token], outcome: Outcome) {
        for token in tokens {
            let Some(sent) = self.outbox.settle(*token) else { continue };
            match (sent, outcome) {
                (Sent::Placement { job, key, attempt, pool }, outcome) => {
                    self.fleet.orphan_settled(
                        &(key, attempt),
                        outcome == Outcome::Confirmed,
                        self.now,
                    );
                    if outcome != Outcome::Confirmed {
                        self.trial_unplaced(&(key, attempt));
                    }
                    self.placement_settled(job, attempt, pool, outcome);
                }
                (Sent::Delivery { user, client, generation, .. }, Outcome::Returned) => {
                    self.client_gone(user, client, generation);
                }
                (Sent::Control { worker, generation }, Outcome::Returned | Outcome::Refused) => {
                    self.worker_unreachable(worker, generation);
                }
                (Sent::Delivery { .. }, Outcome::Confirmed | Outcome::Refused)
                | (Sent::Control { .. }, Outcome::Confirmed) => {}
            }
        }
    }

    fn placement_settled(
        &mut self,
        job: Option<JobRef>,
        attempt: Attempt,
        pool: PoolId,
        outcome: Outcome,
    ) {
        let now = self.now;
        let in_flight = job.and_then(|job| self.jobs.get_mut(job)?.in_flight_mut());
        let in_flight = in_flight.filter(|in_flight| in_flight.attempt == attempt);
        if outcome == Outcome::Confirmed {
            if let Some(in_flight) = in_flight {
                in_flight.confirmed.get_or_insert(now);
            }
            return;
        }
        let unplaced = in_flight.is_some_and(|in_flight| in_flight.holder.is_none());
        if let Some(pool) = self.fleet.pools.get_mut(&pool) {
            match outcome {
                Outcome::Returned if pool.queue == PoolQueue::Declared => {
                    pool.queue = PoolQueue::Unknown;
                }
                Outcome::Returned | Outcome::Confirmed => {}
                Outcome::Refused => pool.paused = true,
            }
        }
        self.ensure_declared(pool);
        if let Some(job) = job.filter(|_| unplaced) {
            if let Some(found) = self.jobs.get_mut(job) {
                found.uncount_run();
            }
            self.detach(job);
            self.requeue(job);
        }
    }
}
