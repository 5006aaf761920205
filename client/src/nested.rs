//! Calls within runs: what a job calls, and no other job can wait for in its place, it runs itself.

use std::rc::Rc;
use std::time::Duration;

use simple_dist_core::caller::CallOptions;
use simple_dist_protocol::nested::{self, Place};
use simple_dist_protocol::{Address, JobId, RunError};
use tokio::time::Instant;

use crate::answer::Value;
use crate::new_call::{Arguments, Outcome};
use crate::stub::{Input, Stub};
use crate::{Answer, Fallback, Ran, Reason, local};

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
    let served = match &arguments {
        Arguments::Encoded(bytes) => stub
            .target
            .selector
            .address()
            .and_then(|address| nested::run_here(|place| place.run(&address, bytes))),
        Arguments::Erased(..) => None,
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
            let run = nested::run_here(|_| Some(local::run(JobId::new(), stub, input)));
            run.expect("it has a place").map(Value::Erased)
        }
        None => return Err(arguments),
    };
    let (ran, took) = (Ran::Local { reason: Reason::Nested }, began.elapsed());
    Ok(end.map(|value| Answer { value, ran, waited: Duration::ZERO, took }))
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
