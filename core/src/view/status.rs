//! The view without its lists.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Broker, Distributor, Function, JobCounts, Memo, Problem, Sample, Shadow, Totals, View,
};

/// The state of the service at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
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
    /// The problems, worst first.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// The most important numbers.
    pub totals: Totals,
    /// The kept answers of functions whose workers have them kept.
    #[serde(default)]
    pub memo: Memo,
    /// The functions whose calls also run as another one, and how both compare.
    #[serde(default)]
    pub shadows: Vec<Shadow>,
    /// The lengths of the lists in the view.
    pub counts: Counts,
    /// One sample for each of the last 120 seconds, newest last.
    pub series: Vec<Sample>,
}

/// The lengths of the lists in the view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Workers, including those recently lost or left.
    pub workers: usize,
    /// Functions.
    pub functions: usize,
    /// Functions with queued jobs and no worker.
    pub unserved: usize,
    /// Pools.
    pub pools: usize,
    /// Clients.
    pub clients: usize,
}

impl From<&View> for Status {
    fn from(view: &View) -> Self {
        let unserved = |function: &&Function| function.workers == 0 && function.queued > 0;
        Self {
            sequence: view.sequence,
            unix_ms: view.unix_ms,
            distributor: view.distributor.clone(),
            broker: view.broker.clone(),
            books: view.books.clone(),
            problems: view.problems.clone(),
            totals: view.totals.clone(),
            memo: view.memo,
            shadows: view.shadows.clone(),
            counts: Counts {
                workers: view.workers.len(),
                functions: view.functions.len(),
                unserved: view.functions.iter().filter(unserved).count(),
                pools: view.pools.len(),
                clients: view.clients.len(),
            },
            series: view.series.clone(),
        }
    }
}
