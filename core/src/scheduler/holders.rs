//! Which worker holds which job: by its beats, and by what it says when it begins one. A job that
//! is held already, from an earlier term or after it came back, is taken as under way there.

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_protocol::limits::{BEAT, CLIENT_EXPIRES};
use simple_dist_protocol::message::{Bound, Held, Started, StartedJob};
use simple_dist_protocol::{Attempt, JobKey, PoolId, UserName, WorkerId};

use super::fact::{Fact, Why};
use super::fleet::functions::FunctionRef;
use super::fleet::orphans::Place;
use super::fleet::workers::{Fate, HeldJob};
use super::jobs::{Holder, JobRef, Key, Out, Running, State};
use super::{Rooms, Via};

/// A job that ended this long ago and is still in a beat is not just crossing its answer.
pub(super) const STILL_HELD: Duration = BEAT;

/// The most of them that a worker is told of at once.
const FINISHED: usize = 4096;

impl Rooms {
    /// What the worker holds.
    pub(super) fn hear_held(&mut self, worker: WorkerId, held: Vec<Held>) {
        let now = self.now;
        let mut keys = BTreeMap::new();
        let mut finished = vec![];
        let mut beside = BTreeMap::new();
        for item in held {
            let key = Key::of(&item.key);
            let user = self.backlog.users.find(key.user).unwrap_or(&item.key.user);
            let held = HeldJob {
                user: user.clone(),
                attempt: item.attempt,
                function: self.fleet.functions.address(&item.function),
                slot: item.slot,
                since: now.saturating_sub(Duration::from_millis(item.age_ms)),
            };
            if let Some(job) = self.jobs.find(key) {
                self.hear_held_job(worker, job, &held);
            } else if let Some(kept) = self.jobs.recent.find(key)
                && now.saturating_sub(kept.at) >= STILL_HELD
                && held.slot.is_none()
                && self.fleet.orphans.get(&(key, held.attempt)).is_none()
                && finished.len() < FINISHED
            {
                finished.push((item.key, held.attempt));
            }
            if let Some(is_over) = self.runs_beside(worker, key, &held) {
                beside.insert((key, item.attempt), (held.clone(), is_over));
            }
            keys.insert(key, held);
        }
        self.fleet.workers.set_held(worker, keys);
        self.fleet.hear_orphans(worker, beside, self.now);
        self.cancel_at(worker, finished);
        self.hear_dropped(worker);
    }

