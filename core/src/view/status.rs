//! The view without its lists.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Books, Broker, Distributor, Function, Problem, Sample, Totals, View};

/// The service at one moment, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The count of views this process has made.
    pub sequence: u64,
    /// When this one was made: milliseconds of Unix time.
    pub unix_ms: u64,
    /// Who tells this.
    pub distributor: Distributor,
    /// Its link to the broker.
    pub broker: Broker,
    /// What was taken in and what became of it.
    pub books: Books,
    /// What is wrong, the worst first.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// The numbers that say most.
    pub totals: Totals,
    /// How long the lists are.
    pub counts: Counts,
    /// One sample for each of the last 120 seconds, the newest last.
    pub series: Vec<Sample>,
}

/// How long the lists are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Workers; those that were lost or left too, for a while.
    pub workers: usize,
    /// Functions.
    pub functions: usize,
    /// Functions that jobs wait for and no worker serves.
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
