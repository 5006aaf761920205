//! The calls in flight: what is held until each has ended. Pure: events in, effects out, no
//! clock.

mod due;
mod job;
mod news;
mod outbox;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::message::{Bound, Deliveries, Marks, Presence, Submission};
use simple_dist_protocol::{JobId, limits, link};
use tokio::time::Instant;

pub(crate) use self::job::{Begin, Reply};
use self::job::{Job, Local, Remote};
use self::outbox::Outbox;
use self::turns::Turns;
use crate::answer::{Ended, Outcome};
use crate::callee::Callee;
use crate::place::{Placement, place, trouble};
use crate::sight::Sight;
use crate::{CallError, Ran, Reason};

/// How often the other side is judged while calls wait.
const REVIEW: Duration = Duration::from_millis(100);
/// How often its silence is looked at when there are none.
const IDLE: Duration = limits::BEAT;
/// Local runs by function and reason.
pub(crate) type LocalRuns = BTreeMap<String, BTreeMap<String, u64>>;

/// All calls in flight of one client.
#[derive(Debug)]
pub(crate) struct Table {
    jobs: HashMap<JobId, Job>,
    /// The bytes of their arguments.
    bytes: usize,
    /// What is next to be done about each, and when.
    timers: BTreeSet<(Instant, JobId)>,
    outbox: Outbox,
    /// Refused by a full queue: to be sent again then.
    retries: VecDeque<(Instant, JobId)>,
    turns: Turns,
    sight: Sight,
    /// For how long the broker has not confirmed what was written to it.
    unconfirmed: Duration,
    /// The last look at the other side.
    looked: Instant,
    /// How far a trouble was acted on.
    stage: Stage,
    cancels: Vec<JobId>,
    runs: LocalRuns,
    ask_at: Instant,
    report_at: Instant,
    effects: Vec<Effect>,
}

/// What happens to a client.
#[derive(Debug)]
pub(crate) enum Event {
    /// A call begins.
    Begin(Begin),
    /// Its caller dropped it.
    Dropped(JobId),
    /// The link is there, as a new generation.
    Up,
    Blocked,
    Unblocked,
    Down(link::Reason),
    Settled(link::Settled),
    /// How the other side looks from here.
    Look {
        /// For how long the broker has not confirmed what was written to it.
        unconfirmed: Duration,
        /// Whether all that came from there has been taken in.
        caught_up: bool,
    },
    /// The publisher did not take a submission.
    NotTaken {
        token: u64,
    },
    Deliveries(Deliveries),
    Presence(Presence),
    /// A local run has ended.
    Ran {
        id: JobId,
        end: Result<Bytes, CallError>,
        took: Duration,
    },
    /// The client is closed.
    Close,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Effect {
    Submit { submission: Submission, token: u64 },
    Cancel(Vec<JobId>),
    Ask(Vec<JobId>),
    Noted { id: JobId, marks: Marks },
    Report(LocalRuns),
    Run { id: JobId, callee: Arc<Callee>, args: Bytes, reason: Reason },
    End { id: JobId, reply: Reply, outcome: Outcome },
}

/// How far a trouble has gone: each step is acted on once for all jobs, not job by job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Fine,
    /// New calls are local.
    Begun,
    /// Unconfirmed ones too.
    Unconfirmed,
    /// And those under way.
    Lasting,
}

impl Table {
    pub(crate) fn new(local_slots: usize, now: Instant) -> Self {
        Self {
            jobs: HashMap::new(),
            bytes: 0,
            timers: BTreeSet::new(),
            outbox: Outbox::default(),
            retries: VecDeque::new(),
            turns: Turns::new(local_slots),
            sight: Sight::new(now),
            unconfirmed: Duration::ZERO,
            looked: now,
            stage: Stage::Fine,
            cancels: Vec::new(),
            runs: LocalRuns::new(),
            ask_at: now + limits::ASK,
            report_at: now + limits::REPORT,
            effects: Vec::new(),
        }
    }

