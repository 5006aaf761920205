//! What a slot was given, and how far its child is with it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use simple_dist_core::worker::Work;
use simple_dist_isolation::Death;
use simple_dist_protocol::Address;

use super::super::run_control::RunControl;
use super::super::slot_event::SlotEvent;

/// So many jobs are given to a child at once at most,
const BATCH: u32 = 64;
/// of so many bytes,
const BATCH_BYTES: usize = 64 * 1024;
/// which together should take so long.
const BATCH_TIME: Duration = Duration::from_millis(1);

/// The run of a slot, in order.
#[derive(Debug, Default)]
pub(super) struct RunList {
    /// What has not entered.
    pub(super) waiting: VecDeque<Work>,
    /// What has entered, and not ended.
    pub(super) entered: VecDeque<Work>,
    /// How many have ended.
    pub(super) ended: usize,
    /// How many of what has entered the child has.
    pub(super) sent: usize,
    /// The first of what was given to the child together.
    pub(super) first: u64,
    /// How many of these have ended.
    pub(super) batch_ended: usize,
    /// Whether the child was told to begin no more of them.
    pub(super) is_revoked: bool,
}

impl RunList {
    /// Takes what is given to the child next: a job, or several that are known to be short, so that
    /// it need not wait for the next of them.
    pub(super) fn enter(
        &mut self,
        most: Option<u32>,
        typical: &HashMap<Address, Duration>,
        control: &RunControl,
    ) {
        let most = most.map_or(BATCH, |most| most.min(BATCH));
        let (mut time, mut bytes) = (Duration::ZERO, 0);
        while let Some(work) = self.waiting.front() {
            time += *typical.get(&work.function).unwrap_or(&BATCH_TIME);
            bytes += work.args.len();
            let is_full =
                time >= BATCH_TIME || bytes > BATCH_BYTES || self.entered.len() >= most as usize;
            if is_full && !self.entered.is_empty() {
                return;
            }
            if !control.enter() {
                self.waiting.clear();
                return;
            }
            self.entered.extend(self.waiting.pop_front());
        }
    }

    /// The child has ended, and has surely not begun the first of it if it has read nothing.
    pub(super) fn lost(&self, death: Death, said: &Signals) -> Outcome {
        let is_first = self.batch_ended == 0 && !self.is_revoked;
        let is_untouched = death.is_unread && is_first && !said.stop && !said.waited;
        if is_untouched { Outcome::Untouched } else { Outcome::Crashed(death) }
    }

    /// All that has entered is given to a child.
    pub(super) fn begin_batch(&mut self) {
        self.first = self.entered.front().map_or(0, |work| work.number.0);
        (self.sent, self.batch_ended, self.is_revoked) = (self.entered.len(), 0, false);
    }

    pub(super) fn front_ended(&mut self) {
        self.entered.pop_front();
        self.ended += 1;
        self.sent = self.sent.saturating_sub(1);
        self.batch_ended += 1;
    }
}

/// What a job and its child have told each other.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// That nobody waits for it.
    pub(super) stop: bool,
    /// That it waits for a call of its own.
    pub(super) waited: bool,
    /// That its place is lent, since it waits.
    pub(super) lent: bool,
}

/// How a job ended in a child.
#[derive(Debug)]
pub(super) enum Outcome {
    Ran(SlotEvent),
    Crashed(Death),
    /// The child was gone before it took the job.
    Untouched,
    /// The child was told to begin no more before it began the job.
    Revoked,
    /// The worker is gone.
    Over,
}
