//! The jobs: those that have not ended, each in one of few states, with its attempts, its holder
//! and what speaks against it; their clients; and the answers of those that ended lately.

pub(crate) mod clients;
pub(crate) mod recent;
pub(crate) mod strikes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::message::Bound;
use simple_dist_protocol::{Attempt, ClientId, JobId, JobKey, PoolId, WorkerId};

use super::backlog::queue::Place;
use super::fleet::functions::FunctionRef;

use super::backlog::users::UserRef;

use clients::Clients;
use recent::Recent;
use strikes::Suspicion;

/// A job by its user's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) user: UserRef,
    pub(crate) id: JobId,
}

impl Key {
    /// Of a job as others name it.
    pub(crate) fn of(key: &JobKey) -> Self {
        Self { user: UserRef::of(&key.user), id: key.id }
    }
}

/// Where a job lies. One that has ended is never mistaken for its successor in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct JobRef {
    index: u32,
    serial: u32,
}

impl JobRef {
    /// Where it lies: no two jobs that have not ended lie in one place.
    pub(crate) fn place(self) -> usize {
        self.index as usize
    }
}

/// A job that has not ended.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) key: Key,
    /// With the user, where its answer goes.
    pub(crate) client: ClientId,
    pub(crate) function: FunctionRef,
    pub(crate) args: Bytes,
    pub(crate) trace: Option<String>,
    pub(crate) priority: u8,
    /// The count of jobs at its submission.
    pub(crate) age: u64,
    pub(crate) since: Duration,
    pub(crate) deadline: Duration,
    /// When it was first known to run.
    pub(crate) began: Option<Duration>,
    /// Placements in this term: what tells them apart.
    pub(crate) attempts: u32,
    /// The attempts that ran, or may have: what people see. One handed back unstarted, by its
    /// worker's own will, is none.
    pub(crate) runs: u32,
    /// Whether no earlier term can have placed it.
    pub(crate) first: bool,
    pub(crate) state: State,
    /// None while nothing speaks against it, which is nearly always.
    pub(crate) suspicion: Option<Box<Suspicion>>,
}

/// Where a job is.
#[derive(Debug)]
pub(crate) enum State {
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
pub(crate) enum Line {
    Calm,
    /// Sent before, perhaps to an earlier term: placed once every worker had the time to say that
    /// it has it.
    Resent,
    /// With marks: placed one at a time.
    Suspect,
}

/// An attempt under way.
#[derive(Debug, Clone)]
pub(crate) struct Out {
    /// None while all we know is a worker that we never heard.
    pub(crate) pool: Option<PoolId>,
    pub(crate) attempt: Attempt,
    /// The same for people: the count of the job's runs with this one.
    pub(crate) run: u32,
    pub(crate) since: Duration,
    /// Since when the broker has its message.
    pub(crate) confirmed: Option<Duration>,
    /// When its pool's queue was first seen empty after that.
    pub(crate) seen_empty: Option<Duration>,
    pub(crate) holder: Option<Holder>,
    /// Its message came back although its holder has started it.
    pub(crate) came_back: bool,
}

/// The worker that holds an attempt, as far as we heard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) worker: WorkerId,
    /// Since when it runs, and in which slot; none while it waits its turn.
    pub(crate) running: Option<Running>,
    /// The worker's beat that this rests on: only a later one can say "not holding".
    pub(crate) seq: u64,
    /// The worker's `Started` was confirmed before it began.
    pub(crate) evidence: bool,
    /// A later beat did not name the job any more.
    pub(crate) dropped: bool,
}

/// An execution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub(crate) since: Duration,
    pub(crate) slot: Option<u32>,
}

impl Out {
    /// Whether a worker is known to run it.
    pub(crate) fn runs(&self) -> bool {
        self.holder.is_some_and(|holder| holder.running.is_some())
    }
}

impl Job {
    /// Its place in its function's queue.
    pub(crate) fn place(&self) -> Place {
        Place { priority: self.priority, user: self.key.user, client: self.client, age: self.age }
    }

