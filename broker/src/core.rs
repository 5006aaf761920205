//! The broker without its sockets: client frames go in, frames for clients come out.
//!
//! ```text
//!  Input ──▶ handshake ─▶ dispatch ─▶ declare │ publish │ consume │ settle ──▶ Effect
//!                                        │         │          │
//!                                   exchanges   queues    channels
//! ```
//!
//! No clock, no task, no I/O: time is an argument, and what must happen outside is an effect.

mod alarm;
mod arguments;
mod bind;
mod channel;
mod confirm;
mod connection;
mod consume;
mod dead_letters;
mod declare;
mod deliver;
mod dispatch;
mod exchange;
mod fault;
mod handshake;
mod message;
mod observe;
mod publish;
mod queue;
mod settle;
mod timers;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use amq_protocol::{protocol::AMQPClass, types::ShortString};
use bytes::Bytes;

use self::{
    channel::Channel,
    connection::Connection,
    exchange::Exchange,
    message::Memory,
    queue::{Queue, QueueId},
    timers::Timer,
};
use crate::{settings::Settings, wire::Incoming};

/// Identifies a connection for the life of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// What happened outside.
#[derive(Debug)]
pub(crate) enum Input {
    Connected(ConnectionId),
    Frames(ConnectionId, Vec<Incoming>),
    /// That many bytes of its output reached the connection's socket.
    Written(ConnectionId, usize),
    Gone(ConnectionId),
}

/// What has to happen outside, in this order.
#[derive(Debug)]
pub(crate) enum Effect {
    Write(ConnectionId, Vec<Bytes>),
    /// Read from the connection, or leave its bytes in the socket.
    Read(ConnectionId, bool),
    /// The handshake is over.
    Opened {
        connection: ConnectionId,
        frame_max: usize,
        heartbeat: u16,
    },
    /// Close the socket after what was written.
    Finish(ConnectionId),
    /// Close the socket at once.
    Cut(ConnectionId),
}

impl Effect {
    /// How many bytes it writes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Write(_, chunks) => chunks.iter().map(Bytes::len).sum(),
            Self::Read(..) | Self::Opened { .. } | Self::Finish(_) | Self::Cut(_) => 0,
        }
    }
}

/// A channel of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    connection: ConnectionId,
    channel: u16,
}

/// Counters since the broker's start.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    published: u64,
    returned: u64,
    delivered: u64,
    acked: u64,
}

#[derive(Debug)]
pub(crate) struct Core {
    settings: Settings,
    exchanges: BTreeMap<ShortString, Exchange>,
    queues: HashMap<QueueId, Queue>,
    queue_names: BTreeMap<ShortString, QueueId>,
    connections: BTreeMap<ConnectionId, Connection>,
    timers: BTreeSet<(Instant, Timer)>,
    memory: Memory,
    alarm: alarm::Alarm,
    counters: Counters,
    last_id: u64,
    /// Queues to look at before the next frame.
    awake: Vec<QueueId>,
    /// Channels with confirms to write.
    confirming: Vec<Place>,
    /// Connections with output.
    dirty: Vec<ConnectionId>,
    effects: Vec<Effect>,
}

impl Core {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            exchanges: BTreeMap::new(),
            queues: HashMap::new(),
            queue_names: BTreeMap::new(),
            connections: BTreeMap::new(),
            timers: BTreeSet::new(),
            memory: Memory::default(),
            alarm: alarm::Alarm::default(),
            counters: Counters::default(),
            last_id: 0,
            awake: Vec::new(),
            confirming: Vec::new(),
            dirty: Vec::new(),
            effects: Vec::new(),
        }
    }

    pub(crate) fn apply(&mut self, input: Input, now: Instant) {
        match input {
            Input::Connected(id) => self.connected(id),
            Input::Frames(id, frames) => {
                for frame in frames {
                    self.frame(id, frame, now);
                }
            }
            Input::Written(id, bytes) => self.written(id, bytes, now),
            Input::Gone(id) => self.gone(id, now),
        }
        self.write_confirms();
        self.check_memory(now);
    }

    /// The effects since the last call: writes first.
    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        let mut effects = Vec::with_capacity(self.dirty.len() + self.effects.len());
        for id in std::mem::take(&mut self.dirty) {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            connection.is_dirty = false;
            if !connection.output.is_empty() {
                effects.push(Effect::Write(id, connection.output.take()));
            }
            if connection.is_read != connection.may_be_read() {
                connection.is_read = !connection.is_read;
                effects.push(Effect::Read(id, connection.is_read));
            }
        }
        effects.append(&mut self.effects);
        effects
    }

    fn connected(&mut self, id: ConnectionId) {
        let connection = Connection::new(self.settings.frame_max, self.settings.channel_max);
        self.connections.insert(id, connection);
    }

    /// Sends a method, if the connection still exists.
    fn send(&mut self, place: Place, class: AMQPClass) {
        if let Some(connection) = self.connections.get_mut(&place.connection) {
            connection.send(place.channel, class);
        }
        self.touch(place.connection);
    }

    /// Notes that there is something to write, or a reason to look whether to read.
    fn touch(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push(id);
        }
    }

    fn channel(&mut self, place: Place) -> Option<&mut Channel> {
        self.connections.get_mut(&place.connection)?.channels.get_mut(&place.channel)
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn written(&mut self, id: ConnectionId, bytes: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let was_full = !connection.takes_deliveries();
        connection.queued = connection.queued.saturating_sub(bytes);
        if was_full && connection.takes_deliveries() {
            let queues: Vec<QueueId> = connection.consumed_queues().collect();
            self.wake_all(queues);
            self.serve_awake(now);
        }
        self.touch(id);
    }
}
