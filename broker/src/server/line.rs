//! The line from the engine to one socket: what to write, and how to behave. The engine never
//! waits on it; the core sees to it that not too much piles up.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// How a socket is to behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    /// Read from the socket.
    pub(crate) is_read: bool,
    /// The handshake is over.
    pub(crate) is_open: bool,
    /// Write what is there, then close.
    pub(crate) is_finishing: bool,
    /// Largest frame, overhead included.
    pub(crate) frame_max: usize,
    /// Seconds between heartbeats; 0 is none.
    pub(crate) heartbeat: u16,
}

/// Encoded frames that the socket has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    chunks: Mutex<Vec<Bytes>>,
    filled: Notify,
}

impl Outbox {
    pub(super) fn add(&self, mut chunks: Vec<Bytes>) {
        let mut waiting = self.lock();
        if waiting.is_empty() {
            *waiting = chunks;
        } else {
            waiting.append(&mut chunks);
        }
        drop(waiting);
        self.filled.notify_one();
    }

    pub(super) fn take(&self) -> Vec<Bytes> {
        std::mem::take(&mut *self.lock())
    }

    /// Until something was added since the last call.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Bytes>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine's end of the line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(super) outbox: std::sync::Arc<Outbox>,
    pub(super) control: watch::Sender<Control>,
    /// Cuts the socket at once.
    pub(super) cut: CancellationToken,
}
