//! Exchanges and the routes from them to queues.

use std::collections::{BTreeMap, BTreeSet};

use amq_protocol::types::ShortString;

use super::queue::QueueId;

/// How an exchange matches a message's routing key with its bindings' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Direct,
    Fanout,
}

impl Kind {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "direct" => Some(Self::Direct),
            "fanout" => Some(Self::Fanout),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) kind: Kind,
    pub(super) durable: bool,
    bindings: BTreeMap<ShortString, BTreeSet<QueueId>>,
}

impl Exchange {
    pub(super) fn new(kind: Kind, durable: bool) -> Self {
        Self { kind, durable, bindings: BTreeMap::new() }
    }

    /// What sets it apart from an exchange of the same name.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.kind != other.kind {
            Some("type")
        } else if self.durable != other.durable {
            Some("durable")
        } else {
            None
        }
    }

    pub(super) fn bind(&mut self, key: ShortString, queue: QueueId) {
        self.bindings.entry(key).or_default().insert(queue);
    }

    /// Removes all bindings of a queue.
    pub(super) fn forget(&mut self, queue: QueueId) {
        self.bindings.retain(|_, queues| {
            queues.remove(&queue);
            !queues.is_empty()
        });
    }

    pub(super) fn is_bound(&self) -> bool {
        !self.bindings.is_empty()
    }

    pub(super) fn bindings(&self) -> usize {
        self.bindings.values().map(BTreeSet::len).sum()
    }

    /// The queues that a message with this key goes to; each once.
    pub(super) fn route(&self, key: &ShortString) -> Vec<QueueId> {
        match self.kind {
            Kind::Direct => self.bindings.get(key).into_iter().flatten().copied().collect(),
            Kind::Fanout => {
                let all: BTreeSet<&QueueId> = self.bindings.values().flatten().collect();
                all.into_iter().copied().collect()
            }
        }
    }
}
