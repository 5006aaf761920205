//! What a worker holds and does about it, as a pure machine: events and the time in, effects out.
//!
//! ```text
//!  Placed --> waiting lists --> slots --Ran--> outbox --Settled--> Ack
//!                  |               |              ^
//!                  +-- late, drain, link down ----+  Returned
//! ```
//!
//! A list takes one slot and runs in order. Nothing here knows threads, the broker's client or
//! the clock; the shell turns effects into actions and what comes of them into events.

mod cancelled;
mod deadlines;
mod event;
mod execution;
mod jobs;
mod lending;
mod link;
mod look_ahead;
mod outbox;
mod progress;
mod returns;
mod run_times;
#[cfg(test)]
mod stories;
mod stuck;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use simple_dist_protocol::message::{End, Memo};
use simple_dist_protocol::{Address, Generation, PoolId, Term, WorkerId};

use self::cancelled::Cancelled;
pub use self::event::{Consumer, Effect, Event, Publication, Token, Work};
use self::jobs::Jobs;
pub use self::jobs::{DeliveryId, Number};
use self::look_ahead::LookAhead;
use self::outbox::Outbox;
use self::progress::Pace;
use self::run_times::RunTimes;
use self::stuck::Stuck;

/// How long a leaving worker waits for the confirms of what it handed back at the very end.
const LAST_CONFIRMS: Duration = Duration::from_secs(2);

/// So long what runs in a process of its own may go on after it was told to stop.
const KILL_AFTER: Duration = Duration::from_secs(1);

/// What does not change about a worker.
#[derive(Debug)]
pub struct Profile {
    /// This process.
    pub worker: WorkerId,
    /// The name of its machine, for people.
    pub host: String,
    /// What it serves.
    pub functions: Vec<Address>,
    /// What of that gives the same bytes for the same arguments.
    pub deterministic: Vec<Address>,
    /// How the answers of these may be kept.
    pub memo: Vec<Memo>,
    /// How many jobs it runs at once.
    pub slots: usize,
    /// Whether each slot is a process of its own, which can be killed.
    pub isolated: bool,
    /// How many slots at most lend their places at once, while what they run waits for a call of its
    /// own: for each the worker runs one job more.
    pub lends: usize,
    /// How long what runs may run on when the worker is told to leave.
    pub grace: Duration,
    /// Whether it leaves by itself when half of its slots have run on for nobody for a while.
    pub exits_when_stuck: bool,
}

/// What a worker holds: see the [module](self).
#[derive(Debug)]
pub struct Executor {
    profile: Profile,
    seq: u64,
    beat_at: Duration,
    link: Option<Generation>,
    /// The pool the distributor welcomed this link to.
    pool: Option<PoolId>,
    /// The term that did.
    term: Option<Term>,
    /// Each with its prefetch.
    consuming: HashMap<Consumer, usize>,
    intake: Intake,
    look_ahead: LookAhead,
    /// Something has run since the last beat.
    ran: bool,
    stance: Stance,
    jobs: Jobs,
    waiting: VecDeque<List>,
    /// As many as the profile says, and one more for each that is lent.
    slots: Vec<Option<Batch>>,
    /// Those of them that have none.
    free: BTreeSet<usize>,
    /// Those that could not run what they were given: until the next beat they get nothing.
    resting: BTreeSet<usize>,
    /// How many of the others have lent their place.
    lent: usize,
    /// When the last beat was made, and how many were lent then.
    told: (Duration, usize),
    /// When to tell of another number, before the next beat.
    tell_at: Option<Duration>,
    /// When time changes something about the batch of a slot.
    slots_due: BTreeSet<(Duration, usize)>,
    outbox: Outbox,
    cancelled: Cancelled,
    run_times: RunTimes,
    pace: Pace,
    stuck: Stuck,
    effects: Vec<Effect>,
}

/// Whether the worker takes jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stance {
    Live,
    Draining,
    /// Told to leave, and when to hand back what still runs.
    Leaving {
        by: Duration,
    },
    /// All is handed back; until when its confirms are waited for, and a link to say goodbye on.
    Left {
        until: Duration,
    },
}

/// Whether there is a reason of our own not to consume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intake {
    Open,
    /// A list found no slot in time: until one is free no more are taken.
    Overfull,
    /// The broker refused: at the next beat it is tried again.
    Refused,
}

/// Jobs that came together and wait for a slot.
#[derive(Debug)]
struct List {
    jobs: VecDeque<Number>,
    consumer: Consumer,
    came: Duration,
}

