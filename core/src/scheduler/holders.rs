//! Which worker holds which job, as beats and `Started` report. A job that a worker already holds,
//! from an earlier term or after its message came back, counts as in flight there.

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_protocol::limits::{BEAT, CLIENT_EXPIRES};
use simple_dist_protocol::message::{Bound, Held, Started, StartedJob};
use simple_dist_protocol::{Attempt, JobKey, PoolId, UserName, WorkerId};

use super::fact::{Fact, IgnoreReason};
use super::fleet::orphans::Location;
use super::fleet::workers::{HeldJob, Liveness};
use super::ids::{FunctionRef, JobRef, Key, LastUser};
use super::jobs::{Holder, InFlight, Running, State};
use super::{Core, Via};

/// A job that ended this long ago and is still in a beat is not just crossing its answer.
pub(super) const STILL_HELD: Duration = BEAT;

/// The most finished jobs that a worker is told of at once.
const FINISHED: usize = 4096;

impl Core {
    /// Takes over what a beat says the worker holds.
    pub(super) fn update_holders(&mut self, worker: WorkerId, held: Vec<Held>) {
        let now = self.now;
        let (mut keys, mut user_of) = (BTreeMap::new(), LastUser::default());
        let mut finished = vec![];
        let mut orphans = BTreeMap::new();
        for item in held {
            let key = user_of.key(&item.key);
            let user = self.backlog.users.find(key.user).unwrap_or(&item.key.user);
            let held = HeldJob {
                user: user.clone(),
                attempt: item.attempt,
                is_trial: item.key.is_trial(),
                function: self.fleet.functions.address(&item.function),
                slot: item.slot,
                since: now.saturating_sub(Duration::from_millis(item.age_ms)),
            };
            if let Some(job) = self.jobs.find(key) {
                self.update_holder(worker, job, &held);
            } else if let Some(kept) = self.jobs.recent.find(key)
                && now.saturating_sub(kept.at) >= STILL_HELD
                && held.slot.is_none()
                && self.fleet.orphans.get(&(key, held.attempt)).is_none()
                && finished.len() < FINISHED
            {
                finished.push((item.key, held.attempt));
            }
            if let Some(is_over) = self.runs_as_orphan(worker, key, &held) {
                orphans.insert((key, item.attempt), (held.clone(), is_over));
            }
            keys.insert(key, held);
        }
        self.fleet.workers.set_held(worker, keys);
        self.fleet.update_orphans(worker, orphans, self.now);
        self.cancel_at(worker, finished);
        self.mark_dropped(worker);
    }

    fn update_holder(&mut self, worker: WorkerId, job: JobRef, held: &HeldJob) {
        let Some(seq) = self.fleet.workers.get(worker).map(|worker| worker.seq) else { return };
        let running = held.slot.map(|_| Running { since: held.since, slot: held.slot });
        let Some(found) = self.jobs.get(job) else { return };
        match &found.state {
            State::InFlight(in_flight) if in_flight.attempt == held.attempt => {
                let attempt = held.attempt;
                let before = in_flight.holder;
                let ours = before.filter(|holder| holder.worker == worker);
                if ours.is_none() && before.is_some_and(|before| !before.dropped) {
                    return;
                }
                if !self.may_hold(worker, job, in_flight) {
                    self.outbox.ignore(IgnoreReason::Forged(1));
                    return;
                }
                self.hold(
                    job,
                    Holder {
                        worker,
                        running: running.or(ours.and_then(|holder| holder.running)),
                        seq,
                        evidence: ours.is_some_and(|holder| holder.evidence),
                        dropped: false,
                    },
                );
                self.revoke_doubt(job, attempt);
            }
            State::InFlight(_) => self.rival_held(worker, &(found.key, held.attempt)),
            State::Nowhere => {}
            // It came back or was given up, but runs after all.
            State::Queued(_) | State::Unnoted { .. } | State::Following { .. }
                if running.is_some() && self.may_run(worker, found.function) =>
            {
                self.detach(job);
                self.adopt(job, worker, held);
                self.revoke_doubt(job, held.attempt);
            }
            State::Queued(_) | State::Unnoted { .. } | State::Following { .. } => {}
        }
    }

    /// Marks jobs that the worker held and no longer names. Looks only at what this worker held.
    fn mark_dropped(&mut self, id: WorkerId) {
        let Some(worker) = self.fleet.workers.get(id) else { return };
        let pool = worker.pool;
        for job in worker.holds.clone() {
            let Some(worker) = self.fleet.workers.get(id) else { return };
            let Some(found) = self.jobs.get_mut(job) else { continue };
            let key = found.key;
            let Some(in_flight) = found.in_flight_mut() else { continue };
            if let Some(holder) = &mut in_flight.holder
                && worker.seq > holder.seq
                && !worker.held.contains_key(&key)
            {
                holder.dropped = true;
            }
            if in_flight.pool.is_none() && pool.is_some() {
                in_flight.pool = pool;
                pool.into_iter().for_each(|pool| self.add_to_pool(job, pool));
            }
        }
    }

