//! The two connections of a generation, and the meaning of their errors. Publishing and consuming
//! never share one: the broker blocks publishing connections, and acks must not wait behind that.

use std::time::Duration;

use async_rs::Runtime;
use deadpool_lapin::{Manager, Object, Pool, PoolError, Runtime as PoolRuntime};
use lapin::options::ConfirmSelectOptions;
use lapin::protocol::{AMQPErrorKind, AMQPHardError};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};
use tokio::time::timeout;

use super::bell::Bell;
use super::dial::dial;
use super::frame_filter::Returns;
use super::kit::Kit;
use super::plan::Options;
use super::reason::{Reason, reason};
use super::url::Endpoint;
use simple_dist_protocol::limits;

/// How long one connection may take to close.
const GOODBYE: Duration = Duration::from_millis(400);
/// The channels that a connection must allow: one per consumed queue, and those for questions, of
/// which a distributor asks 32 at a time.
const CHANNELS: u16 = 48;

/// The shortest wait for one address.
const SHARE_MIN: Duration = Duration::from_secs(1);

/// Makes connections. One per link, created inside its runtime.
pub(super) struct Connector {
    name: String,
    endpoints: Vec<(Endpoint, Kit, Pool)>,
    /// The index of the address to try next: the one that worked last.
    turn: usize,
}

/// The connections of one generation.
pub(super) struct Broker {
    /// The address, for logs.
    pub(super) at: String,
    pub(super) consuming: Connection,
    pub(super) publishing: Connection,
    /// Returned messages of the publishing connection.
    pub(super) returns: Returns,
    bells: Bells,
}

/// Those of the consuming and the publishing connection, which are cut when dropped: otherwise their
/// threads would wait for them for good.
pub(super) struct Bells([Bell; 2]);

impl Drop for Bells {
    fn drop(&mut self) {
        self.0.iter().for_each(Bell::cut);
    }
}

impl Connector {
    pub(super) fn new(options: &Options) -> Self {
        let endpoints = options.url.endpoints().iter().map(|endpoint| {
            let (name, kit) = (publishing_name(&options.name), Kit::new());
            let (uri, runtime) = (endpoint.uri().to_string(), Runtime::new(kit.clone()));
            let manager = Manager::new(uri, move || properties(&name), runtime);
            let limit = Some(limits::BROKER);
            let pool = Pool::builder(manager)
                .max_size(1)
                .wait_timeout(limit)
                .create_timeout(limit)
                .recycle_timeout(limit)
                .runtime(PoolRuntime::Tokio1);
            let pool = pool.build().expect("a pool of this runtime has its timeouts");
            (endpoint.clone(), kit, pool)
        });
        Self { name: options.name.clone(), endpoints: endpoints.collect(), turn: 0 }
    }

    /// Connects to the first address that works, starting with the one that worked last; fails with
    /// the reason of the last one.
    pub(super) async fn connect(&mut self) -> Result<Broker, Reason> {
        let mut connected = self.connect_once().await;
        for _ in 1..self.endpoints.len() {
            if connected.is_ok() {
                break;
            }
            connected = self.connect_once().await;
        }
        connected
    }

    /// Makes both connections to one address; on failure the next address is up.
    async fn connect_once(&mut self) -> Result<Broker, Reason> {
        let bell = || Bell::new().map_err(|error| Reason::Lost(error.to_string()));
        let (bells, returns) = (Bells([bell()?, bell()?]), Returns::default());
        let (endpoint, ..) = &self.endpoints[self.turn];
        let at = endpoint.to_string();
        let connected =
            tokio::try_join!(self.consuming(&bells.0[0]), self.publishing(&bells.0[1], &returns));
        if connected.is_err() {
            self.turn = (self.turn + 1) % self.endpoints.len();
        }
        let (consuming, publishing) = connected?;
        Ok(Broker { at, consuming, publishing, returns, bells })
    }

