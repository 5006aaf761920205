//! Wakes the client library's own thread while it waits for its socket: see [`Socket`](super::socket).

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::poll_fn;

/// Wakes the thread of one connection, and can cut the connection. Whoever gives the library
/// something to write rings it, since the library's own signal does not reach a thread that waits for
/// a socket.
#[derive(Debug, Clone)]
pub(super) struct Bell(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reader: PipeReader,
    writer: PipeWriter,
    /// Whether a byte is in the pipe, or is about to be: never more than one.
    rung: AtomicBool,
    cut: AtomicBool,
}

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let (rung, cut) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self(Arc::new(Inner { reader, writer, rung, cut })))
    }

    pub(super) fn ring(&self) {
        if !self.0.rung.swap(true, Ordering::AcqRel) {
            // It has room for the one byte, and its reader lives as long as we do.
            let _one = (&self.0.writer).write(&[0]);
        }
    }

    /// Ends the connection, whatever the broker does.
    pub(super) fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.ring();
    }

    pub(super) fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::Acquire)
    }

    /// Readable once it is rung.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }

    /// Takes the ring that made it readable. What is handed to the library from now on rings anew.
    pub(super) fn answer(&self) -> io::Result<()> {
        (&self.0.reader).read_exact(&mut [0])?;
        self.0.rung.swap(false, Ordering::AcqRel);
        Ok(())
    }

    /// Rings them after each step of what asks the library for something.
    pub(super) async fn rung_by<F: Future>(bells: &[Self], work: F) -> F::Output {
        let mut work = Box::pin(work);
        poll_fn(|context| {
            let step = work.as_mut().poll(context);
            bells.iter().for_each(Self::ring);
            step
        })
        .await
    }
}
