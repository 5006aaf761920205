//! What a worker holds and does about it, as a pure machine: events and the time in, effects out.
//!
//! ```text
//!  Placed --> waiting lists --> slots --Ran--> outbox --Settled--> Ack
//!                  |               |              ^
//!                  +-- late, drain, link down ----+  Returned
//! ```
//!
//! A list takes one slot and runs in order. Nothing here knows threads, the broker's client or
//! the clock; the shell turns effects into deeds and what comes of them into events.

mod cancelled;
mod deadlines;
mod execution;
mod jobs;
mod lending;
mod link;
mod outbox;
mod run_times;
#[cfg(test)]
mod stories;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{Answer, Control, Ended, Place, Started, WorkerBeat};
use simple_dist_protocol::{Address, Attempt, Generation, JobKey, PoolId, WorkerId, limits};

use self::cancelled::Cancelled;
use self::jobs::Jobs;
pub use self::jobs::{DeliveryId, Number};
use self::outbox::Outbox;
use self::run_times::RunTimes;

/// How long a leaving worker waits for the confirms of what it handed back at the very end.
const LAST_CONFIRMS: Duration = Duration::from_secs(2);

/// What does not change about a worker.
#[derive(Debug)]
pub struct Profile {
    /// This process.
    pub worker: WorkerId,
    /// The name of its machine, for people.
    pub host: String,
    /// What it serves.
    pub functions: Vec<Address>,
    /// How many jobs it runs at once.
    pub slots: usize,
    /// How many slots at most lend their places at once, while what they run waits for a call of its
    /// own: for each the worker runs one job more.
    pub lends: usize,
    /// How long what runs may run on when the worker is told to leave.
    pub grace: Duration,
}

/// The two consumers of the pool's queue, each with a prefetch of as many messages as there are
/// slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consumer {
    /// What the slots run.
    Pool,
    /// As much again, while jobs are short.
    LookAhead,
}

/// What happens to a worker.
#[derive(Debug)]
pub enum Event {
    /// The link is up.
    Up(Generation),
    /// The link is down.
    Down,
    /// Jobs came.
    Placed {
        /// Names the message until it is acked.
        delivery: DeliveryId,
        /// Which consumer it came to.
        consumer: Consumer,
        /// Whether the broker may have handed it out before.
        redelivered: bool,
        /// The jobs.
        place: Place,
    },
    /// The distributor says something.
    Control(Control),
    /// A slot ran a job.
    Ran {
        /// Which slot.
        slot: usize,
        /// Which job.
        number: Number,
        /// How it ended.
        answer: Answer,
        /// How long it ran.
        took: Duration,
    },
    /// What a slot runs waits for a call of its own; answered by [`Effect::Lend`].
    Waits {
        /// Which slot.
        slot: usize,
        /// Which job.
        number: Number,
    },
    /// And no longer, if its slot had lent its place.
    Resumes {
        /// Which slot.
        slot: usize,
        /// Which job.
        number: Number,
    },
    /// A slot cannot run what it was given: there is no thread for it.
    CannotRun {
        /// Which slot.
        slot: usize,
    },
    /// A slot was told to begin nothing more of its run, of which it had begun this many.
    Recalled {
        /// Which slot.
        slot: usize,
        /// How many jobs of its run had begun.
        begun: usize,
    },
    /// What became of something published.
    Settled {
        /// Of its publication.
        token: Token,
        /// What the broker said.
        outcome: Outcome,
    },
    /// A queue could not be consumed.
    NotConsuming(Consumer),
    /// The worker is to leave.
    Shutdown,
    /// And at once: the grace time is over.
    GraceEnds,
    /// It leaves now, and says so.
    Leaves,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// A slot is to run these, in order.
    Run {
        /// Which slot.
        slot: usize,
        /// The jobs.
        jobs: Vec<Work>,
    },
    /// A slot is to begin nothing more of its run; answered by [`Event::Recalled`].
    Recall {
        /// Which slot.
        slot: usize,
    },
    /// Nobody waits any more for a job that a slot runs: what can be stopped is to be stopped, and
    /// ends like any other, by [`Event::Ran`].
    Stop {
        /// Which slot.
        slot: usize,
        /// Which job.
        number: Number,
    },
    /// Whether another job runs while the one in this slot waits.
    Lend {
        /// Which slot.
        slot: usize,
        /// Whether it does.
        lent: bool,
    },
    /// Something is to be published.
    Publish(Publication),
    /// A delivery is settled.
    Ack(DeliveryId),
    /// The pool's queue is to be consumed.
    Consume {
        /// By which consumer.
        consumer: Consumer,
        /// Whose queue.
        pool: PoolId,
    },
    /// And no longer.
    Cancel(Consumer),
}

