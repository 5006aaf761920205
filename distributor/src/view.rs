//! What the status page, the API, the metrics and `simple-dist top` show: one immutable copy of
//! the ledger, made a few times a second whoever looks.
//!
//! Everything in one [`View`] was true at one moment, so its books balance. Its size is bounded by
//! the workers, functions and clients there are, never by the number of jobs.

mod make;
#[cfg(test)]
pub(crate) mod sample;
mod seconds;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use simple_dist_protocol::{ClientId, DistributorId, JobId, PoolId, UserName, WorkerId};
use utoipa::ToSchema;

pub(crate) use make::Maker;
pub use seconds::Seconds;

/// How often a view is made. A page that follows it is at most this much behind the ledger.
pub const EVERY: Duration = Duration::from_millis(250);
/// The most jobs named for one worker; [`Worker::holds`] counts them all.
pub const HELD_SHOWN: usize = 64;
/// The most recent jobs kept.
pub const RECENT: usize = 1000;
/// The span of the job stream and of the tiles' curves.
pub const WINDOW: Duration = Duration::from_secs(120);
/// The most lanes of the job stream, and bars of one lane.
pub const STREAM: (usize, usize) = (128, 512);

/// The service at one moment, as one distributor knows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct View {
    /// The count of views this process has made.
    pub sequence: u64,
    /// When it was made: milliseconds of Unix time.
    pub unix_ms: u64,
    /// Who tells this.
    pub distributor: Distributor,
    /// Its link to the broker.
    pub broker: Broker,
    /// What was taken in and what became of it.
    pub books: Books,
    /// The numbers that say most.
    pub totals: Totals,
    /// Every worker; for a while also those that were lost or left.
    pub workers: Vec<Worker>,
    /// Every function that is served or was asked for, by name.
    pub functions: Vec<Function>,
    /// Every pool with workers.
    pub pools: Vec<Pool>,
    /// The clients heard of late.
    pub clients: Vec<Client>,
    /// The jobs that ended last, the newest first; at most 1,000.
    pub recent: Arc<Vec<RecentJob>>,
    /// What each slot ran in the last two minutes.
    pub stream: Stream,
    /// One sample for each of the last 120 seconds, the newest last.
    pub series: Vec<Sample>,
}

/// A distributor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Distributor {
    /// This one.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: DistributorId,
    /// The version of its program.
    pub version: String,
    /// Since it was started.
    pub up: Seconds,
    /// The prefix of its names at the broker.
    pub prefix: String,
    /// Whether it leads.
    pub phase: Phase,
}

impl Default for Distributor {
    fn default() -> Self {
        Self {
            id: DistributorId::from_u128(0),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up: Seconds::default(),
            prefix: "sd".to_owned(),
            phase: Phase::Down,
        }
    }
}

/// Whether a distributor leads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Phase {
    /// It has no link to the broker, so it knows nothing new.
    Down,
    /// Another one leads; what is shown comes from the workers' beats.
    Standby {
        /// The one that leads, if it was heard within three seconds.
        #[schema(value_type = Option<String>)]
        active: Option<String>,
        /// The jobs that wait there, as it said last.
        backlog: Option<u64>,
    },
    /// It leads.
    Active {
        /// The term, in hexadecimal.
        term: String,
        /// How long it has lasted.
        age: Seconds,
    },
}

/// The link to the broker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Broker {
    /// Host and port; never a password.
    pub address: String,
    /// Since the link is up or down, as it is now.
    pub since: Seconds,
    /// Whether it is up.
    pub up: bool,
    /// Whether the broker takes no messages for now: a memory or disk alarm.
    pub blocked: bool,
    /// Whether our own presence comes back to us. If not, what is told of workers may be old.
    pub sure: bool,
    /// The connections made so far.
    pub connections: u32,
}

/// What was taken in and what became of it: at every moment
/// `accepted = queued + placed + running + done + failed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Books {
    /// Jobs taken in. What a term's end makes us forget is taken off again.
    pub accepted: u64,
    /// Jobs that wait here.
    pub queued: u64,
    /// Jobs at a pool that nobody is known to run yet.
    pub placed: u64,
    /// Jobs that a worker runs.
    pub running: u64,
    /// Jobs that ended with a value.
    pub done: u64,
    /// Jobs that ended without one.
    pub failed: u64,
    /// The failed, by the kind of their answer.
    pub failed_by: BTreeMap<String, u64>,
    /// Jobs not taken in, by the kind of their answer: counted apart.
    pub refused_by: BTreeMap<String, u64>,
    /// Counters of what else happened, by name, since the process began.
    pub events: BTreeMap<String, u64>,
}

