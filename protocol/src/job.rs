//! The job that runs, as the function that runs it sees it.
//!
//! ```
//! use simple_dist_protocol::job;
//!
//! fn rows(count: u64) -> Option<u64> {
//!     let mut sum = 0;
//!     for row in 0..count {
//!         // Nobody waits for the value any more.
//!         if job::current().is_some_and(|job| job.is_cancelled()) {
//!             return None;
//!         }
//!         sum += row;
//!     }
//!     Some(sum)
//! }
//!
//! assert_eq!(rows(4), Some(6)); // called as it is, there is no job
//! ```
//!
//! Who runs jobs, who writes functions and who calls others from within them do not know each
//! other; they meet here.

mod slot_thread;

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use self::slot_thread::{SlotThread, run_one_at_a_time};
use crate::JobId;
use crate::nested::{self, Nesting};

thread_local! {
    static CURRENT: RefCell<Option<Job>> = const { RefCell::new(None) };
}

/// The job that this thread or async body runs, on a worker or in its caller's process; none
/// outside a function that is called, and none on threads and in tasks that it starts, which may be
/// given it: see [`Job::scope`] and [`Job::scope_async`].
pub fn current() -> Option<Job> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// A job that runs; see [`current`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Job {
    id: JobId,
    attempt: u32,
    host: Arc<dyn Host>,
    /// So many calls of its own run in place within each other.
    depth: u32,
    /// Whether this is another thread than its own.
    is_elsewhere: bool,
}

/// What runs a job, as far as the job may ask it.
#[doc(hidden)]
pub trait Host: fmt::Debug + Send + Sync {
    /// How long somebody waits for the value yet; [`Duration::MAX`] if there is no end to it.
    fn remaining(&self) -> Duration;

    /// Whether nobody waits any more.
    fn is_stopped(&self) -> bool;

    /// Ends when nobody waits any more.
    fn stopped(self: Arc<Self>) -> Stopped;

    /// The function says how far it is.
    fn progress(&self, fraction: f32, text: &dyn fmt::Display);

    /// How its calls are waited for.
    fn nesting(&self) -> Nesting;
}

/// See [`Host::stopped`].
#[doc(hidden)]
pub type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Job {
    #[doc(hidden)]
    pub fn new(id: JobId, attempt: u32, host: Arc<dyn Host>) -> Self {
        Self { id, attempt, host, depth: 0, is_elsewhere: false }
    }

    /// Its id, which the log and the status page show.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Which execution of it on a worker this is, from 1; 0 in its caller's process.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How long somebody waits for its value yet: [`Duration::MAX`] in its caller's process, if the
    /// call has no deadline.
    pub fn remaining(&self) -> Duration {
        self.host.remaining()
    }

    /// Whether nobody waits for its value any more: it was cancelled, or its time has passed. An
    /// async body is dropped then; a thread cannot be stopped, so a function that takes long asks
    /// now and then, and returns anything. Calls that it waits for end by themselves.
    pub fn is_cancelled(&self) -> bool {
        self.host.is_stopped() || self.remaining().is_zero()
    }

    /// Says how far it is, from 0 to 1, and in words of which 200 bytes are kept: for the status page,
    /// and for its caller where that listens (`Call::progress`). Told as often as you like: four times a second the
    /// newest is passed on.
    ///
    /// ```
    /// # use simple_dist_protocol::job;
    /// fn sum(rows: Vec<u64>) -> u64 {
    ///     let job = job::current();
    ///     let count = rows.len();
    ///     let tell = |row: usize| {
    ///         if let Some(job) = &job {
    ///             job.progress(row as f32 / count as f32, format_args!("row {row} of {count}"));
    ///         }
    ///     };
    ///     rows.into_iter().enumerate().inspect(|(row, _)| tell(*row)).map(|(_, value)| value).sum()
    /// }
    /// # assert_eq!(sum(vec![1, 2]), 3);
    /// ```
    pub fn progress(&self, fraction: f32, text: impl fmt::Display) {
        if self.depth == 0 {
            self.host.progress(fraction, &text);
        }
    }

    /// Ends when it is cancelled, or stopped at the end of its time.
    #[doc(hidden)]
    pub fn stopped(&self) -> Stopped {
        Arc::clone(&self.host).stopped()
    }

    /// Runs the closure as a part of the job on a thread that the job has started, such as one of rayon's:
    /// [`current`] is this job there, its calls are cancelled with it and have no more time, and
    /// whoever waits for them lends the job's place.
    ///
    /// ```
    /// # use simple_dist_protocol::job;
    /// use std::thread;
    ///
    /// fn halves(numbers: [u64; 2]) -> [u64; 2] {
    ///     let Some(job) = job::current() else { return numbers.map(|n| n / 2) };
    ///     thread::scope(|threads| {
    ///         let halves = numbers.map(|n| {
    ///             let job = &job;
    ///             threads.spawn(move || job.scope(|| n / 2)) // or a call, and `blocking()`
    ///         });
    ///         halves.map(|half| half.join().expect("no panic"))
    ///     })
    /// }
    /// # assert_eq!(halves([2, 4]), [1, 2]);
    /// ```
    pub fn scope<T>(&self, body: impl FnOnce() -> T) -> T {
        Self { is_elsewhere: true, ..self.clone() }.within(body)
    }

    /// The future as a part of the job, in whichever task: as [`scope`](Self::scope) for what is spawned.
    ///
    /// ```no_run
    /// # use simple_dist_protocol::job;
    /// # async fn call(n: u64) -> u64 { n }
    /// # async fn example() {
    /// let job = job::current().expect("a worker runs it");
    /// let task = tokio::spawn(job.scope_async(call(1)));
    /// # }
    /// ```
    pub fn scope_async<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let (job, mut future) = (self.clone(), Box::pin(future));
        poll_fn(move |context| job.scope(|| future.as_mut().poll(context)))
    }

    /// How its calls are waited for.
    pub(crate) fn nesting(&self) -> Nesting {
        self.host.nesting()
    }

    /// So many calls of its own run in place within each other.
    #[doc(hidden)]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Runs the body as this job.
    #[doc(hidden)]
    pub fn within<T>(self, body: impl FnOnce() -> T) -> T {
        let _before = Before(CURRENT.replace(Some(self)));
        nested::frame(body)
    }

    /// The same, on a thread that is as good as its own.
    #[doc(hidden)]
    pub fn within_own_thread<T>(self, body: impl FnOnce() -> T) -> T {
        Self { is_elsewhere: false, ..self }.within(body)
    }
}

/// The job that this thread runs, or else the one that has started the thread, as far as that is known.
#[doc(hidden)]
pub fn of_thread() -> Option<Job> {
    current().or_else(slot_thread::job_of_starter)
}

/// Whether this thread runs a part of a job whose own is another.
#[doc(hidden)]
pub fn is_elsewhere() -> bool {
    of_thread().is_some_and(|job| job.is_elsewhere)
}

/// Runs a call of the job, if there is one, in its place: how far the call is says nothing of the job.
#[doc(hidden)]
pub fn in_place<T>(body: impl FnOnce() -> T) -> T {
    match of_thread() {
        Some(job) => Job { depth: job.depth + 1, ..job }.within(body),
        None => nested::frame(body),
    }
}

/// What ran before on this thread, and will again.
struct Before(Option<Job>);

impl Drop for Before {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}
