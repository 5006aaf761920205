//! Calls within runs. A thread that runs a job and waits for a call of its own does nothing
//! meanwhile, and what it waits for may need its place: so whoever gave it the place is asked for
//! another, and beyond what can be had the call runs in place.
//!
//! Who gives places and who waits for calls do not know each other; they meet here.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Address, RunError};

/// What a thread runs jobs in.
pub trait Place {
    /// What runs waits for a call: whether another job may run meanwhile. Then the place is
    /// [taken back](Self::take_back).
    fn lend(&self) -> bool;

    /// What runs goes on.
    fn take_back(&self);

    /// Runs a function on this thread, within what runs; none if it cannot be run here.
    fn run(&self, function: &Address, argument: &[u8]) -> Option<Result<Vec<u8>, RunError>>;
}

thread_local! {
    static PLACE: RefCell<Option<Rc<dyn Place>>> = const { RefCell::new(None) };
    static STATE: Cell<State> = const { Cell::new(State::Runs) };
    static CALLS: RefCell<Option<Calls>> = const { RefCell::new(None) };
}

/// The calls that an async job has made and whose ends it has not seen.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct OpenCall(Calls);

impl Calls {
    /// Runs a part of the job; the calls that begin meanwhile are counted.
    pub fn count<T>(&self, run: impl FnOnce() -> T) -> T {
        let _before = Counted(CALLS.replace(Some(self.clone())));
        run()
    }

    /// Whether there are any.
    pub fn are_open(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

/// A call begins; none if no async job makes it.
pub fn begin_call() -> Option<OpenCall> {
    let calls = CALLS.try_with(|calls| calls.borrow().clone()).ok().flatten()?;
    calls.0.fetch_add(1, Ordering::AcqRel);
    Some(OpenCall(calls))
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What was counted before on this thread, and will be again.
struct Counted(Option<Calls>);

impl Drop for Counted {
    fn drop(&mut self) {
        CALLS.set(self.0.take());
    }
}

/// What a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    /// It waits, and has not asked to lend its place.
    Waits,
    /// Another runs in its place meanwhile.
    Lent,
    /// None does.
    Refused,
}

/// Whatever this thread runs from now on runs in this place.
pub fn occupy(place: Rc<dyn Place>) {
    PLACE.set(Some(place));
}

/// This thread waits for calls until this is dropped.
#[must_use = "dropped, the wait is over"]
pub fn wait() -> Waiting {
    let before = STATE.get();
    if before != State::Lent {
        STATE.set(State::Waits);
    }
    Waiting { before }
}

/// Whether this thread waits and nothing can run in its place: what it waits for is better run
/// here. The first to ask in a wait has the place lent, if it can be.
pub fn is_refused() -> bool {
    if STATE.get() == State::Waits
        && let Some(place) = place()
    {
        STATE.set(if place.lend() { State::Lent } else { State::Refused });
    }
    STATE.get() == State::Refused
}

/// Runs what is called on this thread, in the place of the one that waits for it; none if it cannot
/// be run here.
pub fn run_here<T>(run: impl FnOnce(&dyn Place) -> Option<T>) -> Option<T> {
    let place = place()?;
    let _waits = Waiting { before: STATE.replace(State::Runs) };
    run(&*place)
}

fn place() -> Option<Rc<dyn Place>> {
    PLACE.try_with(|place| place.borrow().clone()).ok().flatten()
}

/// See [`wait`].
#[derive(Debug)]
pub struct Waiting {
    before: State,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if STATE.replace(self.before) == State::Lent
            && self.before != State::Lent
            && let Some(place) = place()
        {
            place.take_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_a_job_are_open_until_they_are_dropped() {
        assert!(begin_call().is_none());
        let calls = Calls::default();
        let one = calls.count(|| {
            Calls::default().count(begin_call);
            begin_call()
        });
        assert!(calls.are_open() && begin_call().is_none());
        drop(one);
        assert!(!calls.are_open());
    }

    /// It lends so many times, and counts how often it was given back.
    struct Few(Cell<u8>, Cell<u8>);

    impl Place for Few {
        fn lend(&self) -> bool {
            let left = self.0.get();
            self.0.set(left.saturating_sub(1));
            left > 0
        }

        fn take_back(&self) {
            self.1.set(self.1.get() + 1);
        }

        fn run(&self, _: &Address, argument: &[u8]) -> Option<Result<Vec<u8>, RunError>> {
            Some(Ok(argument.to_vec()))
        }
    }

    #[test]
    fn a_place_is_lent_once_at_a_time_and_taken_back_and_else_the_call_runs_in_place() {
        let waiting = wait();
        assert!(!is_refused(), "a thread without a place only waits");
        drop(waiting);
        let few = Rc::new(Few(Cell::new(2), Cell::new(0)));
        occupy(Rc::clone(&few) as Rc<dyn Place>);
        assert!(!is_refused(), "it does not wait");
        for times in 1..=2 {
            let outer = wait();
            assert!(!is_refused());
            let inner = wait();
            assert!(!is_refused(), "it is lent already");
            drop(inner);
            assert_eq!(few.1.get(), times - 1);
            drop(outer);
            assert_eq!(few.1.get(), times);
        }
        let _unasked = wait();
        drop(wait());
        assert_eq!((few.0.get(), few.1.get()), (0, 2), "nobody asked");
        assert!(is_refused());
        few.0.set(1);
        run_here(|_| {
            assert!(!is_refused(), "what runs does not wait");
            let _within = wait();
            assert!(!is_refused(), "what runs in place may lend it");
            Some(())
        });
        assert_eq!(few.1.get(), 3);
        assert!(is_refused());
    }
}
