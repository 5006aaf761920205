//! The workers, each as its last beat described it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::WILL_RENEWED;
use simple_dist_protocol::message::{Load, Memo, WorkerBeat, WorkerState};
use simple_dist_protocol::{
    Address, Attempt, Generation, PoolId, Selector, Term, UserName, WorkerId,
};

use super::orphans::OrphanId;
use crate::scheduler::ids::{JobRef, Key};

/// The most workers at once.
pub(crate) const WORKERS: usize = 4096;
/// How many lost workers stay on the page, and for how long.
const LOST_KEPT: (usize, Duration) = (64, Duration::from_secs(600));
/// A beat may still be on its way when its link has ended; later than this, none is.
const BEATS_CROSS: Duration = Duration::from_millis(500);

/// A worker.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Its login; messages of other logins about it are ignored.
    pub(crate) user: UserName,
    pub(crate) generation: Generation,
    pub(crate) host: String,
    pub(crate) version: String,
    pub(crate) functions: Arc<[Address]>,
    pub(crate) deterministic: Arc<[Address]>,
    pub(crate) memo: Arc<[Memo]>,
    pub(crate) pool: Option<PoolId>,
    pub(crate) slots: u32,
    /// Whether each slot is a process of its own, so that no job ends the worker.
    pub(crate) isolated: bool,
    /// How long a round trip to the broker takes it, as far as it says so.
    pub(crate) round_trip: Duration,
    /// The slots counted in its pool, and as many of its round trips.
    pub(crate) counted: u32,
    pub(crate) counted_trips: Duration,
    /// As what it counts in its pool.
    pub(crate) reach: Reach,
    pub(crate) state: WorkerState,
    /// How busy its machine was at its last beat.
    pub(crate) load: Option<Load>,
    /// Whether it announced that this was its last beat.
    pub(crate) leaves: bool,
    /// The number of its last beat.
    pub(crate) seq: u64,
    /// When we first heard of it.
    pub(crate) since: Duration,
    /// When it was last heard; `None` while it is known only by a `Started` in `sd.answers`.
    pub(crate) heard: Option<Duration>,
    pub(crate) liveness: Liveness,
    /// What it held at its last beat.
    pub(crate) held: BTreeMap<Key, HeldJob>,
    /// Our jobs that it holds, as far as we know.
    pub(crate) holds: BTreeSet<JobRef>,
    /// The orphans that run in its slots.
    pub(crate) orphans: BTreeSet<OrphanId>,
    /// How many of its orphans count against its pool.
    pub(crate) occupied: u32,
    /// The generation and the term of its last welcome.
    pub(crate) welcomed: Option<(Generation, Term)>,
    /// The link and the term for which its will was last written, and when.
    will: Option<(Generation, Term, Duration)>,
    /// The link that has ended according to its will, and when that came.
    pub(crate) ended: Option<(Generation, Duration)>,
    /// The state that an operator wants it to be in.
    pub(crate) requested_state: Option<WorkerState>,
    /// What its answers are held against.
    pub(crate) outvoted: Option<Box<Outvoted>>,
}

/// A worker whose answers differ from those of all others.
#[derive(Debug)]
pub(crate) struct Outvoted {
    /// The function of which they did, and in how many calls.
    pub(crate) function: Arc<str>,
    pub(crate) calls: u32,
    pub(crate) since: Duration,
    /// The function that it alone serves, for which it goes on.
    pub(crate) serves_alone: Option<Arc<str>>,
}

/// Whether a worker is alive, as far as we can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// Heard in time.
    Heard,
    /// Its beat is late, and it is being probed.
    Late,
    /// Its control queue is gone: its link is down, but maybe not the worker.
    Unreachable,
    /// Silent for too long.
    Lost {
        /// When it was declared lost.
        at: Duration,
    },
    /// It announced its departure, or drained until it held nothing.
    Left {
        /// When it left.
        at: Duration,
    },
}

/// Whether new jobs could be given to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It has a link.
    Linked,
    /// It has lost its link, and may come back.
    Cut,
    /// It takes no jobs: it drains, or is lost or gone.
    Away,
}

