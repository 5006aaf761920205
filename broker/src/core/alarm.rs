//! The memory alarm. While it lasts, a connection that publishes is notified and no longer read;
//! its first publish during the alarm still counts, as on RabbitMQ.

use std::time::Instant;

use amq_protocol::protocol::connection::{AMQPMethod, Blocked, Unblocked};

use super::{ConnectionId, Core};

#[derive(Debug, Default)]
pub(super) struct Alarm {
    is_raised: bool,
    /// Raised on purpose, whatever the memory says.
    is_forced: bool,
}

impl Core {
    pub(crate) fn force_alarm(&mut self, on: bool, now: Instant) {
        self.alarm.is_forced = on;
        self.check_memory(now);
    }

    pub(crate) fn is_alarmed(&self) -> bool {
        self.alarm.is_raised
    }

    /// Raises or ends the alarm; it ends a tenth below the mark, so that it does not flutter.
    pub(super) fn check_memory(&mut self, now: Instant) {
        let (used, mark) = (self.memory.used(), self.settings.memory_mark);
        let is_full = used > if self.alarm.is_raised { mark - mark / 10 } else { mark };
        let is_raised = is_full || self.alarm.is_forced;
        if is_raised == self.alarm.is_raised {
            return;
        }
        self.alarm.is_raised = is_raised;
        tracing::warn!(is_raised, used, mark, "memory alarm");
        if !is_raised {
            self.unblock_all(now);
        }
    }

    /// After a publish: stops reading from the connection if memory is short.
    pub(super) fn block_publisher(&mut self, id: ConnectionId) {
        if !self.alarm.is_raised {
            return;
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.is_blocked = true;
        if connection.capabilities.connection_blocked {
            let blocked = Blocked { reason: "low on memory".into() };
            self.send_connection(id, AMQPMethod::Blocked(blocked));
        }
        self.touch(id);
    }

    fn unblock_all(&mut self, now: Instant) {
        let blocked: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.is_blocked)
            .map(|(id, _)| *id)
            .collect();
        for id in blocked {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            connection.is_blocked = false;
            let held = std::mem::take(&mut connection.held);
            if connection.capabilities.connection_blocked {
                self.send_connection(id, AMQPMethod::Unblocked(Unblocked {}));
            }
            self.touch(id);
            for frame in held {
                self.frame(id, frame, now);
            }
        }
        self.write_confirms();
    }
}
