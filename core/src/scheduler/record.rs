//! The record: what people see of the scheduler. Counts, measurements, the recent past, and the
//! view made of them. It consumes [facts](super::fact) and reads the rooms; no room knows of it, so
//! no decision depends on it. All of it is bounded.

mod callers;
mod counters;
mod differences;
mod failures;
mod histogram;
mod history;
mod kept;
mod minutes;
mod refusals;
mod shadows;
mod stats;
mod stream;
mod timeline;
mod view;
mod worker_stats;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::limits::{BEAT, REPORT};
use simple_dist_protocol::message::{Answer, Bound, Progress};
use simple_dist_protocol::{ClientId, JobId, WorkerId};

use crate::view::{BarEnd, CancelledBy, FailedCall, JobEvent, Minute, MinuteOf, Sample};

use super::Core;
use super::fact::{Caller, Completed, Crashed, Fact, Run, RunEnd, Shared, Step};

pub use counters::Counters;
pub(super) use view::Viewer;

use super::ids::{FunctionRef, JobRef, UserRef};
use callers::Callers;
use counters::{Ending, Phase};
use differences::Differences;
use failures::{Failed, Failures};
use histogram::Histogram;
use history::{EndedJob, History, crashes, detail, location, preview};
use kept::Kept;
use refusals::Refusals;
use shadows::Shadows;
use stats::{FunctionStats, Stats};
use stream::Stream;
use timeline::Timeline;
use worker_stats::WorkerStats;

/// A caller cancels its job when its time has passed, at about the moment when it expires here: a
/// cancel this close to the deadline, or within this share of the whole time, counts as a timeout.
const ABOUT_OVER: (Duration, u32) = (Duration::from_millis(500), 4);

/// Everything recorded.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Whether arguments may be shown.
    preview: bool,
    /// The Unix time at which `now` is zero.
    unix: Duration,
    /// The last minute of the clock.
    minute: Option<Minute>,
    counters: Counters,
    /// Per unfinished job, by its index.
    jobs: Vec<JobRecord>,
    /// Of all functions together.
    stats: Stats,
    /// Per function, by its index, if anything happened to it.
    functions: Vec<Option<Box<FunctionStats>>>,
    worker_stats: WorkerStats,
    callers: Callers,
    refusals: Refusals,
    shadows: Shadows,
    failures: Failures,
    differences: Differences,
    kept: Kept,
    stream: Stream,
    history: History,
    last_aged: Duration,
}

/// What is recorded of an unfinished job.
#[derive(Debug, Default)]
struct JobRecord {
    phase: Option<Phase>,
    timeline: Timeline,
    /// What the attempt in flight says of it.
    progress: Option<Box<Progress>>,
}

impl Record {
    /// An empty record.
    pub(super) fn new(preview: bool, unix: Duration) -> Self {
        Self { preview, unix, ..Self::default() }
    }

    /// How many jobs were accepted and how they ended.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The failed jobs with this id whose arguments are kept.
    pub(super) fn failed_calls(&self, id: JobId) -> Vec<FailedCall> {
        self.kept.find(id)
    }

    /// The value or error with this digest, if it may be shown.
    pub(super) fn differing(&self, digest: &str) -> Option<Bytes> {
        self.differences.find(digest).filter(|_| self.preview).map(Bytes::copy_from_slice)
    }

