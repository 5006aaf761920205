//! The pools: sets of workers that serve the same functions, and how full each one's queue is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::WINDOW_WORK;
use simple_dist_protocol::{Address, PoolId, WorkerId};

use super::functions::RunTime;
use super::orphans::OrphanId;
use crate::scheduler::ids::{FunctionRef, JobRef};

/// The most pools at once, that is, of different sets of functions.
pub(crate) const POOLS: usize = 1024;
/// The most spare jobs of a pool, however short: enough for 200,000 jobs a second over a 10 ms
/// round trip, few enough to be run one by one if all of them get a mark.
const SPARE: usize = 2048;

/// All pools with a worker or with jobs in flight.
pub(crate) type Pools = BTreeMap<PoolId, Pool>;

/// A pool.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) functions: Vec<FunctionRef>,
    /// The functions' addresses, shared by its workers.
    pub(crate) served: Arc<[Address]>,
    pub(crate) queue: PoolQueue,
    /// Its workers that are not lost.
    pub(crate) workers: BTreeSet<WorkerId>,
    /// Its jobs in flight, in its queue or with a worker.
    pub(crate) in_flight: BTreeSet<JobRef>,
    /// The one marked job among them.
    pub(crate) suspect: Option<JobRef>,
    /// Orphans in its queue.
    pub(crate) orphans: BTreeSet<OrphanId>,
    /// How many of its slots run orphans.
    pub(crate) occupied: u32,
    /// The slots of its workers that take jobs.
    pub(crate) slots: u32,
    /// Whether the broker refused a placement: no more until the next tick.
    pub(crate) paused: bool,
    /// When one of its workers that takes jobs was last heard.
    pub(crate) heard: Option<Duration>,
    /// Whether a worker of it was lost that may have held any of its jobs.
    pub(crate) crashed: bool,
    pub(crate) work: RunTime,
}

/// The state of a pool's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolQueue {
    /// Not declared: we do not lead, or it turned out to be missing.
    Unknown,
    /// Being declared.
    Asked,
    /// The declaration failed; it is tried again.
    Failed {
        /// When it failed.
        at: Duration,
    },
    /// It exists.
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
            in_flight: BTreeSet::new(),
            suspect: None,
            orphans: BTreeSet::new(),
            occupied: 0,
            slots: 0,
            paused: false,
            heard: None,
            crashed: false,
            work: RunTime::default(),
        }
    }

    /// Whether one more job of this measured run time fits into the window: all slots, then
    /// [`WINDOW_WORK`] for each slot, but at least one spare job. Orphans take space like any other
    /// attempt.
    pub(crate) fn has_room(&self, work: Option<Duration>, level: FillLevel) -> bool {
        let in_flight = self.in_flight.len() + self.orphans.len() + self.occupied as usize;
        let slots = self.slots as usize;
        if slots == 0 || self.paused || self.queue != PoolQueue::Declared {
            return false;
        }
        if in_flight < slots {
            return true;
        }
        match level {
            FillLevel::Slots => false,
            FillLevel::Window if in_flight == slots => true,
            FillLevel::Window => {
                // A job that was never measured may run for hours, whatever the pool's other jobs
                // take.
                let Some(work) = work else { return false };
                let work = self.work.mean().map_or(work, |others| others.max(work));
                let spare = in_flight - slots + 1;
                spare <= SPARE
                    && work.as_secs_f64() * spare as f64 <= WINDOW_WORK.as_secs_f64() * slots as f64
            }
        }
    }
}

/// How far to fill a pool: first every slot of every pool, then the window behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillLevel {
    Slots,
    Window,
}
