//! A client's child process: it runs what its parent gives it, one job at a time, and ends with it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use simple_dist_isolation::inside::{Parent, Sender, end};
use simple_dist_protocol::job::{self, Job, Stopped};
use simple_dist_protocol::message::{Answer, Progress};
use simple_dist_protocol::nested::Nesting;
use simple_dist_protocol::panic_log::{self, Report, Run};
use simple_dist_protocol::{Address, Erased, JobId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::STACK;

/// The pause between two words on how far a job is.
const PROGRESS: Duration = Duration::from_millis(100);

/// What a child is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// To run this; it has ended what it was given before.
    Run {
        id: JobId,
        function: Address,
        args: Bytes,
        /// How long somebody waits for the value, if that has an end.
        left: Option<Duration>,
    },
    /// That nobody waits any more for what it runs.
    Stop,
}

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ChildEvent {
    /// This job has ended.
    Ran(JobId, Answer),
    /// It is so far.
    Progresses(JobId, Progress),
    /// It panicked, and will end; for the log.
    Panicked(Report),
}

/// A job, as its child has it.
struct Given {
    id: JobId,
    function: Address,
    args: Bytes,
    host: Arc<Host>,
}

/// Runs jobs on a thread of this process until the parent wants no more: then the process ends.
pub(crate) fn serve(parent: Parent, functions: Vec<Erased>) -> ! {
    let Ok((sender, mut receiver)) = parent.ready() else { end() };
    let sender = Arc::new(sender);
    let panics = Arc::clone(&sender);
    panic_log::elsewhere(move |report| panics.send(&ChildEvent::Panicked(report)));
    let (jobs, given) = sync_channel(1);
    let ran = Arc::clone(&sender);
    let run = move || run_all(&given, functions, &ran);
    let started = thread::Builder::new().name("local-run".to_owned()).stack_size(STACK).spawn(run);
    if started.is_err() {
        end();
    }
    let mut running = CancellationToken::new();
    while let Some(order) = receiver.receive() {
        match order {
            Order::Run { id, function, args, left } => {
                running = CancellationToken::new();
                let deadline = left.and_then(|left| Instant::now().checked_add(left));
                let (stopped, sender) = (running.clone(), Arc::clone(&sender));
                let host = Arc::new(Host { id, deadline, stopped, sender, told: Mutex::new(None) });
                if jobs.send(Given { id, function, args, host }).is_err() {
                    break;
                }
            }
            Order::Stop => running.cancel(),
        }
    }
    end()
}

fn run_all(given: &Receiver<Given>, functions: Vec<Erased>, ran: &Sender) {
    let named = functions.into_iter().map(|function| (function.address().clone(), function));
    let functions: BTreeMap<Address, Erased> = named.collect();
    while let Ok(Given { id, function, args, host }) = given.recv() {
        let answer = match functions.get(&function) {
            Some(body) => {
                let run = Run { job: id, function, attempt: None };
                let run = || run.log_panics(|| body.run(&args));
                Job::new(id, 0, host).run(run).into()
            }
            None => Answer::NotServed,
        };
        ran.send(&ChildEvent::Ran(id, answer));
    }
}

/// What a job may ask.
#[derive(Debug)]
struct Host {
    id: JobId,
    deadline: Option<Instant>,
    stopped: CancellationToken,
    sender: Arc<Sender>,
    /// When its parent was last told how far it is.
    told: Mutex<Option<Instant>>,
}

impl job::Host for Host {
    fn remaining(&self) -> Duration {
        self.deadline
            .map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn is_stopped(&self) -> bool {
        self.stopped.is_cancelled()
    }

    fn stopped(self: Arc<Self>) -> Stopped {
        Box::pin(self.stopped.clone().cancelled_owned())
    }

    fn progress(&self, fraction: f32, text: &dyn fmt::Display) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= PROGRESS) {
            *told = Some(Instant::now());
            self.sender.send(&ChildEvent::Progresses(self.id, Progress::new(fraction, text)));
        }
    }

    fn nesting(&self) -> Nesting {
        Nesting::InPlace
    }
}
