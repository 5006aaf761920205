//! Calls that may run here while their workers are busy, and how long the last of them has to wait.
//!
//! By Little's law that is the number of calls that wait by the rate at which they are answered, in the
//! long run and in any order. Both are of one function, and of those calls alone: what others send, and
//! what share of the workers the scheduler gives them, shows in the rate. The call that is served last
//! is the newest of the lowest priority: it is the most likely not to have begun.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::JobId;

use super::job::{Job, Local, Remote};
use super::{Caller, Reason};

/// The most functions that are learned about: calls of others are not taken back.
const FUNCTIONS: usize = 64;
/// The rate is that of the answers at so many of the last moments when some came: many come at once.
const MOMENTS: usize = 16;
/// How long a run takes that was never measured.
const UNMEASURED: Duration = Duration::from_secs(1);

/// The calls that wait.
#[derive(Debug, Default)]
pub(super) struct Queued {
    /// The time of what happens.
    pub(super) now: Duration,
    functions: HashMap<Arc<str>, Function>,
    waiting: usize,
    /// Runs here, each for one of them, by call.
    running: HashMap<JobId, Arc<str>>,
}

/// What is known of one function.
#[derive(Debug)]
struct Function {
    /// In the order in which they are served.
    waiting: BTreeSet<Place>,
    /// How long its runs take on workers, and here.
    there: Option<Duration>,
    here: Option<Duration>,
    answers: Answers,
}

type Place = (Reverse<u8>, JobId);

/// How fast calls are answered while some wait. Times are counted while some do.
#[derive(Debug)]
struct Answers {
    before: Duration,
    /// Since when calls wait, if they do.
    since: Option<Duration>,
    /// The last moments when answers came, and how many did.
    moments: VecDeque<(Duration, u32)>,
    /// All of those.
    count: u32,
    /// From when on they are counted.
    from: Duration,
    /// Whether that was an answer; before the first it is a guess when one may come.
    has_begun: bool,
}

impl Queued {
    fn enter(&mut self, name: &Arc<str>, place: Place) {
        if !self.functions.contains_key(name) {
            if self.functions.len() >= FUNCTIONS {
                let idle = self.functions.iter().find(|(_, it)| it.waiting.is_empty());
                let Some(idle) = idle.map(|(name, _)| Arc::clone(name)) else { return };
                self.functions.remove(&idle);
            }
            self.functions.insert(Arc::clone(name), Function::new());
        }
        let function = self.functions.get_mut(name).expect("it is there by now");
        self.waiting += usize::from(function.waiting.insert(place));
        function.answers.since.get_or_insert(self.now);
    }

    /// A job does not wait for a worker any more, or that is not all it does.
    pub(super) fn waits_no_more(&mut self, id: JobId, job: &Job) {
        if !job.when_busy {
            return;
        }
        let Some(function) = self.functions.get_mut(&job.target.name) else { return };
        self.waiting -= usize::from(function.waiting.remove(&place(id, job)));
        if function.waiting.is_empty() {
            function.answers.pause(self.now);
        }
    }

    /// The call that gains most by a run here, if any does.
    fn best(&self) -> Option<JobId> {
        if self.waiting == 0 {
            return None;
        }
        let gains = self.functions.values().filter_map(|function| function.gain(self.now));
        gains.max().map(|(_, id)| id)
    }

    /// A worker has run a job, for so long.
    pub(super) fn ran_there(&mut self, job: &Job, took: Duration) {
        if job.when_busy
            && let Some(function) = self.functions.get_mut(&job.target.name)
        {
            learn(&mut function.there, took);
            if !function.waiting.is_empty() {
                function.answers.add(self.now);
            }
        }
    }

    /// A run here begins.
    pub(super) fn runs_here(&mut self, job: &Job) {
        if job.when_busy {
            self.running.insert(job.call, Arc::clone(&job.target.name));
        }
    }

    /// A run here has ended. One that somebody else was faster than, and that was told so, may have
    /// ended early.
    pub(super) fn ran_here(&mut self, call: JobId, took: Duration, is_first: bool) {
        let name = self.running.remove(&call);
        if let Some(function) = name.and_then(|name| self.functions.get_mut(&name))
            && (is_first || function.here.is_none_or(|here| here < took))
        {
            learn(&mut function.here, took);
        }
    }
}

