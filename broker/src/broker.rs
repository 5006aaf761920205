//! Starting, watching and stopping a broker.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    error::Error,
    faults::Faults,
    server::{Engine, Event, Listener, Order, order},
    settings::Settings,
    stats::Stats,
};

/// The most events waiting for the engine. Beyond that, sockets wait, and their peers with them.
const MAILBOX_SIZE: usize = 256;
/// How long clients get to answer `connection.close` when the broker stops.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// An embedded AMQP 0-9-1 broker.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), simple_dist_broker::Error> {
/// let broker = simple_dist_broker::Broker::builder().start().await?;
/// assert!(broker.url().starts_with("amqp://guest:guest@127.0.0.1:"));
/// broker.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Broker;

impl Broker {
    /// A broker on a free port of the loopback address, with the user `guest`, unless told
    /// otherwise.
    pub fn builder() -> Builder {
        Builder { bind: "127.0.0.1:0".to_owned(), users: Vec::new(), settings: Settings::default() }
    }
}

/// A broker's settings.
#[derive(Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    bind: String,
    users: Vec<User>,
    settings: Settings,
}

struct User {
    name: String,
    password: String,
}

/// Hides the password.
impl std::fmt::Debug for User {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Builder {
    /// The address to listen on: `host:port`, where port 0 is any free one.
    pub fn bind(mut self, address: impl Into<String>) -> Self {
        self.bind = address.into();
        self
    }

    /// Adds a user. The default user `guest` exists only while no other is added.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.push(User { name: name.into(), password: password.into() });
        self
    }

    /// Bytes of messages beyond which publishers are blocked; 2 GiB by default.
    pub fn memory_mark(mut self, bytes: usize) -> Self {
        self.settings.memory_mark = bytes;
        self
    }

    /// The largest message body; 16 MiB by default, as RabbitMQ's.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.settings.max_message_size = bytes;
        self
    }

    /// Connections at a time; 1,024 by default. Further ones are refused.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.settings.max_connections = connections;
        self
    }

    /// Queues at a time; 10,000 by default.
    pub fn max_queues(mut self, queues: usize) -> Self {
        self.settings.max_queues = queues;
        self
    }

    /// The largest frame offered to clients, at least 4,096 bytes; 128 KiB by default, as
    /// RabbitMQ's.
    pub fn frame_max(mut self, bytes: u32) -> Self {
        self.settings.frame_max = usize::try_from(bytes.max(4096)).unwrap_or(usize::MAX);
        self
    }

    /// Channels per connection offered to clients; 2,047 by default, as RabbitMQ's.
    pub fn channel_max(mut self, channels: u16) -> Self {
        self.settings.channel_max = channels;
        self
    }

    /// The heartbeat offered to clients, in whole seconds; 60 s by default, as RabbitMQ's. The
    /// client decides.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.settings.heartbeat = u16::try_from(interval.as_secs()).unwrap_or(u16::MAX);
        self
    }

    /// Binds the address and starts to serve.
    ///
    /// # Errors
    /// If the address cannot be listened on, if it is no loopback address and no user was named,
    /// or if a user's name or password is empty or too long.
    pub async fn start(mut self) -> Result<Handle, Error> {
        let failed = |source| Error::Bind { address: self.bind.clone(), source };
        let listener = TcpListener::bind(&self.bind).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        if !addr.ip().is_loopback() && self.users.is_empty() {
            return Err(Error::NotLoopback(addr));
        }
        let fits = |text: &str| (1..=255).contains(&text.len()) && !text.contains('\0');
        if !self.users.iter().all(|user| fits(&user.name) && fits(&user.password)) {
            return Err(Error::BadUser);
        }
        if !self.users.is_empty() {
            let users = std::mem::take(&mut self.users);
            self.settings.users =
                users.into_iter().map(|user| (user.name, user.password)).collect();
        }
        let listener = listener.into_std().map_err(failed)?;
        Handle::launch(listener, addr, self.settings).map_err(Error::Thread)
    }
}

/// A running broker, on its own thread, so that it serves whatever its users do with theirs.
/// Dropping the handle stops it at once; [`Handle::stop`] closes connections first.
#[derive(Debug)]
pub struct Handle {
    addr: SocketAddr,
    url: String,
    orders: mpsc::Sender<Event>,
    refuses: Arc<AtomicBool>,
    ended: oneshot::Receiver<()>,
    shutdown: DropGuard,
}

impl Handle {
    fn launch(
        listener: std::net::TcpListener,
        addr: SocketAddr,
        settings: Settings,
    ) -> io::Result<Self> {
        let url = url(addr, &settings);
        let shutdown = CancellationToken::new();
        let (orders, mailbox) = mpsc::channel(MAILBOX_SIZE);
        let refuses = Arc::new(AtomicBool::new(false));
        let (ending, ended) = oneshot::channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let socket = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let listener = Listener {
            socket,
            mailbox: orders.clone(),
            frame_max: settings.frame_max,
            max_connections: settings.max_connections,
            refuses: Arc::clone(&refuses),
        };
        let token = shutdown.clone();
        let serve = move || {
            runtime.block_on(async {
                let mut tasks = JoinSet::new();
                tasks.spawn(Engine::new(settings, mailbox).run(token.clone()));
                tasks.spawn(listener.run(token));
                while tasks.join_next().await.is_some() {}
            });
            // The caller that stopped the broker may have stopped waiting.
            let _ = ending.send(());
        };
        thread::Builder::new().name("embedded-broker".to_owned()).spawn(serve)?;
        tracing::info!(%addr, "embedded broker listens; what it holds ends with this process");
        Ok(Self { addr, url, orders, refuses, ended, shutdown: shutdown.drop_guard() })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A URL to connect with, as the first user by name. It contains the password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the broker holds now.
    ///
    /// # Errors
    /// If the broker has stopped.
    pub async fn stats(&self) -> Result<Stats, Error> {
        order(&self.orders, Order::Stats).await
    }

    /// Injects faults.
    pub fn faults(&self) -> Faults {
        Faults { orders: self.orders.clone() }
    }

    /// Closes every connection properly, then stops.
    pub async fn stop(self) {
        self.refuses.store(true, std::sync::atomic::Ordering::Relaxed);
        // A client that does not answer is cut below, like one that answers late.
        let _ = timeout(STOP_PATIENCE, order(&self.orders, Order::Close)).await;
        drop(self.shutdown);
        // An error means the same: the thread is gone.
        let _ = self.ended.await;
    }
}

/// Percent-encodes names and passwords, which may contain any character.
fn url(addr: SocketAddr, settings: &Settings) -> String {
    let escape = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let (user, password) = settings
        .users
        .iter()
        .next()
        .map(|(user, password)| (escape(user), escape(password)))
        .unwrap_or_default();
    format!("amqp://{user}:{password}@{addr}/%2f")
}
