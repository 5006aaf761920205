//! The calls in flight: what is held until each has ended. Pure: events in, effects out, no
//! clock. Times are counted from the client's beginning.
//!
//! What is the user's stays with the shell: the functions themselves, what their runs here give,
//! and where each call's end goes. A call is known to both by its job.

mod destination;
mod error;
mod event;
mod job;
mod local_slots;
mod obstacle;
mod options;
mod outbox;
mod queued;
mod ran;
mod remote_state;
mod replies;
mod retry;
#[cfg(test)]
mod stories;
mod target;
mod timers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use simple_dist_protocol::message::Bound;
use simple_dist_protocol::{JobId, limits};

use self::destination::{Destination, destination, trouble};
pub use self::error::{CallError, Failed};
pub use self::event::{Effect, Event, LocalRuns};
pub use self::job::Begin;
use self::job::{Job, Local, Remote};
use self::local_slots::LocalSlots;
pub use self::obstacle::Obstacle;
pub use self::options::CallOptions;
pub use self::options::{Fallback, Suspects};
use self::outbox::Outbox;
use self::queued::Queued;
pub use self::ran::{CallEnd, Ended};
pub use self::ran::{Ran, Reason};
use self::remote_state::RemoteState;
pub use self::retry::Retry;
pub use self::target::{LocalRun, Target};

/// How often the other side is judged while calls wait.
const REVIEW: Duration = Duration::from_millis(100);
/// How often its silence is looked at when there are none.
const IDLE: Duration = limits::BEAT;

/// All calls in flight of one client.
#[derive(Debug)]
pub struct Caller {
    /// By their ids, which is by their age.
    jobs: BTreeMap<JobId, Job>,
    /// Of calls that were tried again: the present job of each, by the first.
    retried: BTreeMap<JobId, JobId>,
    /// The bytes of their arguments.
    bytes: usize,
    /// What is next to be done about each, and when.
    timers: BTreeSet<(Duration, JobId)>,
    outbox: Outbox,
    /// Refused by a full queue: to be sent again then.
    resends: VecDeque<(Duration, JobId)>,
    local_slots: LocalSlots,
    queued: Queued,
    remote_state: RemoteState,
    /// For how long the broker has not confirmed what was written to it.
    unconfirmed: Duration,
    /// The last look at the other side.
    looked: Duration,
    /// How far a trouble was acted on.
    stage: Stage,
    cancels: Vec<JobId>,
    /// Suspects that may run in children here: at once when nobody serves them.
    suspects: BTreeSet<JobId>,
    runs: LocalRuns,
    ask_at: Duration,
    report_at: Duration,
    effects: Vec<Effect>,
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

impl Caller {
    /// No calls yet; so many may run here at once.
    pub fn new(local_slots: usize, now: Duration) -> Self {
        Self {
            jobs: BTreeMap::new(),
            retried: BTreeMap::new(),
            bytes: 0,
            timers: BTreeSet::new(),
            outbox: Outbox::default(),
            resends: VecDeque::new(),
            local_slots: LocalSlots::new(local_slots),
            queued: Queued::default(),
            remote_state: RemoteState::new(now),
            unconfirmed: Duration::ZERO,
            looked: now,
            stage: Stage::Fine,
            cancels: Vec::new(),
            suspects: BTreeSet::new(),
            runs: LocalRuns::new(),
            ask_at: now + limits::ASK,
            report_at: now + limits::REPORT,
            effects: Vec::new(),
        }
    }

    /// Takes note of an event. What follows from it is in [`Self::effects`].
    pub fn apply(&mut self, event: Event, now: Duration) {
        self.queued.now = now;
        match event {
            Event::Begin(begin) => self.begin(begin, now),
            Event::Dropped(id) => self.dropped(self.job_of(id)),
            Event::Up => self.up(now),
            Event::Blocked => self.remote_state.blocked(now),
            Event::Unblocked => self.remote_state.unblocked(now),
            Event::Down(reason) => {
                self.remote_state.down(reason, now);
                self.outbox.clear();
            }
            Event::Settled { tokens, outcome } => self.settled(tokens, outcome, now),
            Event::Look { unconfirmed, caught_up } => {
                self.unconfirmed = unconfirmed;
                self.excuse(caught_up, now);
            }
            Event::NotTaken { token } => self.not_taken(token, now),
            Event::Deliveries(deliveries) => {
                self.remote_state.answered(deliveries.term, now);
                for delivery in deliveries.jobs {
                    self.deliver(delivery, now);
                }
            }
            Event::Presence(presence) => self.presence(&presence, now),
            Event::Ran { id, end, took } => self.ran(id, end, took, now),
            Event::Close => self.close(),
        }
    }