/// The jobs that occupy a slot: a list, or what is left of it.
#[derive(Debug)]
struct Batch {
    /// What of the list the slot has not been given.
    list: VecDeque<Number>,
    /// What it has been given and has not ended; or the one job whose `Started` is awaited.
    run: VecDeque<Number>,
    /// How many of the run have ended.
    ended: usize,
    began: Duration,
    /// Whether what had not begun was taken back.
    recalled: bool,
    /// Whether what runs waits for a call of its own, and another job runs meanwhile.
    lent: bool,
    /// When time changes something about it.
    due: Option<Duration>,
}

impl Executor {
    /// A worker that holds nothing, without a link.
    pub fn new(profile: Profile, now: Duration) -> Self {
        let slots = (0..profile.slots).map(|_| None).collect();
        let free = (0..profile.slots).collect();
        Self {
            profile,
            seq: 0,
            beat_at: now,
            link: None,
            pool: None,
            term: None,
            consuming: HashMap::new(),
            intake: Intake::Open,
            look_ahead: LookAhead::default(),
            ran: false,
            stance: Stance::Live,
            jobs: Jobs::default(),
            waiting: VecDeque::new(),
            slots,
            free,
            resting: BTreeSet::new(),
            lent: 0,
            told: (now, 0),
            tell_at: None,
            slots_due: BTreeSet::new(),
            outbox: Outbox::default(),
            cancelled: Cancelled::default(),
            run_times: RunTimes::default(),
            pace: Pace::default(),
            stuck: Stuck::default(),
            effects: vec![],
        }
    }

    /// Takes an event in; what is to be done about it, in this order.
    pub fn apply(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        match event {
            Event::Up(generation) => self.up(generation, now),
            Event::Down => self.down(now),
            Event::Placed { delivery, consumer, redelivered, place } => {
                self.placed(delivery, consumer, redelivered, place, now);
            }
            Event::Control(control) => self.control(control, now),
            Event::Ran { slot, number, answer, took } => {
                self.ran(slot, number, End::Answer(answer), took, now);
            }
            Event::Crashed { slot, number, crash, took } => {
                self.ran(slot, number, End::Crashed(crash), took, now);
            }
            Event::Waits { slot, number } => self.waits(slot, number, now),
            Event::Resumes { slot, number } => self.resumes(slot, number),
            Event::Progresses => self.progresses(now),
            Event::Progressed(news) => self.progressed(news),
            Event::CannotRun { slot } => self.cannot_run(slot, now),
            Event::Recalled { slot, begun } => self.recalled(slot, begun, now),
            Event::Settled { token, outcome } => self.settled(token, outcome, now),
            Event::NotConsuming(consumer) => {
                self.consuming.remove(&consumer);
                self.intake = Intake::Refused;
            }
            Event::Shutdown => {
                self.stance = Stance::Leaving { by: now + self.profile.grace };
                self.drain(now);
            }
            Event::GraceEnds => {
                if let Stance::Leaving { by } = &mut self.stance {
                    *by = now;
                }
            }
            Event::Leaves => self.leave(now),
            Event::Tick => {}
        }
        self.fill_slots(now);
        self.pass_time(now);
        self.update_intake();
        std::mem::take(&mut self.effects)
    }

    /// When time itself changes something next.
    pub fn next_wake(&self) -> Option<Duration> {
        let late = self.waiting.front().map(|list| list.came + self.patience());
        let leaves = match self.stance {
            Stance::Leaving { by: then } | Stance::Left { until: then } => Some(then),
            Stance::Live | Stance::Draining => None,
        };
        let beats = [Some(self.beat_at), self.tell_at].into_iter().flatten();
        let linked = beats.filter(|_| self.link.is_some());
        let linked = linked.chain(self.link.and_then(|_| self.outbox.due()));
        let batches = self.slots_due.first().map(|(due, _)| *due);
        let others = [late, batches, leaves, self.stuck_at()].into_iter().flatten();
        linked.chain(self.progress_due()).chain(others).min()
    }

    /// Whether a worker that was told to leave may do so: with a word, or without one if it cannot
    /// be had.
    pub fn may_leave(&self, now: Duration) -> bool {
        let done = self.jobs.is_empty() && self.link.is_some();
        match self.stance {
            Stance::Leaving { .. } => done,
            Stance::Left { until } => done || until <= now,
            Stance::Live | Stance::Draining => false,
        }
    }
}

impl Batch {
    /// Whether there is something in it that waits and can still be taken back.
    fn is_patient(&self) -> bool {
        !self.recalled && (self.run.len() > 1 || !self.list.is_empty())
    }
}
