//! Attempts that belong to no job under way. Their job was cancelled, has expired, or was answered
//! by another attempt; or it is under way elsewhere; or nobody has sent it to us yet. They take
//! room in a pool's queue and slots of its workers all the same, and whoever may come to begin one
//! whose job has ended is told not to.
//!
//! There are never more than the pools' windows have let out and the workers have slots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::{Attempt, PoolId, Term, UserName, WorkerId};

use crate::scheduler::jobs::{Key, Running};

/// An attempt, by its job.
pub(crate) type OrphanId = (Key, Attempt);

/// An attempt that belongs to no job under way.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) user: UserName,
    pub(crate) function: Arc<str>,
    /// Its job has ended: nobody waits for it.
    pub(crate) is_over: bool,
    /// We placed it, or took it for placed. Otherwise all that is known of it is a worker's word.
    pub(crate) is_ours: bool,
    pub(crate) since: Duration,
    pub(crate) place: Place,
}

/// Where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// In its pool's queue, or with a worker that has not begun it.
    Queue {
        pool: PoolId,
        /// Since when the broker has its message.
        confirmed: Option<Duration>,
        /// When the queue was first seen empty after that, or a beat named it last.
        seen: Option<Duration>,
    },
    /// It runs.
    Slot {
        worker: WorkerId,
        running: Running,
        /// The worker's beat that this rests on.
        seq: u64,
    },
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    pub(crate) known: BTreeMap<OrphanId, Orphan>,
    /// Those that are over and that no worker was told of.
    pub(crate) untold: BTreeSet<OrphanId>,
}

impl Orphans {
    pub(crate) fn get(&self, id: &OrphanId) -> Option<&Orphan> {
        self.known.get(id)
    }

    /// Whether nobody waits for this attempt any more.
    pub(crate) fn is_over(&self, id: &OrphanId) -> bool {
        self.known.get(id).is_some_and(|orphan| orphan.is_over)
    }

    /// The last attempt of the job in this term: if it is sent again, its next one is another.
    pub(crate) fn last_attempt(&self, key: Key, term: Term) -> u32 {
        let of_term =
            (key, Attempt { term, number: 0 })..=(key, Attempt { term, number: u32::MAX });
        let ours = self.known.range(of_term).rfind(|(_, orphan)| orphan.is_ours);
        ours.map_or(0, |((_, attempt), _)| attempt.number)
    }

    /// Forgets them all.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.untold.clear();
    }

    /// Nobody waits for any attempt of this job.
    pub(crate) fn end_all(&mut self, key: Key) {
        let first = Attempt { term: Term(0), number: 0 };
        let last = Attempt { term: Term(u64::MAX), number: u32::MAX };
        for (id, orphan) in self.known.range_mut((key, first)..=(key, last)) {
            if !std::mem::replace(&mut orphan.is_over, true) {
                self.untold.insert(*id);
            }
        }
    }
}
