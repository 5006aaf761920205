//! What the broker keeps for one channel: its consumers, what it was handed and has not yet
//! acknowledged, its confirms, and the message that is just coming in.

use std::collections::BTreeMap;

use amq_protocol::{protocol::basic::Publish, types::ShortString};
use bytes::Bytes;

use super::{
    message::{Entry, Held},
    queue::QueueId,
};
use crate::wire::ContentHeader;

/// Names a consumer on the whole broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConsumerId(pub(super) u64);

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) tag: ShortString,
    pub(super) queue: QueueId,
    pub(super) no_ack: bool,
    /// Most deliveries unacknowledged at a time; 0 is no limit.
    pub(super) prefetch: u16,
    pub(super) unacked: usize,
}

impl Consumer {
    fn has_room(&self) -> bool {
        self.no_ack || self.prefetch == 0 || self.unacked < usize::from(self.prefetch)
    }
}

/// A delivery that was neither acknowledged nor given back.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) queue: QueueId,
    /// Who it was for; nobody if it was fetched by `basic.get`.
    pub(super) consumer: Option<ConsumerId>,
    pub(super) entry: Entry,
}

/// The message that is just coming in.
#[derive(Debug, Default)]
pub(super) enum Publishing {
    #[default]
    Nothing,
    AwaitingHeader(Publish),
    AwaitingBody(Box<Partial>),
}

#[derive(Debug)]
pub(super) struct Partial {
    pub(super) publish: Publish,
    pub(super) header: Box<ContentHeader>,
    pub(super) body: Body,
    pub(super) left: usize,
    pub(super) held: Held,
}

/// A body in the making. One frame is kept as it is; more are gathered into one buffer, so that
/// many tiny frames cost no more than their bytes.
#[derive(Debug)]
pub(super) enum Body {
    Whole(Bytes),
    Gathered(Vec<u8>),
}

impl Body {
    pub(super) fn append(&mut self, part: Bytes) {
        match self {
            Self::Whole(bytes) if bytes.is_empty() => *bytes = part,
            Self::Whole(bytes) => {
                let mut gathered = Vec::with_capacity(2 * (bytes.len() + part.len()));
                gathered.extend_from_slice(bytes);
                gathered.extend_from_slice(&part);
                *self = Self::Gathered(gathered);
            }
            Self::Gathered(gathered) => gathered.extend_from_slice(&part),
        }
    }

    pub(super) fn finish(self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Gathered(mut gathered) => {
                gathered.shrink_to_fit();
                Bytes::from(gathered)
            }
        }
    }
}

/// The publisher confirms of a channel in confirm mode.
#[derive(Debug)]
pub(super) struct Confirms {
    pub(super) next: u64,
    /// Outcomes not yet written, in the order of their publishes.
    pub(super) pending: Vec<(u64, Outcome)>,
}

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    Rejected,
}

#[derive(Debug)]
pub(super) struct Channel {
    /// The broker closed it and awaits the client's `close-ok`; all else is ignored.
    pub(super) is_closing: bool,
    pub(super) publishing: Publishing,
    pub(super) confirms: Option<Confirms>,
    pub(super) consumers: BTreeMap<ConsumerId, Consumer>,
    pub(super) unacked: BTreeMap<u64, Unacked>,
    /// Prefetch of consumers to come.
    pub(super) prefetch: u16,
    last_delivery: u64,
}

impl Channel {
    pub(super) fn new() -> Self {
        Self {
            is_closing: false,
            publishing: Publishing::Nothing,
            confirms: None,
            consumers: BTreeMap::new(),
            unacked: BTreeMap::new(),
            prefetch: 0,
            last_delivery: 0,
        }
    }

    pub(super) fn next_delivery(&mut self) -> u64 {
        self.last_delivery += 1;
        self.last_delivery
    }

    pub(super) fn has_delivered(&self, tag: u64) -> bool {
        tag <= self.last_delivery
    }

    pub(super) fn can_take(&self, consumer: ConsumerId) -> bool {
        let consumer = self.consumers.get(&consumer);
        !self.is_closing && consumer.is_some_and(Consumer::has_room)
    }

    /// Takes a delivery off the books. Adds the queues that may deliver more now.
    pub(super) fn settle(&mut self, tag: u64, freed: &mut Vec<QueueId>) -> Option<Unacked> {
        let unacked = self.unacked.remove(&tag)?;
        let Some(id) = unacked.consumer else { return Some(unacked) };
        if let Some(consumer) = self.consumers.get_mut(&id) {
            if !consumer.has_room() {
                freed.push(consumer.queue);
            }
            consumer.unacked -= 1;
        }
        Some(unacked)
    }

    pub(super) fn consumer_tagged(&self, tag: &str) -> Option<ConsumerId> {
        self.consumers.iter().find(|(_, consumer)| consumer.tag.as_str() == tag).map(|(id, _)| *id)
    }
}
