//! What a slot is told while it has a run: to begin nothing more of it, and for which job nobody
//! waits any more.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use simple_dist_core::worker::Number;
use tokio::sync::Notify;

/// How many jobs of a run have begun, whether more may, and which is to stop.
#[derive(Debug, Default)]
pub(crate) struct RunControl {
    begun: AtomicUsize,
    /// The newest that is to stop: whichever was before has ended. None has the number 0.
    stopped: AtomicU64,
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

    /// None begins any more; how many have.
    pub(super) fn close(&self) -> usize {
        self.begun.fetch_or(CLOSED, Ordering::AcqRel) & !CLOSED
    }

    /// Nobody waits for this job any more.
    pub(super) fn stop(&self, number: Number) {
        self.stopped.store(number.0, Ordering::Release);
        self.told.notify_one();
    }

    /// Whether nobody waits for this job any more.
    pub(crate) fn is_stopped(&self, number: Number) -> bool {
        self.stopped.load(Ordering::Acquire) == number.0
    }

    /// Ends when nobody waits for this job any more.
    pub(super) async fn stopped(&self, number: Number) {
        while !self.is_stopped(number) {
            self.told.notified().await;
        }
    }
}
