//! Slots that are child processes, each with a thread here that owns it: a child dies with the
//! thread that started it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use simple_dist_core::worker::{Event, Number, Work};
use simple_dist_isolation::{Limits, Spec, StartError, Waker};
use simple_dist_protocol::message::Printed;
use simple_dist_protocol::{Address, Attempt, JobKey, Span, Term, WorkerId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::slot::Slot;
use super::{LastLines, Run};

mod crash;
mod list;
mod slot;

/// So long the worker waits for its children when it leaves.
const LEAVE: Duration = Duration::from_secs(2);
/// The stack of a slot's thread here, which runs nobody's function.
const STACK: usize = 512 * 1024;

/// What child processes are for.
#[derive(Debug)]
pub(crate) struct ProcessSlots {
    pub(crate) spec: Spec,
    pub(crate) limits: Limits,
    /// After how many jobs a child is replaced.
    pub(crate) recycle_after: Option<u32>,
    /// What their jobs have printed, if it is shared.
    pub(crate) printed: Option<LastLines>,
}

/// What a child is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// To run these in order.
    Run(Vec<Job>),
    /// To begin no more of those that were given with this first one.
    Revoke(u64),
    /// The answer to this job, which waits.
    Lend(u64, bool),
    /// Nobody waits for this job any more.
    Stop(u64),
}

/// A job as a child gets it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    number: u64,
    key: JobKey,
    attempt: Attempt,
    function: Address,
    args: bytes::Bytes,
    left: Duration,
    trace: Option<String>,
}

impl Job {
    /// With what is left of its time.
    fn new(work: &Work, now: Duration) -> Self {
        Self {
            number: work.number.0,
            key: work.key.clone(),
            attempt: work.attempt,
            function: work.function.clone(),
            args: work.args.clone(),
            left: work.deadline.saturating_sub(now),
            trace: work.trace.clone(),
        }
    }

    /// What is to run one after the other. The first one's run has begun, and what it calls is part of
    /// that; what the others call will be beside their runs, in the traces of their calls.
    fn batch<'a>(
        works: impl IntoIterator<Item = &'a Work>,
        now: Duration,
        first: &Span,
    ) -> Vec<Self> {
        let mut jobs: Vec<Self> = works.into_iter().map(|work| Self::new(work, now)).collect();
        if let (Some(job), Some(trace)) = (jobs.first_mut(), first.traceparent()) {
            job.trace = Some(trace);
        }
        jobs
    }

    pub(crate) fn work(self, now: Duration) -> Work {
        Work {
            number: Number(self.number),
            key: self.key,
            attempt: self.attempt,
            function: self.function,
            args: self.args,
            deadline: now + self.left,
            trace: self.trace,
        }
    }
}

/// One thread and one child per slot. Dropped, all of them end.
#[derive(Debug)]
pub(super) struct Processes {
    shared: Arc<Shared>,
    slots: Vec<Handle>,
    /// Why none of the first children could be started.
    no_child: Option<oneshot::Receiver<StartError>>,
    /// Kept by each thread; none is left when all have ended.
    alive: Option<std_mpsc::Sender<()>>,
    ended: Mutex<std_mpsc::Receiver<()>>,
}

#[derive(Debug)]
struct Handle {
    inbox: std_mpsc::Sender<Command>,
    waker: Arc<Waker>,
}

/// What a slot's thread is told.
#[derive(Debug)]
enum Command {
    Run(Run),
    Lend(Number, bool),
}

/// What all of them have.
#[derive(Debug)]
struct Shared {
    worker: WorkerId,
    slots: ProcessSlots,
    /// How many there are without those that are lent.
    count: usize,
    /// What times are counted from.
    began: Instant,
    happened: mpsc::Sender<Event>,
    first: Mutex<First>,
}

/// What came of the first children: nobody is told any more once one is ready.
#[derive(Debug)]
struct First {
    /// Of so many it is not known.
    left: usize,
    all_failed: Option<oneshot::Sender<StartError>>,
}

impl Shared {
    /// A child is ready.
    fn started(&self) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).all_failed = None;
    }

    /// The first child of a slot could not be started.
    fn failed(&self, problem: StartError) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.left = first.left.saturating_sub(1);
        if first.left == 0
            && let Some(all_failed) = first.all_failed.take()
        {
            // The worker may be gone.
            let _told = all_failed.send(problem);
        }
    }
}

impl Processes {
    /// Starts so many.
    pub(super) fn start(
        count: usize,
        slots: ProcessSlots,
        worker: WorkerId,
        began: Instant,
        happened: mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let (all_failed, no_child) = oneshot::channel();
        let first = Mutex::new(First { left: count, all_failed: Some(all_failed) });
        let shared = Arc::new(Shared { worker, slots, count, began, happened, first });
        let (alive, ended) = std_mpsc::channel();
        let no_child = Some(no_child);
        let (alive, ended) = (Some(alive), Mutex::new(ended));
        let mut processes = Self { shared, slots: vec![], no_child, alive, ended };
        processes.grow(count)?;
        Ok(processes)
    }

    /// Ends if none of the first children can be started. To be taken once.
    pub(super) fn take_no_child(&mut self) -> Option<oneshot::Receiver<StartError>> {
        self.no_child.take()
    }

    /// Gives a slot its next run.
    pub(super) fn run(&mut self, run: Run) -> io::Result<()> {
        self.grow(run.setting.slot + 1)?;
        self.tell(run.setting.slot, Command::Run(run));
        Ok(())
    }

    /// Answers a job that asked to lend its place.
    pub(super) fn lend(&self, slot: usize, number: Number, lent: bool) {
        self.tell(slot, Command::Lend(number, lent));
    }

    /// Lets a slot's thread look at its control.
    pub(super) fn wake(&self, slot: usize) {
        if let Some(slot) = self.slots.get(slot) {
            slot.waker.wake();
        }
    }

    /// See [`Slots::printed`](super::Slots::printed).
    pub(super) fn printed(&self, term: Option<Term>) -> Vec<Printed> {
        let printed = self.shared.slots.printed.as_ref();
        printed.map(|lines| lines.due(term)).unwrap_or_default()
    }

    fn tell(&self, slot: usize, told: Command) {
        let slot = &self.slots[slot];
        slot.inbox.send(told).expect("a slot's thread lives as long as its inbox");
        slot.waker.wake();
    }

    fn grow(&mut self, count: usize) -> io::Result<()> {
        for index in self.slots.len()..count {
            let (inbox, told) = std_mpsc::channel();
            let (waker, alive) = (Arc::new(Waker::new()?), self.alive.clone());
            let slot = Slot::new(index, told, Arc::clone(&waker), Arc::clone(&self.shared));
            thread::Builder::new().name(format!("slot-{index}")).stack_size(STACK).spawn(
                move || {
                    slot.run_all();
                    drop(alive);
                },
            )?;
            self.slots.push(Handle { inbox, waker });
        }
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for Handle { inbox, waker } in self.slots.drain(..) {
            drop(inbox);
            waker.wake();
        }
        self.alive = None;
        // So that nothing that a job has started outlives this process.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _all_ended = ended.recv_timeout(LEAVE);
    }
}
