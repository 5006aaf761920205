//! The scheduler as a person or a program outside sees it: a copy, made as often as somebody looks.
//! Its cost is bounded by the workers, functions, pools and clients, never by the jobs that wait.

mod functions;
mod jobs;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use crate::view::{Client, Phase, Pool, Sample, Seconds, Totals, View};

use crate::scheduler::Rooms;
use crate::scheduler::fleet::functions::FunctionRef;

use super::Record;
use super::history::Ended;

/// The most jobs without their client's receipt that are looked at for the oldest.
const UNNOTED_SEEN: usize = 10_000;
/// The seconds over which the rate of all functions together is taken.
const RATE_OVER: usize = 10;
/// The queue grows if more came than ended in each of three such spans: many that come at once
/// and are worked off do not make it grow.
const GROWS_OVER: usize = 3 * RATE_OVER;
/// Jobs come if any came in so many seconds.
const COMES_OVER: usize = 3;

/// Who looks at the rooms and at what is written down of them, at this time.
#[derive(Debug, Clone, Copy)]
pub(in crate::scheduler) struct Viewer<'a> {
    pub(in crate::scheduler) rooms: &'a Rooms,
    pub(in crate::scheduler) record: &'a Record,
    pub(in crate::scheduler) now: Duration,
}

impl Viewer<'_> {
    /// All of it; `unix_now` is what `now` is in Unix time. What only the process knows (its
    /// version, the broker's address) is left open.
    pub(in crate::scheduler) fn view(&self, unix_now: Duration) -> View {
        let now = self.now;
        let workers = self.workers();
        let ended = |job: &Ended| job.view(now, unix_now);
        let mut view = View {
            unix_ms: u64::try_from(unix_now.as_millis()).unwrap_or(u64::MAX),
            books: self.record.counters.view(),
            stream: self.stream(&workers),
            workers,
            functions: self.functions(),
            pools: self.pools(),
            clients: self.clients(),
            turned_away: self.record.refusals.view(now),
            recent: Arc::new(self.record.history.ended().map(ended).collect()),
            series: self.record.history.samples().copied().collect(),
            ..View::default()
        };
        view.distributor.phase = self.phase();
        view.broker.up = self.rooms.leadership.is_up();
        view.broker.blocked = self.rooms.leadership.is_blocked();
        view.broker.sure = self.rooms.leadership.judges;
        view.totals = self.totals(&view);
        view
    }

    fn phase(&self) -> Phase {
        let now = self.now;
        match self.rooms.leadership.leading() {
            Some(leading) => Phase::Active {
                term: leading.term.to_string(),
                age: now.saturating_sub(leading.since).into(),
            },
            None if self.rooms.leadership.is_up() => {
                let active = self.rooms.leadership.active(now);
                Phase::Standby {
                    active: active.map(|active| active.distributor.to_string()),
                    backlog: active.map(|active| active.backlog),
                }
            }
            None => Phase::Down,
        }
    }

    fn totals(&self, view: &View) -> Totals {
        let alive = || view.workers.iter().filter(|worker| worker.state.is_alive());
        let newest: Vec<&Sample> = self.record.history.samples().rev().take(GROWS_OVER).collect();
        let last = &newest[..newest.len().min(RATE_OVER)];
        let per_second = |number: u64| number as f64 / last.len().max(1) as f64;
        let ended = sum(last, Sample::ended);
        // What came at once is worked off; what keeps coming counts.
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
        let (lost, lost_gave_back) = self.record.tallies.losses();
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
            wait_p95: self.record.stats.wait().p95,
            local_share: self.record.stats.local_share(),
            lost,
            lost_gave_back,
            argument_bytes: self.rooms.jobs.bytes() as u64,
        }
    }

    fn oldest_queued(&self) -> Option<Duration> {
        let unnoted = self.rooms.jobs.unnoted.iter().copied().take(UNNOTED_SEEN);
        let jobs =
            self.rooms.backlog.oldest().chain(unnoted).filter_map(|job| self.rooms.jobs.get(job));
        jobs.map(|job| self.now.saturating_sub(job.since)).max()
    }

    fn pools(&self) -> Vec<Pool> {
        let name =
            |function: &FunctionRef| Arc::clone(&self.rooms.fleet.functions.get(*function).name);
        let pools = self.rooms.fleet.pools.iter().map(|(id, pool)| Pool {
            id: *id,
            functions: pool.functions.iter().map(name).collect(),
            workers: pool.workers.len(),
            slots: pool.slots,
            out: pool.out.len(),
            abandoned: pool.orphans.len() + pool.occupied as usize,
        });
        pools.collect()
    }

    fn clients(&self) -> Vec<Client> {
        let clients = self.record.callers.iter().map(|((user, id), caller)| Client {
            id: *id,
            user: caller.user.clone(),
            jobs: self.rooms.jobs.clients.get(&(*user, *id)).map_or(0, |client| client.jobs.len()),
            local: caller.local,
            silent: self.now.saturating_sub(caller.heard).into(),
        });
        clients.collect()
    }

    /// The sample of this second.
    pub(super) fn sample(&self) -> Sample {
        let alive = || self.rooms.fleet.workers.iter().filter(|(_, worker)| worker.is_alive());
        let busy = alive().map(|(id, worker)| {
            let runs = worker.holds.iter().filter_map(|job| self.rooms.jobs.get(*job)?.out());
            self.busy(id, worker, runs.filter(|out| out.runs()).count())
        });
        Sample {
            slots: alive().map(|(_, worker)| worker.slots).sum(),
            busy: busy.sum(),
            queued: self.record.counters.queued + self.record.counters.placed,
            wait_p95: self.record.stats.wait().p95,
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