/// One job for a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Names it in [`Event::Ran`].
    pub number: Number,
    /// The job.
    pub key: JobKey,
    /// Which execution of it this is.
    pub attempt: Attempt,
    /// What to run.
    pub function: Address,
    /// Its argument, in MessagePack.
    pub args: Bytes,
    /// When nobody waits for it any more.
    pub deadline: Duration,
    /// The caller's `traceparent`.
    pub trace: Option<String>,
}

/// What a worker publishes.
#[derive(Debug, PartialEq)]
pub enum Publication {
    /// How it is.
    Beat(WorkerBeat),
    /// Jobs run that are worth a word.
    Running(Started),
    /// A marked job begins once this is confirmed.
    Begins {
        /// The job.
        started: Started,
        /// What the confirm will name.
        token: Token,
    },
    /// An attempt has ended.
    Ended {
        /// How.
        ended: Ended,
        /// What the confirm will name.
        token: Token,
    },
}

impl Publication {
    /// What it is settled by.
    pub fn token(&self) -> Option<Token> {
        match self {
            Self::Beat(_) | Self::Running(_) => None,
            Self::Begins { token, .. } | Self::Ended { token, .. } => Some(*token),
        }
    }
}

/// What a publication is settled by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The `Started` of a marked job.
    Begins(Number),
    /// The end of an attempt.
    Ended(Number),
}

impl From<Token> for u64 {
    fn from(token: Token) -> Self {
        match token {
            Token::Begins(Number(number)) => number << 1 | 1,
            Token::Ended(Number(number)) => number << 1,
        }
    }
}

impl From<u64> for Token {
    fn from(token: u64) -> Self {
        let number = Number(token >> 1);
        if token & 1 == 1 { Self::Begins(number) } else { Self::Ended(number) }
    }
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
    consuming: HashSet<Consumer>,
    intake: Intake,
    looks_ahead: bool,
    /// Something has run since the last beat.
    ran: bool,
    stance: Stance,
    jobs: Jobs,
    waiting: VecDeque<List>,
    /// As many as the profile says, and one more for each that is lent.
    slots: Vec<Option<Turn>>,
    /// Those of them that have no turn.
    free: BTreeSet<usize>,
    /// How many of the others have lent their place.
    lent: usize,
    /// When the last beat was made, and how many were lent then.
    told: (Duration, usize),
    /// When to tell of another number, before the next beat.
    tell_at: Option<Duration>,
    /// When time changes something about the turn of a slot.
    turns_due: BTreeSet<(Duration, usize)>,
    outbox: Outbox,
    cancelled: Cancelled,
    run_times: RunTimes,
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

/// What occupies a slot.
#[derive(Debug)]
struct Turn {
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
            consuming: HashSet::new(),
            intake: Intake::Open,
            looks_ahead: false,
            ran: false,
            stance: Stance::Live,
            jobs: Jobs::default(),
            waiting: VecDeque::new(),
            slots,
            free,
            lent: 0,
            told: (now, 0),
            tell_at: None,
            turns_due: BTreeSet::new(),
            outbox: Outbox::default(),
            cancelled: Cancelled::default(),
            run_times: RunTimes::default(),
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
            Event::Ran { slot, number, answer, took } => self.ran(slot, number, answer, took, now),
            Event::Waits { slot, number } => self.waits(slot, number, now),
            Event::Resumes { slot, number } => self.resumes(slot, number),
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
        let late = self.waiting.front().map(|list| list.came + limits::LIST_TIMEOUT);
        let leaves = match self.stance {
            Stance::Leaving { by: then } | Stance::Left { until: then } => Some(then),
            Stance::Live | Stance::Draining => None,
        };
        let beats = [Some(self.beat_at), self.tell_at].into_iter().flatten();
        let linked = beats.filter(|_| self.link.is_some());
        let linked = linked.chain(self.link.and_then(|_| self.outbox.due()));
        let turns = self.turns_due.first().map(|(due, _)| *due);
        linked.chain(late).chain(turns).chain(leaves).min()
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

impl Turn {
    /// Whether there is something in it that waits and can still be taken back.
    fn is_patient(&self) -> bool {
        !self.recalled && (self.run.len() > 1 || !self.list.is_empty())
    }
}