    /// How long each step may take, such that the next address is tried before callers give up on
    /// the first connection.
    fn share(&self) -> Duration {
        let count = u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX);
        (limits::PREFLIGHT / count).max(SHARE_MIN)
    }

    async fn consuming(&self, bell: &Bell) -> Result<Connection, Reason> {
        let (endpoint, ..) = &self.endpoints[self.turn];
        let (uri, properties, kit) = (endpoint.uri(), properties(&self.name), Kit::new());
        kit.put(dial(endpoint, self.share(), &Returns::default(), bell).await?);
        let connecting = Connection::connect_uri_with_runtime(uri, properties, Runtime::new(kit));
        match timeout(limits::BROKER, connecting).await {
            Ok(connected) => fit(connected.map_err(|error| refusal(endpoint, &error))?),
            Err(_) => Err(unreachable(endpoint, "the handshake takes too long")),
        }
    }

    /// Taken out of the pool for good: connections of an old generation are never reused.
    async fn publishing(&self, bell: &Bell, returns: &Returns) -> Result<Connection, Reason> {
        let (endpoint, kit, pool) = &self.endpoints[self.turn];
        kit.put(dial(endpoint, self.share(), returns, bell).await?);
        match pool.get().await {
            Ok(object) => fit(Object::take(object)),
            Err(PoolError::Backend(error)) => Err(refusal(endpoint, &error)),
            Err(error) => Err(unreachable(endpoint, &error.to_string())),
        }
    }
}

/// Refuses a broker with too low limits by a clear error, instead of failing later.
fn fit(connection: Connection) -> Result<Connection, Reason> {
    match connection.configuration().channel_max() {
        CHANNELS.. => Ok(connection),
        allowed => Err(Reason::Refused(format!(
            "it allows {allowed} channels on a connection, {CHANNELS} are needed"
        ))),
    }
}

/// An error from a broker that answers is a refusal, unless it is shutting down.
fn refusal(endpoint: &Endpoint, error: &lapin::Error) -> Reason {
    let leaves = AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED);
    let says = matches!(error.kind(), ErrorKind::ProtocolError(amqp) if *amqp.kind() != leaves);
    match reason(error) {
        Reason::Lost(problem) if says => Reason::Refused(problem),
        Reason::Lost(problem) => unreachable(endpoint, &problem),
        other => other,
    }
}

fn unreachable(endpoint: &Endpoint, problem: &str) -> Reason {
    Reason::Unreachable { address: endpoint.address(), problem: problem.to_owned() }
}

impl Broker {
    /// Closes the connections within a limit, and drops them. A blocked connection cannot be closed
    /// properly.
    pub(super) async fn close(&self) {
        self.asking(async { tokio::join!(close(&self.consuming), close(&self.publishing)) }).await;
        self.bells.0.iter().for_each(Bell::cut);
    }

    /// Rings both bells after each step of what asks the broker something.
    pub(super) async fn asking<F: Future>(&self, work: F) -> F::Output {
        Bell::rung_by(&self.bells.0, work).await
    }

    /// What wakes the thread of the consuming connection.
    pub(super) fn consuming_bell(&self) -> &Bell {
        &self.bells.0[0]
    }

    /// What wakes the thread of the publishing connection.
    pub(super) fn publishing_bell(&self) -> &Bell {
        &self.bells.0[1]
    }
}

async fn close(connection: &Connection) {
    if connection.status().blocked() {
        return;
    }
    // If closing fails or takes too long, it is dropped all the same.
    let _closed = timeout(GOODBYE, connection.close(200, "OK".into())).await;
}

fn publishing_name(name: &str) -> String {
    format!("{name} (publishing)")
}

fn properties(name: &str) -> ConnectionProperties {
    ConnectionProperties::default().with_connection_name(name.into())
}

/// A channel in confirm mode.
pub(super) async fn confirming(connection: &Connection) -> Result<Channel, lapin::Error> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}