impl Books {
    /// Whether they balance.
    pub fn balance(&self) -> bool {
        self.accepted == self.queued + self.placed + self.running + self.done + self.failed
            && self.failed == self.failed_by.values().sum::<u64>()
    }
}

/// The numbers that say most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Workers that live.
    pub workers: usize,
    /// Their slots, also of those that finish what they hold and take no more.
    pub slots: u32,
    /// Slots that run a job now.
    pub busy: u32,
    /// Jobs that wait, in the distributor and with the pools.
    pub queued: u64,
    /// The age of the job that has waited the longest.
    pub oldest: Option<Seconds>,
    /// Jobs ended with a value a second, over the last ten seconds.
    pub rate: f64,
    /// How long the queue would take at this rate; none if it is empty or nothing moves.
    pub empty_in: Option<Seconds>,
    /// The wait of 95 of 100 jobs, over the last one to two minutes.
    pub wait_p95: Option<Seconds>,
    /// The share of runs that clients made themselves, over the last one to two minutes: 0 to 1.
    pub local_share: f64,
    /// Workers lost in the last ten minutes.
    pub lost: usize,
    /// The bytes of the arguments held.
    pub argument_bytes: u64,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// The worker: a new one at every start.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: WorkerId,
    /// Its login.
    #[schema(value_type = String)]
    pub user: UserName,
    /// The machine it runs on, as it says.
    pub host: String,
    /// The version of its program, as it says.
    pub version: String,
    /// How it is.
    pub state: WorkerState,
    /// How long we have known it.
    pub age: Seconds,
    /// Since its last beat.
    pub silent: Seconds,
    /// What it serves.
    #[schema(value_type = Vec<String>)]
    pub functions: Vec<Arc<str>>,
    /// Its pool.
    #[serde(with = "text::optional")]
    #[schema(value_type = Option<String>)]
    pub pool: Option<PoolId>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// Slots that run a job.
    pub busy: u32,
    /// Jobs it holds, running or waiting their turn there.
    pub holds: usize,
    /// Some of them: those that run first, then the oldest; at most 64.
    pub held: Vec<HeldJob>,
    /// Jobs it has ended with a value since we know it.
    pub done: u64,
    /// Jobs it has ended without one.
    pub failed: u64,
    /// Jobs placed again when it was lost.
    pub gave_back: u32,
}

/// How a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It takes jobs.
    Live,
    /// It finishes what it holds, or a person wants it to.
    Draining,
    /// Its beat is late.
    Late,
    /// Its link to the broker is gone.
    Unreachable,
    /// Silent for too long: its jobs were placed again.
    Lost,
    /// It drained and went.
    Left,
}

impl WorkerState {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Draining => "draining",
            Self::Late => "late",
            Self::Unreachable => "unreachable",
            Self::Lost => "lost",
            Self::Left => "left",
        }
    }

    /// Neither lost nor gone.
    pub fn is_alive(self) -> bool {
        match self {
            Self::Live | Self::Draining | Self::Late | Self::Unreachable => true,
            Self::Lost | Self::Left => false,
        }
    }
}

/// A job in a worker's hands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeldJob {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: JobId,
    /// Whose it is.
    #[schema(value_type = String)]
    pub user: UserName,
    /// Its function.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// The count of this attempt in its term, from 1.
    pub attempt: u32,
    /// The slot that runs it; none while it waits its turn.
    pub slot: Option<u32>,
    /// Since it began, or came.
    pub age: Seconds,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Function {
    /// `fib@1`; or `fib` for jobs that wait for any version.
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// Workers that live and serve it.
    pub workers: usize,
    /// Their slots that take jobs.
    pub slots: u32,
    /// The versions of this name that live workers serve: more than one is skew.
    pub versions: Vec<u32>,
    /// Jobs that wait in the distributor.
    pub queued: usize,
    /// Jobs at its pools that nobody is known to run yet.
    pub placed: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs ended with a value.
    pub done: u64,
    /// Jobs ended without one.
    pub failed: u64,
    /// Every answer, by kind, `value` too; refused ones not.
    pub answers: BTreeMap<String, u64>,
    /// Runs at the clients, by reason, as they report.
    pub local: BTreeMap<String, u64>,
    /// The clients' share of all runs, over the last one to two minutes: 0 to 1.
    pub local_share: f64,
    /// Jobs ended with a value a second, over the last one to two minutes.
    pub rate: f64,
    /// From submission to start, over the last one to two minutes.
    pub wait: Percentiles,
    /// From start to end as workers measure it, over the last one to two minutes.
    pub run: Percentiles,
    /// Waits since the process began, for the metrics.
    #[serde(skip)]
    pub waits: Distribution,
    /// Runs since the process began, for the metrics.
    #[serde(skip)]
    pub runs: Distribution,
}

