//! The signals by which a process is told to end. The caller owns them: the library only says
//! what they are.

use std::future::pending;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Ends at the next SIGTERM or SIGINT.
///
/// The first stops a worker gracefully; see
/// [`Builder::grace_until`](crate::Builder::grace_until) for a second one.
pub async fn shutdown_signal() {
    if let Err(error) = next_signal().await {
        tracing::error!(%error, "signals cannot be listened for; only a kill will end this");
        pending::<()>().await;
    }
}

async fn next_signal() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _signal = terminate.recv() => Ok(()),
        _signal = interrupt.recv() => Ok(()),
    }
}
