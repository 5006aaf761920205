//! How long, and in how many bytes, the answers of a function are kept.

use std::time::Duration;

/// How the answers of a deterministic function are kept for equal calls to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoPolicy {
    /// How long each.
    pub ttl: Duration,
    /// The most bytes that all of them take.
    pub bytes: u64,
}

impl MemoPolicy {
    /// The less of both: what all declarations of a function allow.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        Self { ttl: self.ttl.min(other.ttl), bytes: self.bytes.min(other.bytes) }
    }
}
