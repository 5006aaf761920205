//! What a worker declares of the answers of its functions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Address, MemoPolicy};

/// How the answers of a deterministic function may be kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Memo {
    /// The function.
    pub function: Address,
    /// For how many milliseconds each.
    pub ttl_ms: u64,
    /// In how many bytes all of them.
    pub bytes: u64,
}

impl Memo {
    /// The declaration of this function.
    pub fn of(function: &Address, policy: MemoPolicy) -> Self {
        let ttl_ms = u64::try_from(policy.ttl.as_millis()).unwrap_or(u64::MAX);
        Self { function: function.clone(), ttl_ms, bytes: policy.bytes }
    }

    /// What it allows.
    pub fn policy(&self) -> MemoPolicy {
        MemoPolicy { ttl: Duration::from_millis(self.ttl_ms), bytes: self.bytes }
    }
}
