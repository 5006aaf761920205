//! The workers, each as its last beat described it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::message::WorkerState;
use simple_dist_protocol::{
    Address, Attempt, Generation, PoolId, Selector, Term, UserName, WorkerId,
};

use super::orphans::OrphanId;
use crate::scheduler::jobs::{JobRef, Key};

/// The most workers at once.
pub(crate) const WORKERS: usize = 4096;
/// Lost workers stay on the page for this long, and so many of them.
const LOST_KEPT: (usize, Duration) = (64, Duration::from_secs(600));

/// A worker.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Its login; nobody else speaks for it.
    pub(crate) user: UserName,
    pub(crate) generation: Generation,
    pub(crate) host: String,
    pub(crate) version: String,
    pub(crate) functions: Arc<[Address]>,
    pub(crate) pool: Option<PoolId>,
    pub(crate) slots: u32,
    /// Those of them that are counted in the pool now.
    pub(crate) counted: u32,
    pub(crate) state: WorkerState,
    /// It said that this was its last beat.
    pub(crate) leaves: bool,
    /// The count of its last beat.
    pub(crate) seq: u64,
    /// Since when we know of it.
    pub(crate) since: Duration,
    /// When it was last heard; none while it is only known by a start it left in `sd.answers`.
    pub(crate) heard: Option<Duration>,
    pub(crate) fate: Fate,
    /// What it held at its last beat.
    pub(crate) held: BTreeMap<Key, HeldJob>,
    /// Our jobs that it holds, as far as we heard.
    pub(crate) holds: BTreeSet<JobRef>,
    /// What runs in its slots and belongs to no job under way.
    pub(crate) orphans: BTreeSet<OrphanId>,
    /// How many of these are counted in the pool now.
    pub(crate) occupied: u32,
    /// The generation and the term of the last welcome.
    pub(crate) welcomed: Option<(Generation, Term)>,
    /// What a person wants it to be.
    pub(crate) wanted: Option<WorkerState>,
}

/// How a worker is, beyond what it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Heard in time.
    Heard,
    /// Its beat is late, and it is being probed.
    Late,
    /// Its own queue is gone: so is its link, but maybe not the worker.
    Unreachable,
    /// Silent for too long.
    Lost {
        /// When that was decided.
        at: Duration,
    },
    /// It said so, or drained and held nothing more, and went.
    Left {
        /// When that was found.
        at: Duration,
    },
}

/// A job in a worker's hands, as its beat says.
#[derive(Debug, Clone)]
pub(crate) struct HeldJob {
    pub(crate) user: UserName,
    pub(crate) attempt: Attempt,
    pub(crate) function: Address,
    pub(crate) slot: Option<u32>,
    pub(crate) since: Duration,
}

impl Worker {
    /// A worker known by name only.
    pub(crate) fn unheard(user: UserName, now: Duration) -> Self {
        Self {
            user,
            generation: Generation(0),
            host: String::new(),
            version: String::new(),
            functions: Arc::default(),
            pool: None,
            slots: 0,
            counted: 0,
            state: WorkerState::Live,
            leaves: false,
            seq: 0,
            since: now,
            heard: None,
            fate: Fate::Heard,
            held: BTreeMap::new(),
            holds: BTreeSet::new(),
            orphans: BTreeSet::new(),
            occupied: 0,
            welcomed: None,
            wanted: None,
        }
    }

    /// Whether it ever beat on this link.
    pub(crate) fn is_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// Neither lost nor gone, as far as we know.
    pub(crate) fn is_alive(&self) -> bool {
        match self.fate {
            Fate::Heard | Fate::Late | Fate::Unreachable => true,
            Fate::Lost { .. } | Fate::Left { .. } => false,
        }
    }

    /// Whether it finishes what it holds, or a person wants it to.
    pub(crate) fn drains(&self) -> bool {
        self.leaves
            || self.state == WorkerState::Draining
            || self.wanted == Some(WorkerState::Draining)
    }

    /// Whether its slots may be filled.
    pub(crate) fn takes_jobs(&self, term: Option<Term>) -> bool {
        matches!(self.fate, Fate::Heard | Fate::Late)
            && !self.drains()
            && term.is_some_and(|term| self.welcomed == Some((self.generation, term)))
    }

    /// Whether it serves a function that the selector means.
    pub(crate) fn serves(&self, selector: &Selector) -> bool {
        self.functions.iter().any(|function| selector.matches(function))
    }
}

/// All workers: the living and, for a while, the lost.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    known: BTreeMap<WorkerId, Worker>,
    /// What all of them held at their last beats, by job: nobody is to be asked in turn.
    named: BTreeSet<(Key, WorkerId)>,
}

