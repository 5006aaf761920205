//! A thread's place, as the calls that are made within its jobs see it.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;
use std::time::Duration;

use simple_dist_core::worker::{Event, Number};
use simple_dist_protocol::{Address, RunError, nested};
use tokio::sync::mpsc::error::TrySendError;

use super::Shared;
use crate::registry::Runners;

/// So many calls may run in place within each other: each takes its share of the thread's stack.
const DEPTH: usize = 128;
/// The wait for a service that has more events than it can take.
const PAUSE: Duration = Duration::from_millis(1);

/// See the module.
pub(super) struct Place {
    shared: Arc<Shared>,
    /// The slot, and the job in it.
    running: Cell<(usize, Number)>,
    lent: std_mpsc::Receiver<bool>,
    /// The states of functions that run in place, of each depth.
    runners: RefCell<Vec<Runners>>,
    depth: Cell<usize>,
}

impl Place {
    pub(super) fn new(shared: Arc<Shared>, lent: std_mpsc::Receiver<bool>) -> Self {
        let running = Cell::new((0, Number(0)));
        Self { shared, running, lent, runners: RefCell::default(), depth: Cell::new(0) }
    }

    /// The thread's next job.
    pub(super) fn begins(&self, slot: usize, number: Number) {
        self.running.set((slot, number));
    }

    /// Whether the service takes it. The thread may wait, whatever runtime it is in.
    fn tell(&self, mut event: Event) -> bool {
        loop {
            match self.shared.happened.try_send(event) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(back)) => event = back,
            }
            thread::sleep(PAUSE);
        }
    }
}

impl nested::Place for Place {
    fn lend(&self) -> bool {
        let (slot, number) = self.running.get();
        self.tell(Event::Waits { slot, number }) && self.lent.recv().unwrap_or(false)
    }

    fn take_back(&self) {
        let (slot, number) = self.running.get();
        self.tell(Event::Resumes { slot, number });
    }

    fn run(&self, function: &Address, argument: &[u8]) -> Option<Result<Vec<u8>, RunError>> {
        let depth = self.depth.get();
        if depth == DEPTH {
            return None;
        }
        self.depth.set(depth + 1);
        let mut runners = self.runners.borrow_mut().pop().unwrap_or_default();
        let end = self.shared.registry.run_here(&mut runners, function, argument);
        self.runners.borrow_mut().push(runners);
        self.depth.set(depth);
        end
    }
}
