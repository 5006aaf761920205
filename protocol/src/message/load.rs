//! What a worker says of its machine.

use serde::{Deserialize, Serialize};

/// How busy a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// The share of its processors' time that was used since the last beat, from 0 to 1.
    pub cpu: f32,
    /// How many threads ran or waited for a processor, on average over the last minute.
    pub average: f32,
    /// Bytes of its memory in use, caches apart.
    pub memory: u64,
    /// Bytes of its memory.
    pub memory_total: u64,
    /// Bytes that the worker itself has in memory, without its child processes.
    pub resident: u64,
}