impl Workers {
    pub(crate) fn get(&self, worker: WorkerId) -> Option<&Worker> {
        self.known.get(&worker)
    }

    pub(crate) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut Worker> {
        self.known.get_mut(&worker)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.known.iter().map(|(id, worker)| (*id, worker))
    }

    /// The worker, known from now on; none if there are too many.
    pub(crate) fn meet(
        &mut self,
        worker: WorkerId,
        user: &UserName,
        now: Duration,
    ) -> Option<&mut Worker> {
        let room = self.known.len() < WORKERS + LOST_KEPT.0;
        if !room && !self.known.contains_key(&worker) {
            return None;
        }
        Some(self.known.entry(worker).or_insert_with(|| Worker::unheard(user.clone(), now)))
    }

    /// Whether the worker was heard and is neither lost nor gone.
    pub(crate) fn is_alive(&self, worker: WorkerId) -> bool {
        self.get(worker).is_some_and(|worker| worker.is_heard() && worker.is_alive())
    }

    /// A worker holds one of our jobs.
    pub(crate) fn hold(&mut self, worker: WorkerId, job: JobRef) {
        if let Some(worker) = self.known.get_mut(&worker) {
            worker.holds.insert(job);
        }
    }

    /// It holds it no more.
    pub(crate) fn let_go(&mut self, worker: WorkerId, job: JobRef) {
        if let Some(worker) = self.known.get_mut(&worker) {
            worker.holds.remove(&job);
        }
    }

    /// Whether the worker's last beat named the job.
    pub(crate) fn names(&self, worker: WorkerId, key: Key) -> bool {
        self.named.contains(&(key, worker))
    }

    /// The jobs named by all but this worker.
    pub(crate) fn held_beside(&self, worker: WorkerId) -> usize {
        self.named.len() - self.get(worker).map_or(0, |worker| worker.held.len())
    }

    /// Who named the job in its last beat.
    pub(crate) fn naming(&self, key: Key) -> impl Iterator<Item = WorkerId> {
        let (first, last) = (WorkerId::from_u128(0), WorkerId::from_u128(u128::MAX));
        self.named.range((key, first)..=(key, last)).map(|(_, worker)| *worker)
    }

    /// The living worker that holds a job.
    pub(crate) fn holder_of(&self, key: Key) -> Option<(WorkerId, &HeldJob)> {
        self.naming(key).find_map(|id| {
            let worker = self.get(id).filter(|worker| worker.is_alive())?;
            worker.held.get(&key).map(|held| (id, held))
        })
    }

    /// What the worker holds from now on.
    pub(crate) fn set_held(&mut self, id: WorkerId, held: BTreeMap<Key, HeldJob>) {
        let Some(worker) = self.known.get_mut(&id) else { return };
        let before = std::mem::replace(&mut worker.held, held);
        for key in before.keys().filter(|key| !worker.held.contains_key(key)) {
            self.named.remove(&(*key, id));
        }
        for key in worker.held.keys().filter(|key| !before.contains_key(key)) {
            self.named.insert((*key, id));
        }
    }

    /// The link is gone: nobody is known to live. The lost stay for the page.
    pub(crate) fn clear(&mut self) {
        self.known.retain(|_, worker| !worker.is_alive());
        self.named.retain(|(_, worker)| self.known.contains_key(worker));
    }

    fn forget(&mut self, id: WorkerId) {
        self.set_held(id, BTreeMap::new());
        self.known.remove(&id);
    }

    /// The term is over: whoever lives is to be welcomed anew.
    pub(crate) fn forget_term(&mut self) {
        for worker in self.known.values_mut() {
            worker.holds.clear();
            worker.orphans.clear();
            (worker.counted, worker.occupied) = (0, 0);
            worker.welcomed = None;
        }
    }

    /// Forgets those lost long ago, and the oldest when there are too many.
    pub(crate) fn age(&mut self, now: Duration) {
        let (most, longest) = LOST_KEPT;
        let mut gone: Vec<_> = self
            .known
            .iter()
            .filter_map(|(id, worker)| match worker.fate {
                Fate::Lost { at } | Fate::Left { at } => Some((at, *id)),
                Fate::Heard | Fate::Late | Fate::Unreachable => None,
            })
            .collect();
        gone.sort_unstable();
        let surplus = gone.len().saturating_sub(most);
        let is_old = |at: Duration| now.saturating_sub(at) >= longest;
        for (nth, (at, id)) in gone.into_iter().enumerate() {
            if nth >= surplus && !is_old(at) {
                continue;
            }
            self.forget(id);
        }
    }
}