    /// Records a fact.
    pub(super) fn take(&mut self, fact: Fact, now: Duration) {
        match fact {
            Fact::Job(job, step) => self.step(job, step, now),
            Fact::Completed(completed) => self.completed(*completed, now),
            Fact::Crashed(crashed) => self.crashed(*crashed, now),
            Fact::Resent => self.counters.resent += 1,
            Fact::Refused { kind, bound } => {
                self.counters.refuse(kind);
                bound.into_iter().for_each(|bound| self.refusals.count(bound, now));
            }
            Fact::LimitReached(bound) => self.turned_away(bound, now),
            Fact::Undelivered => self.refusals.count(Bound::Deliveries, now),
            Fact::Ignored(why) => self.counters.ignore(why),
            Fact::Ran(run) => self.ran(*run, now),
            Fact::Hedged => self.counters.hedges += 1,
            Fact::Relieved => self.counters.moved += 1,
            Fact::HedgeEnded { won: true } => self.counters.hedges_won += 1,
            Fact::HedgeEnded { won: false } => self.counters.hedges_lost += 1,
            Fact::Trial(step) => self.counters.trial(step),
            Fact::Checked { agreed, elsewhere } => self.counters.checked(agreed, elsewhere),
            Fact::Differed(differed) => {
                self.counters.refuted += u64::from(differed.is_refuted);
                self.differences.push(*differed, now);
            }
            Fact::Quarantined { is_drained } => {
                self.counters.quarantined += u64::from(is_drained);
            }
            Fact::Shadow { pair, step } => self.shadows.take(pair, step, self.preview, now),
            Fact::WorkerHeard(worker, printed) => self.worker_stats.heard(worker, printed),
            Fact::WorkerLost { worker, left, was_heard, held } => {
                self.counters.lost += u64::from(!left);
                for run in self.worker_stats.lost(worker, (left, was_heard), held, now) {
                    self.stream.ran(run, BarEnd::Lost);
                }
            }
            Fact::ClientHeard { client, user } => self.callers.heard(client, user, now),
            Fact::RanLocally { client, function, name, reasons } => {
                self.ran_locally(client, (function, name), reasons, now);
            }
            Fact::TermOver => {
                self.counters.forget();
                self.jobs.clear();
            }
            Fact::LinkLost => self.worker_stats.forget_the_living(),
        }
    }

    /// Once a second: rolls windows, drops old bars, takes a sample.
    pub(super) fn age(&mut self, core: &Core, now: Duration) {
        if now.saturating_sub(self.last_aged) < BEAT {
            return;
        }
        self.last_aged = now;
        let (clock, rolled) = (self.unix + now, self.stats.minute());
        self.stats.roll(clock);
        self.failures.roll(now);
        let (waiting, none) = (Viewer { core, record: self, now }.waiting(), Histogram::default());
        for (index, of) in self.functions.iter_mut().enumerate() {
            of.iter_mut().for_each(|of| of.age(waiting.get(&index).unwrap_or(&none), clock));
        }
        if let Some(rolled) = rolled.filter(|last| self.stats.minute() == Some(last + 1)) {
            self.minute = Some(self.last_minute(&waiting, rolled));
        }
        self.stream.age(now);
        self.callers.age(now, |client| core.jobs.clients.get(client).is_some());
        self.worker_stats.age(now, |worker| core.fleet.workers.get(worker).is_some());
        let sample = Viewer { core, record: self, now }.sample();
        let sample = Sample { unix: clock.as_secs(), ..sample };
        self.history.sample(sample, &self.counters);
    }

    /// What the minute before the present one was like, if it was this one.
    fn last_minute(&self, waiting: &BTreeMap<usize, Histogram>, number: u64) -> Minute {
        let (mut all, none) = (Histogram::default(), Histogram::default());
        waiting.values().for_each(|of| all.add(of));
        let functions = self.functions.iter().enumerate();
        let functions = functions.filter_map(|(index, of)| {
            let of = of.as_deref()?;
            let (wait_p95, run_p95) = of.stats.last_minute(waiting.get(&index).unwrap_or(&none));
            let ended = of.stats.ended_last_minute();
            let is_there = ended.all() > 0 || wait_p95.is_some();
            is_there.then(|| MinuteOf {
                function: Arc::clone(&of.name),
                ended: ended.all(),
                failed: ended.bad(),
                wait_p95,
                run_p95,
            })
        });
        minutes::minute(number * 60, self.stats.last_minute(&all), functions.collect())
    }