    /// Whether the worker can hold this attempt: it is known to, or its pool was given it.
    pub(super) fn may_hold(&self, id: WorkerId, job: JobRef, in_flight: &InFlight) -> bool {
        if in_flight.holder.is_some_and(|holder| holder.worker == id) {
            return true;
        }
        match in_flight.pool {
            Some(pool) => {
                self.fleet.workers.get(id).is_some_and(|worker| worker.pool == Some(pool))
            }
            None => self.jobs.get(job).is_some_and(|job| self.may_run(id, job.function)),
        }
    }

    fn may_run(&self, id: WorkerId, function: FunctionRef) -> bool {
        self.fleet.workers.get(id).is_some_and(|worker| self.fleet.serves(worker, function))
    }

    /// Takes a detached job as running where it is held.
    fn adopt(&mut self, job: JobRef, worker: WorkerId, held: &HeldJob) {
        let Some(known) = self.fleet.workers.get(worker) else { return };
        let holder = Holder {
            worker,
            running: held.slot.map(|_| Running { since: held.since, slot: held.slot }),
            seq: known.seq,
            evidence: false,
            dropped: false,
        };
        let in_flight = self.adopted(known.pool, held.attempt, holder);
        self.set_in_flight(job, in_flight);
    }

    /// An attempt that we did not just place.
    fn adopted(&self, pool: Option<PoolId>, attempt: Attempt, holder: Holder) -> InFlight {
        InFlight {
            pool,
            attempt,
            run: 0,
            since: self.now,
            confirmed: Some(self.now),
            seen_empty: Some(self.now),
            holder: Some(holder),
            came_back: false,
            looked_at: None,
        }
    }

    /// A newly admitted job may already be held by a worker, from an earlier term: adopts that
    /// attempt, else queues the job.
    pub(super) fn adopt_or_queue(&mut self, job: JobRef) {
        let Some((key, function)) = self.jobs.get(job).map(|job| (job.key, job.function)) else {
            return;
        };
        let is_over = |attempt| self.fleet.orphans.is_over(&(key, attempt));
        if let Some(start) =
            self.jobs.recent.take_start(key).filter(|start| !is_over(start.attempt))
        {
            let started = StartedJob {
                key: JobKey { user: self.backlog.users.name(key.user).clone(), id: key.id },
                attempt: start.attempt,
            };
            return self.started_in_earlier_term(
                job,
                (&start.user, start.worker, start.seq),
                &started,
            );
        }
        let holder = self
            .fleet
            .workers
            .holder_of(key)
            .filter(|(worker, held)| !is_over(held.attempt) && self.may_run(*worker, function));
        match holder.map(|(worker, held)| (worker, held.clone())) {
            Some((worker, held)) => {
                self.adopt(job, worker, &held);
                self.note_rivals(job, held.attempt);
            }
            None if self.end_by_memo(job) => {}
            None => self.requeue(job),
        }
    }

    pub(super) fn started(&mut self, user: &UserName, started: &Started, via: Via) {
        if !self.leadership.is_up() {
            return;
        }
        if self.fleet.workers.get(started.worker).is_some_and(|worker| worker.user != *user) {
            self.outbox.ignore(IgnoreReason::Forged(1));
            return;
        }
        let mut user_of = LastUser::default();
        for begun in &started.jobs {
            let key = user_of.key(&begun.key);
            let id = (key, begun.attempt);
            self.fleet.orphan_begun((started.worker, started.seq), &id, self.now);
            let Some(job) = self.jobs.find(key) else {
                let (by, at) = ((user, started.worker), (begun.attempt, started.seq));
                if via == Via::Results
                    && !self.fleet.orphans.is_over(&id)
                    && !self.jobs.recent.keep_start(key, by, at, self.now)
                {
                    self.outbox.emit(Fact::LimitReached(Bound::Unclaimed));
                }
                continue;
            };
            self.started_job(job, (user, started.worker, started.seq), begun, via);
        }
    }