    fn hear_held_job(&mut self, worker: WorkerId, job: JobRef, held: &HeldJob) {
        let Some(seq) = self.fleet.workers.get(worker).map(|worker| worker.seq) else { return };
        let running = held.slot.map(|_| Running { since: held.since, slot: held.slot });
        let Some(found) = self.jobs.get(job) else { return };
        match &found.state {
            State::Out(out) if out.attempt == held.attempt => {
                let before = out.holder;
                let ours = before.filter(|holder| holder.worker == worker);
                if ours.is_none() && before.is_some_and(|before| !before.dropped) {
                    return;
                }
                if !self.may_have(worker, job, out) {
                    self.outbox.ignore(Why::Forged(1));
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
            }
            State::Out(_) | State::Nowhere => {}
            // It came back, or was given up, and runs all the same.
            State::Queued(_) | State::Unnoted { .. }
                if running.is_some() && self.may_run(worker, found.function) =>
            {
                self.detach(job);
                self.join(job, worker, held);
            }
            State::Queued(_) | State::Unnoted { .. } => {}
        }
    }

    /// Our jobs that the worker held and does not name any more: a look at what this one holds, not
    /// at what all do.
    fn hear_dropped(&mut self, id: WorkerId) {
        let Some(worker) = self.fleet.workers.get(id) else { return };
        let pool = worker.pool;
        for job in worker.holds.clone() {
            let Some(worker) = self.fleet.workers.get(id) else { return };
            let Some(found) = self.jobs.get_mut(job) else { continue };
            let (key, suspect) = (found.key, found.is_suspect());
            let Some(out) = found.out_mut() else { continue };
            if let Some(holder) = &mut out.holder
                && worker.seq > holder.seq
                && !worker.held.contains_key(&key)
            {
                holder.dropped = true;
            }
            if out.pool.is_none() && pool.is_some() {
                out.pool = pool;
                pool.into_iter().for_each(|pool| self.count_in(job, pool, suspect));
            }
        }
    }

    /// Whether the worker may have this attempt: it is known to, or its pool was given it.
    pub(super) fn may_have(&self, id: WorkerId, job: JobRef, out: &Out) -> bool {
        if out.holder.is_some_and(|holder| holder.worker == id) {
            return true;
        }
        match out.pool {
            Some(pool) => {
                self.fleet.workers.get(id).is_some_and(|worker| worker.pool == Some(pool))
            }
            None => self.jobs.get(job).is_some_and(|job| self.may_run(id, job.function)),
        }
    }

    fn may_run(&self, id: WorkerId, function: FunctionRef) -> bool {
        self.fleet.workers.get(id).is_some_and(|worker| self.fleet.serves(worker, function))
    }

    /// A job that is nowhere is taken as running where it is held.
    fn join(&mut self, job: JobRef, worker: WorkerId, held: &HeldJob) {
        let Some(known) = self.fleet.workers.get(worker) else { return };
        let holder = Holder {
            worker,
            running: held.slot.map(|_| Running { since: held.since, slot: held.slot }),
            seq: known.seq,
            evidence: false,
            dropped: false,
        };
        let out = self.out_with(known.pool, held.attempt, holder);
        self.put_out(job, out);
    }

    /// An attempt that we did not just place.
    fn out_with(&self, pool: Option<PoolId>, attempt: Attempt, holder: Holder) -> Out {
        Out {
            pool,
            attempt,
            run: 0,
            since: self.now,
            confirmed: Some(self.now),
            seen_empty: Some(self.now),
            holder: Some(holder),
            came_back: false,
        }
    }

    /// A job that was just let in may be under way already, from an earlier term.
    pub(super) fn settle_in(&mut self, job: JobRef) {
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
            return self.started_before(job, (&start.user, start.worker, start.seq), &started);
        }
        let holder = self
            .fleet
            .workers
            .holder_of(key)
            .filter(|(worker, held)| !is_over(held.attempt) && self.may_run(*worker, function));
        match holder.map(|(worker, held)| (worker, held.clone())) {
            Some((worker, held)) => self.join(job, worker, &held),
            None => self.requeue(job),
        }
    }

