//! The jobs: unfinished ones, each in one of few states, with its attempts, its holder and the
//! evidence against it; their clients; and recent answers.

pub(crate) mod clients;
pub(crate) mod recent;
pub(crate) mod strikes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::message::Bound;
use simple_dist_protocol::{Attempt, ClientId, PoolId, WorkerId};

use super::backlog::queue::Position;

use super::backlog::queue::QueueClass;
use super::ids::{FunctionRef, JobRef, Key};
use clients::Clients;
use recent::Recent;
use strikes::Strikes;

/// An unfinished job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) key: Key,
    /// With the user, the queue its answer goes to.
    pub(crate) client: ClientId,
    pub(crate) function: FunctionRef,
    pub(crate) args: Bytes,
    pub(crate) trace: Option<String>,
    pub(crate) priority: u8,
    /// The number of jobs admitted before it.
    pub(crate) age: u64,
    pub(crate) since: Duration,
    pub(crate) deadline: Duration,
    /// When it was first known to run.
    pub(crate) began: Option<Duration>,
    /// The number of placements in this term, which tells attempts apart.
    pub(crate) attempts: u32,
    /// The attempts that ran, or may have, as people see them. One returned unstarted by its worker
    /// does not count.
    pub(crate) runs: u32,
    /// Whether no earlier term can have placed it.
    pub(crate) first: bool,
    pub(crate) state: State,
    /// `None` for nearly all jobs: no evidence against them.
    pub(crate) strikes: Option<Box<Strikes>>,
}

/// Where a job is.
#[derive(Debug)]
pub(crate) enum State {
    /// Between two states, within one rule.
    Nowhere,
    /// In one of its function's queues.
    Queued(QueueClass),
    /// Waits until its client acknowledges its marks.
    Unnoted {
        /// When the client was last sent them.
        told: Duration,
    },
    /// In a pool's queue or with a worker.
    InFlight(Box<InFlight>),
}

/// An attempt in flight.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    /// `None` if all we know is a worker that we never heard.
    pub(crate) pool: Option<PoolId>,
    pub(crate) attempt: Attempt,
    /// The number of the job's runs, including this one, for people.
    pub(crate) run: u32,
    pub(crate) since: Duration,
    /// When the broker confirmed its message.
    pub(crate) confirmed: Option<Duration>,
    /// When its pool's queue was first seen empty after that.
    pub(crate) seen_empty: Option<Duration>,
    pub(crate) holder: Option<Holder>,
    /// Whether its message came back although its holder has started it.
    pub(crate) came_back: bool,
}

/// The worker that holds an attempt, as far as we know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) worker: WorkerId,
    /// Since when it runs, and in which slot; `None` while it waits for a slot.
    pub(crate) running: Option<Running>,
    /// The number of the beat this is based on: only a later one can say "not holding".
    pub(crate) seq: u64,
    /// Whether the worker's `Started` was confirmed before it started.
    pub(crate) evidence: bool,
    /// Whether a later beat no longer named the job.
    pub(crate) dropped: bool,
}

/// A running execution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub(crate) since: Duration,
    pub(crate) slot: Option<u32>,
}

impl InFlight {
    /// Whether a worker is known to run it.
    pub(crate) fn runs(&self) -> bool {
        self.holder.is_some_and(|holder| holder.running.is_some())
    }
}

impl Job {
    /// Its position in its function's queue.
    pub(crate) fn position(&self) -> Position {
        Position {
            priority: self.priority,
            user: self.key.user,
            client: self.client,
            age: self.age,
        }
    }

    /// Whether there is a mark or strike against it.
    pub(crate) fn is_marked(&self) -> bool {
        self.strikes.as_ref().is_some_and(|strikes| strikes.count() > 0)
    }

    /// The attempt under way.
    pub(crate) fn in_flight(&self) -> Option<&InFlight> {
        match &self.state {
            State::InFlight(in_flight) => Some(in_flight),
            State::Nowhere | State::Queued(_) | State::Unnoted { .. } => None,
        }
    }

    /// The attempt in flight does not count as a run, since nobody started it.
    pub(crate) fn uncount_run(&mut self) {
        if self.in_flight().is_some_and(|in_flight| !in_flight.runs()) {
            self.runs = self.runs.saturating_sub(1);
        }
    }

    /// The attempt under way.
    pub(crate) fn in_flight_mut(&mut self) -> Option<&mut InFlight> {
        match &mut self.state {
            State::InFlight(in_flight) => Some(in_flight),
            State::Nowhere | State::Queued(_) | State::Unnoted { .. } => None,
        }
    }

    /// Its marks and strikes.
    pub(crate) fn strikes_mut(&mut self) -> &mut Strikes {
        self.strikes.get_or_insert_default()
    }
}

/// All unfinished jobs.
#[derive(Debug)]
pub(crate) struct Jobs {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashMap<Key, JobRef>,
    deadlines: BTreeSet<(Duration, JobRef)>,
    bytes: usize,
    /// How many of them are in flight.
    pub(crate) in_flight: usize,
    /// How many were ever admitted.
    ages: u64,
    /// Jobs that wait for their client to acknowledge their marks.
    pub(crate) unnoted: BTreeSet<JobRef>,
    /// The jobs struck by each lost worker, whose strikes are revoked if it is heard again.
    pub(crate) struck_by: BTreeMap<WorkerId, BTreeSet<JobRef>>,
    pub(crate) clients: Clients,
    /// The answers of recently ended jobs.
    pub(crate) recent: Recent,
}

