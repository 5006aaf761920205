//! The only crate that uses the broker's client library: a supervised connection that is rebuilt
//! forever, and a single stream of events about it.
//!
//! ```text
//!            Options, Plan                            Event::{Up, Delivery, Settled, Blocked, Down}
//!  owner ----------------------> Link (supervisor) ------------------------------------> owner
//!        --Session::publish----> one publisher task per lane, which batches waiting items into lists
//!        --Receipt::ack--------> acks
//! ```

mod acks;
mod certificates;
mod connection;
mod consumer;
mod dial;
pub mod environment;
mod generation;
mod kit;
mod lists;
mod lock;
mod plan;
mod publisher;
mod session;
mod sieve;
mod supervisor;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod upkeep;
mod url;
mod watch;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use self::acks::Receipt;
pub use self::certificates::Certificates;
pub use self::session::{DRAINED, Depth, Drained, Full, Session};
use self::supervisor::Supervisor;
pub use self::url::{BrokerUrl, UrlError};
use simple_dist_protocol::topology::{Declaration, Name};
use simple_dist_protocol::{Generation, Outcome, UserName};

/// A link's settings.
pub struct Options<S> {
    /// The broker's address and login.
    pub url: BrokerUrl,
    /// The connections' name at the broker: `simple-dist worker w-3f9a...`.
    pub name: String,
    /// Whether messages carry the `user_id` that the broker checks: true for clients and workers,
    /// false for the distributor.
    pub signed: bool,
    /// What to declare and consume on each new connection.
    pub plan: Box<dyn Fn(Generation) -> Plan<S> + Send + Sync>,
}

impl<S> fmt::Debug for Options<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("name", &self.name)
            .field("signed", &self.signed)
            .finish_non_exhaustive()
    }
}

/// What to declare and consume on a new connection, in this order, before [`Event::Up`].
#[derive(Debug, Clone)]
pub struct Plan<S> {
    /// Declared on the consuming connection.
    pub declare: Vec<Declaration>,
    /// Consumed on it.
    pub consume: Vec<Consume<S>>,
}

/// A queue to consume.
#[derive(Debug, Clone)]
pub struct Consume<S> {
    /// Identifies its deliveries.
    pub source: S,
    /// The queue.
    pub queue: Name,
    /// The most unacked deliveries at once; 0 counts as 1.
    pub prefetch: u16,
    /// Whether nobody else may consume it at the same time.
    pub exclusive: bool,
}

/// Identifies an owner's consumers: an enum of what it consumes.
pub trait Source: Copy + Eq + fmt::Debug + Send + Sync + 'static {}

impl<T: Copy + Eq + fmt::Debug + Send + Sync + 'static> Source for T {}

/// An event of a link. After `Down`, no more events of that generation follow.
#[derive(Debug)]
pub enum Event<S> {
    /// Connected, declared, consuming; not blocked until [`Event::Blocked`].
    Up(Session<S>),
    /// The broker blocks publishers because of an alarm; nothing is lost and nothing is torn down.
    Blocked,
    /// The broker accepts messages again.
    Unblocked,
    /// The connection is lost; the fate of everything unsettled or unacked is unknown. It is being
    /// rebuilt. Repeated after each failed attempt.
    Down(Reason),
    /// A message arrived.
    Delivery(Delivery<S>),
    /// Messages were confirmed, returned or refused.
    Settled(Settled),
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing answers at the address.
    #[error("no broker answers at {address}: {problem}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What happened.
        problem: String,
    },
    /// TLS failed: the certificate cannot be trusted, or the broker wants another one of ours.
    #[error("no TLS with {address}: {problem}")]
    Tls {
        /// Host and port.
        address: String,
        /// What happened.
        problem: String,
    },
    /// The broker refuses the login or lacks a permission.
    #[error("refused by the broker: {0}")]
    Refused(String),
    /// Something that this role needs has not been declared by a distributor yet.
    #[error("not declared yet: {0}")]
    Missing(String),
    /// Something is declared with other properties (406): another installation's prefix or queue
    /// type.
    #[error("declared otherwise: {0}")]
    Mismatch(String),
    /// The connection was lost, or an answer did not come in time.
    #[error("the connection was lost: {0}")]
    Lost(String),
}

/// A received message.
#[derive(Debug)]
pub struct Delivery<S> {
    /// The consumer it came from.
    pub source: S,
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
    /// The tokens of [`Outgoing`].
    pub tokens: Vec<u64>,
    /// Their outcome.
    pub outcome: Outcome,
}

/// Where and how a message is published. Items with equal routes may travel as one list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// The exchange.
    pub exchange: Name,
    /// The routing key.
    pub key: Name,
    /// Whether a message that reaches no queue is returned.
    pub mandatory: bool,
    /// For list messages, the encoded message around the list
    /// ([`codec::envelope`](simple_dist_protocol::codec::envelope)); `None` for messages that
    /// travel alone.
    pub envelope: Option<Bytes>,
}

/// A message, or one item of a list message.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The route.
    pub route: Arc<Route>,
    /// The encoded item, or the whole message if the route has no envelope.
    pub body: Bytes,
    /// The measured run time of the job in it, or zero: a list carries at most
    /// [`LIST_WORK`](simple_dist_protocol::limits::LIST_WORK).
    pub work: Duration,
    /// Comes back in [`Settled`]; `None` if the outcome does not matter.
    pub token: Option<u64>,
    /// The publisher to use.
    pub lane: Lane,
}

/// Separate publishers, so that control messages never wait behind jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Jobs and answers.
    Jobs,
    /// Beats, presence, control.
    Control,
}

/// A supervised connection to the broker. Close it with [`Link::close`]; dropping it drops
/// everything that waits.
#[derive(Debug)]
pub struct Link {
    /// The supervisor's task.
    tasks: JoinSet<()>,
    closing: CancellationToken,
}

/// The most events waiting for the owner; beyond that, messages wait at the broker.
const EVENTS: usize = 4096;
/// How long [`Link::close`] may take.
const CLOSE: Duration = Duration::from_secs(2);

impl Link {
    /// Starts to connect, and reconnects forever. Must be called inside a tokio runtime.
    pub fn start<S: Source>(options: Options<S>) -> (Self, mpsc::Receiver<Event<S>>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let closing = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(Supervisor::new(options, events).run(closing.clone()));
        (Self { tasks, closing }, receiver)
    }

    /// Publishes what waits, then closes the connections, within two seconds.
    pub async fn close(mut self) {
        self.closing.cancel();
        if timeout(CLOSE, self.tasks.join_next()).await.is_err() {
            tracing::warn!("the link did not close in time, what waited is dropped");
        }
        self.tasks.shutdown().await;
    }
}