/// Three percentiles, each within a fifth of its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Percentiles {
    /// Of 50 of 100; none if nothing was measured.
    pub p50: Option<Seconds>,
    /// Of 95 of 100.
    pub p95: Option<Seconds>,
    /// Of 99 of 100.
    pub p99: Option<Seconds>,
    /// How many were measured.
    pub count: u64,
}

/// Counts by duration, as Prometheus wants them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// Upper bounds in seconds, ascending, each with the count of all at most that long.
    pub buckets: Vec<(f64, u64)>,
    /// How many there are in all.
    pub count: u64,
    /// Their sum in seconds.
    pub sum: f64,
}

/// A pool: the workers that serve the same functions and share one queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pool {
    /// The pool.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: PoolId,
    /// What it serves.
    #[schema(value_type = Vec<String>)]
    pub functions: Vec<Arc<str>>,
    /// Its workers.
    pub workers: usize,
    /// Their slots that take jobs.
    pub slots: u32,
    /// Jobs in its queue or with its workers.
    pub out: usize,
}

/// A client that was heard within the last minute or has jobs here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Client {
    /// The client: a new one for each `Client` of a program.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: ClientId,
    /// Its login; `@http` are all callers of the HTTP API.
    #[schema(value_type = String)]
    pub user: UserName,
    /// Jobs under way for it.
    pub jobs: usize,
    /// Runs it made itself, as it reported.
    pub local: u64,
    /// Since it was last heard.
    pub silent: Seconds,
}

/// A job that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecentJob {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: JobId,
    /// Whose it was.
    #[schema(value_type = String)]
    pub user: UserName,
    /// Which client's.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub client: ClientId,
    /// Its function.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// The kind of its answer: `value`, `panicked`, `poisoned`, `not_served`, `bad_arguments`,
    /// `too_large`, `busy`, `cancelled`, `expired`.
    pub answer: String,
    /// What a panic said, the first 200 characters; or which workers were lost with it.
    pub detail: Option<String>,
    /// Its arguments as JSON, the first 120 characters: only where the distributor was told to
    /// keep them.
    pub arguments: Option<String>,
    /// The worker that answered.
    #[serde(with = "text::optional")]
    #[schema(value_type = Option<String>)]
    pub worker: Option<WorkerId>,
    /// The attempts made in this term.
    pub attempts: u32,
    /// From submission to start.
    pub waited: Seconds,
    /// From start to end, as its worker measured it; none if it was not answered by one.
    pub ran: Option<Seconds>,
    /// When it ended: milliseconds of Unix time.
    pub ended_unix_ms: u64,
    /// What happened to it, from its submission on.
    pub timeline: Vec<Moment>,
}

impl RecentJob {
    /// Whether it ended without a value, and not because its caller no longer wanted one.
    pub fn is_failed(&self) -> bool {
        self.answer != "value" && self.answer != "cancelled"
    }
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Moment {
    /// Since its submission.
    pub after: Seconds,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// It was let in.
    Submitted,
    /// It was put into a pool's queue.
    Placed {
        /// The count of this attempt, from 1.
        attempt: u32,
        /// The pool.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        pool: PoolId,
    },
    /// A worker began it.
    Started {
        /// The attempt.
        attempt: u32,
        /// The worker.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        worker: WorkerId,
    },
    /// An attempt came back unstarted.
    Returned {
        /// The attempt.
        attempt: u32,
        /// Whether the worker handed it back by its own will.
        willing: bool,
    },
    /// An attempt's message was found to be gone.
    Swept {
        /// The attempt.
        attempt: u32,
    },
    /// The worker was lost that held it; nothing says that it had begun it.
    Lost {
        /// The attempt.
        attempt: u32,
        /// The worker.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        worker: WorkerId,
    },
    /// A worker was lost that had started it.
    Struck {
        /// The attempt.
        attempt: u32,
        /// The worker.
        #[serde(with = "text")]
        #[schema(value_type = String)]
        worker: WorkerId,
    },
    /// It ended.
    Ended,
}

/// A job that has not ended, or ended lately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Job {
    /// It has not ended.
    UnderWay(JobUnderWay),
    /// It has.
    Ended(RecentJob),
}

