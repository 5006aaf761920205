//! Slots that are threads.

use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;

use simple_dist_core::worker::{Event, Work};
use simple_dist_protocol::nested;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::place::Place;
use super::{Run, RunControl, begins};
use crate::registry::{Registry, Runners};

mod place;

/// One thread per slot. Dropped, each thread ends behind what it runs; one that is stuck in a job
/// cannot be stopped and ends with the process, so nobody waits for them.
#[derive(Debug)]
pub(super) struct Threads {
    stack: usize,
    shared: Arc<Shared>,
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    /// Without a bound of its own: the executor gives a slot one run at a time.
    inbox: std_mpsc::Sender<Run>,
    /// Whether its place is lent, each time it asks.
    lends: std_mpsc::Sender<bool>,
}

/// What all of them have.
#[derive(Debug)]
struct Shared {
    registry: Registry,
    /// What times are counted from.
    began: Instant,
    happened: mpsc::Sender<Event>,
}

impl Threads {
    /// Starts so many.
    pub(super) fn start(
        count: usize,
        stack: usize,
        registry: Registry,
        began: Instant,
        happened: mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { registry, began, happened });
        let mut threads = Self { stack, shared, threads: vec![] };
        threads.grow(count)?;
        Ok(threads)
    }

    /// Gives a thread its next run.
    pub(super) fn run(&mut self, run: Run) -> io::Result<()> {
        self.grow(run.slot + 1)?;
        let inbox = &self.threads[run.slot].inbox;
        inbox.send(run).expect("a slot's thread lives as long as its inbox");
        Ok(())
    }

    /// Answers a thread that asked to lend its place.
    pub(super) fn lend(&self, slot: usize, lent: bool) {
        let lends = &self.threads[slot].lends;
        lends.send(lent).expect("a slot's thread lives as long as its inbox");
    }

    fn grow(&mut self, count: usize) -> io::Result<()> {
        for slot in self.threads.len()..count {
            let ((inbox, runs), shared) = (std_mpsc::channel(), Arc::clone(&self.shared));
            let (lends, lent) = std_mpsc::channel();
            thread::Builder::new()
                .name(format!("slot-{slot}"))
                .stack_size(self.stack)
                .spawn(move || run_all(&runs, lent, &shared))?;
            self.threads.push(Thread { inbox, lends });
        }
        Ok(())
    }
}

fn run_all(runs: &std_mpsc::Receiver<Run>, lent: std_mpsc::Receiver<bool>, shared: &Arc<Shared>) {
    let mut runners = Runners::new();
    let place = Rc::new(Place::new(Arc::clone(shared), lent));
    nested::occupy(Rc::clone(&place) as Rc<dyn nested::Place>);
    for Run { slot, jobs, control } in runs {
        for work in jobs {
            if !control.enter() {
                break;
            }
            place.begins(slot, work.number);
            let event = run_one(slot, work, &control, shared, &mut runners);
            if shared.happened.blocking_send(event).is_err() {
                // The worker is gone; the thread stays only while its inbox does.
                break;
            }
        }
    }
}

fn run_one(
    slot: usize,
    work: Work,
    control: &Arc<RunControl>,
    shared: &Shared,
    runners: &mut Runners,
) -> Event {
    let (span, logged, job) = begins(&work, control, shared.began);
    let Work { number, function, args, .. } = work;
    let _entered = span.enter();
    let began = Instant::now();
    let run = || shared.registry.run(runners, &function, &args);
    let answer = job.within(|| logged.log_panics(run));
    let took = began.elapsed();
    metrics::counter!("simple_dist_worker_runs_total", "answer" => answer.kind()).increment(1);
    Event::Ran { slot, number, answer, took }
}
