//! The byte stream between the client library and the broker. The library gets an established
//! connection that already answers, and reads only what the [`FrameFilter`] passes on.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::bell::Bell;
use super::frame_filter::{FrameFilter, Returns};
use super::socket::Socket;

const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
/// What a frame of the method `connection.start` begins with.
const METHOD_FRAME: u8 = 1;
/// Bytes read at a time.
const READ: usize = 64 * 1024;

/// The transport: TCP, or TLS on it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// The TCP connection below.
    fn socket(&mut self) -> &mut Socket;
}

impl Stream for Socket {
    fn socket(&mut self) -> &mut Socket {
        self
    }
}

/// A connection whose broker has answered the protocol header.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    frame_filter: FrameFilter,
    inbox: BytesMut,
    /// The rest of the frame that the library is reading.
    outbox: Bytes,
    /// How much of the library's own protocol header is still to be swallowed: ours was sent
    /// already. Before that, the library expects no answer.
    greeting: usize,
    /// The task that waits for that.
    reader: Option<Waker>,
    bell: Bell,
    /// Whether the last read got nothing, so that the library has dealt with all before it.
    nothing_left: bool,
}

impl Wire {
    /// Sends the protocol header. Over TLS it also waits for the answer: a broker that rejects our
    /// certificate says so only after the handshake.
    pub(super) async fn greet(
        mut stream: Box<dyn Stream>,
        returns: Returns,
        bell: Bell,
    ) -> io::Result<Self> {
        stream.write_all(PROTOCOL_HEADER).await?;
        stream.flush().await?;
        let mut inbox = BytesMut::with_capacity(READ);
        if stream.read_buf(&mut inbox).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if inbox[0] != METHOD_FRAME {
            return Err(io::Error::other("it does not speak AMQP 0-9-1"));
        }
        stream.socket().leave_runtime(bell.clone())?;
        Ok(Self {
            stream,
            frame_filter: FrameFilter::new(returns),
            inbox,
            outbox: Bytes::new(),
            greeting: PROTOCOL_HEADER.len(),
            reader: None,
            bell,
            nothing_left: false,
        })
    }

    /// Wakes the library's thread for it.
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Fills the buffer with what is ready; false if nothing is.
    fn hand_out(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        let before = buffer.remaining();
        while buffer.remaining() > 0 {
            if self.outbox.is_empty() {
                let Some(next) = self.frame_filter.next(&mut self.inbox)? else { break };
                self.outbox = next;
            }
            let count = self.outbox.len().min(buffer.remaining());
            buffer.put_slice(&self.outbox.split_to(count));
        }
        Ok(buffer.remaining() < before)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.bell.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if this.greeting > 0 {
            this.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let mut may_wait = std::mem::take(&mut this.nothing_left);
        while !this.hand_out(buffer)? {
            // Once: TLS reads ahead, and what it has then must not wait for what comes next.
            if std::mem::take(&mut may_wait) {
                this.stream.socket().let_wait();
            }
            this.inbox.reserve(READ);
            match poll_read_buf(Pin::new(&mut this.stream), context, &mut this.inbox)? {
                Poll::Ready(0) => break,
                Poll::Ready(_) => {}
                Poll::Pending => {
                    // The library deals with what it has, then reads again.
                    this.nothing_left = true;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.greeting > 0 {
            let count = this.greeting.min(bytes.len());
            this.greeting -= count;
            if let (0, Some(reader)) = (this.greeting, this.reader.take()) {
                reader.wake();
            }
            return Poll::Ready(Ok(count));
        }
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}
