//! The scheduler: decides which worker runs which job. A pure state machine: events and a time in,
//! effects out; no clock, no task, no I/O. Its state is divided between eight parts ("rooms"), each
//! of which owns its own and knows no other: `leadership` (the link, the term, whether our presence
//! comes back, the drain), `fleet` (functions, pools, workers, orphaned attempts), `backlog`
//! (queues, rankings, fair shares), `jobs` (states, attempts, holders, strikes, clients, recent
//! answers), `memo` (answers of deterministic functions), `trials` (runs of our own accord), `disputes` (answers that differ) and `outbox`
//! (effects to perform, facts to record). The files beside them hold the
//! rules about a job and use the rooms; they call each other in one direction only, down this
//! picture:
//!
//! ```text
//!   admission  beats  term  receipts  progress  input from clients, workers and the broker
//!       |        |      |       |        |
//!    holders  answers  sweep  liveness        who holds a job; how attempts end or are lost
//!       |        |      |       |
//!       +--- rivals ----+-- trial_runs        attempts that go on beside another (`hedging`), or that
//!                |               |             nobody waits for (`cross_check`)
//!             strikes                         evidence against a job
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
mod cross_check;
mod delivery;
mod dispatch;
mod disputes;
mod effect;
mod event;
mod fact;
mod fleet;
mod hedging;
mod holders;
mod ids;
mod jobs;
mod joining;
mod leadership;
mod liveness;
mod memo;
mod outbox;
mod percent;
mod placement;
mod progress;
mod quarantine;
mod receipts;
mod record;
mod release;
mod relief;
mod requeue;
mod rivals;
mod rollout;
mod shadowing;
#[cfg(test)]
mod stories;
mod strikes;
mod sweep;
mod term;
mod trial_runs;
mod trials;

use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::{DistributorId, JobId, JobKey, Selector, Term, WorkerId, limits};

use crate::view;

pub use effect::{Effect, Origin, QueueTime, Token};
pub use event::{Event, Via};
pub use joining::Purity;
pub use percent::Percent;
pub use record::Counters;
pub use rollout::{Promotion, Rollout, RolloutError, Shadow};

use backlog::Backlog;
use disputes::Disputes;
use fleet::Fleet;
use ids::Key;
use jobs::Jobs;
use leadership::Leadership;
use memo::Memo;
use outbox::Outbox;
use record::{Record, Viewer};
use shadowing::Shadows;
use sweep::Sweep;
use trials::Trials;

/// How often the shell must feed [`Event::Tick`]: often enough for the shortest time limit, half a
/// second.
pub const TICK: Duration = Duration::from_millis(100);
/// The most jobs ended by one tick, so that their answers do not flood the publisher's queue.
const ENDED_PER_TICK: usize = 10_000;
/// The most bytes of kept answers, unless somebody says otherwise. It may be more than nothing, since
/// nothing is kept but what a function's workers declare.
pub const MEMO: usize = 64 * 1024 * 1024;

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
    /// Second attempts of slow jobs.
    pub hedging: Hedging,
    /// Whether what a draining worker has just begun is placed elsewhere.
    pub relief: bool,
    /// Whose equal calls of deterministic functions share their runs and answers.
    pub sharing: Sharing,
    /// The most bytes of kept answers of functions whose workers have them kept; 0 for none.
    pub memo: usize,
    /// Of a thousand calls of deterministic functions, how many are run once more to compare their
    /// answers; 0 for none.
    pub cross_check: u16,
    /// How calls move to new versions of their functions.
    pub rollout: Rollout,
    /// The Unix time at which `now` is zero: what is recorded by the minute, is by the clock's.
    pub unix: Duration,
}

/// When a job that takes long is placed a second time, where a slot is idle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hedging {
    /// The most extra runs, as a share of a function's runs; 0 for none.
    pub share: f64,
    /// How many runs of a function must have been measured.
    pub fewest: usize,
}

impl Default for Hedging {
    /// One extra run for every twenty, from the twentieth on.
    fn default() -> Self {
        Self { share: 0.05, fewest: 20 }
    }
}

/// Who shares the runs and the answers of equal calls of deterministic functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody.
    All,
    /// Each login for itself: nobody can find out, by how fast an answer comes, what other logins
    /// have called.
    User,
    /// Nobody: each call runs.
    Off,
}

impl Config {
    /// Settings with the limits of the protocol.
    pub fn new(distributor: DistributorId) -> Self {
        Self {
            distributor,
            capacity: limits::CAPACITY,
            recent: limits::RECENT,
            preview: false,
            hedging: Hedging::default(),
            relief: true,
            sharing: Sharing::All,
            memo: MEMO,
            cross_check: 0,
            rollout: Rollout::default(),
            unix: Duration::ZERO,
        }
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
    memo: Memo,
    trials: Trials,
    shadows: Shadows,
    disputes: Disputes,
    sweep: Sweep,
    outbox: Outbox,
}

impl Scheduler {
    /// A scheduler without a link that knows no workers or jobs.
    pub fn new(config: Config) -> Self {
        Self { record: Record::new(config.preview, config.unix), core: Core::new(config) }
    }

    /// Applies an event that happened at `now`, the time since the process started, and returns
    /// what to do about it, in order. This is the only way to change the scheduler.
    pub fn apply(&mut self, event: Event, now: Duration) -> std::vec::Drain<'_, Effect> {
        let Self { core, record } = self;
        core.now = core.now.max(now);
        core.update_link_state();
        let ticks = event == Event::Tick;
        core.handle(event);
        core.requeue_released();
        core.quarantine_outvoted();
        core.resolve_newly_live();
        core.turn_away_stranded();
        core.outbox.facts.drain(..).for_each(|fact| record.take(fact, core.now));
        if ticks {
            record.age(core, core.now);
        }
        core.place_waiting();
        core.hedge();
        core.place_trials();
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

    /// What a call would compute, if its answer can only be this one: the workers of its function
    /// declare it deterministic. `None` too where answers are not shared.
    pub fn purity(&self, job: JobId, function: &Selector, args: &[u8]) -> Option<Purity> {
        self.core.purity(job, function, args)
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

    /// The failed jobs with this id, of any user, as far as their arguments are kept: 32 MiB are.
    pub fn failed_calls(&self, id: JobId) -> Vec<view::FailedCall> {
        self.record.failed_calls(id)
    }

    /// The value or error with this digest, of those that differed from others: where arguments are
    /// shown.
    pub fn differing(&self, digest: &str) -> Option<Bytes> {
        self.record.differing(digest)
    }

    /// How many jobs under way a filter means, by function.
    pub fn affected(&self, filter: &view::JobFilter) -> Vec<view::Affected> {
        self.viewer(self.core.now).affected(filter)
    }

    /// At most `most` of the jobs under way that a filter means.
    pub fn some_of(&self, filter: &view::JobFilter, most: usize) -> Vec<JobKey> {
        self.viewer(self.core.now).some_of(filter, most)
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
            memo: Memo::new(config.memo),
            trials: Trials::default(),
            shadows: Shadows::default(),
            disputes: Disputes::default(),
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
            Event::Progress { user, progressed } => self.progressed(&user, progressed),
            Event::Answers { user, answers } => self.answers(&user, answers),
            Event::LinkEnded { worker, generation } => self.link_ended(worker, generation),
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
        self.age_trials();
        self.cancel_orphans();
        self.retry_pools();
        self.expire_old();
    }
}
