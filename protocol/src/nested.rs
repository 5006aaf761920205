//! Calls within runs. A thread that runs a job and waits for a call of its own does nothing
//! meanwhile, and what it waits for may need its place: so whoever gave it the place is asked for
//! another, and beyond what can be had the call runs in place.
//!
//! Who gives places and who waits for calls do not know each other; they meet here.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crate::{Address, RunError, job};

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
    static POLLED: RefCell<Weak<Polled>> = const { RefCell::new(Weak::new()) };
}

/// The calls that an async job has made and whose ends it has not seen.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
struct Counted(Calls);

/// The calls that the job on a thread polls by itself, as in a runtime of its own. It waits until the
/// last of them is dropped.
#[derive(Debug)]
struct Polled;

/// A call that a job has made and whose end it has not seen.
#[derive(Debug)]
pub struct OpenCall {
    _counted: Option<Counted>,
    _polled: Option<Arc<Polled>>,
}

impl Calls {
    /// Runs a part of the job; the calls that begin meanwhile are counted.
    pub fn count<T>(&self, run: impl FnOnce() -> T) -> T {
        let _before = Before(CALLS.replace(Some(self.clone())));
        run()
    }

    /// Whether there are any.
    pub fn are_open(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

/// A call begins, and is polled outside of a [`wait`].
pub fn begin_call() -> OpenCall {
    let calls = CALLS.try_with(|calls| calls.borrow().clone()).ok().flatten();
    let counted = calls.map(|calls| {
        calls.0.fetch_add(1, Ordering::AcqRel);
        Counted(calls)
    });
    OpenCall { _counted: counted, _polled: polled() }
}

fn polled() -> Option<Arc<Polled>> {
    let open = POLLED.try_with(|polled| polled.borrow().upgrade()).ok()?;
    if open.is_some() || STATE.get() != State::Runs || place().is_none() {
        return open;
    }
    let polled = Arc::new(Polled);
    POLLED.set(Arc::downgrade(&polled));
    STATE.set(State::Waits);
    Some(polled)
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        // Another thread, and another job by now, know nothing of it.
        let ours = POLLED.try_with(|polled| ptr::eq(polled.borrow().as_ptr(), self));
        if ours == Ok(true) {
            runs_again(State::Runs);
        }
    }
}

/// What was counted before on this thread, and will be again.
struct Before(Option<Calls>);

impl Drop for Before {
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
    job::in_place(|| run(&*place))
}

/// Runs a job, or a call in the place of the job that waits for it: what waits before and after on this
/// thread is not what waits within.
pub(crate) fn frame<T>(run: impl FnOnce() -> T) -> T {
    let _outer = Outer { state: STATE.replace(State::Runs), polled: POLLED.take() };
    run()
}

struct Outer {
    state: State,
    polled: Weak<Polled>,
}

impl Drop for Outer {
    fn drop(&mut self) {
        POLLED.set(std::mem::take(&mut self.polled));
        runs_again(self.state);
    }
}

/// The place is taken back, if it was lent by what ends here.
fn runs_again(before: State) {
    if STATE.replace(before) == State::Lent
        && before != State::Lent
        && let Some(place) = place()
    {
        place.take_back();
    }
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
        // If the thread runs already, the last call that it polled has ended meanwhile.
        if STATE.get() != State::Runs {
            runs_again(self.before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_a_job_are_open_until_they_are_dropped() {
        let calls = Calls::default();
        let one = calls.count(|| {
            Calls::default().count(begin_call);
            begin_call()
        });
        let _other = begin_call();
        assert!(calls.are_open());
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
    #[test]
    fn a_thread_that_polls_calls_lends_its_place_until_the_last_has_ended() {
        let few = Rc::new(Few(Cell::new(9), Cell::new(0)));
        occupy(Rc::clone(&few) as Rc<dyn Place>);
        let seen = || (9 - few.0.get(), few.1.get());
        let (one, other) = (begin_call(), begin_call());
        assert!(!is_refused());
        drop(one);
        assert_eq!(seen(), (1, 0), "the other is still polled");
        let waiting = wait();
        assert!(!is_refused());
        drop(other);
        drop(waiting);
        assert_eq!((seen(), STATE.get()), ((1, 1), State::Runs));

        let forgotten = frame(|| {
            let call = begin_call();
            assert!(!is_refused());
            call
        });
        assert_eq!(seen(), (2, 2), "its job has ended");
        frame(|| {
            let _next = begin_call();
            assert!(!is_refused());
            drop(forgotten);
            assert_eq!(seen(), (3, 2), "what the next job polls goes on");
        });
        assert_eq!(seen(), (3, 3));

        few.0.set(0);
        let refused = begin_call();
        assert!(is_refused());
        let within = run_here(|_| Some(is_refused()));
        assert_eq!((within, is_refused()), (Some(false), true));
        drop(refused);
        assert!(!is_refused());
    }
}
