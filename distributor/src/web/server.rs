//! The loop that takes connections in: so many at once, and none that only sits there.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::patience::Patience;

/// The bounds of a server; tests use shorter ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once: what comes beyond is closed. An HTTP call holds one while it waits.
    pub(crate) connections: usize,
    /// A request's head, and the pause before it on a connection that is kept.
    pub(crate) head: Duration,
    /// A client that takes nothing of its answer for this long is gone.
    pub(crate) write: Duration,
    /// After the word to stop, until connections are cut.
    pub(crate) stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(30),
            write: Duration::from_secs(30),
            stop: Duration::from_millis(1500),
        }
    }
}

/// The bytes of a request's head, and of what is read ahead.
const HEAD_BYTES: usize = 64 * 1024;
/// The pause after the system gave no connection: it is out of something.
const BREATHER: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then lets requests end for a moment.
pub(crate) async fn accept(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let mut connections = JoinSet::new();
    let open = metrics::gauge!("simple_dist_http_connections");
    loop {
        open.set(connections.len() as f64);
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Some(stream) = taken(accepted).await else { continue };
                if connections.len() >= limits.connections {
                    metrics::counter!("simple_dist_http_turned_away_total").increment(1);
                    continue;
                }
                connections.spawn(serve(stream, app.clone(), limits, shutdown.clone()));
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

async fn taken(accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<TcpStream> {
    match accepted {
        Ok((stream, _)) => {
            // Answers and events are small and shall not wait for each other.
            let _old = stream.set_nodelay(true);
            Some(stream)
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be taken");
            sleep(BREATHER).await;
            None
        }
    }
}

async fn serve(stream: TcpStream, app: Router, limits: Limits, shutdown: CancellationToken) {
    let app = app.map_request(|request: hyper::Request<hyper::body::Incoming>| {
        request.map(axum::body::Body::new)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(HEAD_BYTES);
    let stream = TokioIo::new(Patience::new(stream, limits.write));
    let mut connection = pin!(builder.serve_connection(stream, TowerToHyperService::new(app)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use axum::body::Body;
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

    #[tokio::test]
    async fn beyond_the_cap_connections_are_closed() {
        let served = served(hello(), Limits { connections: 1, ..Limits::default() }).await;
        let mut first = served.connect().await;
        first.write_all(ASK).await.unwrap();
        let mut some = [0; 15];
        first.read_exact(&mut some).await.unwrap();
        assert_eq!(&some, b"HTTP/1.1 200 OK");
        let mut second = served.connect().await;
        assert_eq!(all(&mut second).await, "");
        drop(first);
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
