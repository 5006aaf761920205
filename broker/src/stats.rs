//! What a broker holds, at one moment.

use std::collections::BTreeMap;

/// Counts of a whole broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Open connections, those in their handshake included.
    pub connections: usize,
    /// Open channels.
    pub channels: usize,
    /// Consumers on all queues.
    pub consumers: usize,
    /// Bytes of all messages held, with what it costs to hold them.
    pub memory: usize,
    /// Bytes of encoded frames that wait for sockets.
    pub outbound: usize,
    /// The memory alarm is raised: publishers are blocked.
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
    /// Messages that wait.
    pub ready: usize,
    /// Bytes of the bodies that wait.
    pub ready_bytes: usize,
    /// Messages delivered and not yet acknowledged.
    pub unacked: usize,
    /// Consumers.
    pub consumers: usize,
}
