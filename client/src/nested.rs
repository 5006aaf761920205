//! Calls within runs: what a job calls, and no other job can wait for in its place, it runs itself;
//! and no call outlives the job that made it.

use std::fmt;
use std::panic::resume_unwind;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use simple_dist_core::caller::CallOptions;
use simple_dist_protocol::job::{self, Job, Stopped};
use simple_dist_protocol::{JobId, Span, nested};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::answer::{Failed, Value};
use crate::new_call::{Arguments, NewCall, Outcome};
use crate::stub::{Input, Stub};
use crate::{Answer, CallError, Fallback, Ran, Reason, local};

/// Runs a call in the place of the job that waits for it; the arguments if it cannot be. A worker's own
/// functions come first: that is no run of the caller's.
pub(crate) fn run(
    stub: &Stub,
    options: &CallOptions,
    arguments: Arguments,
) -> Result<Outcome, Arguments> {
    let began = Instant::now();
    let may_run = !matches!(options.fallback, Fallback::Never | Fallback::Wait);
    let run = || {
        let served = match &arguments {
            Arguments::Encoded(bytes) => stub
                .target
                .selector
                .address()
                .and_then(|address| nested::run_here(|place| place.run(&address, bytes))),
            Arguments::Erased(..) => None,
        };
        match served {
            Some(end) => Ok(end
                .map(|value| Value::Encoded(value.into()))
                .map_err(|error| local::error(error.map(|error| Value::Encoded(error.into()))))),
            None if may_run && stub.body.is_some() => {
                let input = match arguments {
                    Arguments::Encoded(bytes) => Input::Encoded(bytes),
                    Arguments::Erased(argument, _) => Input::Erased(argument),
                };
                let end = job::in_place(|| local::run(JobId::new(), stub, input));
                Ok(end.map(Value::Erased))
            }
            None => Err(arguments),
        }
    };
    // What runs within the poll of another runtime can start none of its own, and a thread that a job
    // has started may have a small stack.
    let is_apart = Handle::try_current().is_ok() || job::is_elsewhere();
    let end = if is_apart { apart(run)? } else { run()? };
    let (ran, took) = (Ran::Local { reason: Reason::Nested }, began.elapsed());
    Ok(end.map(|value| Answer { value, ran, waited: Duration::ZERO, took }))
}

/// Runs it on another thread, which the job waits for.
fn apart<T: Send>(
    run: impl FnOnce() -> Result<Result<Value, CallError<Failed>>, T> + Send,
) -> Result<Result<Value, CallError<Failed>>, T> {
    let job = job::of_thread();
    thread::scope(|scope| {
        let run = || match job {
            Some(job) => job.within_own_thread(run),
            None => run(),
        };
        match thread::Builder::new().stack_size(local::STACK).spawn_scoped(scope, run) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => Ok(Err(CallError::Unavailable { reason: Reason::Nested })),
        }
    })
}

/// Runs a call in place that a runtime polls, whose thread what is called may need: on one of the job's, in
/// turn with its others. What cannot be run is sent.
pub(crate) fn run_polled(
    job: &Job,
    call: NewCall,
    begins: mpsc::Sender<NewCall>,
) -> Result<(), CallError> {
    let run = move || {
        if call.reply.is_closed() {
            return;
        }
        let trace = Span::of_another(call.options.trace.as_deref());
        // Where nobody waits any more, or the client is gone, the call has ended.
        match trace.within(|| run(&call.stub, &call.options, call.arguments)) {
            Ok(outcome) => _ = call.reply.send(outcome),
            Err(arguments) => _ = begins.blocking_send(NewCall { arguments, ..call }),
        }
    };
    job.in_turn(thread::Builder::new().stack_size(local::STACK), run)
        .map_err(|_| CallError::Unavailable { reason: Reason::Nested })
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
