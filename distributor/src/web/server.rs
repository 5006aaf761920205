//! The loop that takes connections in: so many at once, none that only sits there, and always one
//! more for a probe.

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

use super::guard::Wish;
use super::patience::Patience;
use super::peers::{Peer, Peers};
use super::problem::{Kind, Problem};
use super::room::until_taken;
use super::seats::{Admission, Doing, Seat, Seats};

/// The bounds of a server; tests use shorter ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once. An HTTP call holds one while it waits.
    pub(crate) connections: usize,
    /// Connections beyond those: for probes, when all others are at work.
    pub(crate) probes: usize,
    /// A request's head, and the pause before it on a connection that is kept.
    pub(crate) head: Duration,
    /// A client that does not take what its connection has of an answer for this long is gone.
    pub(crate) write: Duration,
    /// After the word to stop, until connections are cut.
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

/// The bytes of a request's head, of what is read ahead, and of an answer that a connection has
/// while it waits to be taken.
const HEAD_BYTES: usize = 64 * 1024;
/// The same in the system, for each connection: it takes megabytes if nobody says.
const SEND_BUFFER: u32 = 256 * 1024;
/// Connections that the system takes before we do.
const BACKLOG: u32 = 1024;
/// The head of a probe beyond the other connections.
const PROBE: Duration = Duration::from_secs(2);
/// The pause after the system gave no connection: it is out of something.
const BREATHER: Duration = Duration::from_millis(100);

/// Takes the address.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // What is taken from the listener has it too.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `shutdown`, then lets requests end for a moment.
pub(crate) async fn accept(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let (mut connections, mut seats) = (JoinSet::new(), Seats::default());
    let mut peers = Peers::default();
    let open = metrics::gauge!("simple_dist_http_connections");
    loop {
        open.set(connections.len() as f64);
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next_with_id() => {
                seats.leave(ended.map_or_else(|failed| failed.id(), |(id, ())| id));
            }
            accepted = listener.accept() => {
                let Some((stream, peer)) = taken(accepted).await else { continue };
                let Some(seat) = seats.free(limits.connections, limits.probes) else {
                    metrics::counter!("simple_dist_http_turned_away_total").increment(1);
                    continue;
                };
                let peer = peers.meet(peer);
                let served = serve((stream, peer), app.clone(), seat.clone(), limits, shutdown.clone());
                seats.take(connections.spawn(served).id(), seat);
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    // Those that are not done by now are cut with the set.
    let _cut = timeout(limits.stop, all).await;
    connections.shutdown().await;
    open.set(0.0);
}

async fn taken(accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<(TcpStream, IpAddr)> {
    match accepted {
        Ok((stream, peer)) => {
            // Answers and events are small and shall not wait for each other.
            let _old = stream.set_nodelay(true);
            Some((stream, peer.ip()))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be taken");
            sleep(BREATHER).await;
            None
        }
    }
}

async fn serve(
    (stream, peer): (TcpStream, Peer),
    app: Router,
    seat: Seat,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let mut builder = http1::Builder::new();
    let (head, keep) = match seat.admission {
        Admission::All => (limits.head, true),
        Admission::Probes => (limits.head.min(PROBE), false),
    };
    builder.timer(TokioTimer::new()).header_read_timeout(head).keep_alive(keep);
    builder.max_buf_size(HEAD_BYTES);
    let stream = TokioIo::new(Patience::new(stream, limits.write));
    let sitting = seat.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        answer(app.clone(), sitting.clone(), request)
    });
    let mut connection = pin!(builder.serve_connection(stream, service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = seat.can_leave() => return,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Answers a request; the seat is at work until its connection has all of the answer.
async fn answer(
    app: Router,
    seat: Seat,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    seat.doing.send_replace(Doing::Works);
    let is_probe = || Wish::of(request.method(), request.uri().path()) == Wish::Probe;
    let may = seat.admission == Admission::All || is_probe();
    let response = if may {
        app.oneshot(request.map(Body::new)).await?
    } else {
        let full = "every connection is at work; only probes are answered now";
        Problem::new(Kind::Busy, full).into_response()
    };
    Ok(until_taken(response, Work(seat.doing)))
}

/// Work that ends when this is dropped.
struct Work(Arc<watch::Sender<Doing>>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.send_replace(Doing::Waits { since: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    const TEST: Duration = Duration::from_secs(10);
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
        let limits = Limits { head: Duration::from_millis(50), ..Limits::default() };
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
    async fn who_waits_makes_room_and_who_works_does_not() {
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
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        }
        assert_eq!(all(&mut waits).await, "");
        drop(works);
        served.stop().await;
    }

    #[tokio::test]
    async fn who_takes_nothing_is_cut_off() {
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
    async fn a_stop_lets_requests_end_but_waits_for_nobody_for_ever() {
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
            served(app, Limits { stop: Duration::from_millis(200), ..Limits::default() }).await;
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
