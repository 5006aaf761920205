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

mod origin;
mod slot_thread;
mod turns;

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use self::origin::Origin;
pub use self::slot_thread::{SlotThread, run_one_at_a_time};
use self::turns::Turns;
use crate::nested::{self, Nesting};
use crate::{JobId, Span};

thread_local! {
    static CURRENT: RefCell<Option<Job>> = const { RefCell::new(None) };
}

/// The job that this thread or async body runs, on a worker or in its caller's process; none
/// outside a function that is called, and none on threads and in tasks that it starts, which may be
/// given it: see [`Job::scope`] and [`Job::scope_async`]. What calls it makes remember it.
pub fn current() -> Option<Job> {
    of_scope().filter(|job| !job.is_guess)
}

/// The same, or what is taken for it.
fn of_scope() -> Option<Job> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// A job that runs; see [`current`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Job {
    run: Arc<Run>,
    /// Whether this is another thread than its own.
    is_elsewhere: bool,
    /// Whether this thread is only taken for one of the job's.
    is_guess: bool,
}

/// One run of a job, or of a call of its own in its place.
#[derive(Debug)]
struct Run {
    id: JobId,
    attempt: u32,
    host: Arc<dyn Host>,
    /// What its calls are parts of.
    trace: Span,
    /// So many calls run in place around this one.
    depth: u32,
    turns: Mutex<Turns>,
    has_ended: AtomicBool,
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
        Self::at_depth(0, (id, attempt), host)
    }

    fn at_depth(depth: u32, (id, attempt): (JobId, u32), host: Arc<dyn Host>) -> Self {
        let (trace, turns, has_ended) = (Span::current(), Mutex::default(), AtomicBool::default());
        let run = Run { id, attempt, host, trace, depth, turns, has_ended };
        Self { run: Arc::new(run), is_elsewhere: false, is_guess: false }
    }

    /// Its id, which the log and the status page show.
    pub fn id(&self) -> JobId {
        self.run.id
    }

    /// Which execution of it on a worker this is, from 1; 0 in its caller's process.
    pub fn attempt(&self) -> u32 {
        self.run.attempt
    }

    /// How long somebody waits for its value yet: [`Duration::MAX`] in its caller's process, if the
    /// call has no deadline.
    pub fn remaining(&self) -> Duration {
        self.run.host.remaining()
    }

    /// Whether nobody waits for its value any more: it was cancelled, or its time has passed. An
    /// async body is dropped then; a thread cannot be stopped, so a function that takes long asks
    /// now and then, and returns anything. Calls that it waits for end by themselves.
    pub fn is_cancelled(&self) -> bool {
        self.run.host.is_stopped() || self.remaining().is_zero()
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
        if self.run.depth == 0 {
            self.run.host.progress(fraction, &text);
        }
    }

    /// Ends when it is cancelled, or stopped at the end of its time.
    #[doc(hidden)]
    pub fn stopped(&self) -> Stopped {
        Arc::clone(&self.run.host).stopped()
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
        self.run.trace.within_if_none(|| Self { is_elsewhere: true, ..self.clone() }.within(body))
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
        self.run.host.nesting()
    }

    /// So many calls of its own run in place within each other.
    #[doc(hidden)]
    pub fn depth(&self) -> u32 {
        self.run.depth
    }

    /// It ends when the guard is dropped: calls that it made and that begin later are nobody's.
    #[doc(hidden)]
    pub fn end_guard(&self) -> EndGuard {
        EndGuard(Arc::clone(&self.run))
    }

    /// Runs the body as this job, which ends with it.
    #[doc(hidden)]
    pub fn run<T>(self, body: impl FnOnce() -> T) -> T {
        let _ends = self.end_guard();
        self.within(body)
    }

    pub(crate) fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.run.has_ended.load(Ordering::Acquire)
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
        Self { is_elsewhere: false, is_guess: false, ..self }.within(body)
    }
}

/// The job that this thread runs, or else the one that has started the thread, as far as that is known.
#[doc(hidden)]
pub fn of_thread() -> Option<Job> {
    of_scope().or_else(slot_thread::job_of_starter)
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
        Some(Job { run, is_elsewhere, .. }) => {
            let (known, host) = ((run.id, run.attempt), Arc::clone(&run.host));
            let job = Job::at_depth(run.depth + 1, known, host);
            Job { is_elsewhere, ..job }.run(body)
        }
        None => nested::frame(body),
    }
}

/// See [`Job::end_guard`].
#[doc(hidden)]
#[derive(Debug)]
#[must_use = "dropped, the job has ended"]
pub struct EndGuard(Arc<Run>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Release);
    }
}

/// What ran before on this thread, and will again.
struct Before(Option<Job>);

impl Drop for Before {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}
