//! The accept loop: a limited number of connections, idle ones evicted for new ones, and always a
//! spare one for a probe.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::counters;

use super::access::Access;
use super::connections::{Activity, Allowed, ConnectionSlot, Connections};
use super::memory::hold_until_sent;
use super::peers::{Peer, Peers};
use super::problem::{Kind, Problem};
use super::write_timeout::WriteTimeout;

/// The bounds of a server; tests use shorter ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once. An HTTP call holds one while it waits.
    pub(crate) connections: usize,
    /// Extra connections, for probes only, when all others are busy.
    pub(crate) probes: usize,
    /// How long a client may take to send a request's head, counted from the previous answer on a
    /// kept-alive connection.
    pub(crate) head: Duration,
    /// A client that does not read the buffered part of an answer for this long is cut off.
    pub(crate) write: Duration,
    /// How long requests may take to finish at shutdown before their connections are cut.
    pub(crate) stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            probes: 64,
            head: Duration::from_secs(30),
            write: Duration::from_secs(15),
            stop: Duration::from_millis(1500),
        }
    }
}

/// The limit, in bytes, of a request's head, of the read buffer, and of the part of an answer that
/// waits in the write buffer.
const HEAD_BYTES: usize = 64 * 1024;
/// The kernel's send buffer for each connection; by default it grows to megabytes.
const SEND_BUFFER: u32 = 256 * 1024;
/// The kernel's queue of connections not yet accepted.
const BACKLOG: u32 = 1024;
/// How long a client on a probe-only connection may take to send its request's head.
const PROBE: Duration = Duration::from_secs(2);
/// The pause after a failed accept: the system has run out of some resource.
const BREATHER: Duration = Duration::from_millis(100);

/// Binds the address.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `shutdown`, then gives running requests a moment to finish.
pub(crate) async fn accept(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let (mut tasks, mut connections) = (JoinSet::new(), Connections::default());
    let mut peers = Peers::default();
    loop {
        counters::CONNECTIONS.set(tasks.len());
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = tasks.join_next_with_id() => {
                connections.remove(ended.map_or_else(|failed| failed.id(), |(id, ())| id));
            }
            accepted = listener.accept() => {
                let Some((stream, peer)) = configured(accepted).await else { continue };
                let Some(slot) = connections.admit(limits.connections, limits.probes) else {
                    counters::TURNED_AWAY.add();
                    continue;
                };
                let peer = peers.connected(peer);
                let served = serve((stream, peer), app.clone(), slot.clone(), limits, shutdown.clone());
                connections.insert(tasks.spawn(served).id(), slot);
            }
        }
    }
    drop(listener);
    let all = async { while tasks.join_next().await.is_some() {} };
    // Connections still open now are cut by the shutdown below.
    let _cut = timeout(limits.stop, all).await;
    tasks.shutdown().await;
    counters::CONNECTIONS.set(0);
}

