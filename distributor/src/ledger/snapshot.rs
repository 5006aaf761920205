//! The ledger as a person or a program outside sees it: a copy, made as often as somebody looks.
//! Its cost is bounded by the workers, functions, pools and clients, never by the jobs that wait.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::{JobId, JobKey, WorkerId};

use crate::view::{
    self, Bar, BarEnd, Client, HELD_SHOWN, HeldJob, Job as JobFound, JobUnderWay, Lane, Phase,
    Place, Pool, STREAM, Sample, Seconds, Totals, View, WorkerState,
};

use super::functions::{Function, FunctionRef};
use super::history::{Ended, preview};
use super::jobs::{Holder, Job, JobRef, Running, State};
use super::measures::Measures;
use super::workers::{Fate, Worker};
use super::{Books, Ledger};

/// The most jobs without their client's receipt that are looked at for the oldest.
const UNNOTED_SEEN: usize = 10_000;
/// The seconds over which the rate of all functions together is taken.
const RATE_OVER: usize = 10;

impl Ledger {
    /// The ledger as it is; `unix_now` is what `now` is in Unix time. What only the process knows
    /// (its version, the broker's address) is left open.
    pub fn view(&self, now: Duration, unix_now: Duration) -> View {
        let workers = self.workers_view(now);
        let ended = |job: &Ended| job.view(self.users.name(job.key.user), now, unix_now);
        let mut view = View {
            unix_ms: u64::try_from(unix_now.as_millis()).unwrap_or(u64::MAX),
            books: self.books.view(),
            stream: self.stream_view(&workers, now),
            workers,
            functions: self.functions_view(now),
            pools: self.pools_view(),
            clients: self.clients_view(now),
            recent: Arc::new(self.history.ended().map(ended).collect()),
            series: self.history.samples().copied().collect(),
            ..View::default()
        };
        view.distributor.phase = self.phase_view(now);
        view.broker.up = self.link.is_up();
        view.broker.blocked = self.link.is_blocked();
        view.broker.sure = self.link.judges;
        view.totals = self.totals(&view, now);
        view
    }

    /// The jobs of this id, under way or ended lately, whosever they are.
    pub fn find(&self, id: JobId, now: Duration, unix_now: Duration) -> Vec<JobFound> {
        let under_way = self.users.all().filter_map(|user| {
            let job = self.jobs.find(super::jobs::Key { user, id })?;
            self.jobs.get(job).map(|job| JobFound::UnderWay(self.job_view(job, now)))
        });
        let ended = self.history.ended().filter(|job| job.key.id == id);
        let ended = ended
            .map(|job| JobFound::Ended(job.view(self.users.name(job.key.user), now, unix_now)));
        under_way.chain(ended).collect()
    }

    /// Whether this job is under way.
    pub fn holds(&self, key: &JobKey) -> bool {
        let user = self.users.find(&key.user);
        user.is_some_and(|user| self.jobs.find(super::jobs::Key { user, id: key.id }).is_some())
    }

    /// Whether this worker lives, as far as we know.
    pub fn has_worker(&self, worker: WorkerId) -> bool {
        self.workers.is_alive(worker)
    }

    /// Some of the jobs under way, at most so many.
    pub fn jobs(&self, most: usize, now: Duration) -> Vec<JobUnderWay> {
        self.jobs.iter().take(most).map(|job| self.job_view(job, now)).collect()
    }

    fn phase_view(&self, now: Duration) -> Phase {
        match self.link.leading() {
            Some(leading) => Phase::Active {
                term: leading.term.to_string(),
                age: now.saturating_sub(leading.since).into(),
            },
            None if self.link.is_up() => {
                let active = self.link.active(now);
                Phase::Standby {
                    active: active.map(|active| active.distributor.to_string()),
                    backlog: active.map(|active| active.backlog),
                }
            }
            None => Phase::Down,
        }
    }