    /// Does what is due, and gives all that is to be done by the shell.
    pub fn effects(&mut self, now: Duration) -> Vec<Effect> {
        self.queued.now = now;
        self.review(now);
        self.timers_due(now);
        if self.remote_state.is_up() {
            self.resend_due(now);
            self.send(now);
        }
        self.take_back();
        self.run_local(now);
        self.periodic(now);
        self.send_cancels();
        std::mem::take(&mut self.effects)
    }

    /// When [`Self::effects`] is to be asked next, if nothing happens before.
    pub fn wake(&self, now: Duration) -> Duration {
        let timer = self.timers.first().map(|(at, _)| *at);
        let sending = self.remote_state.is_up();
        let report = (sending && !self.runs.is_empty()).then_some(self.report_at);
        let paused = self.outbox.paused().filter(|_| sending);
        [timer, report, paused].into_iter().flatten().fold(now + self.pause(), Duration::min)
    }

    /// Our own lateness is nobody's silence: neither what passed beyond the time of a look, nor
    /// what passes while news wait to be taken in.
    fn excuse(&mut self, caught_up: bool, now: Duration) {
        let passed = now.saturating_sub(self.looked);
        self.looked = now;
        let late = if caught_up { passed.saturating_sub(self.pause() + REVIEW) } else { passed };
        self.remote_state.excuse(late, now);
    }

    /// The time until the next look.
    fn pause(&self) -> Duration {
        if self.jobs.is_empty() { IDLE } else { REVIEW }
    }

    fn begin(&mut self, begin: Begin, now: Duration) {
        let id = begin.id;
        let (job, obstacle) = Job::new(begin);
        let (most, most_bytes) = limits::CAPACITY;
        let full = if self.jobs.len() >= most {
            Some(Bound::Jobs)
        } else {
            (self.bytes + job.args.len() > most_bytes).then_some(Bound::Arguments)
        };
        // One that waits would be held by its caller instead.
        if let Some(bound) = full.filter(|_| !job.waits()) {
            let end = Err(CallError::Unavailable { reason: Reason::Busy(bound) });
            self.effects.push(Effect::End { id, end });
            return;
        }
        let bytes = job.args.len();
        self.bytes += bytes;
        self.timers.extend(job.timer.map(|at| (at, id)));
        self.jobs.insert(id, job);
        if let Some(obstacle) = obstacle {
            return self.cannot_travel(id, obstacle);
        }
        self.place(id, now);
    }

    /// Sends a job where it belongs.
    fn place(&mut self, id: JobId, now: Duration) {
        match self.destination(id, now) {
            Destination::Remote => self.try_remote(id, now),
            Destination::Later => self.resend_later(id, now),
            elsewhere @ (Destination::Local(_) | Destination::Nowhere(_)) => {
                self.put(id, elsewhere)
            }
        }
    }

