//! The jobs: unfinished ones, each in one of few states, with its attempts, its holder and the
//! evidence against it; their clients; and recent answers.

mod agenda;
pub(crate) mod clients;
pub(crate) mod recent;
pub(crate) mod rivals;
pub(crate) mod runs;
pub(crate) mod strikes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::message::Bound;
use simple_dist_protocol::{Attempt, ClientId, PoolId, WorkerId};

use super::backlog::queue::Position;

use super::backlog::queue::QueueClass;
use super::fact::Caller;
use super::ids::{CallKey, FunctionRef, JobRef, Key, Table};
use agenda::{Agenda, has_deadline, is_watched, job_in};
use clients::Clients;
use recent::Recent;
use rivals::Rivals;
use runs::Runs;
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
    /// Whether its caller wants to hear how far it is.
    pub(crate) progress: bool,
    /// Whether its caller runs it itself if no worker can be reached.
    pub(crate) has_fallback: bool,
    /// Whether it neither joins another run nor gets a kept answer.
    pub(crate) fresh: bool,
    /// What it computes, if it may share a run.
    pub(crate) call: Option<CallKey>,
    /// Why nobody waits for it any more, if it runs on only for those that share its run.
    pub(crate) left: Option<Caller>,
    pub(crate) state: State,
    /// `None` for nearly all jobs: no evidence against them.
    pub(crate) strikes: Option<Box<Strikes>>,
    /// `None` for nearly all jobs: no attempt goes on beside the newest.
    pub(crate) rivals: Option<Box<Rivals>>,
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
    /// An equal job's run is to answer it.
    Following {
        /// That job.
        leader: JobRef,
    },
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
    /// When to look whether it is slow.
    pub(crate) looked_at: Option<Duration>,
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
    /// Its run, if a worker is known to run it.
    pub(crate) fn running(&self) -> Option<Running> {
        self.holder.and_then(|holder| holder.running)
    }

    /// Whether a worker is known to run it.
    pub(crate) fn runs(&self) -> bool {
        self.running().is_some()
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

    /// Whether no attempt of it was ever lost or came back.
    pub(crate) fn is_blameless(&self) -> bool {
        !self.is_marked() && !self.strikes.as_ref().is_some_and(|strikes| strikes.was_spared())
    }

    /// Whether it must run alone and be confirmed to start, in a pool of this kind: where jobs run in
    /// processes of their own, only one that is spared no more.
    pub(crate) fn is_suspect(&self, isolated: bool) -> bool {
        let spares = |strikes: &Strikes| isolated && strikes.may_be_spared();
        self.is_marked() && !self.strikes.as_deref().is_some_and(spares)
    }

    /// The attempt under way.
    pub(crate) fn in_flight(&self) -> Option<&InFlight> {
        match &self.state {
            State::InFlight(in_flight) => Some(in_flight),
            State::Nowhere | State::Queued(_) | State::Unnoted { .. } | State::Following { .. } => {
                None
            }
        }
    }

    /// The job whose run is to answer it.
    pub(crate) fn followed(&self) -> Option<JobRef> {
        match self.state {
            State::Following { leader } => Some(leader),
            State::Nowhere | State::Queued(_) | State::Unnoted { .. } | State::InFlight(_) => None,
        }
    }

    /// The attempt in flight does not count as a run, since nobody started it.
    pub(crate) fn uncount_run(&mut self) {
        if self.in_flight().is_some_and(|in_flight| !in_flight.runs()) {
            self.runs = self.runs.saturating_sub(1);
        }
    }

    /// Which of the runs this attempt is: as many before the newest as it has newer ones.
    pub(crate) fn run_of(&self, attempt: Attempt) -> u32 {
        let newest = self.in_flight().map(|in_flight| in_flight.attempt);
        let newest = newest.filter(|newest| newest.term == attempt.term);
        let newer = newest.map_or(0, |newest| newest.number.saturating_sub(attempt.number));
        self.runs.saturating_sub(newer).max(1)
    }

    /// The attempt under way.
    pub(crate) fn in_flight_mut(&mut self) -> Option<&mut InFlight> {
        match &mut self.state {
            State::InFlight(in_flight) => Some(in_flight),
            State::Nowhere | State::Queued(_) | State::Unnoted { .. } | State::Following { .. } => {
                None
            }
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
    index: Table<Key, JobRef>,
    deadlines: Agenda,
    /// The attempts in flight, by when to look whether they are slow.
    watched: Agenda,
    bytes: usize,
    /// How many of them are in flight.
    pub(crate) in_flight: usize,
    /// How many were ever admitted.
    ages: u64,
    /// Jobs that wait for their client to acknowledge their marks.
    pub(crate) unnoted: BTreeSet<JobRef>,
    /// Jobs that may wait for a worker out of reach although their callers need not.
    pub(crate) stranded: VecDeque<JobRef>,
    /// The jobs struck by each lost worker, each with the number of its last beat before the start: a
    /// later one without the job revokes the strike.
    pub(crate) struck_by: BTreeMap<WorkerId, BTreeMap<JobRef, u64>>,
    /// Which jobs share a run.
    pub(crate) runs: Runs,
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
            index: Table::default(),
            deadlines: Agenda::default(),
            watched: Agenda::default(),
            bytes: 0,
            in_flight: 0,
            ages: 0,
            unnoted: BTreeSet::new(),
            stranded: VecDeque::new(),
            struck_by: BTreeMap::new(),
            runs: Runs::default(),
            clients: Clients::default(),
            recent: Recent::new(recent),
        }
    }

    /// How many jobs wait in the backlog.
    pub(crate) fn waiting(&self) -> u64 {
        (self.index.len() - self.in_flight - self.runs.following()) as u64
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
        job_in(&self.slots, job)
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
        self.deadlines.push(job.deadline, found);
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
        self.deadlines.outdate(has_deadline(&self.slots));
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
            self.deadlines.outdate(has_deadline(&self.slots));
            self.deadlines.push(deadline, job);
        }
    }

    /// The job with the earliest deadline, if that has passed.
    pub(crate) fn overdue(&mut self, now: Duration) -> Option<JobRef> {
        self.deadlines.due(now, has_deadline(&self.slots))
    }

    /// At this time its attempt in flight may be slow.
    pub(crate) fn watch(&mut self, job: JobRef, at: Duration) {
        let in_flight = self.get_mut(job).and_then(|job| job.in_flight_mut());
        if let Some(in_flight) = in_flight {
            in_flight.looked_at = Some(at);
            self.watched.push(at, job);
        }
    }

    /// This attempt is in flight no longer.
    pub(crate) fn unwatch(&mut self, in_flight: &InFlight) {
        if in_flight.looked_at.is_some() {
            self.watched.outdate(is_watched(&self.slots));
        }
    }

    /// A job whose attempt may be slow by now; it is watched no longer.
    pub(crate) fn slow(&mut self, now: Duration) -> Option<JobRef> {
        let job = self.watched.due(now, is_watched(&self.slots))?;
        self.watched.pop();
        self.get_mut(job).and_then(|job| job.in_flight_mut())?.looked_at = None;
        Some(job)
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
            self.struck_by.entry(worker).or_default().entry(job).or_default();
        }
    }

    /// What is known against a job is known against one that shares its run. Returns whether the marks
    /// of that change by it.
    pub(crate) fn inherit(&mut self, heir: JobRef, from: JobRef) -> bool {
        let Some(known) = self.get(from).and_then(|job| job.strikes.clone()) else { return false };
        self.get_mut(heir).is_some_and(|heir| heir.strikes_mut().inherit(*known))
    }

    /// Another job bears the strikes of this one from now on, so that they can be revoked.
    pub(crate) fn pass_strikes_on(&mut self, from: JobRef, to: JobRef) {
        let strikes = self.get(to).and_then(|job| job.strikes.as_ref());
        let lost_workers: Vec<_> = strikes.iter().flat_map(|it| it.lost_workers()).collect();
        for worker in lost_workers {
            let struck = self.struck_by.entry(worker).or_default();
            let seq = struck.remove(&from).unwrap_or_default();
            struck.insert(to, seq);
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
        self.watched.clear();
        (self.bytes, self.in_flight) = (0, 0);
        self.unnoted.clear();
        self.stranded.clear();
        self.struck_by.clear();
        self.runs = Runs::default();
        self.clients.clear();
    }
}