    /// Whether anything speaks against it.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspicion.as_ref().is_some_and(|suspicion| suspicion.count() > 0)
    }

    /// The attempt under way.
    pub(crate) fn out(&self) -> Option<&Out> {
        match &self.state {
            State::Out(out) => Some(out),
            State::Nowhere | State::Queued(_) | State::Unnoted { .. } => None,
        }
    }

    /// The attempt under way turns out to be none: nobody has begun it.
    pub(crate) fn uncount_run(&mut self) {
        if self.out().is_some_and(|out| !out.runs()) {
            self.runs = self.runs.saturating_sub(1);
        }
    }

    /// The attempt under way.
    pub(crate) fn out_mut(&mut self) -> Option<&mut Out> {
        match &mut self.state {
            State::Out(out) => Some(out),
            State::Nowhere | State::Queued(_) | State::Unnoted { .. } => None,
        }
    }

    /// What is said against it.
    pub(crate) fn suspicion_mut(&mut self) -> &mut Suspicion {
        self.suspicion.get_or_insert_default()
    }
}

/// All jobs that have not ended.
#[derive(Debug)]
pub(crate) struct Jobs {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashMap<Key, JobRef>,
    deadlines: BTreeSet<(Duration, JobRef)>,
    bytes: usize,
    /// How many of them are under way.
    pub(crate) out: usize,
    /// How many were ever let in.
    ages: u64,
    /// Those that wait for their client's receipt.
    pub(crate) unnoted: BTreeSet<JobRef>,
    /// Those that bear a strike by each lost worker, which takes it back if it is heard.
    pub(crate) strikers: BTreeMap<WorkerId, BTreeSet<JobRef>>,
    pub(crate) clients: Clients,
    /// The answers of those that ended lately.
    pub(crate) recent: Recent,
}

#[derive(Debug)]
struct Slot {
    serial: u32,
    job: Option<Job>,
}

impl Jobs {
    /// None yet; so many bytes of recent answers are kept, for so long.
    pub(crate) fn new(recent: (usize, Duration)) -> Self {
        Self {
            slots: vec![],
            free: vec![],
            index: HashMap::new(),
            deadlines: BTreeSet::new(),
            bytes: 0,
            out: 0,
            ages: 0,
            unnoted: BTreeSet::new(),
            strikers: BTreeMap::new(),
            clients: Clients::default(),
            recent: Recent::new(recent),
        }
    }

    /// How many of them wait here.
    pub(crate) fn waiting(&self) -> u64 {
        (self.index.len() - self.out) as u64
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

    /// A new job; there must be none of its key.
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

    /// Takes a job out for good.
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

    /// Moves a job's deadline forward, never back: every estimate of it is late by its way here.
    pub(crate) fn hurry(&mut self, job: JobRef, deadline: Duration) {
        let Some(found) = self.get_mut(job) else { return };
        let before = found.deadline;
        if deadline < before {
            found.deadline = deadline;
            self.deadlines.remove(&(before, job));
            self.deadlines.insert((deadline, job));
        }
    }

    /// The job whose deadline is the first, if that has passed.
    pub(crate) fn overdue(&self, now: Duration) -> Option<JobRef> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, job)| *job)
    }

    /// Every job, in no order that matters.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (JobRef, &Job)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let index = u32::try_from(index).ok()?;
            slot.job.as_ref().map(|job| (JobRef { index, serial: slot.serial }, job))
        })
    }

    /// The age of a job that is let in now.
    pub(crate) fn next_age(&mut self) -> u64 {
        self.ages += 1;
        self.ages
    }

    /// What leaves no room for one more job of so many bytes, if anything does.
    pub(crate) fn full_for(&self, bytes: usize, (jobs, most): (usize, usize)) -> Option<Bound> {
        if self.index.len() >= jobs {
            return Some(Bound::Jobs);
        }
        (self.bytes + bytes > most).then_some(Bound::Arguments)
    }

    /// Remembers who takes back the strikes that a job was brought with.
    pub(crate) fn remember_strikers(&mut self, job: JobRef) {
        let suspicion = self.get(job).and_then(|job| job.suspicion.as_ref());
        let strikers: Vec<_> = suspicion.iter().flat_map(|it| it.strikers()).collect();
        for worker in strikers {
            self.strikers.entry(worker).or_default().insert(job);
        }
    }

    /// Those whose client has not noted their marks for a while: it is to be told again.
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

    /// Forgets them all. Serials go on, so that no old reference finds a new job.
    pub(crate) fn forget_term(&mut self) {
        self.free.clear();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            slot.job = None;
            slot.serial = slot.serial.wrapping_add(1);
            self.free.extend(u32::try_from(index));
        }
        self.index.clear();
        self.deadlines.clear();
        (self.bytes, self.out) = (0, 0);
        self.unnoted.clear();
        self.strikers.clear();
        self.clients.clear();
    }
}
