//! Who runs what: the heart of the distributor, as a pure state machine. Events in, effects out;
//! no clock, no task, no I/O.
//!
//! ```text
//!  Submitted --> door --> [queue of its function] --> placing --> Place --> (pool, worker)
//!                              ^                                               |
//!                              |   came back, swept, purged, worker lost       | Answers
//!                              +---------------- suspicion <-------------------+--> ends --> Deliver
//! ```
//!
//! What holds at every moment: the books balance; a job is in exactly one place; a job that has
//! ended is forgotten but for its answer; nothing is placed, and nobody judged, unless our own
//! presence comes back to us through the broker.

mod beats;
mod door;
mod effect;
mod ends;
mod event;
mod fact;
mod functions;
mod holding;
mod jobs;
mod orphans;
mod outgoing;
mod placing;
mod pools;
mod queue;
mod quiet;
mod recent;
mod record;
mod silence;
#[cfg(test)]
mod stories;
mod suspicion;
mod sweep;
mod term;
mod turns;
mod users;
mod workers;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use simple_dist_protocol::message::Control;
use simple_dist_protocol::{
    Attempt, ClientId, DistributorId, Generation, JobId, JobKey, PoolId, Term, UserName, WorkerId,
    limits,
};

use crate::view;

pub use effect::{Effect, Origin, Token};
pub use event::{Event, Via};
pub use record::Counters;

use fact::Fact;
use functions::{FunctionRef, Functions};
use jobs::{JobRef, Jobs, Key};
use orphans::Orphans;
use outgoing::Outgoing;
use pools::Pools;
use recent::Recent;
use record::{Record, Viewer};
use sweep::Sweep;
use term::LinkState;
use users::{UserRef, Users};
use workers::Workers;

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

/// What decides.
#[derive(Debug)]
struct Rooms {
    config: Config,
    now: Duration,
    link: LinkState,
    users: Users,
    clients: HashMap<(UserRef, ClientId), Client>,
    /// When each of them is to be looked at, should it be silent.
    minded: BTreeSet<(Duration, (UserRef, ClientId))>,
    functions: Functions,
    pools: Pools,
    workers: Workers,
    jobs: Jobs,
    orphans: Orphans,
    /// Jobs that wait for their client's receipt.
    unnoted: BTreeSet<JobRef>,
    /// The jobs that bear a strike by each lost worker, which takes it back if it is heard.
    strikers: BTreeMap<WorkerId, BTreeSet<JobRef>>,
    recent: Recent,
    sweep: Sweep,
    /// Functions that jobs have come to wait for.
    ready: BTreeSet<FunctionRef>,
    /// Pools where there may be room for a job that waits.
    open: BTreeSet<PoolId>,
    sent: HashMap<Token, Sent>,
    outgoing: Outgoing,
    tokens: u64,
    ages: u64,
    effects: Vec<Effect>,
    facts: Vec<Fact>,
}

/// A client with jobs here.
#[derive(Debug)]
struct Client {
    /// The newest we heard.
    generation: Generation,
    heard: Duration,
    /// Its place in [`Scheduler::minded`].
    due: Duration,
    jobs: BTreeSet<JobRef>,
}

/// What a token stands for.
#[derive(Debug, Clone, Copy)]
enum Sent {
    Placement { job: JobRef, key: Key, attempt: Attempt, pool: PoolId },
    Delivery { user: UserRef, client: ClientId, generation: Generation, bytes: usize },
    Control { worker: WorkerId, generation: Generation },
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
        rooms.facts.drain(..).for_each(|fact| record.take(fact, rooms.now));
        if ticks {
            record.age(rooms, rooms.now);
        }
        rooms.place_waiting();
        rooms.facts.drain(..).for_each(|fact| record.take(fact, rooms.now));
        rooms.effects.drain(..)
    }

    /// The term, while this distributor is the active one.
    pub fn term(&self) -> Option<Term> {
        self.rooms.term()
    }

    /// Whether this job is under way.
    pub fn holds(&self, key: &JobKey) -> bool {
        self.rooms.jobs.find(Key::of(key)).is_some()
    }

    /// Whether this worker lives, as far as we know.
    pub fn has_worker(&self, worker: WorkerId) -> bool {
        self.rooms.workers.is_alive(worker)
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
            link: LinkState::default(),
            users: Users::default(),
            clients: HashMap::new(),
            minded: BTreeSet::new(),
            functions: Functions::default(),
            pools: Pools::new(),
            workers: Workers::default(),
            jobs: Jobs::default(),
            orphans: Orphans::default(),
            unnoted: BTreeSet::new(),
            strikers: BTreeMap::new(),
            recent: Recent::new(config.recent),
            sweep: Sweep::default(),
            ready: BTreeSet::new(),
            open: BTreeSet::new(),
            sent: HashMap::new(),
            outgoing: Outgoing::default(),
            tokens: 0,
            ages: 0,
            effects: Vec::new(),
            facts: Vec::new(),
            config,
        }
    }

    fn term(&self) -> Option<Term> {
        self.link.leading().map(|leading| leading.term)
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
        self.mind_the_gap();
        self.expire();
        self.go_on_with_the_term();
        if self.link.judges {
            self.judge_silence();
            self.give_up_unserved();
        }
        self.tell_unnoted_again();
        self.probe_quiet_clients();
        self.sweep();
        self.tell_orphans();
        self.mend_pools();
        self.age();
    }

    fn token(&mut self, sent: Sent) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.sent.insert(token, sent);
        token
    }

    fn control(&mut self, worker: WorkerId, control: Control) {
        let Some(found) = self.workers.get(worker) else { return };
        let (user, generation): (UserName, Generation) = (found.user.clone(), found.generation);
        let token = self.token(Sent::Control { worker, generation });
        self.effects.push(Effect::Control { user, worker, generation, control, token });
    }
}
