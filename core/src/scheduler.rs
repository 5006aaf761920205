//! Who runs what: the heart of the distributor, as a pure state machine. Events in, effects out; no
//! clock, no task, no I/O. Its state is in rooms, none of which knows another or calls back:
//! `leadership` (link, term, echo, drain), `fleet` (functions, pools, workers, orphans), `backlog`
//! (queues, rankings, shares), `jobs` (states, attempts, holders, strikes, clients, recent answers),
//! and `outbox` (what is to be done and told). The files beside them say what happens to a job and
//! use the rooms; they call each other in one direction, down this picture:
//!
//! ```text
//!   admission  beats  term  receipts          what clients, workers and the broker say
//!       |        |      |       |
//!    holders  answers  sweep  liveness        who has it; how attempts end, or are lost
//!       |        |      |       |
//!       +--- strikes ---+-------+             what speaks against a job
//!                |
//!             requeue --> completion          once more, or the end
//!                |            |
//!             placement   delivery  dispatch  where it is; who is told; where it goes
//!                |            |        |
//!     leadership   fleet   backlog   jobs   outbox
//! ```
//!
//! Whatever changes is told as a `fact`. The `record` takes these and makes of them what people see
//! (counts, history, timelines, percentiles, the view); nothing else knows of it.
//!
//! What holds at every moment: the books balance; a job is in exactly one place; a job that has
//! ended is forgotten but for its answer; nothing is placed, and nobody judged, unless our own
//! presence comes back to us through the broker.

mod admission;
mod answers;
mod backlog;
mod beats;
mod completion;
mod delivery;
mod dispatch;
mod effect;
mod event;
mod fact;
mod fleet;
mod holders;
mod jobs;
mod leadership;
mod liveness;
mod outbox;
mod placement;
mod receipts;
mod record;
mod requeue;
#[cfg(test)]
mod stories;
mod strikes;
mod sweep;
mod term;

use std::time::Duration;

use simple_dist_protocol::{DistributorId, JobId, JobKey, Term, WorkerId, limits};

use crate::view;

pub use effect::{Effect, Origin, Token};
pub use event::{Event, Via};
pub use record::Counters;

use backlog::Backlog;
use fleet::Fleet;
use jobs::{Jobs, Key};
use leadership::Leadership;
use outbox::Outbox;
use record::{Record, Viewer};
use sweep::Sweep;

/// How often [`Event::Tick`] is wanted: fine enough for the shortest of our spans, half a second.
pub const TICK: Duration = Duration::from_millis(100);
/// The most jobs ended by one tick: their answers must not burst the publisher's queue.
const ENDED_PER_TICK: usize = 10_000;

/// What a scheduler is told once.
#[derive(Debug, Clone)]
pub struct Config {
    /// This process.
    pub distributor: DistributorId,
    /// The jobs held at once, and the bytes of their arguments.
    pub capacity: (usize, usize),
    /// The recent answers kept: bytes and age.
    pub recent: (usize, Duration),
    /// Whether arguments may be read, so that a person sees how they begin. Off by default: they
    /// are the callers' business.
    pub preview: bool,
}

impl Config {
    /// The limits of the protocol.
    pub fn new(distributor: DistributorId) -> Self {
        Self { distributor, capacity: limits::LEDGER, recent: limits::RECENT, preview: false }
    }
}

/// Who runs what.
///
/// ```
/// use std::time::Duration;
/// use simple_dist_core::scheduler::{Config, Effect, Event, Scheduler};
/// use simple_dist_protocol::{DistributorId, Term};
///
/// let mut scheduler = Scheduler::new(Config::new(DistributorId::new()));
/// scheduler.apply(Event::LinkUp, Duration::ZERO);
/// let effects: Vec<Effect> =
///     scheduler.apply(Event::Leading { term: Term::random() }, Duration::from_millis(5)).collect();
/// assert!(matches!(effects[..], [Effect::AskDepths { .. }]));
/// ```
#[derive(Debug)]
pub struct Scheduler {
    rooms: Rooms,
    record: Record,
}

/// The rooms that decide.
#[derive(Debug)]
struct Rooms {
    config: Config,
    now: Duration,
    leadership: Leadership,
    fleet: Fleet,
    backlog: Backlog,
    jobs: Jobs,
    sweep: Sweep,
    outbox: Outbox,
}

impl Scheduler {
    /// A scheduler that knows nobody, with no link.
    pub fn new(config: Config) -> Self {
        Self { record: Record::new(config.preview), rooms: Rooms::new(config) }
    }

