//! Slots that are tasks, for async functions.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use simple_dist_core::worker::{Event, Number, Work};
use simple_dist_protocol::job::{EndGuard, Job};
use simple_dist_protocol::message::Answer;
use simple_dist_protocol::nested::{Calls, Nesting};
use simple_dist_protocol::panic_log::Run as Logged;
use simple_dist_protocol::{Address, AsyncErased, AsyncRun, RunError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

use super::{Run, Setting, begin_span, end_span};

/// One task per run. Dropped, whatever runs is dropped.
#[derive(Debug)]
pub(super) struct Tasks {
    shared: Arc<Shared>,
    runtime: Handle,
    tasks: JoinSet<()>,
}

/// What all of them have.
#[derive(Debug)]
struct Shared {
    functions: BTreeMap<Address, AsyncErased>,
    /// What times are counted from.
    began: Instant,
    happened: mpsc::Sender<Event>,
}

impl Tasks {
    pub(super) fn new(
        functions: Vec<AsyncErased>,
        runtime: Handle,
        began: Instant,
        happened: mpsc::Sender<Event>,
    ) -> Self {
        let functions =
            functions.into_iter().map(|function| (function.address().clone(), function)).collect();
        Self {
            shared: Arc::new(Shared { functions, began, happened }),
            runtime,
            tasks: JoinSet::new(),
        }
    }

    /// Begins a run.
    pub(super) fn run(&mut self, run: Run) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn_on(run_all(run, Arc::clone(&self.shared)), &self.runtime);
    }
}

async fn run_all(Run { jobs, setting }: Run, shared: Arc<Shared>) {
    for work in jobs {
        if !setting.control.enter() {
            break;
        }
        let event = run_one(work, &setting, &shared).await;
        if shared.happened.send(event).await.is_err() {
            break; // the worker is gone
        }
    }
}

async fn run_one(work: Work, setting: &Setting, shared: &Shared) -> Event {
    let calls = Calls::default();
    let (span, logged) = setting.begins(&work);
    let trace = begin_span(&work);
    let job = trace.within(|| setting.job(&work, shared.began, Nesting::Task(calls.clone())));
    let Setting { slot, control, .. } = setting;
    let slot = *slot;
    let Work { number, function, args, .. } = work;
    let began = Instant::now();
    let answer = match shared.functions.get(&function) {
        None => Answer::NotServed,
        Some(function) => {
            let run = Attended {
                run: function.run(args),
                logged,
                _ends: job.end_guard(),
                job,
                place: (slot, number),
                calls,
                waits: false,
                happened: shared.happened.clone(),
            };
            let run = async {
                tokio::select! {
                    biased;
                    () = control.stopped(number) => Answer::Cancelled,
                    end = run => Answer::from(end),
                }
            };
            trace.follow(run.instrument(span)).await
        }
    };
    end_span(&trace, &answer);
    let took = began.elapsed();
    metrics::counter!("simple_dist_worker_runs_total", "answer" => answer.kind()).increment(1);
    Event::Ran { slot, number, answer, took }
}

/// A run whose job can be asked for, whose panics are logged, and which lends its place while it
/// waits for calls of its own, wherever it goes on.
struct Attended {
    run: AsyncRun,
    logged: Logged,
    job: Job,
    _ends: EndGuard,
    place: (usize, Number),
    calls: Calls,
    /// Whether the worker was told that it waits.
    waits: bool,
    happened: mpsc::Sender<Event>,
}

impl Future for Attended {
    type Output = Result<Vec<u8>, RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { run, logged, job, place, calls, waits, happened, .. } = &mut *self;
        let end = calls.poll(context, |context| {
            let poll = || Pin::new(run).poll(context);
            job.clone().within(|| logged.clone().log_panics(poll))
        });
        let (slot, number) = *place;
        if end.is_pending() && calls.are_open() != *waits {
            let news = if *waits {
                Event::Resumes { slot, number }
            } else {
                Event::Waits { slot, number }
            };
            // Where that is not taken now, it is tried again at once: what is waited for may need the
            // place, and nothing else may wake this.
            match happened.try_send(news) {
                Ok(()) => *waits = !*waits,
                Err(_) => context.waker().wake_by_ref(),
            }
        }
        end
    }
}
