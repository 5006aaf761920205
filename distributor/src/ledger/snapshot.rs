//! The ledger as a person or a program outside sees it: a copy, made as often as somebody looks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use simple_dist_protocol::message::Marks;
use simple_dist_protocol::{Address, Attempt, JobKey, PoolId, Term, UserName, WorkerId};

use super::functions::Function;
use super::jobs::{Holder, Job, Key, Running, State};
use super::workers::Fate;
use super::{Books, Ledger};

/// The ledger at one moment. Ages are spans before that moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Whether this distributor leads.
    pub phase: Phase,
    /// Whether the broker takes no messages for now.
    pub blocked: bool,
    /// Whether our own presence comes back to us: if not, what is told of workers may be old.
    pub sure: bool,
    /// What was taken in, and what became of it.
    pub books: Books,
    /// The age of the job that waits the longest.
    pub oldest_queued: Option<Duration>,
    /// The bytes of the arguments of all jobs under way.
    pub argument_bytes: usize,
    /// Every worker, and for a while the lost ones.
    pub workers: Vec<WorkerView>,
    /// Every function that was ever served or asked for, as long as there is room to remember it.
    pub functions: Vec<FunctionView>,
    /// Every pool with workers.
    pub pools: Vec<PoolView>,
    /// Runs at the clients, by function and reason.
    pub local: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Whether a distributor leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has no link.
    Down,
    /// It hears, and is ready to lead.
    Standby,
    /// It leads.
    Leading {
        /// The term.
        term: Term,
        /// How long it has lasted.
        age: Duration,
    },
}

/// A worker.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerView {
    /// The worker.
    pub id: WorkerId,
    /// Its login.
    pub user: UserName,
    /// The machine it runs on, as it says.
    pub host: String,
    /// The version of its program.
    pub version: String,
    /// How it is.
    pub fate: WorkerFate,
    /// Since when we know it.
    pub age: Duration,
    /// Since it was last heard.
    pub silent: Duration,
    /// What it serves.
    pub functions: Vec<Address>,
    /// Its pool.
    pub pool: Option<PoolId>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// Every job it held at its last beat.
    pub held: Vec<JobView>,
    /// The jobs placed again when it was lost.
    pub gave_back: u32,
}

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerFate {
    /// It takes jobs.
    Live,
    /// It finishes what it holds, or a person wants it to.
    Draining,
    /// Its beat is late.
    Late,
    /// Its link is gone.
    Unreachable,
    /// It was silent for too long.
    Lost {
        /// Since then.
        age: Duration,
    },
    /// It drained and went.
    Left {
        /// Since then.
        age: Duration,
    },
}

/// A job in a worker's hands.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// The job.
    pub key: JobKey,
    /// Its function.
    pub function: Address,
    /// The attempt.
    pub attempt: Attempt,
    /// The slot that runs it; none while it waits its turn.
    pub slot: Option<u32>,
    /// Since it began, or came.
    pub age: Duration,
}

/// A job that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct JobStatus {
    /// The job.
    pub key: JobKey,
    /// Its function.
    pub function: String,
    /// 9 is first.
    pub priority: u8,
    /// Since it was submitted.
    pub age: Duration,
    /// Until its caller gives up.
    pub left: Duration,
    /// Where it is.
    pub place: JobPlace,
    /// What speaks against it.
    pub marks: Marks,
}

/// Where a job is.
#[derive(Debug, Clone, PartialEq)]
pub enum JobPlace {
    /// Here.
    Queued,
    /// Here, until its client has noted its marks.
    Unnoted,
    /// In a pool's queue, or with a worker that has not begun it.
    Placed {
        /// The attempt.
        attempt: Attempt,
        /// Since then.
        age: Duration,
    },
    /// A worker runs it.
    Running {
        /// The attempt.
        attempt: Attempt,
        /// The worker.
        worker: WorkerId,
        /// The slot, once the worker has named it.
        slot: Option<u32>,
        /// Since then.
        age: Duration,
    },
}

/// A function.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionView {
    /// `fib@1`; or `fib` for jobs that wait for any version.
    pub name: String,
    /// Its live workers.
    pub workers: usize,
    /// Their slots that take jobs.
    pub slots: u32,
    /// Jobs that wait here.
    pub queued: usize,
    /// Jobs out at its pools that nobody is known to run yet.
    pub placed: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that ended with a value.
    pub done: u64,
    /// Jobs that ended without one.
    pub failed: u64,
    /// Its run time, averaged over the last few runs.
    pub work: Option<Duration>,
}

/// A pool.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolView {
    /// The pool.
    pub id: PoolId,
    /// Its workers.
    pub workers: usize,
    /// Their slots that take jobs.
    pub slots: u32,
    /// Jobs in its queue or with its workers.
    pub out: usize,
}

