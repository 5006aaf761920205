//! A snapshot of what a broker holds.

use std::collections::BTreeMap;

/// Counts of a whole broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Open connections, including those in their handshake.
    pub connections: usize,
    /// Open channels.
    pub channels: usize,
    /// Consumers on all queues.
    pub consumers: usize,
    /// Bytes of all messages held, including overhead.
    pub memory: usize,
    /// Bytes of encoded frames that wait for sockets.
    pub outbound: usize,
    /// Whether the memory alarm is raised, so that publishers are blocked.
    pub alarmed: bool,
    /// Messages published since the start.
    pub published: u64,
    /// Messages returned as unroutable since the start.
    pub returned: u64,
    /// Messages handed to consumers since the start.
    pub delivered: u64,
    /// Deliveries acknowledged since the start.
    pub acked: u64,
    /// Every queue by its name.
    pub queues: BTreeMap<String, QueueStats>,
}

/// Counts of one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Waiting messages.
    pub ready: usize,
    /// Bytes of the waiting messages' bodies.
    pub ready_bytes: usize,
    /// Messages delivered and not yet acknowledged.
    pub unacked: usize,
    /// Consumers.
    pub consumers: usize,
}
