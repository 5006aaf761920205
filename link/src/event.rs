//! The events of a link.

use bytes::Bytes;

use super::acks::Receipt;
use super::plan::ConsumerTag;
use super::reason::Reason;
use super::session::Session;
use simple_dist_protocol::{Outcome, UserName};

/// An event of a link. After `Down`, no more events of that generation follow.
#[derive(Debug)]
pub enum Event {
    /// Connected, declared, consuming; not blocked until [`Event::Blocked`].
    Up(Session),
    /// The broker blocks publishers because of an alarm; nothing is lost and nothing is torn down.
    Blocked,
    /// The broker accepts messages again.
    Unblocked,
    /// The connection is lost; the fate of everything unsettled or unacked is unknown. It is being
    /// rebuilt. Repeated after each failed attempt.
    Down(Reason),
    /// A message arrived.
    Delivery(Delivery),
    /// Messages were confirmed, returned or refused.
    Settled(Settled),
}

/// A received message.
#[derive(Debug)]
pub struct Delivery {
    /// That of its [`Consume`](super::Consume).
    pub tag: ConsumerTag,
    /// The body.
    pub body: Bytes,
    /// The sender's login, checked by the broker; `None` if there is none.
    pub user: Option<UserName>,
    /// The version of the wire protocol in its header.
    pub version: Option<u8>,
    /// Whether the broker may have delivered it before.
    pub redelivered: bool,
    /// To be acked once its effects are safe.
    pub receipt: Receipt,
}

/// The outcome of messages published together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The tokens of [`Outgoing`](super::Outgoing).
    pub tokens: Vec<u64>,
    /// Their outcome.
    pub outcome: Outcome,
}
