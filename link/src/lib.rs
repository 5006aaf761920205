//! The one place that knows the broker's client library: a supervised connection that is rebuilt
//! for ever, and everything that happens on it as one stream of events.
//!
//! ```text
//!            Options, Plan                            Event::{Up, Delivery, Settled, Blocked, Down}
//!  owner ----------------------> Link (supervisor) ------------------------------------> owner
//!        --Session::publish----> one publisher task per lane, lists formed of what waits
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

/// What a link is to do.
pub struct Options<S> {
    /// Where the broker is.
    pub url: BrokerUrl,
    /// What the connections are called at the broker: `simple-dist worker w-3f9a...`.
    pub name: String,
    /// Whether messages carry the `user_id` that the broker checks: clients' and workers' do, the
    /// distributor's own never.
    pub signed: bool,
    /// What is declared and consumed whenever a connection was made.
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

/// What is declared and consumed on a new connection, in this order, before [`Event::Up`].
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
    /// What its deliveries are.
    pub source: S,
    /// The queue.
    pub queue: Name,
    /// Deliveries that may be unacked at once.
    pub prefetch: u16,
    /// Whether nobody else may consume it meanwhile.
    pub exclusive: bool,
}

/// What tells an owner's consumers apart: an enum of its own, of what it consumes.
pub trait Source: Copy + Eq + fmt::Debug + Send + Sync + 'static {}

impl<T: Copy + Eq + fmt::Debug + Send + Sync + 'static> Source for T {}

/// What happens on a link. After `Down` nothing of that generation follows.
#[derive(Debug)]
pub enum Event<S> {
    /// Connected, declared, consuming. Not blocked, until [`Event::Blocked`] says so anew.
    Up(Session<S>),
    /// The broker takes no messages for now (an alarm); nothing is lost and nothing torn down.
    Blocked,
    /// It takes them again.
    Unblocked,
    /// The connection is gone; everything unsettled and unacked is unknown. It is being rebuilt.
    /// Told again after each try that fails.
    Down(Reason),
    /// A message came.
    Delivery(Delivery<S>),
    /// Messages were confirmed, returned or refused.
    Settled(Settled),
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing answers there.
    #[error("no broker answers at {address}: {problem}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What happened.
        problem: String,
    },
    /// There is somebody, but no TLS with it: its certificate is not to be trusted, or it wants
    /// another of ours.
    #[error("no TLS with {address}: {problem}")]
    Tls {
        /// Host and port.
        address: String,
        /// What happened.
        problem: String,
    },
    /// The broker refuses the login or a right.
    #[error("refused by the broker: {0}")]
    Refused(String),
    /// Something this side needs has not been declared yet: the distributor has not been here.
    #[error("not declared yet: {0}")]
    Missing(String),
    /// Something is declared otherwise (406): another installation's prefix or queue kind.
    #[error("declared otherwise: {0}")]
    Mismatch(String),
    /// It was there and is lost, or an answer did not come in time.
    #[error("the connection was lost: {0}")]
    Lost(String),
}

/// A message that came.
#[derive(Debug)]
pub struct Delivery<S> {
    /// What it is.
    pub source: S,
    /// Its bytes.
    pub body: Bytes,
    /// Who sent it, as the broker checked.
    pub user: Option<UserName>,
    /// The version of the wire it says.
    pub version: Option<u8>,
    /// Whether the broker may have handed it out before.
    pub redelivered: bool,
    /// To be acked when its consequence is safe.
    pub receipt: Receipt,
}

/// What became of messages published in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The tokens of [`Outgoing`].
    pub tokens: Vec<u64>,
    /// What became of them.
    pub outcome: Outcome,
}

/// Where a message goes and how. Messages of equal routes may travel as one list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// The exchange.
    pub exchange: Name,
    /// The routing key.
    pub key: Name,
    /// Whether a message that reaches no queue comes back.
    pub mandatory: bool,
    /// For list messages, what stands before the list ([`codec::envelope`](simple_dist_protocol::codec::envelope));
    /// none for messages that travel alone.
    pub envelope: Option<Bytes>,
}

/// A message, or one item of a list message.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub route: Arc<Route>,
    /// The encoded item, or the whole message where the route has no envelope.
    pub body: Bytes,
    /// The measured run time of the job in it, zero if it has none: a list carries at most
    /// [`LIST_WORK`](simple_dist_protocol::limits::LIST_WORK).
    pub work: Duration,
    /// Comes back in [`Settled`]; none for what nobody asks after.
    pub token: Option<u64>,
    /// Which publisher takes it.
    pub lane: Lane,
}

/// Publishers beside each other, so that control never waits behind jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Jobs and answers.
    Jobs,
    /// Beats, presence, control.
    Control,
}

/// A supervised connection to the broker. Its owner waits for it with [`Link::close`]; dropped,
/// it leaves at once with whatever waits.
#[derive(Debug)]
pub struct Link {
    /// The supervisor alone.
    tasks: JoinSet<()>,
    closing: CancellationToken,
}

/// Events that wait for the owner. What does not fit waits at the broker.
const EVENTS: usize = 4096;
/// The most time of [`Link::close`].
const CLOSE: Duration = Duration::from_secs(2);

impl Link {
    /// Begins to connect, and goes on for ever. Call it inside a tokio runtime.
    pub fn start<S: Source>(options: Options<S>) -> (Self, mpsc::Receiver<Event<S>>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let closing = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(Supervisor::new(options, events).run(closing.clone()));
        (Self { tasks, closing }, receiver)
    }

    /// Publishes what waits, closes the connections, ends; within two seconds.
    pub async fn close(mut self) {
        self.closing.cancel();
        if timeout(CLOSE, self.tasks.join_next()).await.is_err() {
            tracing::warn!("the link did not close in time, what waited is dropped");
        }
        self.tasks.shutdown().await;
    }
}
