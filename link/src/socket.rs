//! A TCP connection, which its reader's own thread waits for once it is the client library's.
//!
//! The library has a thread for each connection, which sleeps until it is told that there is something
//! to read. The role's thread would have to tell it: woken by what arrives, it would wake the
//! library's, sleep, and be woken by it again for what that has read. So the library's thread waits for
//! the socket within its read, and for the [`Bell`], which is rung when there is something to write.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::bell::Bell;

/// The longest wait, should somebody have forgotten to ring: in a build for tests so long that one of
/// them fails.
const WAIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 60_000 } else { 250 });
/// The bytes read at a time, while there are few.
const CHUNK: usize = 4 * 1024;

/// A TCP connection.
#[derive(Debug)]
pub(super) enum Socket {
    /// Whose reader is a task.
    Dialled(TcpStream),
    /// Whose reader is a thread of its own.
    Waiting(Waiting),
    /// Failed while it changed hands.
    Gone,
}

/// A connection whose reader waits within its read.
#[derive(Debug)]
pub(super) struct Waiting {
    stream: std::net::TcpStream,
    bell: Bell,
    /// Whether the next read may wait.
    may_wait: bool,
    /// Whether all was read that there was.
    drained: bool,
    /// How many bytes are read at once: more while all that are asked for come.
    chunk: usize,
    /// Who wants to write more than there was room for.
    writer: Option<Waker>,
}

impl Socket {
    /// Leaves the task's runtime: from now on reads may wait.
    pub(super) fn leave_runtime(&mut self, bell: Bell) -> io::Result<()> {
        if let Self::Dialled(stream) = std::mem::replace(self, Self::Gone) {
            let stream = stream.into_std()?;
            let (may_wait, drained, writer) = (false, false, None);
            *self =
                Self::Waiting(Waiting { stream, bell, may_wait, drained, chunk: CHUNK, writer });
        }
        Ok(())
    }

    /// The next read waits if there is nothing: its reader has dealt with all that it got.
    pub(super) fn let_wait(&mut self) {
        if let Self::Waiting(waiting) = self {
            waiting.may_wait = true;
        }
    }
}

impl Waiting {
    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.may_wait) {
            self.drained = !self.wait()?;
        }
        if self.drained {
            return Poll::Pending;
        }
        let size = self.chunk.min(buffer.remaining());
        match self.stream.read(buffer.initialize_unfilled_to(size)) {
            Ok(count) => {
                self.drained = count < size;
                self.chunk = if self.drained { CHUNK } else { 2 * size };
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Err(error) if again(&error) => {
                self.drained = true;
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Waits until there is something to read or to write; returns whether there is something to read.
    fn wait(&mut self) -> io::Result<bool> {
        let write = if self.writer.is_some() { PollFlags::OUT } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(&self.stream, PollFlags::IN | write),
            PollFd::from_borrowed_fd(self.bell.fd(), PollFlags::IN),
        ];
        let wait = Timespec::try_from(WAIT).expect("a minute at most");
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [socket, bell] = fds.map(|fd| fd.revents());
        if bell.contains(PollFlags::IN) {
            self.bell.answer()?;
        }
        if socket.contains(PollFlags::OUT)
            && let Some(writer) = self.writer.take()
        {
            writer.wake();
        }
        Ok(socket.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR))
    }
}

fn again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Dialled(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Waiting(waiting) => waiting.read(buffer),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Dialled(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Waiting(waiting) => match waiting.stream.write(bytes) {
                Err(error) if again(&error) => {
                    waiting.writer = Some(context.waker().clone());
                    Poll::Pending
                }
                written => Poll::Ready(written),
            },
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Dialled(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Waiting(waiting) => Poll::Ready(waiting.stream.shutdown(Shutdown::Write)),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    use tokio::net::TcpListener;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A socket whose reads wait, its peer, and its bell.
    async fn waiting() -> (Socket, std::net::TcpStream, Bell) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let peer = listener.accept().await.unwrap().0.into_std().unwrap();
        peer.set_nonblocking(false).unwrap();
        let (bell, mut socket) = (Bell::new().unwrap(), Socket::Dialled(stream));
        socket.leave_runtime(bell.clone()).unwrap();
        (socket, peer, bell)
    }

    /// How many bytes the next read gets; none if there are none.
    fn read(socket: &mut Socket, most: usize) -> Option<usize> {
        let mut bytes = vec![0; most];
        let mut buffer = ReadBuf::new(&mut bytes);
        let context = &mut Context::from_waker(Waker::noop());
        match Pin::new(socket).poll_read(context, &mut buffer) {
            Poll::Ready(read) => {
                read.unwrap();
                Some(buffer.filled().len())
            }
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn a_read_waits_when_it_may_and_only_then() {
        let (mut socket, mut peer, bell) = waiting().await;
        assert_eq!(read(&mut socket, CHUNK), None);
        peer.write_all(&[7; 3 * CHUNK]).unwrap();
        socket.let_wait();
        // A byte at a time, as often as doubling would have no end.
        let mut got = (0..64).filter_map(|_| read(&mut socket, 1)).sum::<usize>();
        while got < 3 * CHUNK {
            socket.let_wait();
            while let Some(more) = read(&mut socket, 64 * 1024) {
                got += more;
            }
        }
        assert_eq!(read(&mut socket, 1), None);
        let rings = Arc::new(Woken::default());
        let ringing = thread::spawn({
            let rings = rings.clone();
            move || {
                thread::sleep(Duration::from_millis(20));
                rings.wake();
                bell.ring();
            }
        });
        socket.let_wait();
        assert_eq!(read(&mut socket, 1), None);
        assert_eq!(rings.0.load(Ordering::Relaxed), 1, "it waits for the bell");
        ringing.join().unwrap();
        drop(peer);
        socket.let_wait();
        assert_eq!(read(&mut socket, 1), Some(0));
    }

    #[tokio::test]
    async fn who_could_not_write_all_hears_when_there_is_room() {
        let (mut socket, mut peer, _bell) = waiting().await;
        let written = Arc::new(Woken::default());
        let waker = Waker::from(written.clone());
        let mut sent = 0;
        while let Poll::Ready(count) =
            Pin::new(&mut socket).poll_write(&mut Context::from_waker(&waker), &[7; 64 * 1024])
        {
            sent += count.unwrap();
        }
        assert!(sent > 0 && written.0.load(Ordering::Relaxed) == 0);
        let drained = thread::spawn(move || {
            let mut all = vec![0; sent];
            peer.read_exact(&mut all).unwrap();
            peer
        });
        while written.0.load(Ordering::Relaxed) == 0 {
            socket.let_wait();
            assert_eq!(read(&mut socket, 1), None);
        }
        drained.join().unwrap();
    }
}
