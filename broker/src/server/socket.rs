//! The task of one connection: bytes in, frames to the engine; frames from the engine, bytes
//! out; heartbeats both ways. It ends when either side closes, or when it is cut.

use std::{io, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::yield_now,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    engine::Event,
    line::{Control, Line, Outbox},
};
use crate::{
    core::{ConnectionId, Input},
    wire::{Decoder, Incoming, heartbeat},
};

/// How long a handshake may take: RabbitMQ's.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// How long the peer may take to notice that the connection was closed.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes asked of the socket at a time.
const READ_SIZE: usize = 64 * 1024;
/// How often a peer that is not read hears a heartbeat, whatever was negotiated: its end lies
/// behind all that it has sent, but to a heartbeat a closed socket answers with a reset.
const UNREAD_BEAT: Duration = Duration::from_secs(1);
/// Frames in one event, so that a flood of tiny ones is handed on in bounded portions.
const FRAMES_PER_EVENT: usize = 512;

#[derive(Debug)]
pub(super) struct Socket {
    id: ConnectionId,
    mailbox: mpsc::Sender<Event>,
    outbox: Arc<Outbox>,
    control: watch::Receiver<Control>,
    cut: CancellationToken,
    frame_max: usize,
}

impl Socket {
    pub(super) fn new(
        id: ConnectionId,
        mailbox: mpsc::Sender<Event>,
        frame_max: usize,
        cut: CancellationToken,
    ) -> (Self, Line) {
        let outbox = Arc::<Outbox>::default();
        let control =
            Control { is_read: true, is_open: false, is_finishing: false, frame_max, heartbeat: 0 };
        let (sender, control) = watch::channel(control);
        let line = Line { outbox: Arc::clone(&outbox), control: sender, cut: cut.clone() };
        (Self { id, mailbox, outbox, control, cut, frame_max }, line)
    }

    pub(super) async fn run(self, stream: TcpStream) {
        let (mut read_half, write_half) = stream.into_split();
        let was_finished = tokio::select! {
            () = self.cut.cancelled() => false,
            () = self.read(&mut read_half) => false,
            () = self.limit_handshake() => false,
            was_finished = self.write(write_half) => was_finished,
        };
        // Closing with bytes unread would reset the connection and take our last words with it.
        if was_finished {
            let drained = timeout(LINGER, drain(&mut read_half));
            tokio::select! {
                () = self.cut.cancelled() => {}
                _ = drained => {}
            }
        }
        // Without an engine there is nobody left to tell.
        let _ = self.mailbox.send(Event::Input(Input::Gone(self.id))).await;
    }

    /// Reads until the peer closes, falls silent, or the engine is gone.
    async fn read(&self, stream: &mut OwnedReadHalf) {
        let mut control = self.control.clone();
        let mut decoder = Decoder::new(self.frame_max);
        let mut buffer = BytesMut::new();
        let mut heard = Instant::now();
        loop {
            let now = *control.borrow_and_update();
            if !now.is_read {
                if control.changed().await.is_err() {
                    return;
                }
                heard = Instant::now();
                continue;
            }
            decoder.set_frame_max(now.frame_max);
            let wanted = decoder.wanted(&buffer).max(READ_SIZE);
            buffer.reserve(wanted.saturating_sub(buffer.len()));
            let silence = Duration::from_secs(u64::from(now.heartbeat) * 2);
            tokio::select! {
                read = stream.read_buf(&mut buffer) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => heard = Instant::now(),
                },
                changed = control.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    continue;
                }
                () = sleep_until(heard + silence), if now.heartbeat > 0 => {
                    tracing::debug!(connection = self.id.0, "no heartbeat: closing");
                    return;
                }
            }
            if !self.hand_on(&mut decoder, &mut buffer).await {
                return;
            }
        }
    }

    /// Sends all whole frames to the engine; false if it is gone.
    async fn hand_on(&self, decoder: &mut Decoder, buffer: &mut BytesMut) -> bool {
        loop {
            let mut frames = Vec::new();
            while frames.len() < FRAMES_PER_EVENT
                && let Some(frame) = decoder.next(buffer)
            {
                if !matches!(frame, Incoming::Heartbeat) {
                    frames.push(frame);
                }
            }
            if frames.is_empty() {
                return true;
            }
            let event = Event::Input(Input::Frames(self.id, frames));
            if self.mailbox.send(event).await.is_err() {
                return false;
            }
        }
    }

    /// Writes until the socket fails; true if it was told to finish and did.
    async fn write(&self, mut stream: OwnedWriteHalf) -> bool {
        let mut control = self.control.clone();
        loop {
            let now = *control.borrow_and_update();
            let chunks = self.outbox.take();
            if !chunks.is_empty() {
                let size = chunks.iter().map(Bytes::len).sum();
                if write_all(&mut stream, chunks).await.is_err() {
                    return false;
                }
                let event = Event::Input(Input::Written(self.id, size));
                if self.mailbox.send(event).await.is_err() {
                    return false;
                }
                continue;
            }
            if now.is_finishing {
                return stream.shutdown().await.is_ok();
            }
            // Twice in the time that the peer allows, and a little earlier than that.
            let agreed = Duration::from_millis(u64::from(now.heartbeat) * 450);
            let beat = if now.is_read { agreed } else { UNREAD_BEAT };
            tokio::select! {
                // What the engine is about to add goes out with the same write.
                () = self.outbox.filled() => yield_now().await,
                changed = control.changed() => if changed.is_err() { return false },
                () = sleep(beat), if !beat.is_zero() => {
                    if write_all(&mut stream, vec![heartbeat()]).await.is_err() {
                        return false;
                    }
                }
            }
        }
    }

    /// Ends when the handshake takes too long.
    async fn limit_handshake(&self) {
        let mut control = self.control.clone();
        let opened = async { control.wait_for(|control| control.is_open).await.is_ok() };
        match timeout(HANDSHAKE_PATIENCE, opened).await {
            Ok(true) => std::future::pending().await,
            Ok(false) => return,
            Err(_) => {}
        }
        tracing::debug!(connection = self.id.0, "handshake took too long");
    }
}

/// Writes many chunks with as few calls as the system allows.
async fn write_all(stream: &mut OwnedWriteHalf, chunks: Vec<Bytes>) -> io::Result<()> {
    let mut chunks = chunks.into_iter().peekable();
    while let Some(mut chunk) = chunks.next() {
        if chunks.peek().is_none() {
            return stream.write_all_buf(&mut chunk).await;
        }
        let mut batch = vec![chunk];
        while batch.len() < 64
            && let Some(chunk) = chunks.next()
        {
            batch.push(chunk);
        }
        let mut at = 0;
        while at < batch.len() {
            let slices: Vec<io::IoSlice<'_>> =
                batch[at..].iter().map(|chunk| io::IoSlice::new(chunk)).collect();
            let mut written = stream.write_vectored(&slices).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            while at < batch.len() && written >= batch[at].len() {
                written -= batch[at].len();
                at += 1;
            }
            if let Some(chunk) = batch.get_mut(at) {
                chunk.advance(written);
            }
        }
    }
    Ok(())
}

async fn drain(stream: &mut OwnedReadHalf) {
    let mut scrap = [0; 4096];
    while matches!(stream.read(&mut scrap).await, Ok(read) if read > 0) {}
}