async fn configured(accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<(TcpStream, IpAddr)> {
    match accepted {
        Ok((stream, peer)) => {
            // Answers and events are small and must not wait for each other.
            let _old = stream.set_nodelay(true);
            Some((stream, peer.ip()))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            sleep(BREATHER).await;
            None
        }
    }
}

async fn serve(
    (stream, peer): (TcpStream, Peer),
    app: Router,
    slot: ConnectionSlot,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let mut builder = http1::Builder::new();
    let (head, keep) = match slot.allowed {
        Allowed::All => (limits.head, true),
        Allowed::Probes => (limits.head.min(PROBE), false),
    };
    builder.timer(TokioTimer::new()).header_read_timeout(head).keep_alive(keep);
    builder.max_buf_size(HEAD_BYTES);
    let stream = TokioIo::new(WriteTimeout::new(stream, limits.write));
    let of_service = slot.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        answer(app.clone(), of_service.clone(), request)
    });
    let mut connection = pin!(builder.serve_connection(stream, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = slot.evicted() => return,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Answers a request; the connection counts as busy until it has sent the whole answer.
async fn answer(
    app: Router,
    slot: ConnectionSlot,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    slot.activity.send_replace(Activity::Busy);
    let is_probe = || Access::of(request.method(), request.uri().path()) == Access::Probe;
    let may = slot.allowed == Allowed::All || is_probe();
    let response = if may {
        app.oneshot(request.map(Body::new)).await?
    } else {
        let full = "every connection is busy; only probes are answered now";
        Problem::new(Kind::Busy, full).into_response()
    };
    Ok(hold_until_sent(response, BusyGuard(slot.activity)))
}

/// Marks the connection idle again when it is dropped.
struct BusyGuard(Arc<watch::Sender<Activity>>);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.send_replace(Activity::Idle { since: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    const TEST: Duration = Duration::from_secs(30);
    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    struct Served {
        at: SocketAddr,
        shutdown: CancellationToken,
        server: tokio::task::JoinHandle<()>,
    }

    #[expect(clippy::disallowed_methods, reason = "the test waits for what it spawns")]
    async fn served(app: Router, limits: Limits) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(accept(listener, app, limits, shutdown.clone()));
        Served { at, shutdown, server }
    }

    impl Served {
        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.at).await.unwrap()
        }

        async fn stop(self) {
            self.shutdown.cancel();
            timeout(TEST, self.server).await.expect("it stops").unwrap();
        }
    }

    fn hello() -> Router {
        Router::new().route("/", get(|| async { "hello" }))
    }

    async fn all(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        // A reset counts as an end.
        let _reset = timeout(TEST, stream.read_to_end(&mut text)).await.expect("it ends");
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn an_idle_connection_and_a_slow_head_are_closed() {
        let limits = Limits { head: Duration::from_millis(500), ..Limits::default() };
        let served = served(hello(), limits).await;
        for begin in [&b""[..], b"GET / HTTP/1.1\r\nhost:"] {
            let mut stream = served.connect().await;
            stream.write_all(begin).await.unwrap();
            assert!(!all(&mut stream).await.contains("hello"));
        }
        let mut kept = served.connect().await;
        kept.write_all(ASK).await.unwrap();
        assert!(all(&mut kept).await.ends_with("hello"), "answered, then closed when idle");
        served.stop().await;
    }

    fn probed() -> Router {
        hello()
            .route("/healthz", get(|| async { "ok" }))
            .route("/never", get(std::future::pending::<()>))
    }

    const PROBES: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

    /// So many connections, and this on each of them.
    async fn crowd(served: &Served, connections: usize, begin: &[u8]) -> Vec<TcpStream> {
        let mut crowd = Vec::new();
        for _ in 0..connections {
            let mut stream = served.connect().await;
            stream.write_all(begin).await.unwrap();
            crowd.push(stream);
        }
        crowd
    }

    async fn asked(served: &Served, request: &[u8]) -> String {
        let mut stream = served.connect().await;
        stream.write_all(request).await.unwrap();
        let mut head = [0; 512];
        let read = timeout(TEST, stream.read(&mut head)).await.expect("it answers");
        String::from_utf8_lossy(&head[..read.unwrap_or(0)]).into_owned()
    }

    #[tokio::test]
    async fn a_probe_is_answered_beside_any_number_of_slow_connections() {
        for begin in
            [&b""[..], b"GET / HTTP/1.1\r\nhost:", b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n"]
        {
            let limits = Limits { connections: 64, probes: 8, ..Limits::default() };
            let served = served(probed(), limits).await;
            let crowd = crowd(&served, 100, begin).await;
            for _ in 0..3 {
                assert!(asked(&served, PROBES).await.starts_with("HTTP/1.1 200"));
            }
            drop(crowd);
            served.stop().await;
        }
    }

    #[tokio::test]
    async fn idle_connections_make_room_and_busy_ones_do_not() {
        let limits = Limits { connections: 2, probes: 1, ..Limits::default() };
        let served = served(probed(), limits).await;
        let mut waits = served.connect().await;
        waits.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let works = crowd(&served, 1, b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
        // Until the first has waited long enough, there is room for probes alone.
        loop {
            let answer = asked(&served, ASK).await;
            if answer.starts_with("HTTP/1.1 200") {
                break;
            }
            // Not even that, as long as the one before has it.
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
        }
        assert_eq!(all(&mut waits).await, "");
        drop(works);
        served.stop().await;
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_disconnected() {
        let cut = Arc::new(Notify::new());
        struct Ends(Arc<Notify>);
        impl Drop for Ends {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let ended = Arc::clone(&cut);
        let endless = move || {
            let ends = Ends(Arc::clone(&ended));
            let chunks = futures_util::stream::repeat_with(move || {
                let _held = &ends;
                Ok::<_, Infallible>(vec![0_u8; 64 * 1024])
            });
            async move { Body::from_stream(chunks) }
        };
        let limits = Limits { write: Duration::from_millis(50), ..Limits::default() };
        let served = served(Router::new().route("/", get(endless)), limits).await;
        let mut stream = served.connect().await;
        stream.write_all(ASK).await.unwrap();
        timeout(TEST, cut.notified()).await.expect("it is cut");
        served.stop().await;
    }

    #[tokio::test]
    async fn a_stop_waits_for_requests_but_not_for_ever() {
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, goes) = (Arc::clone(&begun), Arc::clone(&go));
        let slow = move || async move {
            begins.notify_one();
            goes.notified().await;
            "done"
        };
        let app =
            Router::new().route("/", get(slow)).route("/never", get(std::future::pending::<()>));
        let served =
            served(app, Limits { stop: Duration::from_secs(2), ..Limits::default() }).await;
        let (mut slow, mut never) = (served.connect().await, served.connect().await);
        slow.write_all(ASK).await.unwrap();
        never.write_all(b"GET /never HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        begun.notified().await;
        served.shutdown.cancel();
        go.notify_one();
        assert!(all(&mut slow).await.ends_with("done"));
        served.stop().await;
        assert_eq!(all(&mut never).await, "");
    }
}