    /// Only here the argument or the value need not travel.
    fn cannot_travel(&mut self, id: JobId, obstacle: Obstacle) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.remote = Remote::Over;
        // What comes from a child has to be written as well.
        let is_passed = obstacle.is_passed_by(job.target.local) && !job.is_isolated();
        if is_passed && job.may_run_here(self.local_slots.slots()) {
            self.go_local(id, obstacle.reason());
        } else {
            self.end(id, Err(obstacle.into()));
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

    fn ran(
        &mut self,
        call: JobId,
        end: Result<(), CallError<Failed>>,
        took: Duration,
        now: Duration,
    ) {
        self.local_slots.give_back();
        let id = self.job_of(call);
        let local = self.jobs.get(&id).map(|job| job.local);
        let is_first = matches!(local, Some(Local::Running { .. }));
        self.queued.ran_here(call, took, is_first);
        let (Some(job), Some(Local::Running { reason, waited })) = (self.jobs.get_mut(&id), local)
        else {
            return; // its answer came first, or its caller has gone
        };
        job.local = Local::Not;
        let ran = Ran::Local { reason };
        match end {
            Ok(()) => self.end(id, Ok(Ended { value: None, ran, waited, took })),
            Err(error) => self.failed(id, error, now),
        }
    }

    /// For how long the distributor has not been heard on a link that is up.
    pub fn unheard(&self, now: Duration) -> Duration {
        self.remote_state.reachability_of_all(Duration::ZERO, now).silent
    }

    /// Where a job goes now.
    fn destination(&self, id: JobId, now: Duration) -> Destination {
        let job = &self.jobs[&id];
        let reach = self.remote_state.reachability(&job.target, self.unconfirmed, now);
        destination(&reach, &job.policy(self.local_slots.slots()))
    }

    /// Carries a destination out.
    fn put(&mut self, id: JobId, destination: Destination) {
        match destination {
            Destination::Remote | Destination::Later => {}
            Destination::Local(reason) => self.go_local(id, reason),
            Destination::Nowhere(reason) => self.end(id, Err(CallError::Unavailable { reason })),
        }
    }

    /// Sends a job that was never sent; others of a function refused before wait for its answer.
    fn try_remote(&mut self, id: JobId, now: Duration) {
        self.remote_state.tried(&self.jobs[&id].target, now);
        self.enqueue(id);
    }

    fn enqueue(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id)
            && !matches!(job.remote, Remote::Queued | Remote::Over)
        {
            job.remote = Remote::Queued;
            self.outbox.push(id);
            self.now_waits(id);
        }
    }

    fn go_local(&mut self, id: JobId, reason: Reason) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.local != Local::Not {
            return;
        }
        // A hedge goes both ways; what is kept from workers waits for better times.
        if job.remote == Remote::Queued && !job.known && !reason.is_beside() {
            job.remote = Remote::Unsent;
        }
        self.queued.waits_no_more(id, job);
        job.local = Local::Waiting { ticket: self.local_slots.enter(id), reason };
    }

    fn end(&mut self, id: JobId, end: CallEnd) {
        if let Some(job) = self.remove(id) {
            self.cancel_remote(id, &job);
            self.effects.push(Effect::End { id: job.call, end });
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
        self.retried.remove(&job.call);
        self.queued.waits_no_more(id, &job);
        self.bytes -= job.args.len();
        if let Some(at) = job.timer {
            self.timers.remove(&(at, id));
        }
        match job.local {
            Local::Not => {}
            Local::Waiting { ticket, .. } => self.local_slots.leave(ticket),
            // A child is killed with its call.
            Local::Running { .. } if job.is_isolated() => {}
            Local::Running { .. } => self.effects.push(Effect::LeftBehind(job.call)),
        }
        Some(job)
    }

    /// Judges the other side, and moves jobs when that has changed.
    fn review(&mut self, now: Duration) {
        let reach = self.remote_state.reachability_of_all(self.unconfirmed, now);
        let stage = match trouble(&reach) {
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
    fn replace_all(&mut self, now: Duration) {
        let elsewhere: Vec<(JobId, Destination)> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.local == Local::Not && job.remote != Remote::Paused)
            .map(|(id, _)| (*id, self.destination(*id, now)))
            .filter(|(_, to)| !matches!(to, Destination::Remote | Destination::Later))
            .collect();
        for (id, destination) in elsewhere {
            self.put(id, destination);
        }
    }

    /// What waits for better times, or for a local slot and was never sent, may go to a worker now.
    fn offer_waiting(&mut self, now: Duration) {
        for (due, _) in &mut self.resends {
            *due = now.min(*due);
        }
        for id in self.local_slots.waiting() {
            let unsent = self.jobs.get(&id).is_some_and(|job| job.remote == Remote::Unsent);
            if unsent && self.destination(id, now) == Destination::Remote {
                self.try_remote(id, now);
            }
        }
    }
}
