//! What a slot is told while it has a run: to begin nothing more of it, and for which job nobody
//! waits any more.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use simple_dist_core::worker::Number;
use tokio::sync::Notify;

/// How many jobs of a run have begun, whether more may, and which is to stop.
#[derive(Debug, Default)]
pub(super) struct RunControl {
    begun: AtomicUsize,
    /// The newest that is to stop: whichever was before has ended. None has the number 0.
    stopped: AtomicU64,
    /// The newest whose process is to be killed.
    killed: AtomicU64,
    told: Notify,
}

/// The bit that says that none begins any more.
const CLOSED: usize = 1 << (usize::BITS - 1);

impl RunControl {
    /// One more begins, if it may.
    pub(super) fn enter(&self) -> bool {
        let begin = |begun: usize| (begun & CLOSED == 0).then_some(begun + 1);
        self.begun.fetch_update(Ordering::AcqRel, Ordering::Acquire, begin).is_ok()
    }

    /// So many that have entered do not begin for now, if more may; else they count as begun.
    pub(super) fn leave(&self, count: usize) -> bool {
        let leave = |begun: usize| (begun & CLOSED == 0).then(|| begun.saturating_sub(count));
        self.begun.fetch_update(Ordering::AcqRel, Ordering::Acquire, leave).is_ok()
    }

    /// None begins any more; how many have.
    pub(super) fn close(&self) -> usize {
        self.begun.fetch_or(CLOSED, Ordering::AcqRel) & !CLOSED
    }

    /// Nobody waits for this job any more.
    pub(super) fn stop(&self, number: Number) {
        self.stopped.store(number.0, Ordering::Release);
        self.told.notify_waiters();
    }

    /// Whether nobody waits for this job any more.
    pub(super) fn is_stopped(&self, number: Number) -> bool {
        self.stopped.load(Ordering::Acquire) == number.0
    }

    /// The process that runs this job is to be killed.
    pub(super) fn kill(&self, number: Number) {
        self.killed.store(number.0, Ordering::Release);
    }

    /// Whether it is.
    pub(super) fn is_killed(&self, number: Number) -> bool {
        self.killed.load(Ordering::Acquire) == number.0
    }

    /// Ends when nobody waits for this job any more.
    pub(super) async fn stopped(&self, number: Number) {
        loop {
            // It counts from here on, so that no word comes between the look and the wait.
            let told = self.told.notified();
            if self.is_stopped(number) {
                return;
            }
            told.await;
        }
    }
}
