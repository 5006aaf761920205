//! What the status page, the API, the metrics and `simple-dist top` show: an immutable snapshot of
//! the scheduler, made a few times a second, however many look.
//!
//! Everything in one [`View`] was true at the same moment, so its counts add up. Its size is
//! bounded by the number of workers, functions and clients, never by the number of jobs.

mod actions;
mod differences;
mod failures;
mod functions;
mod history;
mod jobs;
mod problem;
mod seconds;
mod shadows;
mod status;
mod stream;
mod text;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::{ClientId, DistributorId, UserName};
use utoipa::ToSchema;

pub use actions::{Action, Affected, FailedCall, JobFilter};
pub use differences::{Difference, DifferingAnswer, Outvoted};
pub use failures::Failure;
pub use functions::{Distribution, Function, FunctionSample, Percentiles, RecentEndings, Saved};
pub use history::{Minute, MinuteOf};
pub use jobs::{
    CancelledBy, CrashReport, Job, JobEvent, Place, Progress, RecentJob, TimelineEntry,
    UnfinishedJob,
};
pub use problem::{Problem, ProblemKind, Severity};
pub use seconds::Seconds;
pub use shadows::{Shadow, ShadowExample, ShadowStop};
pub use status::{Counts, Status};
pub use stream::{Bar, BarEnd, Lane, Sample, Stream};
pub use workers::{HeldJob, Load, Pool, Printed, Worker, WorkerState};

/// How often a view is made, and so how far a live page lags behind at most.
pub const EVERY: Duration = Duration::from_millis(250);
/// The most jobs named for one worker; [`Worker::holds`] counts them all.
pub const HELD_SHOWN: usize = 64;
/// The most recent jobs kept.
pub const RECENT: usize = 1000;
/// The most jobs kept beyond those because they failed.
pub const RECENT_FAILED: usize = 250;
/// The span of the job stream and of the tiles' curves.
pub const WINDOW: Duration = Duration::from_secs(120);
/// The most lanes of the job stream, and bars of one lane.
pub const STREAM: (usize, usize) = (128, 512);

/// The service at one moment, as one distributor knows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct View {
    /// The number of this view, counted from the start of the process.
    pub sequence: u64,
    /// When it was made, in milliseconds of Unix time.
    pub unix_ms: u64,
    /// The distributor that made it.
    pub distributor: Distributor,
    /// Its link to the broker.
    pub broker: Broker,
    /// How many jobs were accepted and how they ended.
    pub books: JobCounts,
    /// The problems, worst first: one diagnosis for every display.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// The most important numbers.
    pub totals: Totals,
    /// Every worker; for a while also those that were lost or left.
    pub workers: Vec<Worker>,
    /// Every function that is served or has been called, by name.
    pub functions: Vec<Function>,
    /// The kept answers of functions whose workers have them kept.
    #[serde(default)]
    pub memo: Memo,
    /// The functions whose calls also run as another one, and how both compare: at most 16.
    #[serde(default)]
    pub shadows: Vec<Shadow>,
    /// Every pool with workers.
    pub pools: Vec<Pool>,
    /// The clients heard from recently.
    pub clients: Vec<Client>,
    /// The limits that refused something in the last ten minutes.
    #[serde(default)]
    pub turned_away: Vec<TurnedAway>,
    /// What fails, the newest first: at most 100 groups.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// Answers of equal calls that differed, the newest first: at most 32.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// What operators did, the newest first: at most 100 since the distributor began.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// The jobs that ended last, newest first: at most 1,000, and behind them 250 that failed.
    pub recent: Arc<Vec<RecentJob>>,
    /// What each slot ran in the last two minutes.
    pub stream: Stream,
    /// One sample for each of the last 120 seconds, newest last.
    pub series: Vec<Sample>,
    /// What the last minute of the clock was like, once one has passed.
    #[serde(default)]
    pub minute: Option<Minute>,
}

impl View {
    /// Its age at this time since 1970, by the clock that also dated it.
    pub fn age(&self, unix_now: Duration) -> Seconds {
        unix_now.saturating_sub(Duration::from_millis(self.unix_ms)).into()
    }
}

/// A distributor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Distributor {
    /// Its id, new at every start.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: DistributorId,
    /// The version of its program.
    pub version: String,
    /// The time since it started.
    pub up: Seconds,
    /// The prefix of its names at the broker.
    pub prefix: String,
    /// Whether it is active.
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

/// Whether a distributor is active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Phase {
    /// It has no link to the broker, so it knows nothing new.
    Down,
    /// Another one may be active; what is shown comes from the workers' beats.
    Standby {
        /// The active one, if it was heard within three seconds.
        #[schema(value_type = Option<String>)]
        active: Option<String>,
        /// The number of jobs waiting there, as it last reported.
        backlog: Option<u64>,
    },
    /// It is active.
    Active {
        /// The term, in hexadecimal.
        term: String,
        /// How long the term has lasted.
        age: Seconds,
    },
}

