//! Fault injection: what a broker or its host does to its clients now and then.

use std::time::Instant;

use super::{ConnectionId, Core, Effect, queue::QueueId};

impl Core {
    /// Loses everything.
    pub(crate) fn restart(&mut self, now: Instant) {
        for id in self.connections.keys().copied().collect::<Vec<ConnectionId>>() {
            self.gone(id, now);
            self.effects.push(Effect::Cut(id));
        }
        for id in self.queues.keys().copied().collect::<Vec<QueueId>>() {
            self.delete_queue(id);
        }
        self.exchanges.clear();
    }

    /// Deletes a queue, even an exclusive one; false if there is none of that name.
    pub(crate) fn delete_named(&mut self, name: &str, now: Instant) -> bool {
        let Some(id) = self.queue_names.get(name).copied() else { return false };
        self.delete_queue(id);
        self.serve_awake(now);
        true
    }
}
