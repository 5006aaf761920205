//! The functions of a pool that have jobs waiting, by the rank of the first job of each: which is
//! next costs the logarithm of the functions, not a look at all of them.

use std::collections::{BTreeSet, HashMap};

use super::functions::FunctionRef;
use super::queue::Rank;

/// Functions in the order of their turns. A rank is that of the time it was written here; who
/// looks at the first one puts it right.
#[derive(Debug, Default)]
pub(super) struct Turns {
    order: BTreeSet<(Rank, FunctionRef)>,
    ranks: HashMap<FunctionRef, Rank>,
}

impl Turns {
    /// The first of the function's jobs has this rank; none if no job waits.
    pub(super) fn set(&mut self, function: FunctionRef, rank: Option<Rank>) {
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

    /// The function whose turn it is, by what is written here.
    pub(super) fn first(&self) -> Option<(Rank, FunctionRef)> {
        self.order.first().copied()
    }
}
