//! Slots that are threads.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::thread;

use simple_dist_core::worker::{Number, Work};
use simple_dist_protocol::Span;
use simple_dist_protocol::job::SlotThread;
use simple_dist_protocol::nested::Nesting;
use tokio::time::Instant;

use self::place::Place;
use super::slot_event::{Listener, SlotEvent};
use super::{Run, Setting, begin_span, end_span};
use crate::registry::{Registry, Runners};

mod place;

/// How many threads this process has started for slots.
static STARTED: AtomicUsize = AtomicUsize::new(0);

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
    place: Arc<Mutex<Option<Arc<Place>>>>,
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

    /// Answers a job that asked to lend its place.
    pub(super) fn lend(&self, slot: usize, number: Number, lent: bool) {
        if let Some(place) = self.threads[slot].place() {
            place.answer(number, lent);
        }
    }

    fn grow(&mut self, count: usize) -> io::Result<()> {
        for _ in self.threads.len()..count {
            let ((inbox, runs), shared) = (std_mpsc::channel(), Arc::clone(&self.shared));
            let place = Arc::<Mutex<Option<Arc<Place>>>>::default();
            let now = Arc::clone(&place);
            thread::Builder::new()
                // Its alone in this process, so that the threads are known that jobs start there.
                .name(format!("slot-{}", STARTED.fetch_add(1, Ordering::Relaxed)))
                .stack_size(self.stack)
                .spawn(move || {
                    let thread = SlotThread::new();
                    Slot { thread, runners: Runners::new(), place: now, shared }.run_all(&runs);
                })?;
            self.threads.push(Thread { inbox, place });
        }
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Nobody answers any more.
        self.threads.iter().filter_map(Thread::place).for_each(|place| _ = place.close());
    }
}

impl Thread {
    fn place(&self) -> Option<Arc<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a thread has.
struct Slot {
    thread: SlotThread,
    runners: Runners,
    place: Arc<Mutex<Option<Arc<Place>>>>,
    shared: Arc<Shared>,
}

impl Slot {
    fn run_all(mut self, runs: &std_mpsc::Receiver<Run>) {
        for Run { jobs, setting } in runs {
            for work in jobs {
                if !setting.control.enter() {
                    break;
                }
                let news = self.run_one(work, &setting);
                if !self.shared.listener.tell(setting.slot, news) {
                    // The worker is gone; the thread stays only while its inbox does.
                    break;
                }
            }
        }
        place::drop_states();
    }

    fn run_one(&mut self, work: Work, setting: &Setting) -> SlotEvent {
        let Self { thread, runners, place: now, shared } = self;
        let place = Arc::new(Place::new(Arc::clone(shared), setting.slot, work.number));
        *now.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&place));
        let (span, logged) = setting.begins(&work);
        let trace = match &shared.listener {
            Listener::Service(_) => begin_span(&work),
            // Which has begun it.
            Listener::Parent(_) => Span::of_another(work.trace.as_deref()),
        };
        let nesting = Nesting::Thread(Arc::clone(&place) as _);
        let job = trace.within(|| setting.job(&work, shared.began, nesting));
        let Work { number, function, args, .. } = work;
        let _entered = span.enter();
        let began = Instant::now();
        let run = || shared.registry.run(runners, &function, &args);
        let answer = trace.within(|| thread.run(job, || logged.log_panics(run)));
        place.end();
        end_span(&trace, &answer);
        let took = began.elapsed();
        metrics::counter!("simple_dist_worker_runs_total", "answer" => answer.kind()).increment(1);
        SlotEvent::Ran { number: number.0, answer, took }
    }
}
