//! The two connections of a generation, and what their errors mean. Publishing and consuming
//! never share one: the broker blocks publishing connections, and acks must not wait behind that.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_lapin::{Config, Object, Pool, PoolConfig, PoolError, Runtime, Timeouts};
use lapin::options::ConfirmSelectOptions;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};
use tokio::time::timeout;

use super::preflight::preflight;
use super::{BrokerUrl, Options, Reason};
use crate::limits;

/// The wait for one connection to say goodbye.
const GOODBYE: Duration = Duration::from_millis(400);

/// Makes connections. One per link, made inside its runtime.
pub(super) struct Connector {
    url: BrokerUrl,
    name: String,
    publishing: Pool,
}

/// The connections of one generation.
pub(super) struct Broker {
    pub(super) consuming: Connection,
    pub(super) publishing: Connection,
}

impl Connector {
    pub(super) fn new(options: &Options) -> Self {
        let name = publishing_name(&options.name);
        let limit = Some(limits::BROKER);
        let timeouts = Timeouts { wait: limit, create: limit, recycle: limit };
        let config = Config {
            url: Some(options.url.uri().to_string()),
            pool: Some(PoolConfig { timeouts, ..PoolConfig::new(1) }),
        };
        let publishing = config
            .create_pool(move || properties(&name), Runtime::Tokio1)
            .expect("a pool of this runtime has its timeouts");
        Self { url: options.url.clone(), name: options.name.clone(), publishing }
    }

    /// Both connections, or why not.
    pub(super) async fn connect(&self) -> Result<Broker, Reason> {
        preflight(&self.url).await?;
        let (consuming, publishing) = tokio::try_join!(self.consuming(), self.publishing())?;
        Ok(Broker { consuming, publishing })
    }

    async fn consuming(&self) -> Result<Connection, Reason> {
        let (uri, properties) = (self.url.uri(), properties(&self.name));
        match self.url.tls() {
            Some(tls) => self.connected(tls.connect(uri, properties)).await,
            None => self.connected(Connection::connect_uri(uri, properties)).await,
        }
    }

    /// Taken out of the pool for good: what a generation leaves behind is never used again. The
    /// pool cannot be told of certificates, so over TLS it stands aside.
    async fn publishing(&self) -> Result<Connection, Reason> {
        if let Some(tls) = self.url.tls() {
            let properties = properties(&publishing_name(&self.name));
            return self.connected(tls.connect(self.url.uri(), properties)).await;
        }
        match self.publishing.get().await {
            Ok(object) => Ok(Object::take(object)),
            Err(PoolError::Backend(error)) => Err(self.refusal(&error)),
            Err(error) => Err(self.unreachable(&error.to_string())),
        }
    }

    async fn connected(
        &self,
        connecting: impl Future<Output = Result<Connection, lapin::Error>>,
    ) -> Result<Connection, Reason> {
        match timeout(limits::BROKER, connecting).await {
            Ok(connected) => connected.map_err(|error| self.refusal(&error)),
            Err(_) => Err(self.unreachable("the handshake takes too long")),
        }
    }

    fn refusal(&self, error: &lapin::Error) -> Reason {
        match reason(error) {
            Reason::Lost(problem) => self.unreachable(&problem),
            other => other,
        }
    }

    fn unreachable(&self, problem: &str) -> Reason {
        Reason::Unreachable { address: self.url.address(), problem: problem.to_owned() }
    }
}

impl Broker {
    /// Says goodbye to the broker within a limit; a blocked connection cannot, it is dropped.
    pub(super) async fn close(&self) {
        tokio::join!(close(&self.consuming), close(&self.publishing));
    }
}

async fn close(connection: &Connection) {
    if connection.status().blocked() {
        return;
    }
    // Failed or late, it is as gone as can be: dropping it does the rest.
    let _closed = timeout(GOODBYE, connection.close(200, "OK".into())).await;
}

fn publishing_name(name: &str) -> String {
    format!("{name} (publishing)")
}

fn properties(name: &str) -> ConnectionProperties {
    ConnectionProperties::default().with_connection_name(name.into())
}

/// The most channels kept for one kind of question: so many may be asked together without opening
/// one each time.
const KEPT: usize = 64;

/// Channels kept for one kind of question, so that none is opened per message; an error closes
/// one, and the next question opens another.
pub(super) struct Desk {
    confirming: bool,
    kept: Mutex<Vec<Channel>>,
}

impl Desk {
    pub(super) fn new(confirming: bool) -> Self {
        Self { confirming, kept: Mutex::new(Vec::new()) }
    }

    /// A kept channel, or a new one if there is none or others are asking on all of them.
    pub(super) async fn take(&self, connection: &Connection) -> Result<Channel, lapin::Error> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept {
            Some(channel) if channel.status().connected() => Ok(channel),
            Some(_) | None if self.confirming => confirming(connection).await,
            Some(_) | None => connection.create_channel().await,
        }
    }

    /// Gives a channel back after an answer. One that failed is dropped instead.
    pub(super) fn keep(&self, channel: Channel) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(channel);
        }
    }
}

/// A channel that tells what becomes of each message.
pub(super) async fn confirming(connection: &Connection) -> Result<Channel, lapin::Error> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// What an error of the client library means.
pub(super) fn reason(error: &lapin::Error) -> Reason {
    let ErrorKind::ProtocolError(amqp) = error.kind() else {
        return Reason::Lost(error.to_string());
    };
    let text = amqp.get_message().to_string();
    match amqp.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => Reason::Missing(text),
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => Reason::Mismatch(text),
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED | AMQPSoftError::RESOURCELOCKED)
        | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => Reason::Refused(text),
        AMQPErrorKind::Soft(_) | AMQPErrorKind::Hard(_) => Reason::Lost(text),
    }
}

/// Whether somebody else holds the queue exclusively (405).
pub(super) fn is_locked(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ProtocolError(amqp)
            if matches!(amqp.kind(), AMQPErrorKind::Soft(AMQPSoftError::RESOURCELOCKED))
    )
}