impl Ledger {
    /// The ledger as it is.
    pub fn snapshot(&self, now: Duration) -> Snapshot {
        let age = |then: Duration| now.saturating_sub(then);
        let phase = match self.link.leading() {
            Some(leading) => Phase::Leading { term: leading.term, age: age(leading.since) },
            None if self.link.is_up() => Phase::Standby,
            None => Phase::Down,
        };
        let queues =
            self.functions.iter().flat_map(|(_, function)| [&function.calm, &function.suspects]);
        let oldest = queues
            .filter_map(|queue| queue.oldest())
            .map(|(_, job)| job)
            .chain(self.unnoted.iter().copied())
            .filter_map(|job| self.jobs.get(job))
            .map(|job| age(job.since))
            .max();
        Snapshot {
            phase,
            blocked: self.link.is_blocked(),
            sure: self.link.judges,
            books: self.books.clone(),
            oldest_queued: oldest,
            argument_bytes: self.jobs.bytes(),
            workers: self.workers_view(now),
            functions: self.functions_view(),
            pools: self
                .pools
                .iter()
                .map(|(id, pool)| PoolView {
                    id: *id,
                    workers: pool.workers.len(),
                    slots: pool.slots,
                    out: pool.out.len(),
                })
                .collect(),
            local: self.local.clone(),
        }
    }

    /// One job, unless it has ended.
    pub fn job(&self, key: &JobKey, now: Duration) -> Option<JobStatus> {
        let user = self.users.find(&key.user)?;
        let job = self.jobs.find(Key { user, id: key.id })?;
        self.jobs.get(job).map(|job| self.status(job, now))
    }

    /// Some of the jobs under way, at most so many.
    pub fn jobs(&self, most: usize, now: Duration) -> Vec<JobStatus> {
        self.jobs.iter().take(most).map(|job| self.status(job, now)).collect()
    }

    fn status(&self, job: &Job, now: Duration) -> JobStatus {
        let age = |then: Duration| now.saturating_sub(then);
        let place = match &job.state {
            State::Nowhere | State::Queued(_) => JobPlace::Queued,
            State::Unnoted { .. } => JobPlace::Unnoted,
            State::Out(out) => match out.holder {
                Some(Holder { worker, running: Some(Running { since, slot }), .. }) => {
                    JobPlace::Running { attempt: out.attempt, worker, slot, age: age(since) }
                }
                Some(_) | None => JobPlace::Placed { attempt: out.attempt, age: age(out.since) },
            },
        };
        JobStatus {
            key: JobKey { user: self.users.name(job.key.user).clone(), id: job.key.id },
            function: self.functions.get(job.function).selector.to_string(),
            priority: job.priority,
            age: age(job.since),
            left: job.deadline.saturating_sub(now),
            place,
            marks: job.suspicion.as_ref().map(|suspicion| suspicion.marks()).unwrap_or_default(),
        }
    }

    fn workers_view(&self, now: Duration) -> Vec<WorkerView> {
        let age = |then: Duration| now.saturating_sub(then);
        let heard = self.workers.iter().filter(|(_, worker)| worker.is_heard());
        heard
            .map(|(id, worker)| WorkerView {
                id,
                user: worker.user.clone(),
                host: worker.host.clone(),
                version: worker.version.clone(),
                fate: match worker.fate {
                    Fate::Lost { at } => WorkerFate::Lost { age: age(at) },
                    Fate::Left { at } => WorkerFate::Left { age: age(at) },
                    Fate::Unreachable => WorkerFate::Unreachable,
                    Fate::Late => WorkerFate::Late,
                    Fate::Heard if worker.drains() => WorkerFate::Draining,
                    Fate::Heard => WorkerFate::Live,
                },
                age: age(worker.since),
                silent: age(worker.heard.unwrap_or(worker.since)),
                functions: worker.functions.clone(),
                pool: worker.pool,
                slots: worker.slots,
                held: worker
                    .held
                    .iter()
                    .map(|(key, held)| JobView {
                        key: JobKey { user: self.users.name(key.user).clone(), id: key.id },
                        function: held.function.clone(),
                        attempt: held.attempt,
                        slot: held.slot,
                        age: age(held.since),
                    })
                    .collect(),
                gave_back: worker.gave_back,
            })
            .collect()
    }

    fn functions_view(&self) -> Vec<FunctionView> {
        let mut under_way: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        let out: BTreeSet<_> = self.pools.values().flat_map(|pool| pool.out.iter()).collect();
        for job in out.into_iter().filter_map(|job| self.jobs.get(*job)) {
            let (placed, running) = under_way.entry(job.function).or_default();
            let runs = job.out().is_some_and(|out| out.runs());
            *(if runs { running } else { placed }) += 1;
        }
        let view = |function: &Function, (placed, running): (usize, usize)| {
            let pools = || function.pools.iter().filter_map(|pool| self.pools.get(pool));
            FunctionView {
                name: function.selector.to_string(),
                workers: pools().map(|pool| pool.workers.len()).sum(),
                slots: pools().map(|pool| pool.slots).sum(),
                queued: function.jobs - placed - running,
                placed,
                running,
                done: function.done,
                failed: function.failed,
                work: function.work.mean(),
            }
        };
        let mut views: Vec<_> = self
            .functions
            .iter()
            .map(|(id, function)| view(function, under_way.remove(&id).unwrap_or_default()))
            .collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }
}
