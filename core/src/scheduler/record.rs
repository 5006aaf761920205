//! What people see of the scheduler: counts, measures, the recent past, and the view made of them.
//! It is told [facts](super::fact) and looks at the rooms; none of them knows of it, so nothing is
//! decided by it. All of it is bounded.

mod callers;
mod counters;
mod histogram;
mod history;
mod refusals;
mod stats;
mod stream;
mod tallies;
mod timeline;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::{BEAT, REPORT};
use simple_dist_protocol::message::{Answer, Bound};
use simple_dist_protocol::{ClientId, WorkerId};

use crate::view::{BarEnd, By, What};

use super::Rooms;
use super::backlog::users::UserRef;
use super::fact::{Caller, Completed, Fact, Run, RunEnd, Step};
use super::fleet::functions::FunctionRef;
use super::jobs::JobRef;

pub use counters::Counters;
pub(super) use view::Viewer;

use callers::Callers;
use counters::{Ending, Under};
use history::{Ended, History, detail, preview};
use refusals::Refusals;
use stats::{Of, Stats};
use stream::Stream;
use tallies::Tallies;
use timeline::Timeline;

/// A caller whose time has passed cancels its job at about the moment when it passes here: what
/// comes this near to it, or within this share of the whole time, has run out of time.
const ABOUT_OVER: (Duration, u32) = (Duration::from_millis(500), 4);

/// All that is written down.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Whether arguments may be read.
    preview: bool,
    counters: Counters,
    /// Of each job that has not ended, in its place.
    jobs: Vec<Progress>,
    /// Of all functions together.
    stats: Stats,
    /// Of each function of which anything was told, in its place. Most have nothing.
    functions: Vec<Option<Box<Of>>>,
    tallies: Tallies,
    callers: Callers,
    refusals: Refusals,
    stream: Stream,
    history: History,
    last_aged: Duration,
}

/// What has become of a job so far.
#[derive(Debug, Default)]
struct Progress {
    under: Option<Under>,
    timeline: Timeline,
}

impl Record {
    /// Nothing yet.
    pub(super) fn new(preview: bool) -> Self {
        Self { preview, ..Self::default() }
    }