    /// The one way in: what happened, at this time since the process began, and all that is to be
    /// done about it.
    pub fn apply(&mut self, event: Event, now: Duration) -> std::vec::Drain<'_, Effect> {
        let Self { rooms, record } = self;
        rooms.now = rooms.now.max(now);
        rooms.watch_link();
        let ticks = event == Event::Tick;
        rooms.hear(event);
        rooms.resolve_revived();
        rooms.outbox.facts.drain(..).for_each(|fact| record.take(fact, rooms.now));
        if ticks {
            record.age(rooms, rooms.now);
        }
        rooms.place_waiting();
        rooms.outbox.facts.drain(..).for_each(|fact| record.take(fact, rooms.now));
        rooms.outbox.effects.drain(..)
    }

    /// The term, while this distributor is the active one.
    pub fn term(&self) -> Option<Term> {
        self.rooms.leadership.term()
    }

    /// Whether this job is under way.
    pub fn holds(&self, key: &JobKey) -> bool {
        self.rooms.jobs.find(Key::of(key)).is_some()
    }

    /// Whether this worker lives, as far as we know.
    pub fn has_worker(&self, worker: WorkerId) -> bool {
        self.rooms.fleet.workers.is_alive(worker)
    }

    /// What was taken in and what became of it.
    pub fn books(&self) -> &Counters {
        self.record.counters()
    }

    /// The scheduler as it is; `unix_now` is what `now` is in Unix time. What only the process
    /// knows (its version, the broker's address) is left open.
    pub fn view(&self, now: Duration, unix_now: Duration) -> view::View {
        self.viewer(now).view(unix_now)
    }

    /// The jobs of this id, under way or ended lately, whosever they are.
    pub fn find(&self, id: JobId, now: Duration, unix_now: Duration) -> Vec<view::Job> {
        self.viewer(now).find(id, unix_now)
    }

    /// Some of the jobs under way, at most so many.
    pub fn jobs(&self, most: usize, now: Duration) -> Vec<view::JobUnderWay> {
        self.viewer(now).jobs(most)
    }

    fn viewer(&self, now: Duration) -> Viewer<'_> {
        Viewer { rooms: &self.rooms, record: &self.record, now }
    }
}

impl Rooms {
    fn new(config: Config) -> Self {
        Self {
            now: Duration::ZERO,
            leadership: Leadership::default(),
            fleet: Fleet::default(),
            backlog: Backlog::default(),
            jobs: Jobs::new(config.recent),
            sweep: Sweep::default(),
            outbox: Outbox::default(),
            config,
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::LinkUp => self.link_up(),
            Event::LinkDown => self.link_down(),
            Event::Blocked => self.block(true),
            Event::Unblocked => self.block(false),
            Event::Leading { term } => self.lead(term),
            Event::Seen(presence) => self.seen(&presence),
            Event::Submitted { user, submit } => self.submitted(&user, submit),
            Event::Cancelled { user, ids } => self.cancelled(&user, &ids),
            Event::Asked { user, ids } => self.asked(&user, &ids),
            Event::Noted { user, noted } => self.noted(&user, noted),
            Event::Reported { user, report } => self.reported(&user, report),
            Event::Beat { user, beat } => self.beat(&user, beat),
            Event::Started { user, started, via } => self.started(&user, &started, via),
            Event::Answers { user, answers } => self.answers(&user, answers),
            Event::Settled { tokens, outcome } => self.settled(&tokens, outcome),
            Event::PoolDeclared { pool, declared } => self.pool_declared(pool, declared),
            Event::Purged { untouched } => self.take_marks_back(&untouched),
            Event::Depths { asked_at, pools, answers } => self.depths(asked_at, &pools, answers),
            Event::DepthsUnseen { asked_at } => self.depths_unseen(asked_at),
            Event::Tick => self.tick(),
            Event::Drain(worker) => self.want_draining(worker, true),
            Event::Resume(worker) => self.want_draining(worker, false),
            Event::CancelJob(key) => self.cancel_by_hand(&key),
        }
    }

    fn tick(&mut self) {
        self.leadership.tick(self.now);
        self.expire();
        self.go_on_with_the_term();
        if self.leadership.judges {
            self.judge_silence();
            self.give_up_unserved();
        }
        self.tell_unnoted_again();
        self.probe_silent_clients();
        self.sweep();
        self.tell_orphans();
        self.mend_pools();
        self.age();
    }
}
