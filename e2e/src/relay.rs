//! A relay in front of the broker that can cut, stall and refuse the connections of one process.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the relay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Forwards bytes.
    Open,
    /// Keeps the connections open but forwards nothing.
    Stalled,
    /// Closes all connections and accepts none.
    Refused,
}

/// A relay on loopback. It stops when it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    target: String,
    mode: watch::Sender<Mode>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// A relay in front of the broker of this URL.
    ///
    /// # Panics
    /// Panics if the URL has no `host:port`, or no port is free.
    pub async fn before(url: &str) -> Self {
        let target = host_and_port(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (mode, seen) = watch::channel(Mode::Open);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target.clone(), seen));
        Self { address, target, mode, _tasks: tasks }
    }

    /// The URL with the relay's address.
    pub fn url(&self, url: &str) -> String {
        url.replace(&self.target, &self.address.to_string())
    }

    /// Closes every connection; new ones are accepted.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Refused);
        self.mode.send_replace(Mode::Open);
    }

    /// Closes every connection and accepts no new ones.
    pub fn refuse(&self) {
        self.mode.send_replace(Mode::Refused);
    }

    /// Keeps every connection but forwards nothing.
    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stalled);
    }

    /// Forwards everything again.
    pub fn open(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

pub(crate) fn host_and_port(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let address = &rest[..end];
    assert!(address.contains(':'), "the URL names a port");
    address
}

async fn accept(listener: TcpListener, target: String, seen: watch::Receiver<Mode>) {
    let mut pairs = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        while pairs.try_join_next().is_some() {}
        if *seen.borrow() != Mode::Refused {
            pairs.spawn(relay(near, target.clone(), seen.clone()));
        }
    }
}

/// Relays one connection until either end closes or the relay is cut. Reacts to every change of
/// mode since it began, so that a cut is seen even if the relay is open again by then.
async fn relay(near: TcpStream, target: String, seen: watch::Receiver<Mode>) {
    let Ok(far) = TcpStream::connect(&target).await else { return };
    // Without this, small frames are delayed by Nagle's algorithm.
    if near.set_nodelay(true).and(far.set_nodelay(true)).is_err() {
        return;
    }
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::select! {
        () = pump(near_read, far_write, seen.clone()) => {}
        () = pump(far_read, near_write, seen.clone()) => {}
        () = cut(seen) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut seen: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if seen.wait_for(|mode| *mode != Mode::Stalled).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}

/// Waits for a cut: any change other than to or from a stall.
async fn cut(mut seen: watch::Receiver<Mode>) {
    let mut last = *seen.borrow_and_update();
    while seen.changed().await.is_ok() {
        let mode = *seen.borrow_and_update();
        let stall = last == Mode::Stalled || mode == Mode::Stalled;
        if !stall {
            return;
        }
        last = mode;
    }
}
