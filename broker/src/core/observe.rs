//! Counts for observers of the broker.

use super::{ConnectionId, Core};
use crate::stats::{QueueStats, Stats};

impl Core {
    /// Whether no trace of the connection is left, as must be after its end.
    pub(crate) fn holds_nothing_of(&self, id: ConnectionId) -> bool {
        !self.connections.contains_key(&id)
            && self.queues.values().all(|queue| {
                queue.owner != Some(id)
                    && queue.subscribers.iter().all(|subscriber| subscriber.connection != id)
            })
    }

    pub(crate) fn stats(&self) -> Stats {
        let queues = self.queues.values().map(|queue| {
            let stats = QueueStats {
                ready: queue.ready(),
                ready_bytes: queue.ready_bytes(),
                unacked: queue.unacked,
                consumers: queue.subscribers.len(),
            };
            (queue.name.to_string(), stats)
        });
        let connections = self.connections.values();
        Stats {
            connections: self.connections.len(),
            channels: connections.clone().map(|connection| connection.channels.len()).sum(),
            consumers: self.queues.values().map(|queue| queue.subscribers.len()).sum(),
            memory: self.memory.used(),
            outbound: connections.map(|connection| connection.queued).sum(),
            alarmed: self.is_alarmed(),
            published: self.counters.published,
            returned: self.counters.returned,
            delivered: self.counters.delivered,
            acked: self.counters.acked,
            queues: queues.collect(),
        }
    }
}