impl Function {
    fn new() -> Self {
        let answers = Answers {
            before: Duration::ZERO,
            since: None,
            moments: VecDeque::new(),
            count: 0,
            from: UNMEASURED,
            has_begun: false,
        };
        Self { waiting: BTreeSet::new(), there: None, here: None, answers }
    }

    /// How much sooner the last of its calls ends by a run here, than by waiting its turn, if it does.
    /// One that is a worker's next anyway gains nothing.
    fn gain(&self, now: Duration) -> Option<(Duration, JobId)> {
        let (_, last) = self.waiting.last()?;
        let there = self.there.or(self.here).unwrap_or(UNMEASURED);
        let here = self.here.unwrap_or(there);
        let calls = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let queued = self.answers.pause_between(now).saturating_mul(calls).saturating_sub(there);
        (queued > here).then(|| (queued - here, *last))
    }
}

impl Answers {
    fn clock(&self, now: Duration) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    fn pause(&mut self, now: Duration) {
        self.before = self.clock(now);
        self.since = None;
    }

    /// Some may have been lost on the way, and others come back: none is expected before so long.
    fn begin_again(&mut self, first: Duration, now: Duration) {
        (self.count, self.has_begun, self.from) = (0, false, self.clock(now) + first);
        self.moments.clear();
    }

    fn add(&mut self, now: Duration) {
        let clock = self.clock(now);
        if !std::mem::replace(&mut self.has_begun, true) {
            self.from = clock;
        }
        if clock <= self.from {
            return;
        }
        match self.moments.back_mut() {
            Some((at, count)) if *at == clock => *count = count.saturating_add(1),
            _ => self.moments.push_back((clock, 1)),
        }
        self.count = self.count.saturating_add(1);
        if self.moments.len() > MOMENTS
            && let Some((at, count)) = self.moments.pop_front()
        {
            (self.from, self.count) = (at, self.count.saturating_sub(count));
        }
    }

    /// The time between two of them, as if the next came now.
    fn pause_between(&self, now: Duration) -> Duration {
        self.clock(now).saturating_sub(self.from) / self.count.saturating_add(1)
    }
}

/// Runs change: each new one counts as much as an eighth of all before it.
fn learn(known: &mut Option<Duration>, took: Duration) {
    *known = Some(known.map_or(took, |known| (known * 7 + took) / 8));
}

impl Caller {
    /// A job is on its way to a worker.
    pub(super) fn now_waits(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get(&id)
            && job.waits_for_workers(self.local_slots.slots())
        {
            self.queued.enter(&job.target.name, place(id, job));
        }
    }

    /// What was learned of rates is of a link that is gone.
    pub(super) fn forget_rates(&mut self) {
        for function in self.queued.functions.values_mut() {
            let first = function.there.unwrap_or(UNMEASURED);
            function.answers.begin_again(first, self.queued.now);
        }
    }

    /// While slots here are idle, calls that would wait for longer run in them, beside their place in
    /// the workers' queue.
    pub(super) fn take_back(&mut self) {
        if !self.remote_state.is_up() {
            return; // how calls wait says nothing of workers then
        }
        while self.local_slots.has_idle()
            && let Some(id) = self.queued.best()
        {
            let Some(job) = self.jobs.get(&id) else { return };
            let may_run = job.waits_for_workers(self.local_slots.slots());
            self.queued.waits_no_more(id, job);
            if may_run {
                self.go_local(id, Reason::WhenBusy);
            }
        }
    }
}

impl Job {
    /// Whether it may run here while it waits for a worker, and does. One with any mark does not, even
    /// where it might: it need not.
    fn waits_for_workers(&self, slots: usize) -> bool {
        let on_its_way = match self.remote {
            Remote::Queued | Remote::Unconfirmed { .. } | Remote::Confirmed { .. } => true,
            Remote::Paused | Remote::Unsent | Remote::Over => false,
        };
        let spotless = self.marks.count() == 0;
        self.when_busy
            && on_its_way
            && spotless
            && self.local == Local::Not
            && self.may_run_here(slots)
    }
}

fn place(id: JobId, job: &Job) -> Place {
    (Reverse(job.priority), id)
}
