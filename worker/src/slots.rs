//! What runs jobs: threads, apart from the runtime that talks to the broker, since all cores at work
//! must not cost a heartbeat; child processes, which can be killed; or tasks on the caller's runtime, for
//! async functions.

mod board;
mod last_lines;
mod processes;
mod run_control;
mod running;
mod slot_event;
mod tasks;
mod threads;

use std::io;
use std::sync::Arc;

use simple_dist_core::worker::{Event, Number, Work};
use simple_dist_isolation::StartError;
use simple_dist_protocol::job::Job;
use simple_dist_protocol::message::{Answer, Printed, Progress};
use simple_dist_protocol::nested::Nesting;
use simple_dist_protocol::panic_log::Run as Logged;
use simple_dist_protocol::{self as protocol, AsyncErased, Term, WorkerId};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Span, info_span};

pub(crate) use self::board::Board;
pub(crate) use self::last_lines::LastLines;
use self::processes::Processes;
pub(crate) use self::processes::{Order, ProcessSlots};
use self::run_control::RunControl;
use self::running::Running;
pub(crate) use self::slot_event::{Listener, SlotEvent};
use self::tasks::Tasks;
use self::threads::Threads;
use crate::registry::Registry;

/// How jobs are run.
#[derive(Debug)]
pub(crate) enum Bodies {
    /// On threads, with stacks of so many bytes.
    Sync(Registry, usize),
    /// In child processes.
    Isolated(ProcessSlots),
    /// As tasks on a runtime.
    Async(Vec<AsyncErased>, Handle),
}

/// The slots, each of which runs one job at a time.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Of each slot's newest run.
    controls: Vec<Arc<RunControl>>,
    board: Arc<Board>,
    runners: Runners,
}

#[derive(Debug)]
enum Runners {
    Threads(Threads),
    Processes(Processes),
    Tasks(Tasks),
}

/// What a slot is given, to run in order.
#[derive(Debug)]
struct Run {
    jobs: Vec<Work>,
    setting: Setting,
}

impl Slots {
    /// Slots whose events come out of `happened`. What times are counted from is `began`.
    pub(crate) fn start(
        count: usize,
        bodies: Bodies,
        worker: WorkerId,
        began: Instant,
        happened: mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let runners = match bodies {
            Bodies::Sync(registry, stack) => {
                let listener = Listener::Service(happened);
                Runners::Threads(Threads::start(count, stack, registry, began, listener)?)
            }
            Bodies::Isolated(slots) => {
                Runners::Processes(Processes::start(count, slots, worker, began, happened)?)
            }
            Bodies::Async(functions, runtime) => {
                Runners::Tasks(Tasks::new(functions, runtime, began, happened))
            }
        };
        Ok(Self { controls: vec![], board: Arc::default(), runners })
    }

    /// The one slot of a child process.
    pub(crate) fn in_child(
        registry: Registry,
        stack: usize,
        board: Arc<Board>,
        began: Instant,
        parent: Listener,
    ) -> io::Result<Self> {
        let threads = Threads::start(1, stack, registry, began, parent)?;
        Ok(Self { controls: vec![], board, runners: Runners::Threads(threads) })
    }

    /// Gives a slot its next run. One beyond the first may need a thread that cannot be had.
    pub(crate) fn run(&mut self, slot: usize, jobs: Vec<Work>) -> io::Result<()> {
        let control = Arc::<RunControl>::default();
        if slot >= self.controls.len() {
            self.controls.resize_with(slot + 1, Arc::default);
        }
        self.controls[slot] = Arc::clone(&control);
        let setting = Setting { slot, control, board: Arc::clone(&self.board) };
        let run = Run { jobs, setting };
        match &mut self.runners {
            Runners::Threads(threads) => threads.run(run),
            Runners::Processes(processes) => processes.run(run),
            Runners::Tasks(tasks) => {
                tasks.run(run);
                Ok(())
            }
        }
    }

    /// Why there can be none, if it turns out that no child process can be started.
    pub(crate) fn take_no_child(&mut self) -> impl Future<Output = StartError> + use<> {
        let no_child = match &mut self.runners {
            Runners::Processes(processes) => processes.take_no_child(),
            Runners::Threads(_) | Runners::Tasks(_) => None,
        };
        async move {
            match no_child {
                Some(no_child) => match no_child.await {
                    Ok(problem) => problem,
                    Err(_one_is_ready) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        }
    }

    /// Lets a slot begin nothing more of its run; how many of it have begun.
    pub(crate) fn recall(&self, slot: usize) -> usize {
        self.controls[slot].close()
    }

    /// Nobody waits any more for what a slot runs: a task is dropped, and what a thread runs may
    /// ask.
    pub(crate) fn stop(&self, slot: usize, number: Number) {
        self.controls[slot].stop(number);
        self.wake(slot);
    }

    /// Kills the process of a slot, if it still runs this job.
    pub(crate) fn kill(&self, slot: usize, number: Number) {
        self.controls[slot].kill(number);
        self.wake(slot);
    }

    fn wake(&self, slot: usize) {
        match &self.runners {
            Runners::Processes(processes) => processes.wake(slot),
            Runners::Threads(_) | Runners::Tasks(_) => {}
        }
    }

    /// Ends when jobs have said how far they are.
    pub(crate) async fn progresses(&self) {
        self.board.written().await;
    }

    /// What they have said, the newest of each.
    pub(crate) fn progress(&self) -> Vec<(Number, Progress)> {
        self.board.take()
    }

    /// What a beat that names this term is to tell of what jobs have printed.
    pub(crate) fn printed(&self, term: Option<Term>) -> Vec<Printed> {
        match &self.runners {
            Runners::Processes(processes) => processes.printed(term),
            // They print where their worker does.
            Runners::Threads(_) | Runners::Tasks(_) => vec![],
        }
    }

    /// Tells a slot whether another job runs while this one waits.
    pub(crate) fn lend(&self, slot: usize, number: Number, lent: bool) {
        match &self.runners {
            Runners::Threads(threads) => threads.lend(slot, number, lent),
            Runners::Processes(processes) => processes.lend(slot, number, lent),
            // They do not ask.
            Runners::Tasks(_) => {}
        }
    }
}

/// What work of a run has in common.
#[derive(Debug, Clone)]
struct Setting {
    slot: usize,
    control: Arc<RunControl>,
    board: Arc<Board>,
}

impl Setting {
    /// How this work is seen in the log.
    fn begins(&self, work: &Work) -> (Span, Logged) {
        let Work { key, attempt, function, trace, .. } = work;
        let span = info_span!(
            "job", job.id = %key.id, %function, attempt = attempt.number,
            traceparent = trace.as_deref(),
        );
        let (job, attempt) = (key.id, attempt.number);
        (span, Logged { job, function: function.clone(), attempt: Some(attempt) })
    }

    /// And from within.
    fn job(&self, work: &Work, began: Instant, nesting: Nesting) -> Job {
        let Work { number, key, attempt, deadline, .. } = work;
        let (deadline, setting) = (began + *deadline, self.clone());
        let running = Running { number: *number, deadline, setting, nesting };
        Job::new(key.id, attempt.number, Arc::new(running))
    }
}

/// The trace of a run.
fn begin_span(work: &Work) -> protocol::Span {
    let span = protocol::Span::run(&work.function, work.key.id, work.trace.as_deref());
    span.set("simple_dist.attempt", work.attempt.number);
    span
}

fn end_span(span: &protocol::Span, answer: &Answer) {
    if !matches!(answer, Answer::Value(_)) {
        span.fail(answer.kind());
    }
}

#[cfg(test)]
mod tests;