    /// Takes note of an event. What follows from it is in [`Self::effects`].
    pub(crate) fn apply(&mut self, event: Event, now: Instant) {
        match event {
            Event::Begin(begin) => self.begin(begin, now),
            Event::Dropped(id) => self.dropped(id),
            Event::Up => self.up(now),
            Event::Blocked => self.sight.blocked(now),
            Event::Unblocked => self.sight.unblocked(now),
            Event::Down(reason) => {
                self.sight.down(&reason, now);
                self.outbox.clear();
            }
            Event::Settled(settled) => self.settled(settled, now),
            Event::Look { unconfirmed, caught_up } => {
                self.unconfirmed = unconfirmed;
                self.excuse(caught_up, now);
            }
            Event::NotTaken { token } => self.not_taken(token, now),
            Event::Deliveries(deliveries) => {
                for delivery in deliveries.jobs {
                    self.deliver(delivery, now);
                }
            }
            Event::Presence(presence) => self.presence(&presence, now),
            Event::Ran { id, end, took } => self.ran(id, end, took),
            Event::Close => self.close(),
        }
    }

    /// Does what is due, and gives all that is to be done by the shell.
    pub(crate) fn effects(&mut self, now: Instant) -> Vec<Effect> {
        self.review(now);
        self.timers_due(now);
        if self.sight.is_up() {
            self.resend_due(now);
            self.send(now);
        }
        self.run_local(now);
        self.periodic(now);
        self.send_cancels();
        std::mem::take(&mut self.effects)
    }

    /// When [`Self::effects`] is to be asked next, if nothing happens before.
    pub(crate) fn wake(&self, now: Instant) -> Instant {
        let timer = self.timers.first().map(|(at, _)| *at);
        let sending = self.sight.is_up();
        let report = (sending && !self.runs.is_empty()).then_some(self.report_at);
        let paused = self.outbox.paused().filter(|_| sending);
        [timer, report, paused].into_iter().flatten().fold(now + self.pause(), Instant::min)
    }

    /// Our own lateness is nobody's silence: neither what passed beyond the time of a look, nor
    /// what passes while news wait to be taken in.
    fn excuse(&mut self, caught_up: bool, now: Instant) {
        let passed = now - self.looked;
        self.looked = now;
        let late = if caught_up { passed.saturating_sub(self.pause() + REVIEW) } else { passed };
        self.sight.excuse(late, now);
    }

    /// The time until the next look.
    fn pause(&self) -> Duration {
        if self.jobs.is_empty() { IDLE } else { REVIEW }
    }

    fn begin(&mut self, begin: Begin, now: Instant) {
        if begin.reply.is_closed() {
            return; // dropped before it was seen here
        }
        let id = begin.id;
        let job = Job::new(begin);
        let (most, most_bytes) = limits::LEDGER;
        let full = if self.jobs.len() >= most {
            Some(Bound::Jobs)
        } else {
            (self.bytes + job.args.len() > most_bytes).then_some(Bound::Arguments)
        };
        if let Some(bound) = full {
            let outcome = Err(CallError::Unavailable { reason: Reason::Busy(bound) });
            self.effects.push(Effect::End { id, reply: job.reply, outcome });
            return;
        }
        let bytes = job.args.len();
        self.bytes += bytes;
        self.timers.extend(job.timer.map(|at| (at, id)));
        self.jobs.insert(id, job);
        if bytes > limits::ARGUMENT_BYTES {
            return self.too_large(id, bytes as u64, limits::ARGUMENT_BYTES as u64);
        }
        match self.placement(id, now) {
            Placement::Remote => self.try_remote(id, now),
            elsewhere @ (Placement::Local(_) | Placement::Nowhere(_)) => self.put(id, elsewhere),
        }
    }

    /// The argument or the value does not travel: only here there is no such limit.
    fn too_large(&mut self, id: JobId, bytes: u64, limit: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.remote = Remote::Over;
        if job.may_run_here(self.turns.slots()) {
            self.go_local(id, Reason::TooLarge);
        } else {
            self.end(id, Err(CallError::TooLarge { bytes, limit }));
        }
    }

    fn dropped(&mut self, id: JobId) {
        if let Some(job) = self.remove(id) {
            self.cancel_remote(id, &job);
        }
    }