    /// What was taken in and what became of it.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Something has happened.
    pub(super) fn take(&mut self, fact: Fact, now: Duration) {
        match fact {
            Fact::Job(job, step) => self.step(job, step, now),
            Fact::Completed(completed) => self.completed(*completed, now),
            Fact::Resent => self.counters.resent += 1,
            Fact::Refused { kind, bound } => {
                self.counters.refuse(kind);
                bound.into_iter().for_each(|bound| self.refusals.count(bound, now));
            }
            Fact::TurnedAway(bound) => self.turned_away(bound, now),
            Fact::Undelivered => self.refusals.count(Bound::Deliveries, now),
            Fact::Ignored(why) => self.counters.ignore(why),
            Fact::Ran(run) => self.ran(*run, now),
            Fact::WorkerHeard(worker) => self.tallies.heard(worker),
            Fact::WorkerLost { worker, left, was_heard, held } => {
                self.counters.lost += u64::from(!left);
                for run in self.tallies.lost(worker, (left, was_heard), held, now) {
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
            Fact::LinkLost => self.tallies.forget_the_living(),
        }
    }

    /// Once a second: windows roll, old bars go, a sample is taken.
    pub(super) fn age(&mut self, rooms: &Rooms, now: Duration) {
        if now.saturating_sub(self.last_aged) < BEAT {
            return;
        }
        self.last_aged = now;
        self.stats.roll(now);
        self.functions.iter_mut().flatten().for_each(|of| of.stats.roll(now));
        self.stream.age(now);
        self.callers.age(now, |client| rooms.jobs.clients.get(client).is_some());
        self.tallies.age(now, |worker| rooms.fleet.workers.get(worker).is_some());
        let sample = Viewer { rooms, record: self, now }.sample();
        self.history.sample(sample, &self.counters);
    }

    fn step(&mut self, job: JobRef, step: Step, now: Duration) {
        match step {
            Step::Admitted => {
                self.counters.accepted += 1;
                let place = job.place();
                if self.jobs.len() <= place {
                    self.jobs.resize_with(place + 1, Progress::default);
                }
                self.jobs[place] = Progress::default();
            }
            Step::Queued => self.is(job, Under::Queued),
            Step::UnderWay => self.is(job, Under::Placed),
            Step::Placed { attempt, pool } => {
                self.counters.placements += 1;
                self.note(job, now, What::Placed { attempt, pool });
            }
            Step::Held { attempt, worker, running } => {
                self.is(job, if running.is_some() { Under::Running } else { Under::Placed });
                if let Some(running) = running {
                    self.started(job, attempt, worker, running.since);
                }
            }
            Step::Returned { attempt, willing } => {
                self.counters.returned += 1;
                self.counters.willing += u64::from(willing);
                self.note(job, now, What::Returned { attempt, willing });
            }
            Step::Swept { attempt } => {
                self.counters.swept += 1;
                self.note(job, now, What::Swept { attempt });
            }
            Step::LostWith { attempt, worker } => {
                self.note(job, now, What::Lost { attempt, worker });
            }
            Step::Struck { attempt, worker, counts } => {
                self.counters.strikes += u64::from(counts);
                self.note(job, now, What::Struck { attempt, worker });
            }
            Step::Unstruck => self.counters.unstruck += 1,
            Step::Marked => self.counters.marks += 1,
            Step::Unmarked => self.counters.unmarked += 1,
        }
    }

    /// The job is one of these from now on.
    fn is(&mut self, job: JobRef, under: Under) {
        let Some(progress) = self.jobs.get_mut(job.place()) else { return };
        let before = progress.under.replace(under);
        self.counters.go(before, Some(under));
    }

    fn note(&mut self, job: JobRef, at: Duration, what: What) {
        if let Some(progress) = self.jobs.get_mut(job.place()) {
            progress.timeline.push(at, what);
        }
    }

    fn started(&mut self, job: JobRef, attempt: u32, worker: WorkerId, at: Duration) {
        let Some(progress) = self.jobs.get_mut(job.place()) else { return };
        if !progress.timeline.has_started(attempt) {
            progress.timeline.push(at, What::Started { attempt, worker });
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
                self.tallies.ran(run.worker, took, is_value, now);
                if !took.is_zero() {
                    let end = if is_value { BarEnd::Value } else { BarEnd::Failed };
                    self.stream.ran(run, end);
                }
            }
            RunEnd::CameBack => self.tallies.came_back(run),
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

    fn completed(&mut self, completed: Completed, now: Duration) {
        let progress = self.jobs.get_mut(completed.job.place()).map(std::mem::take);
        let progress = progress.unwrap_or_default();
        let Completed { ran, answer, since, .. } = &completed;
        let ending = ending(&completed, now);
        let kind = match ending {
            Ending::TimedOut => Answer::Expired.kind(),
            Ending::Done | Ending::Failed | Ending::Cancelled(_) => answer.kind(),
        };
        self.counters.go(progress.under, None);
        self.counters.end(answer.kind(), ending);
        let (worker, ran) = ran.unzip();
        let waited = completed.began.unwrap_or(now).saturating_sub(*since);
        self.stats.ended(kind, ending, waited, ran);
        let of = self.function_mut(completed.function, &completed.name);
        of.ended.count(ending);
        of.stats.ended(kind, ending, waited, ran);
        self.history.push(Ended {
            kind,
            cancelled_by: match ending {
                Ending::Cancelled(by) => Some(by),
                Ending::Done | Ending::Failed | Ending::TimedOut => None,
            },
            detail: detail(answer),
            arguments: self.preview.then(|| preview(&completed.args)).flatten(),
            worker,
            attempts: completed.runs,
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

    /// What is written down of a function. Where it was forgotten and another one has come in its
    /// place, that begins anew.
    fn function_mut(&mut self, function: FunctionRef, name: &Arc<str>) -> &mut Of {
        let place = function.place();
        if self.functions.len() <= place {
            self.functions.resize_with(place + 1, || None);
        }
        let known = &mut self.functions[place];
        known.take_if(|of| !Arc::ptr_eq(&of.name, name));
        known.get_or_insert_with(|| Box::new(Of::new(Arc::clone(name))))
    }

    /// What has become of a job that has not ended.
    fn timeline(&self, job: JobRef) -> &Timeline {
        &self.jobs[job.place()].timeline
    }

    fn function(&self, function: FunctionRef, name: &Arc<str>) -> Option<&Of> {
        let known = self.functions.get(function.place())?.as_deref();
        known.filter(|of| Arc::ptr_eq(&of.name, name))
    }
}

/// How a job that ends now is counted.
fn ending(completed: &Completed, now: Duration) -> Ending {
    let by = match completed.caller {
        Caller::Waits => By::Operator,
        Caller::Cancelled => By::Caller,
        Caller::Gone => By::ClientGone,
    };
    let (longest, share) = ABOUT_OVER;
    let Completed { since, deadline, .. } = completed;
    let near = (deadline.saturating_sub(*since) / share).min(longest);
    match Ending::of(&completed.answer, by) {
        Ending::Cancelled(By::Caller) if deadline.saturating_sub(now) <= near => Ending::TimedOut,
        ending => ending,
    }
}
