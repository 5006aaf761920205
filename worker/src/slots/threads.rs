//! Slots that are threads.

use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;

use simple_dist_core::worker::Work;
use simple_dist_protocol::{Span, nested};
use tokio::time::Instant;

use self::place::Place;
use super::slot_event::{Listener, SlotEvent};
use super::{Run, Setting, begin_span, end_span};
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
    listener: Listener,
}

impl Threads {
    /// Starts so many.
    pub(super) fn start(
        count: usize,
        stack: usize,
        registry: Registry,
        began: Instant,
        listener: Listener,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { registry, began, listener });
        let mut threads = Self { stack, shared, threads: vec![] };
        threads.grow(count)?;
        Ok(threads)
    }

    /// Gives a thread its next run.
    pub(super) fn run(&mut self, run: Run) -> io::Result<()> {
        self.grow(run.setting.slot + 1)?;
        let inbox = &self.threads[run.setting.slot].inbox;
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
    for Run { jobs, setting } in runs {
        for work in jobs {
            if !setting.control.enter() {
                break;
            }
            place.begins(setting.slot, work.number);
            let news = run_one(work, &setting, shared, &mut runners);
            if !shared.listener.tell(setting.slot, news) {
                // The worker is gone; the thread stays only while its inbox does.
                break;
            }
        }
    }
}

fn run_one(work: Work, setting: &Setting, shared: &Shared, runners: &mut Runners) -> SlotEvent {
    let (span, logged, job) = setting.begins(&work, shared.began);
    let trace = match &shared.listener {
        Listener::Service(_) => begin_span(&work),
        // Which has begun it.
        Listener::Parent(_) => Span::of_another(work.trace.as_deref()),
    };
    let Work { number, function, args, .. } = work;
    let _entered = span.enter();
    let began = Instant::now();
    let run = || shared.registry.run(runners, &function, &args);
    let answer = trace.within(|| job.within(|| logged.log_panics(run)));
    end_span(&trace, &answer);
    let took = began.elapsed();
    metrics::counter!("simple_dist_worker_runs_total", "answer" => answer.kind()).increment(1);
    SlotEvent::Ran { number: number.0, answer, took }
}