/// A job that a worker holds, according to its beat.
#[derive(Debug, Clone)]
pub(crate) struct HeldJob {
    pub(crate) user: UserName,
    pub(crate) attempt: Attempt,
    /// Whether a distributor runs it of its own accord.
    pub(crate) is_trial: bool,
    pub(crate) function: Address,
    pub(crate) slot: Option<u32>,
    pub(crate) since: Duration,
}

impl Worker {
    /// A worker that we have not heard from yet.
    pub(crate) fn new(user: UserName, now: Duration) -> Self {
        Self {
            user,
            generation: Generation(0),
            host: String::new(),
            version: String::new(),
            functions: Arc::default(),
            deterministic: Arc::default(),
            memo: Arc::default(),
            pool: None,
            slots: 0,
            isolated: false,
            round_trip: Duration::ZERO,
            counted: 0,
            counted_trips: Duration::ZERO,
            reach: Reach::Away,
            state: WorkerState::Live,
            load: None,
            leaves: false,
            seq: 0,
            since: now,
            heard: None,
            liveness: Liveness::Heard,
            held: BTreeMap::new(),
            holds: BTreeSet::new(),
            orphans: BTreeSet::new(),
            occupied: 0,
            welcomed: None,
            will: None,
            ended: None,
            requested_state: None,
            outvoted: None,
        }
    }

    /// Whether it has sent a beat on this link.
    pub(crate) fn is_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// Neither lost nor left, as far as we know.
    pub(crate) fn is_alive(&self) -> bool {
        match self.liveness {
            Liveness::Heard | Liveness::Late | Liveness::Unreachable => true,
            Liveness::Lost { .. } | Liveness::Left { .. } => false,
        }
    }

    /// Whether it gets no more jobs since it was outvoted.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.outvoted.as_ref().is_some_and(|outvoted| outvoted.serves_alone.is_none())
    }

    /// Whether it drains, or somebody wants it to.
    pub(crate) fn drains(&self) -> bool {
        self.leaves
            || self.is_quarantined()
            || self.state == WorkerState::Draining
            || self.requested_state == Some(WorkerState::Draining)
    }

    /// Whether it accepts new jobs.
    pub(crate) fn takes_jobs(&self, term: Option<Term>) -> bool {
        matches!(self.liveness, Liveness::Heard | Liveness::Late)
            && !self.drains()
            && term.is_some_and(|term| self.welcomed == Some((self.generation, term)))
    }

    /// Whether new jobs could be given to it.
    pub(crate) fn reach_now(&self) -> Reach {
        match self.liveness {
            Liveness::Unreachable => Reach::Cut,
            Liveness::Heard | Liveness::Late if !self.drains() && self.is_heard() => Reach::Linked,
            Liveness::Heard | Liveness::Late | Liveness::Lost { .. } | Liveness::Left { .. } => {
                Reach::Away
            }
        }
    }

    /// Whether a beat of it is older than the last, or than the end of its link. The very last one
    /// counts nevertheless.
    pub(crate) fn is_outdated(&self, beat: &WorkerBeat, now: Duration) -> bool {
        let crossed = self.ended.is_some_and(|(ended, at)| {
            beat.generation <= ended && now.saturating_sub(at) < BEATS_CROSS
        });
        let is_old = self.is_heard() && (beat.generation, beat.seq) <= (self.generation, self.seq);
        is_old || crossed && !beat.leaves
    }

    /// Whether its will has to be written now: once for each link and term, and again before the
    /// broker would take it away. One that came although the link lived is not tried again.
    pub(crate) fn take_will_due(&mut self, term: Term, now: Duration) -> bool {
        let is_there = self.will.is_some_and(|(generation, of, at)| {
            (generation, of) == (self.generation, term) && now.saturating_sub(at) < WILL_RENEWED
        });
        let came = self.ended.is_some_and(|(ended, _)| ended >= self.generation);
        let is_due = self.is_alive() && !self.leaves && !is_there && !came;
        if is_due {
            self.will = Some((self.generation, term, now));
        }
        is_due
    }

    /// Whether it serves a function that the selector matches.
    pub(crate) fn serves(&self, selector: &Selector) -> bool {
        self.functions.iter().any(|function| selector.matches(function))
    }
}

