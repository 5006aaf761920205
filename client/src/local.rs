//! Threads that run functions in this process, or in a child of each thread's own, apart from the one
//! that talks to the broker.

mod child;
mod host;
pub(crate) mod inside;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use simple_dist_protocol::job::Job;
use simple_dist_protocol::panic_log::Run;
use simple_dist_protocol::{JobId, RunError, Span};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::child::OwnChild;
pub(crate) use self::host::Host;
use crate::answer::{Failed, Value};
use crate::erased_value::ErasedValue;
use crate::stub::{Input, Stub};
use crate::{CallError, Reason};

/// As much as a program's main thread has: functions recurse, and so do drops.
pub(crate) const STACK: usize = 8 * 1024 * 1024;

/// The threads, started as they are needed. They end when the pool is dropped and their runs have
/// ended.
#[derive(Debug)]
pub(crate) struct Pool {
    slots: usize,
    started: usize,
    work: SyncSender<Work>,
    taken_from: Arc<Mutex<Receiver<Work>>>,
    ends: mpsc::Sender<LocalEnd>,
}

/// One run.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) id: JobId,
    pub(crate) stub: Arc<Stub>,
    pub(crate) input: Input,
    pub(crate) reason: Reason,
    pub(crate) host: Arc<Host>,
    /// The call's `traceparent`.
    pub(crate) trace: Option<Box<str>>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct LocalEnd {
    pub(crate) id: JobId,
    pub(crate) end: Result<Value, CallError<Failed>>,
    pub(crate) took: Duration,
}

impl Pool {
    pub(crate) fn new(slots: usize) -> (Self, mpsc::Receiver<LocalEnd>) {
        let (work, taken_from) = sync_channel(slots);
        let (ends, ended) = mpsc::channel(slots.max(1));
        let taken_from = Arc::new(Mutex::new(taken_from));
        (Self { slots, started: 0, work, taken_from, ends }, ended)
    }

    /// Begins a run. Never more than there are slots, which the caller counts. A run that cannot
    /// begin comes back as its end.
    pub(crate) fn run(&mut self, work: Work) -> Option<LocalEnd> {
        if self.started < self.slots {
            match self.start() {
                Ok(()) => self.started += 1,
                Err(error) => {
                    tracing::error!(%error, "a thread for local runs cannot be started");
                }
            }
        }
        if self.started == 0 {
            return Some(LocalEnd::unavailable(&work));
        }
        self.work.try_send(work).err().map(|error| {
            let (std::sync::mpsc::TrySendError::Full(work)
            | std::sync::mpsc::TrySendError::Disconnected(work)) = error;
            LocalEnd::unavailable(&work)
        })
    }

    fn start(&self) -> std::io::Result<()> {
        let (taken_from, ends) = (Arc::clone(&self.taken_from), self.ends.clone());
        let name = format!("local-run-{}", self.started);
        let run = move || run_all(&taken_from, &ends);
        // Not joined: a function may run for ever, and its end has no taker then.
        thread::Builder::new().name(name).stack_size(STACK).spawn(run).map(drop)
    }
}

impl LocalEnd {
    fn unavailable(work: &Work) -> Self {
        let end = Err(CallError::Unavailable { reason: work.reason });
        Self { id: work.id, end, took: Duration::ZERO }
    }
}

fn run_all(taken_from: &Mutex<Receiver<Work>>, ends: &mpsc::Sender<LocalEnd>) {
    let mut child = OwnChild::default();
    loop {
        let work = taken_from.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Work { id, stub, input, reason: _, host, trace }) = work else { return };
        let begun = Instant::now();
        let trace = Span::run(&stub.target.selector, id, trace.as_deref());
        let end = trace.within(|| match (&stub.body, &input) {
            (Some(body), Input::Encoded(args)) if stub.target.isolated => {
                child.run(id, &body.address, args, &host)
            }
            _ => Job::new(id, 0, host).run(|| run(id, &stub, input)).map(Value::Erased),
        });
        if let Err(error) = &end {
            trace.fail(error.kind());
        }
        if ends.blocking_send(LocalEnd { id, end, took: begun.elapsed() }).is_err() {
            return; // the client is gone
        }
    }
}

/// Runs it on this thread.
pub(crate) fn run(id: JobId, stub: &Stub, input: Input) -> Result<ErasedValue, CallError<Failed>> {
    let Some(body) = &stub.body else {
        return Err(CallError::Unavailable { reason: Reason::NotServed });
    };
    let run = Run { job: id, function: body.address.clone(), attempt: None };
    run.log_panics(|| body.run(input)).map_err(|error| self::error(error.map(Value::Erased)))
}

/// What a call ends with whose run did not give a value.
pub(crate) fn error(error: RunError<Value>) -> CallError<Failed> {
    match error {
        RunError::Argument { .. } => CallError::BadArguments { message: error.to_string() },
        RunError::Failed { text, error } => CallError::Function(Failed { text, error }),
        RunError::Value(_) | RunError::Error { .. } => {
            CallError::Unsendable { message: error.to_string() }
        }
        RunError::Panicked(message) => CallError::Panicked { message },
    }
}

#[cfg(test)]
mod tests {
    use simple_dist_protocol::{Function, PureFunction, codec};

    use crate::erased_value::tests::Sharp;
    use crate::progress_sender::ProgressSender;

    use super::*;

    fn work(function: PureFunction<u64, u64>, argument: u64) -> Work {
        Work {
            id: JobId::new(),
            stub: Arc::new(Stub::typed(function.declaration(), function.body())),
            input: Input::Encoded(codec::encode(&argument).unwrap().into()),
            reason: Reason::NoConnection,
            host: Host::new(None, ProgressSender::default()).0,
            trace: None,
        }
    }

    #[test]
    fn a_function_runs_on_its_own_thread() {
        let (mut pool, mut ended) = Pool::new(1);
        assert!(pool.run(work(Function::pure("double", 1, |n| n * 2), 21)).is_none());
        let Ok(Value::Erased(end)) = ended.blocking_recv().unwrap().end else { panic!("none") };
        assert_eq!(end.take::<u64>(), 42);
    }

    #[test]
    fn a_panic_is_an_end_like_any_other() {
        let (mut pool, mut ended) = Pool::new(1);
        assert!(pool.run(work(Function::pure("never", 1, |n| panic!("not {n}")), 1)).is_none());
        let end = ended.blocking_recv().unwrap().end;
        assert!(matches!(end, Err(CallError::Panicked { message }) if message == "not 1"));
        let sharp = Function::pure("sharp", 1, |_| std::panic::panic_any(Sharp));
        assert!(pool.run(work(sharp, 1)).is_none());
        let end = ended.blocking_recv().unwrap().end;
        assert!(matches!(end, Err(CallError::Panicked { .. })), "{end:?}");
        assert!(pool.run(work(Function::pure("same", 1, |n| n), 1)).is_none());
        assert!(ended.blocking_recv().unwrap().end.is_ok());
    }
}
