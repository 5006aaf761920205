//! A way to the broker that takes time: what a broker in another town is like.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

use super::{Error, now};

/// The most bytes taken at once, and how many such pieces may be on a way: about 250 MB/s at 150 ms.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 600;

/// Passes bytes on, each a fixed time after it came. Ends when it is dropped.
pub(crate) struct Relay {
    /// The broker's URL by this way.
    pub(crate) url: String,
    _connections: JoinSet<()>,
}

impl Relay {
    /// A relay to the broker at `url`, with so much delay in each direction.
    pub(crate) async fn start(url: &str, delay: Duration) -> Result<Self, Error> {
        let mut url: Url = url.parse().map_err(|_| Error::Url)?;
        let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost").to_owned();
        let target = (host, url.port().unwrap_or(5672));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        url.set_host(Some("127.0.0.1")).map_err(|_| Error::Url)?;
        url.set_port(Some(port)).map_err(|()| Error::Url)?;
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                while ways.try_join_next().is_some() {}
                ways.spawn(connect(near, target.clone(), delay));
            }
        });
        Ok(Self { url: url.into(), _connections: connections })
    }
}

/// Passes on one connection, until either side ends it.
async fn connect(near: TcpStream, target: (String, u16), delay: Duration) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    // Small frames are not to wait for the acknowledgement of those before.
    if near.set_nodelay(true).and(far.set_nodelay(true)).is_err() {
        return;
    }
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = one_way(near_read, far_write, delay) => {}
        () = one_way(far_read, near_write, delay) => {}
    }
}

async fn one_way(from: OwnedReadHalf, to: OwnedWriteHalf, delay: Duration) {
    let (departed, arriving) = mpsc::channel(PIECES);
    tokio::join!(depart(from, departed), arrive(to, arriving, delay));
}

async fn depart(mut from: OwnedReadHalf, departed: mpsc::Sender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let piece = buffer[..count].to_vec();
        if departed.send((now(), piece)).await.is_err() {
            return;
        }
    }
}

async fn arrive(
    mut to: OwnedWriteHalf,
    mut arriving: mpsc::Receiver<(Instant, Vec<u8>)>,
    delay: Duration,
) {
    while let Some((departed, piece)) = arriving.recv().await {
        tokio::time::sleep_until((departed + delay).into()).await;
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
}
