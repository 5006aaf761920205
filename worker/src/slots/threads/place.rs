//! A thread's place, as the calls that are made within its jobs see it.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, mpsc as std_mpsc};

use simple_dist_core::worker::Number;
use simple_dist_protocol::{Address, RunError, nested};

use super::super::slot_event::SlotEvent;
use super::Shared;
use crate::registry::Runners;

/// So many calls may run in place within each other: each takes its share of the thread's stack.
const DEPTH: usize = 128;

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
}

impl nested::Place for Place {
    fn lend(&self) -> bool {
        let (slot, number) = self.running.get();
        self.shared.listener.tell(slot, SlotEvent::Waits { number: number.0 })
            && self.lent.recv().unwrap_or(false)
    }

    fn take_back(&self) {
        let (slot, number) = self.running.get();
        self.shared.listener.tell(slot, SlotEvent::Resumes { number: number.0 });
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
