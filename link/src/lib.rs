//! The only crate that uses the broker's client library: a supervised connection that is rebuilt
//! forever, and a single stream of events about it.
//!
//! ```text
//!            Options, Plan                            Event::{Up, Delivery, Settled, Blocked, Down}
//!  owner ----------------------> Link (supervisor) ------------------------------------> owner
//!        --Session::depth, ...-> generation: owns consumers, channels, questions under way
//!        --Session::publish----> one publisher task per lane, which batches waiting items into lists
//!        --Receipt::ack--------> acks
//! ```

mod acks;
mod answer;
mod bell;
mod broker_calls;
mod certificates;
mod connection;
mod consumer;
mod declare;
mod dial;
pub mod environment;
mod event;
mod frame_filter;
mod generation;
mod kit;
mod lists;
mod lock;
mod outgoing;
mod own_thread;
mod plan;
mod publisher;
mod questions;
mod reason;
mod session;
mod socket;
mod supervisor;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod upkeep;
mod url;
mod url_error;
mod watch;
mod wire;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use self::acks::Receipt;
pub use self::certificates::Certificates;
pub use self::event::{Delivery, Event, Settled};
pub use self::outgoing::{Full, Lane, Outgoing, Route};
pub use self::own_thread::own_thread;
pub use self::plan::{Consume, ConsumerTag, Options, Plan};
pub use self::reason::Reason;
pub use self::session::{DRAINED, Depth, Drained, Session};
use self::supervisor::Supervisor;
pub use self::url::BrokerUrl;
pub use self::url_error::UrlError;

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
    pub fn start(options: Options) -> (Self, mpsc::Receiver<Event>) {
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