#[derive(Debug)]
struct Slot {
    serial: u32,
    job: Option<Job>,
}

impl Jobs {
    /// An empty table that keeps recent answers within these limits: bytes and age.
    pub(crate) fn new(recent: (usize, Duration)) -> Self {
        Self {
            slots: vec![],
            free: vec![],
            index: HashMap::new(),
            deadlines: BTreeSet::new(),
            bytes: 0,
            in_flight: 0,
            ages: 0,
            unnoted: BTreeSet::new(),
            struck_by: BTreeMap::new(),
            clients: Clients::default(),
            recent: Recent::new(recent),
        }
    }

    /// How many jobs wait in the backlog.
    pub(crate) fn waiting(&self) -> u64 {
        (self.index.len() - self.in_flight) as u64
    }

    /// The bytes of their arguments.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The job of this key.
    pub(crate) fn find(&self, key: Key) -> Option<JobRef> {
        self.index.get(&key).copied()
    }

    /// A job, unless it has ended.
    pub(crate) fn get(&self, job: JobRef) -> Option<&Job> {
        let slot = self.slots.get(job.index as usize)?;
        if slot.serial == job.serial { slot.job.as_ref() } else { None }
    }

    /// A job, unless it has ended.
    pub(crate) fn get_mut(&mut self, job: JobRef) -> Option<&mut Job> {
        let slot = self.slots.get_mut(job.index as usize)?;
        if slot.serial == job.serial { slot.job.as_mut() } else { None }
    }

    /// Adds a new job; its key must be new.
    pub(crate) fn insert(&mut self, job: Job) -> JobRef {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { serial: 0, job: None });
            u32::try_from(self.slots.len() - 1).expect("far fewer jobs than this are let in")
        });
        let slot = &mut self.slots[index as usize];
        let found = JobRef { index, serial: slot.serial };
        self.bytes += job.args.len();
        self.index.insert(job.key, found);
        self.deadlines.insert((job.deadline, found));
        slot.job = Some(job);
        found
    }

    /// Removes a job for good.
    pub(crate) fn remove(&mut self, job: JobRef) -> Option<Job> {
        let slot = self.slots.get_mut(job.index as usize)?;
        if slot.serial != job.serial {
            return None;
        }
        let gone = slot.job.take()?;
        slot.serial = slot.serial.wrapping_add(1);
        self.free.push(job.index);
        self.index.remove(&gone.key);
        self.deadlines.remove(&(gone.deadline, job));
        self.bytes -= gone.args.len();
        Some(gone)
    }

    /// Moves a job's deadline earlier, never later: each estimate of it is late by the transit
    /// time.
    pub(crate) fn shorten_deadline(&mut self, job: JobRef, deadline: Duration) {
        let Some(found) = self.get_mut(job) else { return };
        let before = found.deadline;
        if deadline < before {
            found.deadline = deadline;
            self.deadlines.remove(&(before, job));
            self.deadlines.insert((deadline, job));
        }
    }

    /// The job with the earliest deadline, if that has passed.
    pub(crate) fn overdue(&self, now: Duration) -> Option<JobRef> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, job)| *job)
    }

    /// Every job, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (JobRef, &Job)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let index = u32::try_from(index).ok()?;
            slot.job.as_ref().map(|job| (JobRef { index, serial: slot.serial }, job))
        })
    }

    /// The age of a job admitted now.
    pub(crate) fn next_age(&mut self) -> u64 {
        self.ages += 1;
        self.ages
    }

    /// The limit that one more job of this size would exceed, if any.
    pub(crate) fn full_for(&self, bytes: usize, (jobs, most): (usize, usize)) -> Option<Bound> {
        if self.index.len() >= jobs {
            return Some(Bound::Jobs);
        }
        (self.bytes + bytes > most).then_some(Bound::Arguments)
    }

    /// Indexes the strikes that a job came with by worker, so that they can be revoked.
    pub(crate) fn index_lost_workers(&mut self, job: JobRef) {
        let strikes = self.get(job).and_then(|job| job.strikes.as_ref());
        let lost_workers: Vec<_> = strikes.iter().flat_map(|it| it.lost_workers()).collect();
        for worker in lost_workers {
            self.struck_by.entry(worker).or_default().insert(job);
        }
    }

    /// The jobs whose client has not acknowledged their marks for this long; they count as sent
    /// again.
    pub(crate) fn unnoted_for(&mut self, longest: Duration, now: Duration) -> Vec<JobRef> {
        let mut found = vec![];
        for job in self.unnoted.clone() {
            if let Some(State::Unnoted { told }) = self.get_mut(job).map(|job| &mut job.state)
                && now.saturating_sub(*told) >= longest
            {
                *told = now;
                found.push(job);
            }
        }
        found
    }

    /// Forgets all jobs. Serial numbers continue, so that no old reference finds a new job.
    pub(crate) fn forget_term(&mut self) {
        self.free.clear();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            slot.job = None;
            slot.serial = slot.serial.wrapping_add(1);
            self.free.extend(u32::try_from(index));
        }
        self.index.clear();
        self.deadlines.clear();
        (self.bytes, self.in_flight) = (0, 0);
        self.unnoted.clear();
        self.struck_by.clear();
        self.clients.clear();
    }
}
