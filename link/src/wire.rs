//! The byte stream between the client library and the broker. The library gets an established
//! connection that already answers, and reads only what the [`FrameFilter`] passes on.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_util::io::poll_read_buf;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::frame_filter::{FrameFilter, Returns};

const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
/// What a frame of the method `connection.start` begins with.
const METHOD_FRAME: u8 = 1;
/// Bytes read at a time.
const READ: usize = 64 * 1024;

/// The transport: TCP, or TLS on it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

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
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Wire {
    /// Sends the protocol header. Over TLS it also waits for the answer: a broker that rejects our
    /// certificate says so only after the handshake.
    pub(super) async fn greet(
        mut stream: Box<dyn Stream>,
        returns: Returns,
        cut: CancellationToken,
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
        Ok(Self {
            stream,
            frame_filter: FrameFilter::new(returns),
            inbox,
            outbox: Bytes::new(),
            greeting: PROTOCOL_HEADER.len(),
            reader: None,
            cut: Box::pin(cut.cancelled_owned()),
        })
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
        if this.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if this.greeting > 0 {
            this.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        while !this.hand_out(buffer)? {
            this.inbox.reserve(READ);
            let read = poll_read_buf(Pin::new(&mut this.stream), context, &mut this.inbox);
            if ready!(read)? == 0 {
                break;
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
