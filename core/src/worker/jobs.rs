//! The jobs a worker holds, and the deliveries they came in: a delivery is acked when the last of
//! its jobs is settled.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::message::{Held, Placement, StartedJob};
use simple_dist_protocol::{Address, Attempt, JobKey, Term, limits};

/// What this worker knows an attempt by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u64);

/// What this worker knows a delivered message by, as long as its link lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryId(pub u64);

/// One attempt that the worker holds, from its coming until its end is settled.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: JobKey,
    pub(super) attempt: Attempt,
    pub(super) function: Address,
    pub(super) args: Bytes,
    pub(super) trace: Option<String>,
    pub(super) deadline: Duration,
    /// Whether `Started` must be confirmed before it runs.
    pub(super) start_confirmed: bool,
    /// When it came, and then when it began.
    pub(super) since: Duration,
    pub(super) state: State,
    /// When its process is to be killed, if it was told to stop.
    pub(super) kill_at: Option<Duration>,
    /// The message to be acked; none once its link is gone.
    delivery: Option<DeliveryId>,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It waits for a slot, or in a slot's list for its turn.
    Waiting,
    /// Its turn has come; its `Started` is on the way.
    Confirming { slot: usize },
    /// It is given to a slot, behind others.
    Given { slot: usize },
    /// It is the one that its slot runs.
    Running { slot: usize, announced: bool },
    /// Cancelled or late while in a slot: until it is stopped or killed, or for as long as it likes
    /// on a thread, which cannot be, it runs for nobody.
    Abandoned { slot: usize },
    /// It has ended, or goes back; the outbox has the news.
    Over,
}

impl Job {
    pub(super) fn new(placement: Placement, term: Term, now: Duration) -> Self {
        let budget = Duration::from_millis(placement.budget_ms).min(limits::TIMEOUT_MAX);
        Self {
            key: placement.key,
            attempt: Attempt { term, number: placement.attempt },
            function: placement.function,
            args: placement.args,
            trace: placement.trace,
            deadline: now + budget,
            start_confirmed: placement.start_confirmed,
            since: now,
            state: State::Waiting,
            kill_at: None,
            delivery: None,
        }
    }

    pub(super) fn started(&self) -> StartedJob {
        StartedJob { key: self.key.clone(), attempt: self.attempt }
    }

    pub(super) fn held(&self, now: Duration) -> Held {
        let slot = match self.state {
            State::Running { slot, .. } | State::Abandoned { slot } => u32::try_from(slot).ok(),
            State::Waiting | State::Confirming { .. } | State::Given { .. } | State::Over => None,
        };
        let age = now.saturating_sub(self.since).as_millis();
        Held {
            key: self.key.clone(),
            function: self.function.clone(),
            attempt: self.attempt,
            slot,
            age_ms: u64::try_from(age).unwrap_or(u64::MAX),
        }
    }
}

/// All that is held.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    last: u64,
    jobs: BTreeMap<Number, Job>,
    index: HashMap<(JobKey, Attempt), Number>,
    /// How many jobs of each delivery are not settled.
    deliveries: HashMap<DeliveryId, usize>,
}

impl Jobs {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    pub(super) fn get(&self, number: Number) -> Option<&Job> {
        self.jobs.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut Job> {
        self.jobs.get_mut(&number)
    }

    pub(super) fn state(&self, number: Number) -> Option<State> {
        self.jobs.get(&number).map(|job| job.state)
    }

    /// The attempts of these jobs, whichever they are.
    pub(super) fn of(&self, keys: &HashSet<JobKey>) -> Vec<Number> {
        let of_keys = self.jobs.iter().filter(|(_, job)| keys.contains(&job.key));
        of_keys.map(|(number, _)| *number).collect()
    }

    /// This very attempt, if it is held.
    pub(super) fn find(&self, attempt: &(JobKey, Attempt)) -> Option<Number> {
        self.index.get(attempt).copied()
    }

    /// Takes in a job of a delivery; none if that very attempt is held already, which then stands
    /// for both. The delivery is to be opened before and closed behind its jobs.
    pub(super) fn add(&mut self, mut job: Job, delivery: DeliveryId) -> Option<Number> {
        let attempt = (job.key.clone(), job.attempt);
        if let Some(held) = self.index.get(&attempt).and_then(|held| self.jobs.get_mut(held)) {
            if held.delivery.is_none() {
                held.delivery = Some(delivery);
                self.open(delivery);
            }
            return None;
        }
        self.last += 1;
        let number = Number(self.last);
        job.delivery = Some(delivery);
        self.open(delivery);
        self.index.insert(attempt, number);
        self.jobs.insert(number, job);
        Some(number)
    }

    /// Forgets a job; the delivery that is to be acked now, if this was the last of its jobs.
    pub(super) fn remove(&mut self, number: Number) -> Option<DeliveryId> {
        let job = self.jobs.remove(&number)?;
        self.index.remove(&(job.key, job.attempt));
        self.close(job.delivery?)
    }

    /// Nothing of a job is waited for before its delivery is acked; the delivery, if it is now.
    pub(super) fn let_go(&mut self, number: Number) -> Option<DeliveryId> {
        let delivery = self.jobs.get_mut(&number)?.delivery.take()?;
        self.close(delivery)
    }

    /// One more thing to wait for before the delivery is acked.
    pub(super) fn open(&mut self, delivery: DeliveryId) {
        *self.deliveries.entry(delivery).or_default() += 1;
    }

    /// One thing less; the delivery itself if that was the last.
    pub(super) fn close(&mut self, delivery: DeliveryId) -> Option<DeliveryId> {
        let open = self.deliveries.get_mut(&delivery)?;
        *open = open.saturating_sub(1);
        if *open > 0 {
            return None;
        }
        self.deliveries.remove(&delivery);
        Some(delivery)
    }

    /// The link is gone: what was delivered on it can be acked no more.
    pub(super) fn lose_deliveries(&mut self) {
        self.deliveries.clear();
        for job in self.jobs.values_mut() {
            job.delivery = None;
        }
    }
}
