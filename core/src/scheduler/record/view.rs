//! Builds the view: a snapshot of the scheduler for people and programs. Its cost is bounded by the
//! number of workers, functions, pools and clients, never by waiting jobs.

mod functions;
mod jobs;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::view::{Client, Memo, Phase, Pool, Sample, Seconds, Shadow, ShadowStop, Totals, View};

use crate::scheduler::Core;
use crate::scheduler::rollout::Shadow as Pair;
use crate::scheduler::shadowing::Stop;

use super::Record;
use super::histogram::Histogram;
use super::history::EndedJob;
use super::stats::RATE_OVER;
use crate::scheduler::ids::FunctionRef;

/// The most unacknowledged jobs searched for the oldest.
const UNNOTED_SEEN: usize = 10_000;
/// The queue grows if more jobs came than ended in each of three such spans: a burst that is being
/// worked off does not count.
const GROWS_OVER: usize = 3 * RATE_OVER;
/// Jobs are arriving if any came within this many seconds.
const COMES_OVER: usize = 3;

/// Reads the rooms and the record at one moment.
#[derive(Debug, Clone, Copy)]
pub(in crate::scheduler) struct Viewer<'a> {
    pub(in crate::scheduler) core: &'a Core,
    pub(in crate::scheduler) record: &'a Record,
    pub(in crate::scheduler) now: Duration,
}