    fn totals(&self, view: &View, now: Duration) -> Totals {
        let alive = || view.workers.iter().filter(|worker| worker.state.is_alive());
        let (done, span) = self
            .history
            .samples()
            .rev()
            .take(RATE_OVER)
            .fold((0, 0), |(done, span), sample| (done + sample.done, span + 1));
        let rate = done as f64 / f64::from(span.max(1));
        let waiting = match view.distributor.phase {
            Phase::Standby { backlog, .. } => backlog.unwrap_or(0),
            Phase::Down | Phase::Active { .. } => self.books.queued + self.books.placed,
        };
        let empty_in = (waiting > 0 && rate > 0.0).then(|| Seconds(waiting as f64 / rate));
        Totals {
            workers: alive().count(),
            slots: alive().map(|worker| worker.slots).sum(),
            busy: alive().map(|worker| worker.busy).sum(),
            queued: waiting,
            oldest: self.oldest_queued(now).map(Seconds::from),
            rate,
            empty_in,
            wait_p95: self.measures.wait().p95,
            local_share: self.measures.local_share(),
            lost: view.workers.iter().filter(|it| it.state == WorkerState::Lost).count(),
            argument_bytes: self.jobs.bytes() as u64,
        }
    }

    fn oldest_queued(&self, now: Duration) -> Option<Duration> {
        let queues =
            self.functions.iter().flat_map(|(_, function)| [&function.calm, &function.suspects]);
        let first = queues.filter_map(|queue| queue.oldest()).map(|(_, job)| job);
        let unnoted = self.unnoted.iter().copied().take(UNNOTED_SEEN);
        let jobs = first.chain(unnoted).filter_map(|job| self.jobs.get(job));
        jobs.map(|job| now.saturating_sub(job.since)).max()
    }

