//! The pools: who serves which set of functions, and how many jobs lie in each one's queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::WINDOW_WORK;
use simple_dist_protocol::{Address, PoolId, WorkerId};

use super::functions::{FunctionRef, Work};
use super::orphans::OrphanId;
use crate::scheduler::jobs::JobRef;

/// The most pools at once: programs of different sets of functions.
pub(crate) const POOLS: usize = 1024;
/// The most spare jobs of a pool, however short: enough for two hundred thousand a second over a
/// way of ten milliseconds, few enough to be run one by one when all of them get a mark.
const SPARE: usize = 2048;

/// All pools that have a worker, or jobs under way.
pub(crate) type Pools = BTreeMap<PoolId, Pool>;

/// A pool.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) functions: Vec<FunctionRef>,
    /// Their names, shared by its workers.
    pub(crate) served: Arc<[Address]>,
    pub(crate) queue: PoolQueue,
    /// Every worker of it that is not lost.
    pub(crate) workers: BTreeSet<WorkerId>,
    /// Its jobs under way, in its queue or with a worker.
    pub(crate) out: BTreeSet<JobRef>,
    /// The one marked job among them.
    pub(crate) suspect: Option<JobRef>,
    /// Attempts in its queue that belong to no job under way.
    pub(crate) orphans: BTreeSet<OrphanId>,
    /// Of the slots, those that run such attempts.
    pub(crate) occupied: u32,
    /// The slots of its workers that take jobs.
    pub(crate) slots: u32,
    /// The broker refused a placement: no more until the next tick.
    pub(crate) paused: bool,
    /// When one of its workers was last heard that takes jobs.
    pub(crate) heard: Option<Duration>,
    /// A worker of it was lost, and may have had any of its jobs.
    pub(crate) crashed: bool,
    pub(crate) work: Work,
}

/// The queue of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolQueue {
    /// We do not lead, or it turned out to be missing.
    Unknown,
    /// Being declared.
    Asked,
    /// Not to be had: to be declared again.
    Failed {
        /// When that was told.
        at: Duration,
    },
    /// There.
    Declared,
}

impl Pool {
    /// A pool of these functions.
    pub(crate) fn new(functions: Vec<FunctionRef>, served: Arc<[Address]>) -> Self {
        Self {
            functions,
            served,
            queue: PoolQueue::Unknown,
            workers: BTreeSet::new(),
            out: BTreeSet::new(),
            suspect: None,
            orphans: BTreeSet::new(),
            occupied: 0,
            slots: 0,
            paused: false,
            heard: None,
            crashed: false,
            work: Work::default(),
        }
    }

    /// Whether one more job of this measured run time fits into the window: all slots, then
    /// [`WINDOW_WORK`] for each slot, one at least. What belongs to no job under way takes its
    /// room like any other.
    pub(crate) fn has_room(&self, work: Option<Duration>, depth: Depth) -> bool {
        let out = self.out.len() + self.orphans.len() + self.occupied as usize;
        let slots = self.slots as usize;
        if slots == 0 || self.paused || self.queue != PoolQueue::Declared {
            return false;
        }
        if out < slots {
            return true;
        }
        match depth {
            Depth::Slots => false,
            Depth::Window if out == slots => true,
            Depth::Window => {
                // What was never measured may run for hours, whatever its pool's others take.
                let Some(work) = work else { return false };
                let work = self.work.mean().map_or(work, |others| others.max(work));
                let spare = out - slots + 1;
                spare <= SPARE
                    && work.as_secs_f64() * spare as f64 <= WINDOW_WORK.as_secs_f64() * slots as f64
            }
        }
    }
}

/// How far a pool is filled: first every slot of every pool, then what waits behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    Slots,
    Window,
}
