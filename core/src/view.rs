//! What the status page, the API, the metrics and `simple-dist top` show: one immutable copy of
//! the ledger, made a few times a second whoever looks.
//!
//! Everything in one [`View`] was true at one moment, so its books balance. Its size is bounded by
//! the workers, functions and clients there are, never by the number of jobs.

mod functions;
mod jobs;
mod problem;
mod seconds;
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

pub use functions::{Distribution, Function, Lately, Percentiles};
pub use jobs::{By, Job, JobUnderWay, Moment, Place, RecentJob, What};
pub use problem::{Problem, ProblemKind, Severity};
pub use seconds::Seconds;
pub use status::{Counts, Status};
pub use stream::{Bar, BarEnd, Lane, Sample, Stream};
pub use workers::{HeldJob, Pool, Worker, WorkerState};

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
    /// What is wrong, the worst first: one diagnosis for whoever shows how things are.
    #[serde(default)]
    pub problems: Vec<Problem>,
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
    /// What was turned away by a bound in the last ten minutes.
    #[serde(default)]
    pub turned_away: Vec<TurnedAway>,
    /// The jobs that ended last, the newest first; at most 1,000.
    pub recent: Arc<Vec<RecentJob>>,
    /// What each slot ran in the last two minutes.
    pub stream: Stream,
    /// One sample for each of the last 120 seconds, the newest last.
    pub series: Vec<Sample>,
}

impl View {
    /// How old it is at this time since 1970, by the clock which also dated it.
    pub fn age(&self, unix_now: Duration) -> Seconds {
        unix_now.saturating_sub(Duration::from_millis(self.unix_ms)).into()
    }
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
/// `accepted = queued + placed + running + done + failed + timed_out + cancelled`.
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
    /// Jobs that ended without one, though somebody waited for it and there was time.
    pub failed: u64,
    /// The failed, by the kind of their answer.
    pub failed_by: BTreeMap<String, u64>,
    /// Jobs whose time passed.
    #[serde(default)]
    pub timed_out: u64,
    /// Jobs that were cancelled.
    #[serde(default)]
    pub cancelled: u64,
    /// The cancelled, by who did it: `caller`, `operator`, `client_gone`.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub cancelled_by: BTreeMap<By, u64>,
    /// Jobs not taken in, by the kind of their answer: counted apart.
    pub refused_by: BTreeMap<String, u64>,
    /// Counters of what else happened, by name, since the process began.
    pub events: BTreeMap<String, u64>,
}

impl Books {
    /// Whether they balance.
    pub fn balance(&self) -> bool {
        let under_way = self.queued + self.placed + self.running;
        let ended = self.done + self.failed + self.timed_out + self.cancelled;
        self.accepted == under_way + ended
            && self.failed == self.failed_by.values().sum::<u64>()
            && self.cancelled == self.cancelled_by.values().sum::<u64>()
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
    /// Those of them whose job nobody waits for any more.
    #[serde(default)]
    pub abandoned: u32,
    /// Jobs that wait, in the distributor and with the pools.
    pub queued: u64,
    /// The age of the job that has waited the longest.
    pub oldest: Option<Seconds>,
    /// Jobs ended with a value a second, over the last ten seconds.
    pub rate: f64,
    /// How long the queue takes if jobs come and end as in the last ten seconds; none if it is
    /// empty, does not become shorter, or nobody can tell.
    pub empty_in: Option<Seconds>,
    /// Jobs have come faster than they ended for half a minute.
    #[serde(default)]
    pub grows: bool,
    /// The wait of 95 of 100 jobs, over the last one to two minutes.
    pub wait_p95: Option<Seconds>,
    /// The share of runs that clients made themselves, over the last one to two minutes: 0 to 1.
    pub local_share: f64,
    /// Workers lost in the last ten minutes: all of them, though only some are listed.
    pub lost: usize,
    /// The jobs of all those that were placed again.
    #[serde(default)]
    pub lost_gave_back: u64,
    /// The bytes of the arguments held.
    pub argument_bytes: u64,
}

/// What was turned away, since a bound is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TurnedAway {
    /// The bound, in one lower-case word: `jobs`, `functions`, `workers`, ...
    pub bound: String,
    /// In a few words.
    pub reason: String,
    /// How often, since the process began.
    pub count: u64,
    /// Since the first time.
    pub first: Seconds,
    /// Since the last time.
    pub last: Seconds,
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
