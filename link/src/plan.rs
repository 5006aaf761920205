//! The options of a link, and its plan.

use std::fmt;

use super::url::BrokerUrl;
use simple_dist_protocol::Generation;
use simple_dist_protocol::topology::{Declaration, Name};

/// A link's settings.
pub struct Options {
    /// The broker's address and login.
    pub url: BrokerUrl,
    /// The connections' name at the broker: `simple-dist worker w-3f9a...`.
    pub name: String,
    /// Whether messages carry the `user_id` that the broker checks: true for clients and workers,
    /// false for the distributor.
    pub signed: bool,
    /// What to declare and consume on each new connection.
    pub plan: Box<dyn Fn(Generation) -> Plan + Send + Sync>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("name", &self.name)
            .field("signed", &self.signed)
            .finish_non_exhaustive()
    }
}

/// What to declare and consume on a new connection, in this order, before
/// [`Event::Up`](super::Event::Up).
#[derive(Debug, Clone)]
pub struct Plan {
    /// Declared on the consuming connection.
    pub declare: Vec<Declaration>,
    /// Consumed on it.
    pub consume: Vec<Consume>,
}

/// A queue to consume.
#[derive(Debug, Clone)]
pub struct Consume {
    /// Identifies its deliveries.
    pub tag: ConsumerTag,
    /// The queue.
    pub queue: Name,
    /// The most unacked deliveries at once; 0 counts as 1.
    pub prefetch: u16,
    /// Whether nobody else may consume it at the same time.
    pub exclusive: bool,
}

/// Identifies an owner's consumers: the index of each in a list of all. With a type parameter instead,
/// the link would be compiled again for each owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerTag(pub usize);

impl ConsumerTag {
    /// The tag of one of these.
    ///
    /// # Panics
    /// If it is not among them.
    pub fn among<S: PartialEq>(all: &[S], one: S) -> Self {
        Self(all.iter().position(|other| *other == one).expect("it is one of all"))
    }

    /// Which of these has this tag.
    pub fn whose<S: Copy>(self, all: &[S]) -> S {
        all[self.0]
    }
}