/// A job that has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobUnderWay {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: JobId,
    /// Whose it is.
    #[schema(value_type = String)]
    pub user: UserName,
    /// Which client's.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub client: ClientId,
    /// Its function.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// 9 is first.
    pub priority: u8,
    /// Since it was submitted.
    pub age: Seconds,
    /// Until its caller gives up.
    pub left: Seconds,
    /// Where it is.
    pub place: Place,
    /// Since it is there.
    pub place_age: Seconds,
    /// The worker that holds it.
    #[serde(with = "text::optional")]
    #[schema(value_type = Option<String>)]
    pub worker: Option<WorkerId>,
    /// The slot that runs it, once its worker has named it.
    pub slot: Option<u32>,
    /// The attempts made in this term.
    pub attempts: u32,
    /// Whether a first attempt came back.
    pub mark: bool,
    /// The workers lost with it.
    #[schema(value_type = Vec<String>)]
    pub strikes: Vec<String>,
    /// Its arguments as JSON: see [`RecentJob::arguments`].
    pub arguments: Option<String>,
    /// What happened to it, from its submission on.
    pub timeline: Vec<Moment>,
}

/// Where a job that has not ended is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the distributor.
    Queued,
    /// In the distributor, until its client has noted its marks.
    Unnoted,
    /// In a pool's queue, or with a worker that has not begun it.
    Placed,
    /// A worker runs it.
    Running,
}

/// What each slot ran in the last two minutes, and what clients ran themselves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stream {
    /// One lane for each slot, by worker and slot; at most 128.
    pub lanes: Vec<Lane>,
    /// Runs at the clients: each bar is a span in which they report so many.
    pub local: Vec<Bar>,
    /// Slots beyond those shown.
    pub more: usize,
}

/// One slot of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lane {
    /// The worker.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub worker: WorkerId,
    /// The slot, from 0.
    pub slot: u32,
    /// Since the worker was lost, if it was.
    pub lost: Option<Seconds>,
    /// What it ran, oldest first. Runs of one function shorter than a tenth of a second that
    /// follow each other closely are one bar.
    pub bars: Vec<Bar>,
}

/// Runs of a function in a slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bar {
    /// The function.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// When the first began, before now.
    pub from: Seconds,
    /// When the last ended, before now; 0 while it runs.
    pub to: Seconds,
    /// How many runs.
    pub count: u64,
    /// How they ended.
    pub end: BarEnd,
}

/// How the runs of a bar ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BarEnd {
    /// It runs.
    Running,
    /// With a value.
    Value,
    /// Without one.
    Failed,
    /// With its worker.
    Lost,
}

/// One second of the recent past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// Slots of living workers.
    pub slots: u32,
    /// Slots that ran one.
    pub busy: u32,
    /// Jobs that waited.
    pub queued: u64,
    /// Jobs that ended with a value in this second.
    pub done: u64,
    /// Jobs that ended without one in this second.
    pub failed: u64,
    /// Runs at the clients, as reported in this second.
    pub local: u64,
    /// The wait of 95 of 100 jobs, over the last one to two minutes.
    pub wait_p95: Option<Seconds>,
}

/// Ids as people read them: by `Display` and `FromStr`.
mod text {
    use super::{Deserialize, Deserializer, Display, FromStr, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(id: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }

    pub(super) mod optional {
        use super::super::{Deserialize, Deserializer, Display, FromStr, Serializer};

        pub(in super::super) fn serialize<T: Display, S: Serializer>(
            id: &Option<T>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match id {
                Some(id) => to.collect_str(id),
                None => to.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
        where
            T: FromStr<Err: Display>,
            D: Deserializer<'de>,
        {
            let text = Option::<String>::deserialize(from)?;
            text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
        }
    }
}
