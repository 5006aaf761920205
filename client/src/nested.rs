//! Calls within runs: what a job calls, and no other job can wait for in its place, it runs itself;
//! and no call outlives the job that made it.

use std::fmt;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use simple_dist_core::caller::CallOptions;
use simple_dist_protocol::job::{self, Job, Stopped};
use simple_dist_protocol::nested::{self, Place};
use simple_dist_protocol::{Address, JobId, RunError};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::answer::{Failed, Value};
use crate::new_call::{Arguments, Outcome};
use crate::stub::{Input, Stub};
use crate::{Answer, CallError, Fallback, Ran, Reason, local};

/// Runs a call on this thread, if that waits for it and has a place that nothing else can run in;
/// the arguments otherwise. A worker's own functions come first: that is no run of the caller's.
pub(crate) fn run(
    stub: &Stub,
    options: &CallOptions,
    arguments: Arguments,
) -> Result<Outcome, Arguments> {
    if !nested::is_refused() {
        return Err(arguments);
    }
    let began = Instant::now();
    // What runs within the poll of another runtime can start none of its own.
    let polled = Handle::try_current().is_ok();
    let served = match &arguments {
        Arguments::Encoded(bytes) if !polled => stub
            .target
            .selector
            .address()
            .and_then(|address| nested::run_here(|place| place.run(&address, bytes))),
        Arguments::Encoded(_) | Arguments::Erased(..) => None,
    };
    let may_run = !matches!(options.fallback, Fallback::Never | Fallback::Wait);
    let end = match served {
        Some(end) => end
            .map(|value| Value::Encoded(value.into()))
            .map_err(|error| local::error(error.map(|error| Value::Encoded(error.into())))),
        None if may_run && stub.body.is_some() => {
            let input = match arguments {
                Arguments::Encoded(bytes) => Input::Encoded(bytes),
                Arguments::Erased(argument, _) => Input::Erased(argument),
            };
            let run = || {
                let run = nested::run_here(|_| Some(local::run(JobId::new(), stub, input)));
                run.expect("it has a place").map(Value::Erased)
            };
            if polled { apart(run) } else { run() }
        }
        None => return Err(arguments),
    };
    let (ran, took) = (Ran::Local { reason: Reason::Nested }, began.elapsed());
    Ok(end.map(|value| Answer { value, ran, waited: Duration::ZERO, took }))
}

/// Runs it on another thread for local runs, which the job waits for.
fn apart<T: Send>(
    run: impl FnOnce() -> Result<T, CallError<Failed>> + Send,
) -> Result<T, CallError<Failed>> {
    let job = job::current();
    thread::scope(|scope| {
        let run = || {
            occupy();
            match job {
                Some(job) => job.within(run),
                None => run(),
            }
        };
        let thread = thread::Builder::new().stack_size(local::STACK).spawn_scoped(scope, run);
        let thread = thread.map_err(|_| CallError::Unavailable { reason: Reason::Nested })?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// The job that makes a call.
pub(crate) struct Parent {
    job: Job,
    stopped: Stopped,
}

impl Parent {
    pub(crate) fn current() -> Option<Self> {
        job::current().map(|job| Self { stopped: job.stopped(), job })
    }

    /// Gives its calls no more time than it has itself.
    pub(crate) fn limit(&self, options: &mut CallOptions) -> Result<(), CallError> {
        if self.job.is_cancelled() {
            return Err(self.end());
        }
        let left = self.job.remaining();
        if options.deadline.map_or(left < Duration::MAX, |deadline| left < deadline) {
            options.deadline = Some(left);
        }
        Ok(())
    }

    /// What its calls end with when nobody waits for it any more.
    pub(crate) fn poll_end<E>(&mut self, context: &mut Context<'_>) -> Poll<CallError<E>> {
        ready!(self.stopped.as_mut().poll(context));
        Poll::Ready(self.end())
    }

    fn end<E>(&self) -> CallError<E> {
        if self.job.remaining().is_zero() { CallError::Deadline } else { CallError::Cancelled }
    }
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.job.fmt(f)
    }
}

/// A thread for local runs. There are few of them, and what they run must not wait for them.
#[derive(Debug)]
struct LocalPlace;

impl Place for LocalPlace {
    fn lend(&self) -> bool {
        false
    }

    fn take_back(&self) {}

    fn run(&self, _: &Address, _: &[u8]) -> Option<Result<Vec<u8>, RunError>> {
        None
    }
}

/// This thread is for local runs.
pub(crate) fn occupy() {
    nested::occupy(Rc::new(LocalPlace));
}
