//! Minimal shells between the machines and the broker: each turns what happens into events for its
//! machine, and effects into actions.

pub(crate) mod client;
pub(crate) mod distributor;
pub(crate) mod worker;

use std::time::Duration;

use simple_dist_core::worker as executor;
use simple_dist_protocol::{JobId, Outcome, PoolId};

use crate::broker::{Letter, Name};
use crate::judge::Judge;
use crate::publisher::Item;
use crate::random::Random;
use crate::script::Call;

/// From a process to the broker.
#[derive(Debug)]
pub(crate) enum Up {
    Publish { lane: usize, number: u64, item: Box<Item> },
    Ack(u64),
    Consume { queue: Name, consumer: u8, prefetch: usize },
    Cancel { consumer: u8 },
    Declare(PoolId),
    Depth { asked_at: Duration, queue: Name },
    Get(PoolId),
    Claim,
    Close,
}

/// From the broker to a process.
#[derive(Debug)]
pub(crate) enum Down {
    Delivery {
        queue: Name,
        consumer: u8,
        tag: u64,
        letter: Letter,
    },
    Confirm {
        lane: usize,
        number: u64,
        outcome: Outcome,
    },
    Consumed {
        queue: Name,
        consumer: u8,
        is_there: bool,
    },
    Declared(PoolId),
    /// `None` if the question failed.
    Depth {
        asked_at: Duration,
        queue: Name,
        messages: Option<Option<u32>>,
    },
    Got(PoolId, Option<Letter>),
    Claimed(bool),
    Blocked(bool),
}

/// A timer of a process.
#[derive(Debug)]
pub(crate) enum Alarm {
    Tick,
    Claim,
    Consume(Name),
    /// The machine's own timer; an outdated one is ignored.
    Wake(Duration),
    /// The thread of a slot ends a job, of its so manieth run.
    SlotEnds {
        slot: usize,
        run: u64,
    },
    /// What the thread of a slot runs makes a call of its own, or has its value.
    SlotCalls {
        slot: usize,
        run: u64,
    },
    /// The worker's task looks at what a thread ran.
    Ran(executor::Event),
    LocalEnds(JobId),
    /// The link looks whether a window was confirmed.
    ConfirmTimeout {
        lane: usize,
        window: u64,
    },
}

/// An event for a process.
#[derive(Debug)]
pub(crate) enum Happening {
    Begins,
    Up(u32),
    LinkDown,
    Heard(Down),
    Settled(Vec<u64>, Outcome),
    Alarm(Alarm),
    /// For a client: somebody calls, or drops a call.
    Called(Call),
    Dropped(JobId),
    /// For a worker: it is told to stop. For a distributor: an operator drains or resumes a worker.
    Stopped,
    Drains(simple_dist_protocol::WorkerId, bool),
}

/// What a process does.
#[derive(Debug)]
pub(crate) enum Act {
    Publish {
        lane: usize,
        item: Item,
    },
    Ask(Up),
    After(Duration, Alarm),
    GiveUp,
    /// It stops cleanly.
    Leave,
    Die,
}

/// The lane of jobs, and the one of control messages.
pub(crate) const JOBS: usize = 0;
pub(crate) const CONTROL: usize = 1;

/// The surroundings of a process: its clock, its link, and its actions.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    /// Since the process began.
    pub(crate) now: Duration,
    pub(crate) random: &'a mut Random,
    pub(crate) judge: &'a mut Judge,
    pub(crate) acts: Vec<Act>,
    pub(crate) blocked: bool,
    /// How long the broker has not confirmed what was sent.
    pub(crate) unconfirmed: Duration,
}

impl Site<'_> {
    pub(crate) fn act(&mut self, act: Act) {
        self.acts.push(act);
    }

    pub(crate) fn after(&mut self, span: Duration, alarm: Alarm) {
        self.acts.push(Act::After(span, alarm));
    }
}
