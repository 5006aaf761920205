//! The view without its lists.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::view::{Books, Broker, Distributor, Sample, Totals, View};

/// The service at one moment, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Status {
    /// The count of views this process has made.
    pub(crate) sequence: u64,
    /// When this one was made: milliseconds of Unix time.
    pub(crate) unix_ms: u64,
    /// Who tells this.
    pub(crate) distributor: Distributor,
    /// Its link to the broker.
    pub(crate) broker: Broker,
    /// What was taken in and what became of it.
    pub(crate) books: Books,
    /// The numbers that say most.
    pub(crate) totals: Totals,
    /// How long the lists are.
    pub(crate) counts: Counts,
    /// One sample for each of the last 120 seconds, the newest last.
    pub(crate) series: Vec<Sample>,
}

/// How long the lists are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Counts {
    /// Workers; those that were lost or left too, for a while.
    pub(crate) workers: usize,
    /// Functions.
    pub(crate) functions: usize,
    /// Functions that jobs wait for and no worker serves.
    pub(crate) unserved: usize,
    /// Pools.
    pub(crate) pools: usize,
    /// Clients.
    pub(crate) clients: usize,
}

impl From<&View> for Status {
    fn from(view: &View) -> Self {
        let unserved =
            |function: &&crate::view::Function| function.workers == 0 && function.queued > 0;
        Self {
            sequence: view.sequence,
            unix_ms: view.unix_ms,
            distributor: view.distributor.clone(),
            broker: view.broker.clone(),
            books: view.books.clone(),
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
