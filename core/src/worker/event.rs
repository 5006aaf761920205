//! What happens to a worker, and what is to be done about it.

use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::message::{
    Answer, Control, Crash, Ended, Place, Progress, Progressed, Started, WorkerBeat,
};
use simple_dist_protocol::{Address, Attempt, Generation, JobKey, Outcome, PoolId};

use super::{DeliveryId, Number};

/// The two consumers of the pool's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consumer {
    /// What the slots run: one message for each.
    Pool,
    /// As much again while jobs are short, or more of them if the broker is far away.
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
    /// The process of a slot ended while it ran a job.
    Crashed {
        /// Which slot.
        slot: usize,
        /// Which job.
        number: Number,
        /// How.
        crash: Crash,
        /// How long it had run.
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
    /// Jobs say how far they are: to be collected when that is asked for.
    Progresses,
    /// How far they are, as collected for [`Effect::CollectProgress`].
    Progressed(Vec<(Number, Progress)>),
    /// A slot cannot run what it was given: there is no thread or process for it.
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
    /// It was told to stop and runs on: the slot's process is to be killed, by which it ends with
    /// [`Event::Crashed`].
    Kill {
        /// Which slot.
        slot: usize,
        /// Which job.
        number: Number,
    },
    /// Whether another job runs while the one in this slot waits.
    Lend {
        /// Which slot.
        slot: usize,
        /// Which job.
        number: Number,
        /// Whether it does.
        lent: bool,
    },
    /// What jobs have said since the last time is to be collected; answered by
    /// [`Event::Progressed`].
    CollectProgress,
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
        /// How many messages at once: its prefetch.
        messages: usize,
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
    Beat(Box<WorkerBeat>),
    /// Jobs run that are worth a word.
    Running(Started),
    /// How far jobs are.
    Progress(Progressed),
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
            Self::Beat(beat) => Some(Token::Beat(beat.seq)),
            Self::Running(_) | Self::Progress(_) => None,
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
    /// The beat of this number.
    Beat(u64),
}

impl From<Token> for u64 {
    fn from(token: Token) -> Self {
        match token {
            Token::Ended(Number(number)) => number << 2,
            Token::Begins(Number(number)) => number << 2 | 1,
            Token::Beat(seq) => seq << 2 | 2,
        }
    }
}

impl From<u64> for Token {
    fn from(token: u64) -> Self {
        let number = token >> 2;
        match token & 3 {
            0 => Self::Ended(Number(number)),
            1 => Self::Begins(Number(number)),
            _ => Self::Beat(number),
        }
    }
}
