//! A broker's settings.

use std::collections::BTreeMap;

/// Users and limits. A limit exists for everything that a client can make the broker keep.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) users: BTreeMap<String, String>,
    /// Frame size offered to clients: RabbitMQ's.
    pub(crate) frame_max: usize,
    /// Channels per connection: RabbitMQ's.
    pub(crate) channel_max: u16,
    /// Seconds between heartbeats offered to clients: RabbitMQ's.
    pub(crate) heartbeat: u16,
    pub(crate) max_connections: usize,
    pub(crate) max_queues: usize,
    pub(crate) max_exchanges: usize,
    pub(crate) max_bindings: usize,
    /// Consumers per channel.
    pub(crate) max_consumers: usize,
    pub(crate) max_message_size: usize,
    /// Bytes of messages beyond which publishers are blocked.
    pub(crate) memory_mark: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            users: BTreeMap::from([("guest".to_owned(), "guest".to_owned())]),
            frame_max: 128 * 1024,
            channel_max: 2047,
            heartbeat: 60,
            max_connections: 1024,
            max_queues: 10_000,
            max_exchanges: 10_000,
            max_bindings: 100_000,
            max_consumers: 10_000,
            max_message_size: 16 * 1024 * 1024,
            memory_mark: 2 * 1024 * 1024 * 1024,
        }
    }
}

/// Hides passwords.
impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("users", &self.users.keys())
            .field("memory_mark", &self.memory_mark)
            .finish_non_exhaustive()
    }
}
