//! The job that runs, as the function that runs it sees it.
//!
//! ```
//! use simple_dist_worker::job;
//!
//! fn rows(count: u64) -> Option<u64> {
//!     let mut sum = 0;
//!     for row in 0..count {
//!         // On a worker, and nobody waits for the value any more.
//!         if job::current().is_some_and(|job| job.is_cancelled()) {
//!             return None;
//!         }
//!         sum += row;
//!     }
//!     Some(sum)
//! }
//!
//! assert_eq!(rows(4), Some(6)); // in a test there is no job
//! ```

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_core::worker::Number;
use simple_dist_protocol::JobId;
use tokio::time::Instant;

use crate::slots::RunControl;

thread_local! {
    static CURRENT: RefCell<Option<Job>> = const { RefCell::new(None) };
}

/// The job that this thread or async body runs; none outside a worker's function, and none on
/// threads or tasks that it starts, which may be given it.
pub fn current() -> Option<Job> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// A job that runs; see [`current`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Job {
    id: JobId,
    attempt: u32,
    deadline: Instant,
    number: Number,
    control: Arc<RunControl>,
}

impl Job {
    pub(crate) fn new(
        id: JobId,
        attempt: u32,
        deadline: Instant,
        number: Number,
        control: Arc<RunControl>,
    ) -> Self {
        Self { id, attempt, deadline, number, control }
    }

    /// Its id, which the log and the status page show.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Which execution of it this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How long somebody waits for its value yet.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether nobody waits for its value any more: it was cancelled, or its time has passed. An
    /// async body is dropped then; a thread cannot be stopped, so a function that takes long asks
    /// now and then, and returns anything.
    pub fn is_cancelled(&self) -> bool {
        self.control.is_stopped(self.number) || self.remaining().is_zero()
    }

    /// Runs the body as this job.
    pub(crate) fn within<T>(self, body: impl FnOnce() -> T) -> T {
        let _before = Before(CURRENT.replace(Some(self)));
        body()
    }
}

/// What ran before on this thread, and will again.
struct Before(Option<Job>);

impl Drop for Before {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}
