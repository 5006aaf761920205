//! The task that accepts connections, and the owner of the tasks that serve them. It ends at
//! shutdown, after all of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{engine::Event, socket::Socket};
use crate::core::ConnectionId;

/// Rest after a failed accept: it fails for want of descriptors, and again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) mailbox: mpsc::Sender<Event>,
    pub(crate) frame_max: usize,
    pub(crate) max_connections: usize,
    /// The broker stops: new connections are closed at once.
    pub(crate) refuses: Arc<AtomicBool>,
}

impl Listener {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let sockets = TaskTracker::new();
        let mut last_id = 0;
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if self.may_come_in(sockets.len()) => {
                    last_id += 1;
                    if !self.serve(ConnectionId(last_id), stream, &sockets, &shutdown).await {
                        break;
                    }
                }
                Ok((_, peer)) => tracing::debug!(%peer, "connection refused"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        sockets.close();
        sockets.wait().await;
    }

    fn may_come_in(&self, connections: usize) -> bool {
        connections < self.max_connections && !self.refuses.load(Ordering::Relaxed)
    }

    /// Starts the task of one connection; false if the engine is gone.
    async fn serve(
        &self,
        id: ConnectionId,
        stream: TcpStream,
        sockets: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> bool {
        // A stream whose option cannot be set is already broken, which its first read will say.
        let _ = stream.set_nodelay(true);
        let mailbox = self.mailbox.clone();
        let (socket, line) = Socket::new(id, mailbox, self.frame_max, shutdown.child_token());
        if self.mailbox.send(Event::Accepted(id, line)).await.is_err() {
            return false;
        }
        sockets.spawn(socket.run(stream));
        true
    }
}
