//! Wakes a thread that waits for its child.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// What another thread wakes the owner of a child by. A wake before the wait is not lost.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// One that nobody has used.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes whoever waits, or will next.
    pub fn wake(&self) {
        // It fails only when it was woken 2^64 - 2 times, and then it is awake.
        let _awake = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Waits for a wake, at most so long.
    pub fn wait(&self, most: Option<Duration>) {
        let mut fds = [PollFd::new(self, PollFlags::IN)];
        // A signal may end the wait early, as a wake may.
        let _woken = poll(&mut fds, most.map(timespec).as_ref());
        self.take();
    }

    /// What woke it does so no more.
    pub(crate) fn take(&self) {
        let _not_woken = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// As `poll` takes it.
pub(crate) fn timespec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(span.subsec_nanos()),
    }
}