    fn step(&mut self, job: JobRef, step: Step, now: Duration) {
        match step {
            Step::Admitted => {
                self.counters.accepted += 1;
                let index = job.index();
                if self.jobs.len() <= index {
                    self.jobs.resize_with(index + 1, JobRecord::default);
                }
                self.jobs[index] = JobRecord::default();
            }
            Step::Queued => {
                self.is(job, Phase::Queued);
                self.progressed(job, None);
            }
            Step::UnderWay | Step::Joined => self.is(job, Phase::Placed),
            Step::Placed { attempt, pool } => {
                self.counters.placements += 1;
                self.note(job, now, JobEvent::Placed { attempt, pool });
            }
            Step::Held { attempt, worker, running } => {
                self.is(job, if running.is_some() { Phase::Running } else { Phase::Placed });
                if let Some(running) = running {
                    self.started(job, attempt, worker, running.since);
                }
            }
            Step::Progressed(progress) => self.progressed(job, Some(Box::new(progress))),
            Step::Returned { attempt, willing } => {
                self.counters.returned += 1;
                self.counters.willing += u64::from(willing);
                self.note(job, now, JobEvent::Returned { attempt, willing });
            }
            Step::Swept { attempt } => {
                self.counters.swept += 1;
                self.note(job, now, JobEvent::Swept { attempt });
            }
            Step::LostWith { attempt, worker } => {
                self.note(job, now, JobEvent::Lost { attempt, worker });
            }
            Step::Struck { attempt, worker, counts } => {
                self.counters.strikes += u64::from(counts);
                self.note(job, now, JobEvent::Struck { attempt, worker });
            }
            Step::Crashed { attempt, worker, signal, code, counts } => {
                self.counters.strikes += u64::from(counts);
                self.note(job, now, JobEvent::Crashed { attempt, worker, signal, code });
            }
            Step::StrikeRevoked => self.counters.unstruck += 1,
            Step::Marked => self.counters.marks += 1,
            Step::MarkRevoked => self.counters.unmarked += 1,
        }
    }

    /// Counts the job under this phase.
    fn is(&mut self, job: JobRef, phase: Phase) {
        let Some(progress) = self.jobs.get_mut(job.index()) else { return };
        let before = progress.phase.replace(phase);
        self.counters.go(before, Some(phase));
    }

    fn progressed(&mut self, job: JobRef, progress: Option<Box<Progress>>) {
        if let Some(known) = self.jobs.get_mut(job.index()) {
            known.progress = progress;
        }
    }

    fn note(&mut self, job: JobRef, at: Duration, what: JobEvent) {
        if let Some(progress) = self.jobs.get_mut(job.index()) {
            progress.timeline.push(at, what);
        }
    }

    fn started(&mut self, job: JobRef, attempt: u32, worker: WorkerId, at: Duration) {
        let Some(progress) = self.jobs.get_mut(job.index()) else { return };
        if !progress.timeline.has_started(attempt) {
            progress.timeline.push(at, JobEvent::Started { attempt, worker });
        }
    }

    fn turned_away(&mut self, bound: Bound, now: Duration) {
        self.counters.crowded += 1;
        self.refusals.count(bound, now);
    }

    fn ran(&mut self, run: Run, now: Duration) {
        match run.end {
            RunEnd::Answered { took, is_value } => {
                self.started(run.job, run.attempt, run.worker, run.from);
                self.worker_stats.ran(run.worker, took, is_value, now);
                if !took.is_zero() {
                    let end = if is_value { BarEnd::Value } else { BarEnd::Failed };
                    self.stream.ran(run, end);
                }
            }
            RunEnd::CameBack => self.worker_stats.came_back(run),
            RunEnd::Lost => self.stream.ran(run, BarEnd::Lost),
        }
    }

    fn ran_locally(
        &mut self,
        client: (UserRef, ClientId),
        (function, name): (FunctionRef, Arc<str>),
        reasons: BTreeMap<String, u64>,
        now: Duration,
    ) {
        let (runs, refused) = self.callers.ran(client, reasons, now);
        (0..refused).for_each(|_| self.turned_away(Bound::Runs, now));
        let all = runs.iter().fold(0_u64, |all, (_, runs)| all.saturating_add(*runs));
        self.stats.local(all);
        self.history.local = self.history.local.saturating_add(all);
        let of = self.function_mut(function, &name);
        of.stats.local(all);
        of.ran_locally(runs);
        self.stream.ran_locally(name, now.saturating_sub(REPORT), now, all);
    }

    /// A failure of its own, whatever becomes of the job.
    fn crashed(&mut self, crashed: Crashed, now: Duration) {
        let Crashed { id, name, args, worker, ending } = crashed;
        let failed = Failed {
            kind: "crashed",
            like: Some(ending.clone()),
            message: Some(ending),
            location: None,
            job: id,
            worker: Some(worker),
            arguments: self.preview.then(|| preview(&args)).flatten(),
            at: now,
        };
        self.failures.push(&name, failed);
    }