    fn workers_view(&self, now: Duration) -> Vec<view::Worker> {
        let heard = self.workers.iter().filter(|(_, worker)| worker.is_heard());
        let mut workers: Vec<_> =
            heard.map(|(id, worker)| self.worker_view(id, worker, now)).collect();
        // The living first, then those lost last; each group in the order they came.
        workers.sort_by(|one, other| {
            (other.state.is_alive(), other.age.0)
                .partial_cmp(&(one.state.is_alive(), one.age.0))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        workers
    }

    fn worker_view(&self, id: WorkerId, worker: &Worker, now: Duration) -> view::Worker {
        let since = |then: Duration| Seconds::from(now.saturating_sub(then));
        let held = self.held_view(worker, now);
        let running = held.iter().filter(|job| job.slot.is_some()).count();
        let running = u32::try_from(running).unwrap_or(u32::MAX);
        let alive = worker.is_alive();
        view::Worker {
            id,
            user: worker.user.clone(),
            host: worker.host.clone(),
            version: worker.version.clone(),
            state: match worker.fate {
                Fate::Lost { .. } => WorkerState::Lost,
                Fate::Left { .. } => WorkerState::Left,
                Fate::Unreachable => WorkerState::Unreachable,
                Fate::Late => WorkerState::Late,
                Fate::Heard if worker.drains() => WorkerState::Draining,
                Fate::Heard => WorkerState::Live,
            },
            age: since(worker.since),
            silent: since(worker.heard.unwrap_or(worker.since)),
            functions: worker.functions.iter().map(|function| self.name_of(function)).collect(),
            pool: worker.pool,
            slots: worker.slots,
            busy: if alive { running.max(worker.load.busy(now)).min(worker.slots) } else { 0 },
            holds: if alive { held.len() } else { 0 },
            held: if alive { held.into_iter().take(HELD_SHOWN).collect() } else { vec![] },
            done: worker.done,
            failed: worker.failed,
            gave_back: worker.gave_back,
        }
    }

    /// What a worker holds now: what we know it to hold, then what only its last beat names and
    /// has not ended since. Who runs and has named no slot yet gets a free one.
    fn held_view(&self, worker: &Worker, now: Duration) -> Vec<HeldJob> {
        let mut held = vec![];
        for job in worker.holds.iter().filter_map(|job| self.jobs.get(*job)) {
            let Some((out, holder)) = job.out().and_then(|out| Some((out, out.holder?))) else {
                continue;
            };
            let since = holder.running.map_or(out.since, |running| running.since);
            let known = held_job(self, job, out.attempt.number, now.saturating_sub(since));
            held.push((holder.running, known));
        }
        for (key, beat) in &worker.held {
            if self.jobs.find(*key).is_some() || self.recent.find(*key).is_some() {
                continue;
            }
            let stray = HeldJob {
                id: key.id,
                user: self.users.name(key.user).clone(),
                function: self.name_of(&beat.function),
                attempt: beat.attempt.number,
                slot: None,
                age: now.saturating_sub(beat.since).into(),
            };
            held.push((
                beat.slot.map(|slot| Running { since: beat.since, slot: Some(slot) }),
                stray,
            ));
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
                // More run than there are slots: a beat will tell.
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

    /// A function's name, shared if we know it.
    fn name_of(&self, address: &simple_dist_protocol::Address) -> Arc<str> {
        match self.functions.find(address) {
            Some(function) => Arc::clone(&self.functions.get(function).name),
            None => address.to_string().into(),
        }
    }

    fn functions_view(&self, now: Duration) -> Vec<view::Function> {
        let mut under_way: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        let out: BTreeSet<JobRef> =
            self.pools.values().flat_map(|pool| pool.out.iter().copied()).collect();
        for job in out.into_iter().filter_map(|job| self.jobs.get(job)) {
            let (placed, running) = under_way.entry(job.function).or_default();
            let runs = job.out().is_some_and(|out| out.runs());
            *(if runs { running } else { placed }) += 1;
        }
        let mut views: Vec<_> = self
            .functions
            .iter()
            .map(|(id, function)| {
                self.function_view(function, under_way.remove(&id).unwrap_or_default(), now)
            })
            .collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    fn function_view(
        &self,
        function: &Function,
        (placed, running): (usize, usize),
        now: Duration,
    ) -> view::Function {
        let pools = || function.pools.iter().filter_map(|pool| self.pools.get(pool));
        let versions = self.functions.versions(function.selector.name());
        let mut versions: Vec<u32> = versions
            .map(|version| self.functions.get(version))
            .filter(|version| !version.pools.is_empty())
            .filter_map(|version| Some(version.address.as_ref()?.version()))
            .collect();
        versions.sort_unstable();
        let none = Measures::default();
        let measures = function.measures.as_deref().unwrap_or(&none);
        view::Function {
            name: Arc::clone(&function.name),
            workers: pools().map(|pool| pool.workers.len()).sum(),
            slots: pools().map(|pool| pool.slots).sum(),
            versions,
            queued: function.jobs.saturating_sub(placed + running),
            placed,
            running,
            done: function.done,
            failed: function.failed,
            answers: named(&measures.answers),
            local: self.local.get(&*function.name).cloned().unwrap_or_default(),
            local_share: measures.local_share(),
            rate: measures.rate(now),
            wait: measures.wait(),
            run: measures.run(),
            waits: measures.waits.distribution(),
            runs: measures.runs.distribution(),
        }
    }

    fn pools_view(&self) -> Vec<Pool> {
        let name = |function: &FunctionRef| Arc::clone(&self.functions.get(*function).name);
        let pools = self.pools.iter().map(|(id, pool)| Pool {
            id: *id,
            functions: pool.functions.iter().map(name).collect(),
            workers: pool.workers.len(),
            slots: pool.slots,
            out: pool.out.len(),
        });
        pools.collect()
    }

    fn clients_view(&self, now: Duration) -> Vec<Client> {
        let clients = self.callers.iter().map(|((user, id), caller)| Client {
            id: *id,
            user: self.users.name(*user).clone(),
            jobs: self.clients.get(&(*user, *id)).map_or(0, |client| client.jobs.len()),
            local: caller.local,
            silent: now.saturating_sub(caller.heard).into(),
        });
        clients.collect()
    }

    fn stream_view(&self, workers: &[view::Worker], now: Duration) -> view::Stream {
        let mut stream = view::Stream { local: self.stream.local(now), ..view::Stream::default() };
        for worker in workers {
            let known = self.workers.get(worker.id);
            let lost = known.and_then(|known| match known.fate {
                Fate::Lost { at } => Some(Seconds::from(now.saturating_sub(at))),
                Fate::Heard | Fate::Late | Fate::Unreachable | Fate::Left { .. } => None,
            });
            for slot in 0..worker.slots {
                let mut bars = self.stream.bars(worker.id, slot as usize, now);
                let running = worker.held.iter().filter(|job| job.slot == Some(slot));
                bars.extend(running.map(|job| Bar {
                    function: Arc::clone(&job.function),
                    from: job.age,
                    to: Seconds(0.0),
                    count: 1,
                    end: BarEnd::Running,
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

    fn job_view(&self, job: &Job, now: Duration) -> JobUnderWay {
        let since = |then: Duration| Seconds::from(now.saturating_sub(then));
        let (place, place_since, holder) = match &job.state {
            State::Nowhere | State::Queued(_) => (Place::Queued, job.since, None),
            State::Unnoted { .. } => (Place::Unnoted, job.since, None),
            State::Out(out) => match out.holder {
                Some(holder @ Holder { running: Some(running), .. }) => {
                    (Place::Running, running.since, Some(holder))
                }
                holder => (Place::Placed, out.since, holder),
            },
        };
        let marks = job.suspicion.as_ref().map(|suspicion| suspicion.marks()).unwrap_or_default();
        JobUnderWay {
            id: job.key.id,
            user: self.users.name(job.key.user).clone(),
            client: job.client,
            function: Arc::clone(&self.functions.get(job.function).name),
            priority: job.priority,
            age: since(job.since),
            left: job.deadline.saturating_sub(now).into(),
            place,
            place_age: since(place_since),
            worker: holder.map(|holder| holder.worker),
            slot: holder.and_then(|holder| holder.running?.slot),
            attempts: job.attempts,
            mark: marks.mark,
            strikes: marks.strikes.iter().map(WorkerId::to_string).collect(),
            arguments: self.config.preview.then(|| preview(&job.args)).flatten(),
            timeline: job.timeline.moments(job.since, None),
        }
    }

    /// The sample of this second.
    pub(super) fn sample(&mut self, now: Duration) {
        let alive = || self.workers.iter().filter(|(_, worker)| worker.is_alive());
        let busy = alive().map(|(_, worker)| {
            let runs = worker.holds.iter().filter_map(|job| self.jobs.get(*job)?.out());
            let runs = runs.filter(|out| out.runs()).count();
            u32::try_from(runs).unwrap_or(u32::MAX).max(worker.load.busy(now)).min(worker.slots)
        });
        let sample = Sample {
            slots: alive().map(|(_, worker)| worker.slots).sum(),
            busy: busy.sum(),
            queued: self.books.queued + self.books.placed,
            wait_p95: self.measures.wait().p95,
            ..Sample::default()
        };
        self.history.sample(sample, self.books.done, self.books.failed);
    }
}

/// A job of ours in a worker's hands.
fn held_job(ledger: &Ledger, job: &Job, attempt: u32, age: Duration) -> HeldJob {
    HeldJob {
        id: job.key.id,
        user: ledger.users.name(job.key.user).clone(),
        function: Arc::clone(&ledger.functions.get(job.function).name),
        attempt,
        slot: None,
        age: age.into(),
    }
}

fn named(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

impl Books {
    fn view(&self) -> view::Books {
        let events = [
            ("forgotten", self.forgotten),
            ("resent", self.resent),
            ("placements", self.placements),
            ("returned", self.returned),
            ("willing", self.willing),
            ("swept", self.swept),
            ("marks", self.marks),
            ("unmarked", self.unmarked),
            ("strikes", self.strikes),
            ("unstruck", self.unstruck),
            ("lost", self.lost),
            ("late", self.late),
            ("outdated", self.outdated),
            ("forged", self.forged),
            ("unproven", self.unproven),
            ("crowded", self.crowded),
        ];
        view::Books {
            accepted: self.accepted,
            queued: self.queued,
            placed: self.placed,
            running: self.running,
            done: self.done,
            failed: self.failed,
            failed_by: named(&self.failed_by),
            refused_by: named(&self.refused_by),
            events: events.map(|(name, count)| (name.to_owned(), count)).into(),
        }
    }
}
