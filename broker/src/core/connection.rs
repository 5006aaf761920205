//! What the broker keeps for one connection.

use std::collections::{BTreeMap, VecDeque};

use amq_protocol::{protocol::AMQPClass, types::ShortString};

use super::{channel::Channel, queue::QueueId};
use crate::wire::{Incoming, Output};

/// Bytes that may wait for a connection's socket before it gets no more deliveries.
pub(super) const DELIVERY_LIMIT: usize = 1024 * 1024;
/// Bytes that may wait for a connection's socket before nothing more is read from it: replies
/// are not held back, so their cause is.
pub(super) const REPLY_LIMIT: usize = 4 * 1024 * 1024;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    AwaitingHello,
    AwaitingStartOk,
    AwaitingTuneOk,
    AwaitingOpen,
    Open,
    /// The broker sent `connection.close` and awaits the answer.
    Closing,
}

/// What the client said it understands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Capabilities {
    pub(super) consumer_cancel_notify: bool,
    pub(super) connection_blocked: bool,
    pub(super) authentication_failure_close: bool,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) phase: Phase,
    pub(super) user: ShortString,
    pub(super) capabilities: Capabilities,
    pub(super) channels: BTreeMap<u16, Channel>,
    pub(super) channel_max: u16,
    pub(super) frame_max: usize,
    pub(super) output: Output,
    /// Bytes on their way to the socket, gathered here or handed to the writer.
    pub(super) queued: usize,
    /// It published during an alarm and is not read until that ends.
    pub(super) is_blocked: bool,
    /// Frames that were already read when the connection was blocked.
    pub(super) held: VecDeque<Incoming>,
    /// What the shell was last told about reading.
    pub(super) is_read: bool,
    /// Stands in the list of connections with output.
    pub(super) is_dirty: bool,
}

impl Connection {
    pub(super) fn new(frame_max: usize, channel_max: u16) -> Self {
        Self {
            phase: Phase::AwaitingHello,
            user: ShortString::default(),
            capabilities: Capabilities::default(),
            channels: BTreeMap::new(),
            channel_max,
            frame_max,
            output: Output::default(),
            queued: 0,
            is_blocked: false,
            held: VecDeque::new(),
            is_read: true,
            is_dirty: false,
        }
    }

    pub(super) fn send(&mut self, channel: u16, class: AMQPClass) {
        self.queued += self.output.method(channel, class);
    }

    pub(super) fn takes_deliveries(&self) -> bool {
        self.phase == Phase::Open && self.queued < DELIVERY_LIMIT
    }

    pub(super) fn may_be_read(&self) -> bool {
        !self.is_blocked && self.queued < REPLY_LIMIT
    }

    /// The queues that its consumers read.
    pub(super) fn consumed_queues(&self) -> impl Iterator<Item = QueueId> {
        let consumers = self.channels.values().flat_map(|channel| channel.consumers.values());
        consumers.map(|consumer| consumer.queue)
    }
}
