//! The workers in the view, with what each holds and what its slots ran.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::WorkerId;

use crate::scheduler::fleet::orphans::Location;
use crate::scheduler::fleet::workers::{Liveness, Worker};
use crate::scheduler::ids::JobRef;
use crate::scheduler::jobs::{Job, Running};
use crate::view::{
    self, Bar, BarEnd, HELD_SHOWN, HeldJob, Lane, Load, Outvoted, STREAM, Seconds, WorkerState,
};

use super::Viewer;

/// For so long a job may run on that nobody waits for: one that can be stopped has ended by then.
const STUCK: Duration = Duration::from_secs(2);

/// How long the lanes of a worker that is gone stay.
const GONE_SHOWN: Duration = Duration::from_secs(60);

impl Viewer<'_> {
    pub(super) fn workers(&self) -> Vec<view::Worker> {
        let heard = self.core.fleet.workers.iter().filter(|(_, worker)| worker.is_heard());
        let mut workers: Vec<_> = heard.map(|(id, worker)| self.worker(id, worker)).collect();
        // Live workers first, then those lost last; each group in order of age.
        workers.sort_by(|one, other| {
            (other.state.is_alive(), other.age.0)
                .partial_cmp(&(one.state.is_alive(), one.age.0))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        workers
    }

    fn worker(&self, id: WorkerId, worker: &Worker) -> view::Worker {
        let now = self.now;
        let since = |then: Duration| Seconds::from(now.saturating_sub(then));
        let held = self.held(worker);
        let count = |is: fn(&HeldJob) -> bool| held.iter().filter(|job| is(job)).count();
        let running = count(|job| job.slot.is_some()).saturating_sub(worker.orphans.len());
        let abandoned = u32::try_from(count(|job| job.abandoned)).unwrap_or(u32::MAX);
        let alive = worker.is_alive();
        let told = self.record.worker_stats.get(id);
        view::Worker {
            id,
            user: worker.user.clone(),
            host: worker.host.clone(),
            version: worker.version.clone(),
            state: match worker.liveness {
                Liveness::Lost { .. } => WorkerState::Lost,
                Liveness::Left { .. } => WorkerState::Left,
                Liveness::Heard | Liveness::Late | Liveness::Unreachable if worker.leaves => {
                    WorkerState::Left
                }
                Liveness::Unreachable => WorkerState::Unreachable,
                Liveness::Late => WorkerState::Late,
                Liveness::Heard if worker.is_quarantined() => WorkerState::Quarantined,
                Liveness::Heard if worker.drains() => WorkerState::Draining,
                Liveness::Heard if self.is_degraded(worker) => WorkerState::Degraded,
                Liveness::Heard => WorkerState::Live,
            },
            age: since(worker.since),
            silent: since(worker.heard.unwrap_or(worker.since)),
            functions: worker
                .functions
                .iter()
                .map(|function| self.core.fleet.functions.name_of(function))
                .collect(),
            pool: worker.pool,
            isolated: worker.isolated,
            load: worker.load.filter(|_| alive).map(Load::from),
            slots: worker.slots,
            busy: if alive { self.busy(id, worker, running) } else { 0 },
            abandoned: if alive { abandoned.min(worker.slots) } else { 0 },
            holds: if alive { held.len() } else { 0 },
            held: if alive { held.into_iter().take(HELD_SHOWN).collect() } else { vec![] },
            done: told.map_or(0, |told| told.done),
            failed: told.map_or(0, |told| told.failed),
            printed: told.map(|told| Arc::clone(&told.printed)).unwrap_or_default(),
            gave_back: told.map_or(0, |told| told.gave_back),
            outvoted: worker.outvoted.as_ref().map(|outvoted| Outvoted {
                function: Arc::clone(&outvoted.function),
                calls: outvoted.calls,
                age: since(outvoted.since),
                serves_alone: outvoted.serves_alone.clone(),
            }),
        }
    }

    /// Whether half of its slots or more run what nobody waits for, and not only for a moment.
    fn is_degraded(&self, worker: &Worker) -> bool {
        let orphans = worker.orphans.iter().filter_map(|id| self.core.fleet.orphans.get(id));
        let stuck = orphans
            .filter(|orphan| orphan.is_over && self.now.saturating_sub(orphan.since) >= STUCK);
        let stuck = stuck.count();
        stuck > 0 && stuck >= (worker.slots as usize).div_ceil(2)
    }

    /// How many of a worker's slots are busy, given how many are known to run a job. Jobs too short
    /// to be reported count by the run times of their answers.
    pub(super) fn busy(&self, id: WorkerId, worker: &Worker, running: usize) -> u32 {
        let lately = self.record.worker_stats.get(id).map_or(0, |told| told.busy(self.now));
        let running = u32::try_from(running).unwrap_or(u32::MAX).max(lately);
        let orphans = u32::try_from(worker.orphans.len()).unwrap_or(u32::MAX);
        running.saturating_add(orphans).min(worker.slots)
    }

    fn held_job(&self, (id, job): (JobRef, &Job), attempt: u32, age: Duration) -> HeldJob {
        HeldJob {
            id: job.key.id,
            user: self.core.backlog.users.name(job.key.user).clone(),
            function: Arc::clone(&self.core.fleet.functions.get(job.function).name),
            attempt,
            slot: None,
            age: age.into(),
            progress: self.progress(id),
            abandoned: false,
            trial: None,
        }
    }

    /// What runs in its slots for no unfinished job.
    fn orphans(&self, worker: &Worker) -> impl Iterator<Item = (Option<Running>, HeldJob)> {
        let known = worker.orphans.iter();
        let known = known.filter_map(|id| Some((id, self.core.fleet.orphans.get(id)?)));
        known.filter_map(|(id, orphan)| {
            let Location::Slot { running, .. } = orphan.location else { return None };
            let job = HeldJob {
                id: id.0.id,
                user: orphan.user.clone(),
                function: Arc::clone(&orphan.function),
                attempt: id.1.number,
                slot: None,
                age: self.now.saturating_sub(running.since).into(),
                progress: None,
                abandoned: orphan.is_over,
                trial: self.core.trials.purpose(id).map(str::to_owned),
            };
            Some((Some(running), job))
        })
    }

    /// What a worker holds now: what we know it to hold, then what only its last beat names and has
    /// not ended since. A running job without a known slot is shown in a free one.
    fn held(&self, worker: &Worker) -> Vec<HeldJob> {
        let now = self.now;
        let mut held = vec![];
        for (id, job) in worker.holds.iter().filter_map(|id| Some((*id, self.core.jobs.get(*id)?)))
        {
            let Some((in_flight, holder)) =
                job.in_flight().and_then(|in_flight| Some((in_flight, in_flight.holder?)))
            else {
                continue;
            };
            let since = holder.running.map_or(in_flight.since, |running| running.since);
            let known = self.held_job((id, job), in_flight.run, now.saturating_sub(since));
            held.push((holder.running, known));
        }
        held.extend(self.orphans(worker));
        for (key, beat) in &worker.held {
            if worker.orphans.contains(&(*key, beat.attempt))
                || self.core.jobs.find(*key).is_some()
                || self.core.jobs.recent.find(*key).is_some()
                || beat.is_trial
            {
                continue;
            }
            let stray = HeldJob {
                id: key.id,
                user: beat.user.clone(),
                function: self.core.fleet.functions.name_of(&beat.function),
                attempt: beat.attempt.number,
                slot: None,
                age: now.saturating_sub(beat.since).into(),
                progress: None,
                abandoned: false,
                trial: None,
            };
            let running = beat.slot.map(|slot| Running { since: beat.since, slot: Some(slot) });
            held.push((running, stray));
        }
        let mut taken: HashSet<u32> =
            held.iter().filter_map(|(running, _)| (*running)?.slot).collect();
        let mut next_free = 0;
        for (running, job) in &mut held {
            job.slot = running.and_then(|running| running.slot);
            if running.is_some() && job.slot.is_none() {
                while taken.contains(&next_free) {
                    next_free += 1;
                }
                // More jobs run than there are slots: the next beat will tell.
                if next_free < worker.slots {
                    taken.insert(next_free);
                    job.slot = Some(next_free);
                }
            }
        }
        let mut held: Vec<_> = held.into_iter().map(|(_, job)| job).collect();
        held.sort_by(|one, other| {
            let order = |job: &HeldJob| (job.slot.is_none(), job.slot);
            order(one).cmp(&order(other)).then(other.age.0.total_cmp(&one.age.0))
        });
        held
    }

    pub(super) fn stream(&self, workers: &[view::Worker]) -> view::Stream {
        let now = self.now;
        let mut stream =
            view::Stream { local: self.record.stream.local(now), ..view::Stream::default() };
        let mut order: Vec<&view::Worker> = workers.iter().collect();
        if workers.iter().map(|worker| worker.slots as usize).sum::<usize>() > STREAM.0 {
            order.sort_by_key(|worker| worker.busy == 0 && !self.record.stream.has(worker.id));
        }
        for worker in order {
            let known = self.core.fleet.workers.get(worker.id);
            let (lost, gone) = match known.map(|known| known.liveness) {
                Some(Liveness::Lost { at }) => (Some(at), Some(at)),
                Some(Liveness::Left { at }) => (None, Some(at)),
                Some(Liveness::Heard | Liveness::Late | Liveness::Unreachable) | None => {
                    (None, None)
                }
            };
            if gone.is_some_and(|at| now.saturating_sub(at) >= GONE_SHOWN) {
                continue;
            }
            let lost = lost.map(|at| Seconds::from(now.saturating_sub(at)));
            for slot in 0..worker.slots {
                if stream.lanes.len() >= STREAM.0 && worker.state.is_alive() {
                    // A worker may claim any number of slots; the rest are only counted.
                    stream.more += (worker.slots - slot) as usize;
                    break;
                }
                let mut bars = self.record.stream.bars(worker.id, slot as usize, now);
                let running = worker.held.iter().filter(|job| job.slot == Some(slot));
                bars.extend(running.map(|job| Bar {
                    function: Arc::clone(&job.function),
                    from: job.age,
                    to: Seconds(0.0),
                    count: 1,
                    end: if job.abandoned { BarEnd::Abandoned } else { BarEnd::Running },
                }));
                if bars.is_empty() && !worker.state.is_alive() {
                    continue;
                }
                if stream.lanes.len() >= STREAM.0 {
                    stream.more += 1;
                } else {
                    stream.lanes.push(Lane { worker: worker.id, slot, lost, bars });
                }
            }
        }
        stream
    }
}
