//! A worker whose slots run on for nobody, since what runs on a thread cannot be stopped: with half of
//! them lost for a while it leaves, if it was asked to, so that its supervisor starts it again.

use std::time::Duration;

use super::{Executor, Stance};

/// So long half of the slots must have been lost: what heeds that nobody waits for it has ended.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// How many slots are lost, and since when they are half of them or more.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    pub(super) lost: usize,
    since: Option<Duration>,
    /// Whether the worker leaves for that.
    leaves: bool,
}

impl Executor {
    /// Whether it has left, or is about to, since half of its slots run on for nobody.
    pub fn is_stuck(&self) -> bool {
        self.stuck.leaves
    }

    pub(super) fn leave_if_stuck(&mut self, now: Duration) {
        let is_half = self.stuck.lost > 0 && self.stuck.lost >= self.profile.slots.div_ceil(2);
        if !is_half {
            self.stuck.since = None;
            return;
        }
        self.stuck.since.get_or_insert(now);
        if self.stuck_at().is_some_and(|at| at <= now) {
            self.stuck.leaves = true;
            self.stance = Stance::Leaving { by: now + self.profile.grace };
            self.drain(now);
        }
    }

    /// When it will have been stuck for so long that it leaves.
    pub(super) fn stuck_at(&self) -> Option<Duration> {
        match self.stance {
            Stance::Live | Stance::Draining if self.profile.exits_when_stuck => {
                self.stuck.since.map(|since| since + STUCK_AFTER)
            }
            Stance::Live | Stance::Draining | Stance::Leaving { .. } | Stance::Left { .. } => None,
        }
    }
}