/// The link to the broker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Broker {
    /// Host and port, without credentials.
    pub address: String,
    /// The time since the link last went up or down.
    pub since: Seconds,
    /// Whether it is up.
    pub up: bool,
    /// Whether the broker blocks publishers because of a memory or disk alarm.
    pub blocked: bool,
    /// Whether our own presence comes back to us through the broker. If not, the state of workers
    /// may be out of date.
    pub sure: bool,
    /// How often a connection has been made.
    pub connections: u32,
}

/// Counts of accepted jobs and how they ended. At every moment `accepted = queued + placed +
/// running + done + failed + timed_out + cancelled`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobCounts {
    /// Jobs accepted. Jobs forgotten at a term's end are subtracted again.
    pub accepted: u64,
    /// Jobs in the distributor's queue.
    pub queued: u64,
    /// Jobs at a pool that are not known to run yet.
    pub placed: u64,
    /// Jobs running on a worker.
    pub running: u64,
    /// Jobs that ended with a value.
    pub done: u64,
    /// Jobs that ended without a value, other than by timeout or cancel.
    pub failed: u64,
    /// Failed jobs, by the kind of their answer.
    pub failed_by: BTreeMap<String, u64>,
    /// Jobs that ran out of time.
    #[serde(default)]
    pub timed_out: u64,
    /// Jobs that were cancelled.
    #[serde(default)]
    pub cancelled: u64,
    /// Cancelled jobs, by who cancelled them: `caller`, `operator`, `client_gone`.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub cancelled_by: BTreeMap<CancelledBy, u64>,
    /// Refused jobs, by the kind of their answer; not among the accepted.
    pub refused_by: BTreeMap<String, u64>,
    /// Counters of other events, by name, since the process started.
    pub events: BTreeMap<String, u64>,
}

impl JobCounts {
    /// Whether the counts add up.
    pub fn balance(&self) -> bool {
        let under_way = self.queued + self.placed + self.running;
        let ended = self.done + self.failed + self.timed_out + self.cancelled;
        self.accepted == under_way + ended
            && self.failed == self.failed_by.values().sum::<u64>()
            && self.cancelled == self.cancelled_by.values().sum::<u64>()
    }
}

/// The most important numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Live workers.
    pub workers: usize,
    /// Their slots, including those of draining workers.
    pub slots: u32,
    /// Slots that are running a job.
    pub busy: u32,
    /// Busy slots whose job nobody waits for any more.
    #[serde(default)]
    pub abandoned: u32,
    /// Jobs waiting in the distributor and at the pools.
    pub queued: u64,
    /// The age of the job that has waited longest.
    pub oldest: Option<Seconds>,
    /// Jobs that ended with a value, per second, over the last ten seconds.
    pub rate: f64,
    /// How long until the queue is empty if jobs come and end as in the last ten seconds; `None` if
    /// it is empty, is not shrinking, or cannot be estimated.
    pub empty_in: Option<Seconds>,
    /// Whether jobs have come faster than they ended for half a minute.
    #[serde(default)]
    pub grows: bool,
    /// The 95th percentile of the wait, over the last one to two minutes; what still waits counts
    /// with its wait so far where that is longer.
    pub wait_p95: Option<Seconds>,
    /// The share of runs that were local to clients, over the last one to two minutes: 0 to 1.
    pub local_share: f64,
    /// Workers lost in the last ten minutes, including those no longer listed.
    pub lost: usize,
    /// How many of their jobs were placed again.
    #[serde(default)]
    pub lost_gave_back: u64,
    /// The bytes of all unfinished jobs' arguments.
    pub argument_bytes: u64,
}

/// The memo: answers that are kept for equal calls to come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Memo {
    /// How many it has.
    pub answers: u64,
    /// The bytes that they take.
    pub bytes: u64,
    /// The most that they may take; 0 if none is kept.
    pub most: u64,
    /// How many have made room for others, since the process started.
    pub evicted: u64,
}

/// A limit that refused something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TurnedAway {
    /// The limit, in one lower-case word: `jobs`, `functions`, `workers`, ...
    pub bound: String,
    /// A short explanation.
    pub reason: String,
    /// How often, since the process started.
    pub count: u64,
    /// The time since the first refusal.
    pub first: Seconds,
    /// The time since the last refusal.
    pub last: Seconds,
}

/// A client that was heard within the last minute or has jobs here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Client {
    /// The client's id: a new one for each `Client` of a program.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub id: ClientId,
    /// Its login; `@http` for callers of the HTTP API.
    #[schema(value_type = String)]
    pub user: UserName,
    /// Its unfinished jobs.
    pub jobs: usize,
    /// Its local runs, as it reported.
    pub local: u64,
    /// The time since it was last heard.
    pub silent: Seconds,
}