    pub(super) fn started(&mut self, user: &UserName, started: &Started, via: Via) {
        if !self.leadership.is_up() {
            return;
        }
        if self.fleet.workers.get(started.worker).is_some_and(|worker| worker.user != *user) {
            self.outbox.ignore(Why::Forged(1));
            return;
        }
        for begun in &started.jobs {
            let key = Key::of(&begun.key);
            let id = (key, begun.attempt);
            self.fleet.orphan_begun((started.worker, started.seq), &id, self.now);
            let Some(job) = self.jobs.find(key) else {
                let (by, at) = ((user, started.worker), (begun.attempt, started.seq));
                if via == Via::Results
                    && !self.fleet.orphans.is_over(&id)
                    && !self.jobs.recent.keep_start(key, by, at, self.now)
                {
                    self.outbox.tell(Fact::TurnedAway(Bound::Unclaimed));
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
            State::Out(out) if out.attempt == begun.attempt => {
                let before = out.holder.filter(|holder| holder.worker == worker);
                let known = match self.fleet.workers.get(worker) {
                    Some(known) if known.is_heard() && !self.may_have(worker, job, out) => {
                        self.outbox.ignore(Why::Forged(1));
                        return;
                    }
                    Some(known) => known,
                    None if via == Via::Beats => return,
                    None => match self.fleet.workers.meet(worker, user, now) {
                        Some(known) => known,
                        None => return,
                    },
                };
                let over = known.seq > seq && !known.held.contains_key(&key);
                let fate = known.fate;
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
                    self.begun_by_the_lost(job, worker, fate);
                }
            }
            State::Queued(_) | State::Unnoted { .. }
                if via == Via::Results && attempts == 0 && Some(begun.attempt.term) != term =>
            {
                self.detach(job);
                self.started_before(job, (user, worker, seq), begun);
            }
            State::Out(_) | State::Queued(_) | State::Unnoted { .. } | State::Nowhere => {
                self.outbox.ignore(Why::Outdated);
            }
        }
    }

    /// A worker that was lost, or left, says behind that that it begins a job: nobody would look
    /// after the job, since only this worker could say that it does not hold it. If the worker
    /// lives, its next beat takes the strike back.
    fn begun_by_the_lost(&mut self, job: JobRef, worker: WorkerId, fate: Fate) {
        match fate {
            Fate::Heard | Fate::Late | Fate::Unreachable => {}
            Fate::Lost { .. } => self.strike(job, worker),
            Fate::Left { .. } => {
                self.detach(job);
                self.requeue(job);
            }
        }
    }

    /// A worker had started an attempt of an earlier term, confirmed, of a job that is nowhere.
    fn started_before(
        &mut self,
        job: JobRef,
        (user, worker, seq): (&UserName, WorkerId, u64),
        begun: &StartedJob,
    ) {
        let Some((key, function)) = self.jobs.get(job).map(|job| (job.key, job.function)) else {
            return;
        };
        let selector = &self.fleet.functions.get(function).selector;
        let Some(known) = self.fleet.workers.meet(worker, user, self.now) else {
            return self.requeue(job);
        };
        if known.user != *user || known.is_heard() && !known.serves(selector) {
            self.outbox.ignore(Why::Forged(1));
            return self.requeue(job);
        }
        let held = known.held.get(&key);
        let over = known.is_heard() && known.seq > seq && held.is_none();
        if over || matches!(known.fate, Fate::Left { .. }) {
            return self.requeue(job);
        }
        let running = Running {
            since: held.map_or(self.now, |held| held.since),
            slot: held.and_then(|held| held.slot),
        };
        let (pool, lost) = (known.pool, !known.is_alive());
        let seq = seq.max(if held.is_some() { known.seq } else { 0 });
        let holder = Holder { worker, running: Some(running), seq, evidence: true, dropped: false };
        let out = self.out_with(pool, begun.attempt, holder);
        self.put_out(job, out);
        if lost {
            self.strike(job, worker);
        }
    }

    /// Whether an attempt that a beat names is an orphan that runs there, and then whether it is
    /// over.
    pub(super) fn runs_beside(
        &mut self,
        worker: WorkerId,
        key: Key,
        held: &HeldJob,
    ) -> Option<bool> {
        let id = (key, held.attempt);
        let now = self.now;
        let orphan = self.fleet.orphans.known.get_mut(&id);
        if held.slot.is_none() {
            if let Some(Place::Queue { seen, .. }) = orphan.map(|orphan| &mut orphan.place) {
                *seen = Some(now);
            }
            return None;
        }
        if let Some(job) = self.jobs.find(key).and_then(|job| self.jobs.get(job)) {
            let is_it = job.out().is_some_and(|out| out.attempt == held.attempt);
            return (!is_it).then_some(false);
        }
        if let Some(orphan) = orphan {
            let elsewhere = matches!(orphan.place, Place::Slot { worker: by, .. } if by != worker);
            // Every client would have sent it by now.
            let unasked = now.saturating_sub(orphan.since.max(self.leadership.fresh))
                >= CLIENT_EXPIRES
                && self.leadership.leading().is_some();
            let is_over = orphan.is_over || unasked || self.jobs.recent.find(key).is_some();
            return (!elsewhere).then_some(is_over);
        }
        match self.jobs.recent.find(key) {
            // The beat has crossed its answer.
            Some(kept)
                if kept.answered.worker.is_some() && now.saturating_sub(kept.at) < STILL_HELD =>
            {
                None
            }
            kept => Some(kept.is_some()),
        }
    }
}
