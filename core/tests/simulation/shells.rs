//! What stands between the machines and the broker, as thin as can be: each shell turns what
//! happens into its machine's events, and effects into acts.

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
    Publish { lane: usize, number: u64, item: Item },
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
    /// None if the question came to nothing.
    Depth {
        asked_at: Duration,
        queue: Name,
        messages: Option<Option<u32>>,
    },
    Got(PoolId, Option<Letter>),
    Claimed(bool),
    Blocked(bool),
}

/// What a process set itself a clock for.
#[derive(Debug)]
pub(crate) enum Alarm {
    Tick,
    Claim,
    Consume(Name),
    /// The machine's own time; an older one means nothing.
    Wake(Duration),
    /// The thread of a slot ends a job, of its so manieth run.
    SlotEnds {
        slot: usize,
        run: u64,
    },
    /// The worker's task looks at what a thread ran.
    Ran(executor::Event),
    LocalEnds(JobId),
    /// The link looks whether a window was confirmed.
    Patience {
        lane: usize,
        window: u64,
    },
}

/// What happens to a process.
#[derive(Debug)]
pub(crate) enum Happening {
    Begins,
    Up(u32),
    LinkDown,
    Heard(Down),
    Settled(Vec<u64>, Outcome),
    Alarm(Alarm),
    /// Of a client: somebody calls, or is not interested any more.
    Called(Call),
    Dropped(JobId),
    /// Of a worker: it is told to leave. Of a distributor: a person wants a worker to drain or not.
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
    /// It leaves in good order.
    Leave,
    Die,
}

/// For what is made of jobs, and for what keeps everybody going.
pub(crate) const JOBS: usize = 0;
pub(crate) const CONTROL: usize = 1;

/// Where a process stands: its clock, its link, and what it does now.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    /// Since the process began.
    pub(crate) now: Duration,
    pub(crate) random: &'a mut Random,
    pub(crate) judge: &'a mut Judge,
    pub(crate) acts: Vec<Act>,
    pub(crate) blocked: bool,
    /// For how long the broker has not confirmed what was sent.
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