    fn started_job(
        &mut self,
        job: JobRef,
        (user, worker, seq): (&UserName, WorkerId, u64),
        begun: &StartedJob,
        via: Via,
    ) {
        let (now, term) = (self.now, self.leadership.term());
        let Some(found) = self.jobs.get(job) else { return };
        let (attempts, key) = (found.attempts, found.key);
        match &found.state {
            State::InFlight(in_flight) if in_flight.attempt == begun.attempt => {
                let before = in_flight.holder.filter(|holder| holder.worker == worker);
                let known = match self.fleet.workers.get(worker) {
                    Some(known) if known.is_heard() && !self.may_hold(worker, job, in_flight) => {
                        self.outbox.ignore(IgnoreReason::Forged(1));
                        return;
                    }
                    Some(known) => known,
                    None if via == Via::Beats => return,
                    None => match self.fleet.workers.get_or_insert(worker, user, now) {
                        Some(known) => known,
                        None => return,
                    },
                };
                let over = known.seq > seq && !known.held.contains_key(&key);
                let liveness = known.liveness;
                let running = before.and_then(|before| before.running);
                self.hold(
                    job,
                    Holder {
                        worker,
                        running: running.or(Some(Running { since: now, slot: None })),
                        seq: seq.max(before.map_or(0, |before| before.seq)),
                        evidence: via == Via::Results
                            || before.is_some_and(|before| before.evidence),
                        dropped: over,
                    },
                );
                if via == Via::Results && !over {
                    self.started_on_lost_worker(job, worker, liveness);
                }
            }
            State::Queued(_) | State::Unnoted { .. } | State::Following { .. }
                if via == Via::Results && attempts == 0 && Some(begun.attempt.term) != term =>
            {
                self.detach(job);
                self.started_in_earlier_term(job, (user, worker, seq), begun);
            }
            State::InFlight(_)
            | State::Queued(_)
            | State::Unnoted { .. }
            | State::Following { .. }
            | State::Nowhere => {
                self.outbox.ignore(IgnoreReason::Outdated);
            }
        }
    }

    /// A worker starts a job after it was declared lost or left: nobody would look after the job,
    /// since only this worker can say that it does not hold it. If the worker is alive, its next
    /// beat revokes the strike.
    fn started_on_lost_worker(&mut self, job: JobRef, worker: WorkerId, liveness: Liveness) {
        match liveness {
            Liveness::Heard | Liveness::Late | Liveness::Unreachable => {}
            Liveness::Lost { .. } => self.strike(job, worker),
            Liveness::Left { .. } => {
                self.detach(job);
                self.requeue(job);
            }
        }
    }

    /// A worker has started, confirmed, an attempt of an earlier term; the job is detached.
    fn started_in_earlier_term(
        &mut self,
        job: JobRef,
        (user, worker, seq): (&UserName, WorkerId, u64),
        begun: &StartedJob,
    ) {
        let Some((key, function)) = self.jobs.get(job).map(|job| (job.key, job.function)) else {
            return;
        };
        let selector = &self.fleet.functions.get(function).selector;
        let Some(known) = self.fleet.workers.get_or_insert(worker, user, self.now) else {
            return self.requeue(job);
        };
        if known.user != *user || known.is_heard() && !known.serves(selector) {
            self.outbox.ignore(IgnoreReason::Forged(1));
            return self.requeue(job);
        }
        let held = known.held.get(&key);
        let over = known.is_heard() && known.seq > seq && held.is_none();
        if over || matches!(known.liveness, Liveness::Left { .. }) {
            return self.requeue(job);
        }
        let running = Running {
            since: held.map_or(self.now, |held| held.since),
            slot: held.and_then(|held| held.slot),
        };
        let (pool, lost) = (known.pool, !known.is_alive());
        let seq = seq.max(if held.is_some() { known.seq } else { 0 });
        let holder = Holder { worker, running: Some(running), seq, evidence: true, dropped: false };
        let in_flight = self.adopted(pool, begun.attempt, holder);
        self.set_in_flight(job, in_flight);
        if lost {
            self.strike(job, worker);
        }
    }

    /// `Some` if an attempt in a beat runs as an orphan, with whether its job has ended.
    pub(super) fn runs_as_orphan(
        &mut self,
        worker: WorkerId,
        key: Key,
        held: &HeldJob,
    ) -> Option<bool> {
        let id = (key, held.attempt);
        let now = self.now;
        let orphan = self.fleet.orphans.known.get_mut(&id);
        if held.slot.is_none() {
            if let Some(Location::Queue { seen, .. }) = orphan.map(|orphan| &mut orphan.location) {
                *seen = Some(now);
            }
            return None;
        }
        if let Some(job) = self.jobs.find(key).and_then(|job| self.jobs.get(job)) {
            let is_it = job.in_flight().is_some_and(|in_flight| in_flight.attempt == held.attempt);
            return (!is_it).then_some(false);
        }
        if let Some(orphan) = orphan {
            let elsewhere =
                matches!(orphan.location, Location::Slot { worker: by, .. } if by != worker);
            // Every living client would have resent it by now.
            let unasked = now.saturating_sub(orphan.since.max(self.leadership.silence_from))
                >= CLIENT_EXPIRES
                && self.leadership.leading().is_some()
                && !self.trials.is_placed(&id);
            let is_over = orphan.is_over || unasked || self.jobs.recent.find(key).is_some();
            return (!elsewhere).then_some(is_over);
        }
        if held.is_trial {
            // One of ours has just ended; one of an earlier term tells nobody anything.
            return (Some(held.attempt.term) != self.leadership.term()).then_some(true);
        }
        match self.jobs.recent.find(key) {
            // The beat crossed its answer.
            Some(kept)
                if kept.answered.worker.is_some() && now.saturating_sub(kept.at) < STILL_HELD =>
            {
                None
            }
            kept => Some(kept.is_some()),
        }
    }
}
