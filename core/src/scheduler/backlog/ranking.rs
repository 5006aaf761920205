//! The functions of a pool with waiting jobs, by the rank of each one's first job, so that finding
//! the next is logarithmic in the number of functions.

use std::collections::BTreeSet;

use super::queue::Rank;
use crate::scheduler::ids::{FunctionRef, Table};

/// Functions by the rank of their first job. A rank may be outdated; whoever looks at the first one
/// corrects it.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    order: BTreeSet<(Rank, FunctionRef)>,
    ranks: Table<FunctionRef, Rank>,
}

impl Ranking {
    /// Sets the rank of the function's first job; `None` if no job waits.
    pub(crate) fn set(&mut self, function: FunctionRef, rank: Option<Rank>) {
        let before = match rank {
            Some(rank) => self.ranks.insert(function, rank),
            None => self.ranks.remove(&function),
        };
        if let Some(before) = before {
            self.order.remove(&(before, function));
        }
        if let Some(rank) = rank {
            self.order.insert((rank, function));
        }
    }

    /// The first function, by the ranks noted here.
    pub(crate) fn first(&self) -> Option<(Rank, FunctionRef)> {
        self.order.first().copied()
    }
}
