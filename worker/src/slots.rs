//! What runs jobs: threads, apart from the runtime that talks to the broker, since all cores at work
//! must not cost a heartbeat; or tasks on that runtime, for async functions.

mod run_control;
mod tasks;
mod threads;

use std::io;
use std::sync::Arc;

use simple_dist_core::worker::{Event, Number, Work};
use simple_dist_protocol::AsyncErased;
use simple_dist_protocol::panic_log::Run as Logged;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Span, info_span};

pub(crate) use self::run_control::RunControl;
use self::tasks::Tasks;
use self::threads::Threads;
use crate::job::Job;
use crate::registry::Registry;

/// How jobs are run.
#[derive(Debug)]
pub(crate) enum Bodies {
    /// On threads, with stacks of so many bytes.
    Sync(Registry, usize),
    /// As tasks.
    Async(Vec<AsyncErased>),
}

/// The slots, each of which runs one job at a time.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Of each slot's newest run.
    controls: Vec<Arc<RunControl>>,
    runners: Runners,
}

#[derive(Debug)]
enum Runners {
    Threads(Threads),
    Tasks(Tasks),
}

/// What a slot is given, to run in order.
#[derive(Debug)]
struct Run {
    slot: usize,
    jobs: Vec<Work>,
    control: Arc<RunControl>,
}

impl Slots {
    /// Slots whose events come out of `happened`. What times are counted from is `began`.
    pub(crate) fn start(
        count: usize,
        bodies: Bodies,
        began: Instant,
        happened: mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let runners = match bodies {
            Bodies::Sync(registry, stack) => {
                Runners::Threads(Threads::start(count, stack, registry, began, happened)?)
            }
            Bodies::Async(functions) => Runners::Tasks(Tasks::new(functions, began, happened)),
        };
        Ok(Self { controls: vec![], runners })
    }

    /// Gives a slot its next run. One beyond the first may need a thread that cannot be had.
    pub(crate) fn run(&mut self, slot: usize, jobs: Vec<Work>) -> io::Result<()> {
        let control = Arc::<RunControl>::default();
        if slot >= self.controls.len() {
            self.controls.resize_with(slot + 1, Arc::default);
        }
        self.controls[slot] = Arc::clone(&control);
        let run = Run { slot, jobs, control };
        match &mut self.runners {
            Runners::Threads(threads) => threads.run(run),
            Runners::Tasks(tasks) => {
                tasks.run(run);
                Ok(())
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
    }

    /// Tells a slot whether another job runs while its own waits.
    pub(crate) fn lend(&self, slot: usize, lent: bool) {
        match &self.runners {
            Runners::Threads(threads) => threads.lend(slot, lent),
            // They do not ask.
            Runners::Tasks(_) => {}
        }
    }
}

/// How a run of this work is seen in the log, and from within.
fn begins(work: &Work, control: &Arc<RunControl>, began: Instant) -> (Span, Logged, Job) {
    let Work { number, key, attempt, function, deadline, trace, args: _ } = work;
    let span = info_span!(
        "job", job.id = %key.id, %function, attempt = attempt.number,
        traceparent = trace.as_deref(),
    );
    let logged = Logged { job: key.id, function: function.clone(), attempt: Some(attempt.number) };
    (
        span,
        logged,
        Job::new(key.id, attempt.number, began + *deadline, *number, Arc::clone(control)),
    )
}

#[cfg(test)]
mod tests;
