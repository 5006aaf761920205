//! The place of a thread's job, as the calls that are made within it see it.

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use simple_dist_core::worker::Number;
use simple_dist_protocol::{Address, RunError, job, nested};

use super::super::slot_event::SlotEvent;
use super::Shared;
use crate::registry::Runners;

/// So many calls may run in place within each other: each takes its share of the thread's stack.
const DEPTH: u32 = 128;

thread_local! {
    /// The states of functions that run in place on this thread, of each depth.
    static RUNNERS: RefCell<Vec<Runners>> = const { RefCell::new(vec![]) };
}

/// See the module.
#[derive(Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    slot: usize,
    number: Number,
    waits: Mutex<Waits>,
    changed: Condvar,
}

/// The threads of the job that wait for its calls.
#[derive(Debug, Default)]
struct Waits {
    count: usize,
    /// Whether the place is lent, once the first has been told.
    lent: Option<bool>,
    /// The job has ended, or the worker is gone.
    is_over: bool,
}

impl Place {
    pub(super) fn new(shared: Arc<Shared>, slot: usize, number: Number) -> Self {
        Self { shared, slot, number, waits: Mutex::default(), changed: Condvar::new() }
    }

    /// Whether it is lent to another, if it is this job that has asked.
    pub(super) fn answer(&self, number: Number, lent: bool) {
        if number == self.number {
            self.waits().lent = Some(lent);
            self.changed.notify_all();
        }
    }

    /// The job has ended.
    pub(super) fn end(&self) {
        if self.close() {
            self.tell(SlotEvent::Resumes { number: self.number.0 });
        }
    }

    /// Nothing more is lent; whether it was.
    pub(super) fn close(&self) -> bool {
        let mut waits = self.waits();
        waits.is_over = true;
        let was_lent = waits.lent.take() == Some(true);
        drop(waits);
        self.changed.notify_all();
        was_lent
    }

    fn tell(&self, event: SlotEvent) -> bool {
        self.shared.listener.tell(self.slot, event)
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waits {
    /// One waits no longer; whether it was the last.
    fn leave(&mut self) -> bool {
        self.count -= 1;
        self.count == 0
    }
}

impl nested::Place for Place {
    fn lend(&self) -> bool {
        let mut waits = self.waits();
        if waits.is_over {
            return false;
        }
        waits.count += 1;
        if waits.count == 1 {
            drop(waits);
            let is_told = self.tell(SlotEvent::Waits { number: self.number.0 });
            waits = self.waits();
            waits.is_over |= !is_told;
        }
        let is_open = |waits: &mut Waits| waits.lent.is_none() && !waits.is_over;
        let waits = self.changed.wait_while(waits, is_open);
        let mut waits = waits.unwrap_or_else(PoisonError::into_inner);
        let lent = waits.lent == Some(true);
        if !lent && waits.leave() {
            waits.lent = None;
        }
        lent
    }

    fn take_back(&self) {
        let mut waits = self.waits();
        if waits.leave() && waits.lent.take() == Some(true) {
            drop(waits);
            self.tell(SlotEvent::Resumes { number: self.number.0 });
        }
    }

    fn run(&self, function: &Address, argument: &[u8]) -> Option<Result<Vec<u8>, RunError>> {
        if job::current().is_none_or(|job| job.depth() > DEPTH) {
            return None;
        }
        let mut runners = RUNNERS.with_borrow_mut(Vec::pop).unwrap_or_default();
        let end = self.shared.registry.run_here(&mut runners, function, argument);
        RUNNERS.with_borrow_mut(|all| all.push(runners));
        end
    }
}

/// Drops the states of this thread.
pub(super) fn drop_states() {
    RUNNERS.take();
}

#[cfg(test)]
mod tests {
    use std::thread;

    use simple_dist_core::worker::Event;
    use simple_dist_protocol::nested::Place as _;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::super::Listener;
    use super::*;
    use crate::registry::Registry;

    const NUMBER: Number = Number(1);

    /// A job's place, and what the worker is told of it.
    fn place() -> (Place, mpsc::Receiver<Event>) {
        let (happened, told) = mpsc::channel(8);
        let registry = Registry::new(vec![]);
        let listener = Listener::Service(happened);
        let shared = Arc::new(Shared { registry, began: Instant::now(), listener });
        (Place::new(shared, 0, NUMBER), told)
    }

    #[test]
    fn several_threads_ask_once_and_the_last_to_go_on_takes_the_place_back() {
        let (place, mut told) = place();
        thread::scope(|scope| {
            let asks = [(); 2].map(|()| scope.spawn(|| place.lend()));
            assert!(matches!(told.blocking_recv(), Some(Event::Waits { number: NUMBER, .. })));
            place.answer(Number(2), false);
            place.answer(NUMBER, true);
            assert!(asks.into_iter().all(|ask| ask.join().unwrap()));
        });
        place.take_back();
        assert!(told.try_recv().is_err());
        place.take_back();
        assert!(matches!(told.try_recv(), Ok(Event::Resumes { number: NUMBER, .. })));
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn a_job_that_has_ended_lends_nothing() {
        let (place, mut told) = place();
        thread::scope(|scope| {
            let ask = scope.spawn(|| place.lend());
            assert!(matches!(told.blocking_recv(), Some(Event::Waits { .. })));
            place.end();
            assert!(!ask.join().unwrap());
        });
        assert!(!place.lend());
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn what_is_lent_when_the_job_ends_is_back_before_its_answer() {
        let (place, mut told) = place();
        thread::scope(|scope| {
            let ask = scope.spawn(|| place.lend());
            assert!(matches!(told.blocking_recv(), Some(Event::Waits { .. })));
            place.answer(NUMBER, true);
            assert!(ask.join().unwrap());
        });
        place.end();
        assert!(matches!(told.try_recv(), Ok(Event::Resumes { number: NUMBER, .. })));
        place.take_back();
        assert!(told.try_recv().is_err());
    }
}
