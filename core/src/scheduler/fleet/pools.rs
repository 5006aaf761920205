//! The pools: sets of workers that serve the same functions, and how full each one's queue is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::WINDOW_WORK;
use simple_dist_protocol::message::Memo;
use simple_dist_protocol::{Address, MemoPolicy, PoolId, WorkerId};

use super::functions::RunTime;
use super::orphans::OrphanId;
use crate::scheduler::ids::{FunctionRef, JobRef};

/// The most pools at once, that is, of different sets of functions.
pub(crate) const POOLS: usize = 1024;
/// The most spare jobs of a pool, however short: enough for 200,000 jobs a second over a 10 ms
/// round trip, few enough to be run one by one if all of them get a mark.
const SPARE: usize = 2048;
/// The same of isolated workers far away, whose loss marks no job.
const SPARE_FAR: usize = 16_384;
/// The way that [`SPARE`] is for.
const NEAR: Duration = Duration::from_millis(10);

/// All pools with a worker or with jobs in flight.
pub(crate) type Pools = BTreeMap<PoolId, Pool>;

/// What a worker serves, what of that is deterministic, and how to keep its answers.
type Said = (Arc<[Address]>, Arc<[Address]>, Arc<[Memo]>);

/// A pool.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) functions: Vec<FunctionRef>,
    /// The functions' addresses, shared by its workers.
    pub(crate) served: Arc<[Address]>,
    /// What its workers declare deterministic, and how to keep its answers, as their beats say it, and
    /// what of that they serve.
    pub(crate) deterministic: Arc<[Address]>,
    pub(crate) memo: Arc<[Memo]>,
    pub(crate) declares: BTreeMap<FunctionRef, Option<MemoPolicy>>,
    /// Whether each slot of its workers is a process of its own.
    pub(crate) isolated: bool,
    pub(crate) queue: PoolQueue,
    /// Its workers that are not lost.
    pub(crate) workers: BTreeSet<WorkerId>,
    /// Its jobs in flight, in its queue or with a worker.
    pub(crate) in_flight: BTreeSet<JobRef>,
    /// The one suspect among them.
    pub(crate) suspect: Option<JobRef>,
    /// Orphans in its queue.
    pub(crate) orphans: BTreeSet<OrphanId>,
    /// How many of its slots run orphans.
    pub(crate) occupied: u32,
    /// The slots of its workers that take jobs, and for each the worker's round trip to the broker.
    pub(crate) slots: u32,
    pub(crate) trips: Duration,
    /// How many of its workers have a link, and how many have lost theirs.
    pub(crate) linked: usize,
    pub(crate) cut: usize,
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
    pub(crate) fn new(functions: Vec<FunctionRef>, served: Arc<[Address]>, isolated: bool) -> Self {
        Self {
            functions,
            served,
            deterministic: Arc::default(),
            memo: Arc::default(),
            declares: BTreeMap::new(),
            isolated,
            queue: PoolQueue::Unknown,
            workers: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            suspect: None,
            orphans: BTreeSet::new(),
            occupied: 0,
            slots: 0,
            trips: Duration::ZERO,
            linked: 0,
            cut: 0,
            paused: false,
            heard: None,
            crashed: false,
            work: RunTime::default(),
        }
    }

    /// What the beats of its workers say.
    pub(crate) fn said(&self) -> Said {
        let Self { served, deterministic, memo, .. } = self;
        (Arc::clone(served), Arc::clone(deterministic), Arc::clone(memo))
    }

    /// Whether anything may be placed in its queue.
    pub(crate) fn takes_jobs(&self) -> bool {
        self.slots > 0 && !self.paused && self.queue == PoolQueue::Declared
    }

    /// How many attempts take space in it, orphans like any other.
    pub(crate) fn load(&self) -> usize {
        self.in_flight.len() + self.orphans.len() + self.occupied as usize
    }

    /// Whether one more job of this measured run time fits into the window: all slots, then for each
    /// slot [`WINDOW_WORK`] and what it runs until an answer has come here and a job has gone back,
    /// but at least one spare job. `echo` is our round trip to the broker.
    pub(crate) fn has_room(
        &self,
        work: Option<Duration>,
        level: FillLevel,
        echo: Duration,
    ) -> bool {
        let (in_flight, slots) = (self.load(), self.slots as usize);
        if !self.takes_jobs() {
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
                let way = (echo + self.round_trip()).as_secs_f64();
                spare <= self.most_spare(way)
                    && work.as_secs_f64() * spare as f64
                        <= (WINDOW_WORK.as_secs_f64() + way) * slots as f64
            }
        }
    }

    /// How long a round trip to the broker takes its workers, on average over their slots.
    pub(crate) fn round_trip(&self) -> Duration {
        self.trips.checked_div(self.slots).unwrap_or_default()
    }

    /// How many jobs may lie behind its slots, if both round trips together take so many seconds.
    fn most_spare(&self, way: f64) -> usize {
        let far = SPARE as f64 * way / NEAR.as_secs_f64();
        if self.isolated { (far as usize).clamp(SPARE, SPARE_FAR) } else { SPARE }
    }
}

/// How far to fill a pool: first every slot of every pool, then the window behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillLevel {
    Slots,
    Window,
}