/// All workers: live ones and, for a while, lost ones.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    known: BTreeMap<WorkerId, Worker>,
    /// The jobs in all workers' last beats, with who named them, so that no worker has to be
    /// searched.
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

    /// The worker, now known; `None` if there are too many.
    pub(crate) fn get_or_insert(
        &mut self,
        worker: WorkerId,
        user: &UserName,
        now: Duration,
    ) -> Option<&mut Worker> {
        let room = self.known.len() < WORKERS + LOST_KEPT.0;
        if !room && !self.known.contains_key(&worker) {
            return None;
        }
        Some(self.known.entry(worker).or_insert_with(|| Worker::new(user.clone(), now)))
    }

    /// Whether the worker was heard and is neither lost nor left.
    pub(crate) fn is_alive(&self, worker: WorkerId) -> bool {
        self.get(worker).is_some_and(|worker| worker.is_heard() && worker.is_alive())
    }

    /// A worker holds one of our jobs.
    pub(crate) fn hold(&mut self, worker: WorkerId, job: JobRef) {
        if let Some(worker) = self.known.get_mut(&worker) {
            worker.holds.insert(job);
        }
    }

    /// A worker no longer holds one of our jobs.
    pub(crate) fn release(&mut self, worker: WorkerId, job: JobRef) {
        if let Some(worker) = self.known.get_mut(&worker) {
            worker.holds.remove(&job);
        }
    }

    /// Whether the worker's last beat named the job.
    pub(crate) fn names(&self, worker: WorkerId, key: Key) -> bool {
        self.named.contains(&(key, worker))
    }

    /// How many jobs all other workers' beats name.
    pub(crate) fn held_by_others(&self, worker: WorkerId) -> usize {
        self.named.len() - self.get(worker).map_or(0, |worker| worker.held.len())
    }

    /// The workers whose last beat named the job.
    pub(crate) fn holders_of(&self, key: Key) -> impl Iterator<Item = WorkerId> {
        let (first, last) = (WorkerId::from_u128(0), WorkerId::from_u128(u128::MAX));
        self.named.range((key, first)..=(key, last)).map(|(_, worker)| *worker)
    }

    /// The live worker that holds a job.
    pub(crate) fn holder_of(&self, key: Key) -> Option<(WorkerId, &HeldJob)> {
        self.holders_of(key).find_map(|id| {
            let worker = self.get(id).filter(|worker| worker.is_alive())?;
            worker.held.get(&key).map(|held| (id, held))
        })
    }

    /// Replaces what the worker holds.
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

    /// The link is down: no worker is known to be alive. Lost ones stay for the page.
    pub(crate) fn clear(&mut self) {
        self.known.retain(|_, worker| !worker.is_alive());
        self.named.retain(|(_, worker)| self.known.contains_key(worker));
    }

    fn forget(&mut self, id: WorkerId) {
        self.set_held(id, BTreeMap::new());
        self.known.remove(&id);
    }

    /// The term is over: live workers have to be welcomed again.
    pub(crate) fn forget_term(&mut self) {
        for worker in self.known.values_mut() {
            worker.holds.clear();
            worker.orphans.clear();
            (worker.counted, worker.occupied) = (0, 0);
            worker.counted_trips = Duration::ZERO;
            worker.welcomed = None;
        }
    }

    /// Forgets workers lost long ago, and the oldest when there are too many.
    pub(crate) fn age(&mut self, now: Duration) {
        let (most, longest) = LOST_KEPT;
        let mut gone: Vec<_> = self
            .known
            .iter()
            .filter_map(|(id, worker)| match worker.liveness {
                Liveness::Lost { at } | Liveness::Left { at } => Some((at, *id)),
                Liveness::Heard | Liveness::Late | Liveness::Unreachable => None,
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