impl Viewer<'_> {
    /// The whole view; `unix_now` is `now` in Unix time. The shell fills in what only the process
    /// knows (its version, the broker's address).
    pub(in crate::scheduler) fn view(&self, unix_now: Duration) -> View {
        let now = self.now;
        let (workers, waiting) = (self.workers(), self.waiting());
        let ended = |job: &EndedJob| job.view(now, unix_now);
        let mut view = View {
            unix_ms: u64::try_from(unix_now.as_millis()).unwrap_or(u64::MAX),
            books: self.record.counters.view(),
            stream: self.stream(&workers),
            workers,
            functions: self.functions(&waiting),
            memo: self.memo(),
            shadows: self.shadows(unix_now),
            pools: self.pools(),
            clients: self.clients(),
            turned_away: self.record.refusals.view(now),
            failures: self.record.failures.view(now),
            differences: self.record.differences.view(self.record.preview, now),
            recent: Arc::new(self.record.history.ended().map(ended).collect()),
            series: self.record.history.samples().copied().collect(),
            minute: self.record.minute.clone(),
            ..View::default()
        };
        view.distributor.phase = self.phase();
        view.broker.up = self.core.leadership.is_up();
        view.broker.blocked = self.core.leadership.is_blocked();
        view.broker.sure = self.core.leadership.may_act;
        view.totals = self.totals(&view, &waiting);
        view
    }

    fn memo(&self) -> Memo {
        let (memo, most) = (&self.core.memo, self.core.config.memo);
        let (answers, bytes, evicted) = (memo.answers(), memo.bytes, memo.evicted);
        Memo { answers: answers as u64, bytes: bytes as u64, most: most as u64, evicted }
    }

    fn shadows(&self, unix_now: Duration) -> Vec<Shadow> {
        let functions = &self.core.fleet.functions;
        let view = |(number, pair): (usize, &Pair)| {
            let of = Shadow {
                live: functions.name_of(&pair.live),
                shadow: functions.name_of(&pair.shadow),
                share: pair.share.fraction(),
                stopped: self.core.shadows.stopped(number).map(|stop| match stop {
                    Stop::Lost => ShadowStop::Lost,
                    Stop::Slow => ShadowStop::Slow,
                }),
                ..Shadow::default()
            };
            self.record.shadows.view(number, of, (self.now, unix_now))
        };
        self.core.config.rollout.shadows().iter().enumerate().map(view).collect()
    }

    fn phase(&self) -> Phase {
        let now = self.now;
        match self.core.leadership.leading() {
            Some(leading) => Phase::Active {
                term: leading.term.to_string(),
                age: now.saturating_sub(leading.since).into(),
            },
            None if self.core.leadership.is_up() => {
                let active = self.core.leadership.active(now);
                Phase::Standby {
                    active: active.map(|active| active.distributor.to_string()),
                    backlog: active.map(|active| active.backlog),
                }
            }
            None => Phase::Down,
        }
    }

    fn totals(&self, view: &View, waits: &BTreeMap<usize, Histogram>) -> Totals {
        let alive = || view.workers.iter().filter(|worker| worker.state.is_alive());
        let newest: Vec<&Sample> = self.record.history.samples().rev().take(GROWS_OVER).collect();
        let last = &newest[..newest.len().min(RATE_OVER)];
        let per_second = |number: u64| number as f64 / last.len().max(1) as f64;
        let ended = sum(last, Sample::ended);
        // A burst is being worked off; only steady arrivals count.
        let arrived = match sum(&last[..last.len().min(COMES_OVER)], came) {
            0 => 0,
            _ => sum(last, came),
        };
        let waiting = match view.distributor.phase {
            Phase::Standby { backlog, .. } => backlog.unwrap_or(0),
            Phase::Down | Phase::Active { .. } => {
                self.record.counters.queued + self.record.counters.placed
            }
        };
        let slots = alive().map(|worker| worker.slots).sum();
        let shrinks = waiting > 0 && ended > arrived && slots > 0;
        let grows = |some: &[&Sample]| sum(some, came) > sum(some, Sample::ended);
        let (lost, lost_gave_back) = self.record.worker_stats.losses();
        Totals {
            workers: alive().count(),
            slots,
            busy: alive().map(|worker| worker.busy).sum(),
            abandoned: alive().map(|worker| worker.abandoned).sum(),
            queued: waiting,
            oldest: self.oldest_queued().map(Seconds::from),
            rate: per_second(sum(last, |one| one.done)),
            empty_in: shrinks.then(|| Seconds(waiting as f64 / per_second(ended - arrived))),
            grows: waiting > 0
                && newest.len() == GROWS_OVER
                && sum(&newest, Sample::ended) > 0
                && newest.chunks(RATE_OVER).all(grows),
            wait_p95: self.wait_p95(waits),
            local_share: self.record.stats.local_share(),
            lost,
            lost_gave_back,
            argument_bytes: self.core.jobs.bytes() as u64,
        }
    }

    fn oldest_queued(&self) -> Option<Duration> {
        let unnoted = self.core.jobs.unnoted.iter().copied().take(UNNOTED_SEEN);
        let jobs =
            self.core.backlog.oldest().chain(unnoted).filter_map(|job| self.core.jobs.get(job));
        jobs.map(|job| self.now.saturating_sub(job.since)).max()
    }

    fn pools(&self) -> Vec<Pool> {
        let name =
            |function: &FunctionRef| Arc::clone(&self.core.fleet.functions.get(*function).name);
        let pools = self.core.fleet.pools.iter().map(|(id, pool)| Pool {
            id: *id,
            functions: pool.functions.iter().map(name).collect(),
            workers: pool.workers.len(),
            slots: pool.slots,
            in_flight: pool.in_flight.len(),
            abandoned: pool.orphans.len() + pool.occupied as usize,
        });
        pools.collect()
    }

    fn clients(&self) -> Vec<Client> {
        let clients = self.record.callers.iter().map(|((user, id), caller)| Client {
            id: *id,
            user: caller.user.clone(),
            jobs: self.core.jobs.clients.get(&(*user, *id)).map_or(0, |client| client.count()),
            local: caller.local,
            silent: self.now.saturating_sub(caller.heard).into(),
        });
        clients.collect()
    }

    /// The waits so far of what waits for each function, by its index.
    pub(super) fn waiting(&self) -> BTreeMap<usize, Histogram> {
        let mut waiting: BTreeMap<usize, Histogram> = BTreeMap::new();
        let core = self.core;
        let queued = core.fleet.functions.iter().flat_map(|(id, _)| core.backlog.some(id));
        let placed = core.fleet.pools.values().flat_map(|pool| &pool.in_flight);
        for (job, many) in queued.chain(placed.map(|job| (*job, 1))) {
            let Some(job) = core.jobs.get(job) else { continue };
            if !job.in_flight().is_some_and(|in_flight| in_flight.runs()) {
                let of = waiting.entry(job.function.index()).or_default();
                of.record_many(self.now.saturating_sub(job.since), many);
            }
        }
        waiting
    }

    /// The 95th percentile of all waits of late.
    fn wait_p95(&self, waiting: &BTreeMap<usize, Histogram>) -> Option<Seconds> {
        let mut all = Histogram::default();
        waiting.values().for_each(|of| all.add(of));
        self.record.stats.wait(&all).p95
    }

    /// The sample of this second.
    pub(super) fn sample(&self) -> Sample {
        let alive = || self.core.fleet.workers.iter().filter(|(_, worker)| worker.is_alive());
        let busy = alive().map(|(id, worker)| {
            let runs = worker.holds.iter().filter_map(|job| self.core.jobs.get(*job)?.in_flight());
            self.busy(id, worker, runs.filter(|in_flight| in_flight.runs()).count())
        });
        Sample {
            slots: alive().map(|(_, worker)| worker.slots).sum(),
            busy: busy.sum(),
            queued: self.record.counters.queued + self.record.counters.placed,
            wait_p95: self.wait_p95(&self.waiting()),
            ..Sample::default()
        }
    }
}

fn came(sample: &Sample) -> u64 {
    sample.accepted
}

fn sum(samples: &[&Sample], value: fn(&Sample) -> u64) -> u64 {
    samples.iter().copied().map(value).sum()
}