    fn close(&mut self) {
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            self.end(id, Err(CallError::Closed));
        }
    }

    fn ran(&mut self, id: JobId, end: Result<Bytes, CallError>, took: Duration) {
        self.turns.give_back();
        let Some(Local::Running { reason, waited }) = self.jobs.get(&id).map(|job| job.local)
        else {
            return; // its answer came first, or its caller has gone
        };
        let ran = Ran::Local { reason };
        self.end(id, end.map(|value| Ended { value, ran, waited, took }));
    }

    /// For how long the distributor has not been heard on a link that is up.
    pub(crate) fn unheard(&self, now: Instant) -> Duration {
        self.sight.view_of_all(Duration::ZERO, now).silent
    }

    /// Where a job goes now.
    fn placement(&self, id: JobId, now: Instant) -> Placement {
        let job = &self.jobs[&id];
        let view = self.sight.view(&job.callee, self.unconfirmed, now);
        place(&view, &job.policy(self.turns.slots()))
    }

    /// Carries a placement out.
    fn put(&mut self, id: JobId, placement: Placement) {
        match placement {
            Placement::Remote => {}
            Placement::Local(reason) => self.go_local(id, reason),
            Placement::Nowhere(reason) => self.end(id, Err(CallError::Unavailable { reason })),
        }
    }

    /// Sends a job that was never sent; others of a function refused before wait for its answer.
    fn try_remote(&mut self, id: JobId, now: Instant) {
        self.sight.tried(&self.jobs[&id].callee, now);
        self.enqueue(id);
    }

    fn enqueue(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id)
            && !matches!(job.remote, Remote::Queued | Remote::Over)
        {
            job.remote = Remote::Queued;
            self.outbox.push(id);
        }
    }

    fn go_local(&mut self, id: JobId, reason: Reason) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.local != Local::Not {
            return;
        }
        // A hedge goes both ways; what is kept from workers waits for better times.
        if job.remote == Remote::Queued && !job.known && reason != Reason::After {
            job.remote = Remote::Unsent;
        }
        job.local = Local::Waiting { ticket: self.turns.enter(id), reason };
    }

    fn end(&mut self, id: JobId, outcome: Outcome) {
        if let Some(job) = self.remove(id) {
            self.cancel_remote(id, &job);
            self.effects.push(Effect::End { id, reply: job.reply, outcome });
        }
    }

    /// Nobody waits any more for what a worker may be doing.
    fn cancel_remote(&mut self, id: JobId, job: &Job) {
        if job.known && job.remote != Remote::Over {
            self.cancels.push(id);
        }
    }

    fn remove(&mut self, id: JobId) -> Option<Job> {
        let job = self.jobs.remove(&id)?;
        self.bytes -= job.args.len();
        if let Some(at) = job.timer {
            self.timers.remove(&(at, id));
        }
        if let Local::Waiting { ticket, .. } = job.local {
            self.turns.leave(ticket);
        }
        Some(job)
    }

    /// Judges the other side, and moves jobs when that has changed.
    fn review(&mut self, now: Instant) {
        let view = self.sight.view_of_all(self.unconfirmed, now);
        let stage = match trouble(&view) {
            None => Stage::Fine,
            Some((_, lasts)) if lasts < limits::UNCONFIRMED => Stage::Begun,
            Some((_, lasts)) if lasts < limits::SILENCE => Stage::Unconfirmed,
            Some(_) => Stage::Lasting,
        };
        let before = std::mem::replace(&mut self.stage, stage);
        if stage > before {
            self.replace_all(now);
        } else if stage == Stage::Fine && before != Stage::Fine {
            self.offer_waiting(now);
        }
    }

    /// Places again whatever is not local already.
    fn replace_all(&mut self, now: Instant) {
        let elsewhere: Vec<(JobId, Placement)> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.local == Local::Not)
            .map(|(id, _)| (*id, self.placement(*id, now)))
            .filter(|(_, placement)| *placement != Placement::Remote)
            .collect();
        for (id, placement) in elsewhere {
            self.put(id, placement);
        }
    }

    /// What waits for a local slot and was never sent may go to a worker now.
    fn offer_waiting(&mut self, now: Instant) {
        for id in self.turns.waiting() {
            let unsent = self.jobs.get(&id).is_some_and(|job| job.remote == Remote::Unsent);
            if unsent && self.placement(id, now) == Placement::Remote {
                self.try_remote(id, now);
            }
        }
    }
}
