//! The jobs that have not ended, each in one of few states.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::{Attempt, ClientId, JobId, JobKey, PoolId, WorkerId};

use super::functions::FunctionRef;
use super::queue::Place;
use super::suspicion::Suspicion;
use super::users::UserRef;

/// A job by its user's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) user: UserRef,
    pub(super) id: JobId,
}

impl Key {
    /// Of a job as others name it.
    pub(super) fn of(key: &JobKey) -> Self {
        Self { user: UserRef::of(&key.user), id: key.id }
    }
}

/// Where a job lies. One that has ended is never mistaken for its successor in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(test, derive(Default))]
pub(super) struct JobRef {
    index: u32,
    serial: u32,
}

impl JobRef {
    /// Where it lies: no two jobs that have not ended lie in one place.
    pub(super) fn place(self) -> usize {
        self.index as usize
    }
}

/// A job that has not ended.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: Key,
    /// With the user, where its answer goes.
    pub(super) client: ClientId,
    pub(super) function: FunctionRef,
    pub(super) args: Bytes,
    pub(super) trace: Option<String>,
    pub(super) priority: u8,
    /// The count of jobs at its submission.
    pub(super) age: u64,
    pub(super) since: Duration,
    pub(super) deadline: Duration,
    /// When it was first known to run.
    pub(super) began: Option<Duration>,
    /// Placements in this term: what tells them apart.
    pub(super) attempts: u32,
    /// The attempts that ran, or may have: what people see. One handed back unstarted, by its
    /// worker's own will, is none.
    pub(super) runs: u32,
    pub(super) state: State,
    /// None while nothing speaks against it, which is nearly always.
    pub(super) suspicion: Option<Box<Suspicion>>,
}

/// Where a job is.
#[derive(Debug)]
pub(super) enum State {
    /// Between two places; never seen from outside.
    Nowhere,
    /// In one of its function's queues.
    Queued(Line),
    /// Until its client has noted its marks.
    Unnoted {
        /// When the client was last told.
        told: Duration,
    },
    /// In a pool's queue or with a worker.
    Out(Box<Out>),
}

/// Which of a function's queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Calm,
    /// With marks: placed one at a time.
    Suspect,
}

/// An attempt under way.
#[derive(Debug, Clone)]
pub(super) struct Out {
    /// None while all we know is a worker that we never heard.
    pub(super) pool: Option<PoolId>,
    pub(super) attempt: Attempt,
    /// The same for people: the count of the job's runs with this one.
    pub(super) run: u32,
    pub(super) since: Duration,
    /// Since when the broker has its message.
    pub(super) confirmed: Option<Duration>,
    /// When its pool's queue was first seen empty after that.
    pub(super) seen_empty: Option<Duration>,
    pub(super) holder: Option<Holder>,
    /// Its message came back although its holder has started it.
    pub(super) came_back: bool,
}

/// The worker that holds an attempt, as far as we heard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) worker: WorkerId,
    /// Since when it runs, and in which slot; none while it waits its turn.
    pub(super) running: Option<Running>,
    /// The worker's beat that this rests on: only a later one can say "not holding".
    pub(super) seq: u64,
    /// The worker's `Started` was confirmed before it began.
    pub(super) evidence: bool,
    /// A later beat did not name the job any more.
    pub(super) dropped: bool,
}

/// An execution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    pub(super) since: Duration,
    pub(super) slot: Option<u32>,
}

impl Out {
    /// Whether a worker is known to run it.
    pub(super) fn runs(&self) -> bool {
        self.holder.is_some_and(|holder| holder.running.is_some())
    }
}

impl Job {
    /// Its place in its function's queue.
    pub(super) fn place(&self) -> Place {
        Place { priority: self.priority, user: self.key.user, client: self.client, age: self.age }
    }

    /// Whether anything speaks against it.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspicion.as_ref().is_some_and(|suspicion| suspicion.count() > 0)
    }

    /// The attempt under way.
    pub(super) fn out(&self) -> Option<&Out> {
        match &self.state {
            State::Out(out) => Some(out),
            State::Nowhere | State::Queued(_) | State::Unnoted { .. } => None,
        }
    }

    /// The attempt under way turns out to be none: nobody has begun it.
    pub(super) fn uncount_run(&mut self) {
        if self.out().is_some_and(|out| !out.runs()) {
            self.runs = self.runs.saturating_sub(1);
        }
    }

    /// The attempt under way.
    pub(super) fn out_mut(&mut self) -> Option<&mut Out> {
        match &mut self.state {
            State::Out(out) => Some(out),
            State::Nowhere | State::Queued(_) | State::Unnoted { .. } => None,
        }
    }

    /// What is said against it.
    pub(super) fn suspicion_mut(&mut self) -> &mut Suspicion {
        self.suspicion.get_or_insert_default()
    }
}

/// All jobs that have not ended.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashMap<Key, JobRef>,
    deadlines: BTreeSet<(Duration, JobRef)>,
    bytes: usize,
    /// How many of them are under way.
    pub(super) out: usize,
}

#[derive(Debug)]
struct Slot {
    serial: u32,
    job: Option<Job>,
}

impl Jobs {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// How many of them wait here.
    pub(super) fn waiting(&self) -> u64 {
        (self.index.len() - self.out) as u64
    }

    /// The bytes of their arguments.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The job of this key.
    pub(super) fn find(&self, key: Key) -> Option<JobRef> {
        self.index.get(&key).copied()
    }

    /// A job, unless it has ended.
    pub(super) fn get(&self, job: JobRef) -> Option<&Job> {
        let slot = self.slots.get(job.index as usize)?;
        if slot.serial == job.serial { slot.job.as_ref() } else { None }
    }

    /// A job, unless it has ended.
    pub(super) fn get_mut(&mut self, job: JobRef) -> Option<&mut Job> {
        let slot = self.slots.get_mut(job.index as usize)?;
        if slot.serial == job.serial { slot.job.as_mut() } else { None }
    }

    /// A new job; there must be none of its key.
    pub(super) fn insert(&mut self, job: Job) -> JobRef {
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

    /// Takes a job out for good.
    pub(super) fn remove(&mut self, job: JobRef) -> Option<Job> {
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

    /// Moves a job's deadline forward, never back: every estimate of it is late by its way here.
    pub(super) fn hurry(&mut self, job: JobRef, deadline: Duration) {
        let Some(found) = self.get_mut(job) else { return };
        let before = found.deadline;
        if deadline < before {
            found.deadline = deadline;
            self.deadlines.remove(&(before, job));
            self.deadlines.insert((deadline, job));
        }
    }

    /// The job whose deadline is the first, if that has passed.
    pub(super) fn overdue(&self, now: Duration) -> Option<JobRef> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, job)| *job)
    }

    /// Every job, in no order that matters.
    pub(super) fn iter(&self) -> impl Iterator<Item = (JobRef, &Job)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let index = u32::try_from(index).ok()?;
            slot.job.as_ref().map(|job| (JobRef { index, serial: slot.serial }, job))
        })
    }

    /// Forgets them all. Serials go on, so that no old reference finds a new job.
    pub(super) fn clear(&mut self) {
        self.free.clear();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            slot.job = None;
            slot.serial = slot.serial.wrapping_add(1);
            self.free.extend(u32::try_from(index));
        }
        self.index.clear();
        self.deadlines.clear();
        (self.bytes, self.out) = (0, 0);
    }
}
