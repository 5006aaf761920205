//! The threads that run jobs, apart from the runtime that talks to the broker: all cores at work
//! must not cost a heartbeat.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread;

use simple_dist_protocol::panic_log::Run as Logged;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::info_span;

use crate::registry::{Registry, Runners};
use simple_dist_core::worker::{Event, Work};

/// One thread per slot. Dropped, each thread ends behind what it runs; one that is stuck in a job
/// cannot be stopped and ends with the process, so nobody waits for them.
#[derive(Debug)]
pub(crate) struct Slots(Vec<Slot>);

#[derive(Debug)]
struct Slot {
    /// Without a bound of its own: the executor gives a slot one run at a time.
    inbox: std_mpsc::Sender<Run>,
    /// The gate of the newest run.
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Run {
    jobs: Vec<Work>,
    gate: Arc<Gate>,
}

impl Slots {
    /// Starts the threads; what they ran comes out of `ran` as [`Event::Ran`].
    pub(crate) fn start(
        count: usize,
        stack: usize,
        registry: &Arc<Registry>,
        ran: &mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let start = |slot| {
            let (inbox, runs) = std_mpsc::channel();
            let (registry, ran) = (Arc::clone(registry), ran.clone());
            thread::Builder::new()
                .name(format!("slot-{slot}"))
                .stack_size(stack)
                .spawn(move || run_all(slot, &runs, &registry, &ran))?;
            Ok(Slot { inbox, gate: Arc::default() })
        };
        (0..count).map(start).collect::<io::Result<_>>().map(Self)
    }

    /// Gives a slot its next run.
    pub(crate) fn run(&mut self, slot: usize, jobs: Vec<Work>) {
        let slot = &mut self.0[slot];
        slot.gate = Arc::default();
        let run = Run { jobs, gate: Arc::clone(&slot.gate) };
        slot.inbox.send(run).expect("a slot's thread lives as long as its inbox");
    }

    /// Lets a slot begin nothing more of its run; how many of it have begun.
    pub(crate) fn recall(&self, slot: usize) -> usize {
        self.0[slot].gate.shut()
    }
}

fn run_all(
    slot: usize,
    runs: &std_mpsc::Receiver<Run>,
    registry: &Registry,
    ran: &mpsc::Sender<Event>,
) {
    let mut runners = Runners::new();
    for Run { jobs, gate } in runs {
        for work in jobs {
            if !gate.enter() {
                break;
            }
            let event = run_one(slot, work, registry, &mut runners);
            if ran.blocking_send(event).is_err() {
                // The worker is gone; the thread stays only while its inbox does.
                break;
            }
        }
    }
}

fn run_one(slot: usize, work: Work, registry: &Registry, runners: &mut Runners) -> Event {
    let Work { number, key, attempt, function, args, trace } = work;
    let span = info_span!(
        "job", job.id = %key.id, %function, attempt = attempt.number,
        traceparent = trace.as_deref(),
    );
    let _entered = span.enter();
    let began = Instant::now();
    let run = Logged { job: key.id, function: function.clone(), attempt: Some(attempt.number) };
    let answer = run.log_panics(|| registry.run(runners, &function, &args));
    let took = began.elapsed();
    metrics::counter!("simple_dist_worker_runs_total", "answer" => answer.kind()).increment(1);
    Event::Ran { slot, number, answer, took }
}

/// How many jobs of a run have begun, and whether more may.
#[derive(Debug, Default)]
struct Gate(AtomicUsize);

/// The bit of a gate that is shut.
const SHUT: usize = 1 << (usize::BITS - 1);

impl Gate {
    /// One more begins, if it may.
    fn enter(&self) -> bool {
        let begin = |begun: usize| (begun & SHUT == 0).then_some(begun + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, begin).is_ok()
    }

    /// None begins any more; how many have.
    fn shut(&self) -> usize {
        self.0.fetch_or(SHUT, Ordering::AcqRel) & !SHUT
    }
}

#[cfg(test)]
mod tests;