    fn completed(&mut self, completed: Completed, now: Duration) {
        let progress = self.jobs.get_mut(completed.job.index()).map(std::mem::take);
        let progress = progress.unwrap_or_default();
        let Completed { ran, answer, since, .. } = &completed;
        let ending = ending(&completed, now);
        let kind = match ending {
            Ending::TimedOut => Answer::Expired.kind(),
            Ending::Done | Ending::Failed | Ending::Cancelled(_) => answer.kind(),
        };
        self.counters.go(progress.phase, None);
        self.counters.end(answer.kind(), ending);
        match completed.shared {
            Some((Shared::Coalesced, took)) => {
                self.counters.coalesced += 1;
                self.counters.saved += took;
            }
            Some((Shared::Memo, took)) => {
                self.counters.memo += 1;
                self.counters.memo_saved += took;
            }
            None => {}
        }
        let (worker, ran) = ran.unzip();
        let waited = completed.began.unwrap_or(now).saturating_sub(*since);
        self.stats.ended(kind, ending, waited, ran);
        let of = self.function_mut(completed.function, &completed.name);
        of.ended.count(ending);
        of.stats.ended(kind, ending, waited, ran);
        of.share(completed.shared);
        let detail = detail(answer);
        let arguments = self.preview.then(|| preview(&completed.args)).flatten();
        if matches!(ending, Ending::Failed | Ending::TimedOut) {
            let failed = Failed {
                kind,
                // What else is said names workers, of which each is new.
                like: detail.clone().filter(|_| !matches!(answer, Answer::Poisoned { .. })),
                message: detail.clone(),
                location: location(answer),
                job: completed.id,
                worker,
                arguments: arguments.clone(),
                at: now,
            };
            self.failures.push(&completed.name, failed);
            let Completed { id, user, name, args, .. } = &completed;
            let (user, function, args) = (user.clone(), Arc::clone(name), args.clone());
            self.kept.push(*id, FailedCall { user, function, args });
        }
        self.history.push(EndedJob {
            kind,
            has_failed: matches!(ending, Ending::Failed | Ending::TimedOut),
            cancelled_by: match ending {
                Ending::Cancelled(by) => Some(by),
                Ending::Done | Ending::Failed | Ending::TimedOut => None,
            },
            detail,
            crashes: crashes(answer),
            arguments,
            worker,
            attempts: completed.runs,
            answered_by: worker.map(|_| completed.run),
            submitted: *since,
            waited,
            ran,
            at: now,
            timeline: progress.timeline,
            id: completed.id,
            user: completed.user,
            client: completed.client,
            function: completed.name,
        });
    }

    /// The record of a function. If the function at this index was replaced by another, its record
    /// starts anew.
    fn function_mut(&mut self, function: FunctionRef, name: &Arc<str>) -> &mut FunctionStats {
        let index = function.index();
        if self.functions.len() <= index {
            self.functions.resize_with(index + 1, || None);
        }
        let known = &mut self.functions[index];
        known.take_if(|of| !Arc::ptr_eq(&of.name, name));
        known.get_or_insert_with(|| Box::new(FunctionStats::new(Arc::clone(name))))
    }

    /// What is recorded of an unfinished job.
    fn job(&self, job: JobRef) -> &JobRecord {
        &self.jobs[job.index()]
    }

    fn function(&self, function: FunctionRef, name: &Arc<str>) -> Option<&FunctionStats> {
        let known = self.functions.get(function.index())?.as_deref();
        known.filter(|of| Arc::ptr_eq(&of.name, name))
    }
}

/// How a job that ends now is counted.
fn ending(completed: &Completed, now: Duration) -> Ending {
    let by = match completed.caller {
        Caller::Waits => CancelledBy::Operator,
        Caller::Cancelled => CancelledBy::Caller,
        Caller::Gone => CancelledBy::ClientGone,
    };
    let (longest, share) = ABOUT_OVER;
    let Completed { since, deadline, .. } = completed;
    let near = (deadline.saturating_sub(*since) / share).min(longest);
    match Ending::of(&completed.answer, by) {
        Ending::Cancelled(CancelledBy::Caller) if deadline.saturating_sub(now) <= near => {
            Ending::TimedOut
        }
        ending => ending,
    }
}
