//! The functions of a pool that have jobs waiting, by the rank of the first job of each: which is
//! next costs the logarithm of the functions, not a look at all of them.

use std::collections::{BTreeSet, HashMap};

use super::queue::Rank;
use crate::scheduler::fleet::functions::FunctionRef;

/// Functions by the rank of the first job of each. A rank is that of the time it was written here; who
/// looks at the first one puts it right.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    order: BTreeSet<(Rank, FunctionRef)>,
    ranks: HashMap<FunctionRef, Rank>,
}

impl Ranking {
    /// The first of the function's jobs has this rank; none if no job waits.
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

    /// The function that is first, by what is written here.
    pub(crate) fn first(&self) -> Option<(Rank, FunctionRef)> {
        self.order.first().copied()
    }
}
