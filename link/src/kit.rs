//! The client library's runtime: tokio, but with a ready connection, and without logging. What its
//! log lines report is an event of the link or a log line of ours; the rest of them would contain
//! messages, bodies included.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures_util::Stream;
use futures_util::io::{AsyncRead, AsyncWrite};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

use super::bell::Bell;
use super::wire::Wire;

/// Serves the library's connections, one after another.
#[derive(Debug, Clone)]
pub(super) struct Kit {
    tokio: Tokio,
    next: Arc<Mutex<Next>>,
}

/// The connection that the library gets next, and what wakes its thread.
#[derive(Debug, Default)]
struct Next {
    wire: Option<Wire>,
    bell: Option<Bell>,
}

impl Kit {
    /// Must be created inside a tokio runtime.
    pub(super) fn new() -> Self {
        Self { tokio: Tokio::current(), next: Arc::default() }
    }

    /// The connection that the library gets next, whatever address it asks for.
    pub(super) fn put(&self, wire: Wire) {
        let bell = Some(wire.bell().clone());
        *self.next() = Next { wire: Some(wire), bell };
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Suppresses the library's logging within `work`.
pub(super) fn silent<F: Future>(work: F) -> impl Future<Output = F::Output> {
    work.with_subscriber(Dispatch::none())
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    /// The library blocks only on its own thread, which is silenced for good.
    fn block_on<T, F: Future<Output = T>>(&self, work: F) -> T {
        std::mem::forget(tracing::dispatcher::set_default(&Dispatch::none()));
        self.tokio.block_on(work)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        let bell = self.next().bell.clone();
        self.tokio.spawn(silent(async move { Bell::rung_by(bell.as_slice(), work).await }))
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(work)
    }
}

impl Reactor for Kit {
    type TcpStream = Compat<Wire>;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Compat<Wire>, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.tokio.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        _: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let next = self.next().wire.take();
        let next = next.map(TokioAsyncReadCompatExt::compat);
        std::future::ready(next.ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}
