//! The scheduler: decides which worker runs which job. A pure state machine: events and a time in,
//! effects out; no clock, no task, no I/O. Its state is divided between five parts ("rooms"), each
//! of which owns its own and knows no other: `leadership` (the link, the term, whether our presence
//! comes back, the drain), `fleet` (functions, pools, workers, orphaned attempts), `backlog`
//! (queues, rankings, fair shares), `jobs` (states, attempts, holders, strikes, clients, recent
//! answers) and `outbox` (effects to perform, facts to record). The files beside them hold the
//! rules about a job and use the rooms; they call each other in one direction only, down this
//! picture:
//!
//! ```text
//!   admission  beats  term  receipts          input from clients, workers and the broker
//!       |        |      |       |
//!    holders  answers  sweep  liveness        who holds a job; how attempts end or are lost
//!       |        |      |       |
//!       +--- strikes ---+-------+             evidence against a job
//!                |
//!             requeue --> completion          run it again, or end it
//!                |            |
//!             placement   delivery  dispatch  moving a job; telling others; choosing a pool
//!                |            |        |
//!     leadership   fleet   backlog   jobs   outbox
//! ```
//!
//! Every change is emitted as a `fact`. The `record` turns facts into what people see (counts,
//! history, timelines, percentiles, the view); no rule depends on it.
//!
//! Invariants at every moment: the counts balance; a job is in exactly one place; of an ended job
//! only the answer is kept; no job is placed and no worker is declared lost unless our own presence
//! comes back to us through the broker.

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
mod ids;
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
use ids::Key;
use jobs::Jobs;
use leadership::Leadership;
use outbox::Outbox;
use record::{Record, Viewer};
use sweep::Sweep;

/// How often the shell must feed [`Event::Tick`]: often enough for the shortest time limit, half a
/// second.
pub const TICK: Duration = Duration::from_millis(100);
/// The most jobs ended by one tick, so that their answers do not flood the publisher's queue.
const ENDED_PER_TICK: usize = 10_000;

/// A scheduler's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The id of this process.
    pub distributor: DistributorId,
    /// The most unfinished jobs, and the most bytes of their arguments.
    pub capacity: (usize, usize),
    /// How many bytes of recent answers are kept, and for how long.
    pub recent: (usize, Duration),
    /// Whether the view shows the beginning of each job's arguments. Off by default: arguments may
    /// be confidential.
    pub preview: bool,
}

impl Config {
    /// Settings with the limits of the protocol.
    pub fn new(distributor: DistributorId) -> Self {
        Self { distributor, capacity: limits::CAPACITY, recent: limits::RECENT, preview: false }
    }
}

/// The scheduler of one distributor.
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
    core: Core,
    record: Record,
}

/// The rooms, without the record.
#[derive(Debug)]
struct Core {
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
    /// A scheduler without a link that knows no workers or jobs.
    pub fn new(config: Config) -> Self {
        Self { record: Record::new(config.preview), core: Core::new(config) }
    }

    /// Applies an event that happened at `now`, the time since the process started, and returns
    /// what to do about it, in order. This is the only way to change the scheduler.
    pub fn apply(&mut self, event: Event, now: Duration) -> std::vec::Drain<'_, Effect> {
        let Self { core, record } = self;
        core.now = core.now.max(now);
        core.update_link_state();
        let ticks = event == Event::Tick;
        core.handle(event);
        core.resolve_newly_live();
        core.outbox.facts.drain(..).for_each(|fact| record.take(fact, core.now));
        if ticks {
            record.age(core, core.now);
        }
        core.place_waiting();
        core.outbox.facts.drain(..).for_each(|fact| record.take(fact, core.now));
        core.outbox.effects.drain(..)
    }

    /// The term, if this distributor is active.
    pub fn term(&self) -> Option<Term> {
        self.core.leadership.term()
    }

    /// Whether this job is known and unfinished.
    pub fn holds(&self, key: &JobKey) -> bool {
        self.core.jobs.find(Key::of(key)).is_some()
    }

    /// Whether this worker is known and not lost.
    pub fn has_worker(&self, worker: WorkerId) -> bool {
        self.core.fleet.workers.is_alive(worker)
    }

    /// How many jobs were accepted and how they ended.
    pub fn counters(&self) -> &Counters {
        self.record.counters()
    }

    /// A snapshot for people; `unix_now` is `now` in Unix time. The shell fills in what only the
    /// process knows (its version, the broker's address).
    pub fn view(&self, now: Duration, unix_now: Duration) -> view::View {
        self.viewer(now).view(unix_now)
    }

    /// The jobs with this id, of any user, unfinished or recently ended.
    pub fn find(&self, id: JobId, now: Duration, unix_now: Duration) -> Vec<view::Job> {
        self.viewer(now).find(id, unix_now)
    }

    /// At most `most` of the unfinished jobs.
    pub fn jobs(&self, most: usize, now: Duration) -> Vec<view::UnfinishedJob> {
        self.viewer(now).jobs(most)
    }

    fn viewer(&self, now: Duration) -> Viewer<'_> {
        Viewer { core: &self.core, record: &self.record, now }
    }
}

impl Core {
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

    fn handle(&mut self, event: Event) {
        match event {
            Event::LinkUp => self.link_up(),
            Event::LinkDown => self.link_down(),
            Event::Blocked => self.block(true),
            Event::Unblocked => self.block(false),
            Event::Leading { term } => self.lead(term),
            Event::PresenceSeen(presence) => self.seen(&presence),
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
            Event::Purged { untouched } => self.revoke_marks(&untouched),
            Event::Depths { asked_at, pools, answers } => self.depths(asked_at, &pools, answers),
            Event::DepthsFailed { asked_at } => self.depths_failed(asked_at),
            Event::Tick => self.tick(),
            Event::Drain(worker) => self.set_draining(worker, true),
            Event::Resume(worker) => self.set_draining(worker, false),
            Event::CancelJob(key) => self.cancel_by_operator(&key),
        }
    }

    fn tick(&mut self) {
        self.leadership.tick(self.now);
        self.expire();
        self.advance_term();
        if self.leadership.may_act {
            self.check_liveness();
            self.fail_unserved();
        }
        self.resend_marks();
        self.probe_silent_clients();
        self.sweep();
        self.cancel_orphans();
        self.retry_pools();
        self.expire_old();
    }
}
