//! The child process of one of the threads for local runs.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_isolation::{Child, Death, Happening, Limits, StartError, Waker};
use simple_dist_protocol::message::Answer;
use simple_dist_protocol::panic_log::Run;
use simple_dist_protocol::{Address, JobId};
use tokio::time::Instant;

use super::Host;
use super::inside::{ChildEvent, Order};
use crate::answer::{Failed, Value};
use crate::isolation::spec;
use crate::{CallError, Reason};

/// So often it is looked whether the call has ended, and at the memory of what runs.
const LOOK: Duration = Duration::from_millis(50);
/// How long a job has to end when nobody waits for it any more.
const KILL: Duration = Duration::from_secs(1);
/// A job is given to so many children that end before they take it.
const GIVEN: usize = 3;

/// A child, started when there is a job for it, and kept for the next one. It dies with its thread.
#[derive(Debug, Default)]
pub(super) struct OwnChild(Option<(Child, Waker)>);

/// What became of a job in a child.
enum Outcome {
    Ran(Answer),
    Crashed(Death),
    /// The child was gone before it took the job.
    Untouched,
}

impl OwnChild {
    /// Runs a function in it; what was given for a value or an error is in MessagePack.
    pub(super) fn run(
        &mut self,
        id: JobId,
        function: &Address,
        args: &Bytes,
        host: &Host,
    ) -> Result<Value, CallError<Failed>> {
        let run = Run { job: id, function: function.clone(), attempt: None };
        for _ in 0..GIVEN {
            let (mut child, waker) = match self.0.take().map_or_else(start, Ok) {
                Ok(ready) => ready,
                Err(problem) => {
                    let source = std::error::Error::source(&problem);
                    tracing::error!(job.id = %id, %problem, source, "no child process can be had");
                    return Err(CallError::NoChild { problem: problem.to_string() });
                }
            };
            let (function, args) = (function.clone(), args.clone());
            let order = Order::Run { id, function, args, left: host.left() };
            match attend(&mut child, &waker, &order, &run, host) {
                Outcome::Ran(answer) => {
                    self.0 = Some((child, waker));
                    return value(answer);
                }
                Outcome::Crashed(death) => return Err(crashed(id, death, host)),
                Outcome::Untouched if host.is_over() => break,
                Outcome::Untouched => {}
            }
        }
        Err(CallError::NoChild { problem: "each ended before it took the job".to_owned() })
    }
}

fn start() -> Result<(Child, Waker), StartError> {
    let waker = Waker::new().map_err(|error: io::Error| StartError::from(error))?;
    Child::start(&spec(), &waker, || true).map(|child| (child, waker))
}

/// Gives it to the child, and waits until the job or the child ends. When the call has ended, the job
/// is told, and killed if it goes on.
fn attend(child: &mut Child, waker: &Waker, order: &Order, run: &Run, host: &Host) -> Outcome {
    child.begin_output();
    if child.send(order, waker, || !host.is_over()).is_err() {
        return Outcome::Untouched;
    }
    let mut kill_at = None;
    loop {
        let log =
            &mut |line: &str| tracing::info!(job.id = %run.job, output = line, "a job prints");
        match child.next::<ChildEvent>(waker, Some(LOOK), log) {
            Happening::Message(ChildEvent::Ran(of, answer)) if of == run.job => {
                return Outcome::Ran(answer);
            }
            Happening::Message(ChildEvent::Progresses(of, progress)) if of == run.job => {
                host.tell(progress);
            }
            // A copy of the process may say again how its last job ended.
            Happening::Message(ChildEvent::Ran(..) | ChildEvent::Progresses(..)) => {}
            Happening::Message(ChildEvent::Panicked(report)) => {
                child.keep_line(&report);
                report.log(run);
            }
            Happening::Woken => {}
            Happening::Nothing => child.measure_memory(),
            Happening::Ended => {
                let death = child.death();
                let is_untouched = death.is_unread && kill_at.is_none();
                return if is_untouched { Outcome::Untouched } else { Outcome::Crashed(death) };
            }
        }
        match kill_at {
            None if host.is_over() => {
                // What does not take it would not heed it.
                let taken = child.send(&Order::Stop, waker, || false).is_ok();
                kill_at = Some(Instant::now() + if taken { KILL } else { Duration::ZERO });
            }
            Some(at) if at <= Instant::now() => child.kill(),
            None | Some(_) => {}
        }
    }
}

fn crashed(id: JobId, death: Death, host: &Host) -> CallError<Failed> {
    if host.is_over() {
        tracing::info!(job.id = %id, "the job ran on when nobody waited for it; its child was killed");
    } else {
        metrics::counter!("simple_dist_client_crashes_total").increment(1);
        tracing::warn!(job.id = %id, %death, output = death.output, "the job ended its child process");
    }
    let note = death.note(&Limits::default());
    let Death { signal, code, memory_bytes, output, .. } = death;
    CallError::Crashed { signal, code, memory_bytes, output, note }
}

fn value(answer: Answer) -> Result<Value, CallError<Failed>> {
    Err(match answer {
        Answer::Value(bytes) => return Ok(Value::Encoded(bytes)),
        Answer::Failed { message, error } => {
            CallError::Function(Failed { text: message, error: Value::Encoded(error) })
        }
        Answer::Panicked { message, unsendable: true, .. } => CallError::Unsendable { message },
        Answer::Panicked { message, .. } => CallError::Panicked { message },
        Answer::BadArguments { message } => CallError::BadArguments { message },
        Answer::TooLarge { bytes, limit } => CallError::TooLarge { bytes, limit },
        Answer::NotServed
        | Answer::Poisoned { .. }
        | Answer::Busy
        | Answer::Cancelled
        | Answer::Expired => CallError::Unavailable { reason: Reason::NotServed },
    })
}
