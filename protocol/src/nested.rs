//! Calls within runs. A job that waits for a call of its own does nothing meanwhile, and what it
//! waits for may need its place: so whoever gave it the place is asked for another, and beyond what
//! can be had the call runs in place.
//!
//! Who gives places and who waits for calls do not know each other; they meet here.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::job::{self, Job};
use crate::{Address, RunError};

/// How the calls of a job are waited for.
#[derive(Debug, Clone)]
pub enum Nesting {
    /// Its thread gives its place to nobody: what it calls runs there.
    InPlace,
    /// The thread that waits asks for another place.
    Thread(Arc<dyn Place>),
    /// The task that runs it tells by itself that it waits.
    Task(Calls),
}

/// The place of a job on a thread. Several threads of the job may wait at once.
pub trait Place: fmt::Debug + Send + Sync {
    /// A thread waits for a call: whether another job may run meanwhile. Then the place is
    /// [taken back](Self::take_back).
    fn lend(&self) -> bool;

    /// The thread goes on.
    fn take_back(&self);

    /// Runs a function on this thread, within the job; none if it cannot be run here.
    fn run(&self, function: &Address, argument: &[u8]) -> Option<Result<Vec<u8>, RunError>>;
}

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State::Runs) };
}

/// What a thread does.
#[derive(Debug, Default)]
enum State {
    #[default]
    Runs,
    /// It waits, and has not asked to lend its place.
    Waits,
    /// Another runs in its place meanwhile.
    Lent { _until_dropped: Lent },
    /// None does.
    Refused,
}

/// A place that is lent, until this is dropped.
#[derive(Debug)]
struct Lent(Arc<dyn Place>);

impl Lent {
    fn ask(place: Arc<dyn Place>) -> Option<Self> {
        place.lend().then(|| Self(place))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.take_back();
    }
}

/// The calls that a job in a task has made and whose ends it has not seen.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Open>);

#[derive(Debug, Default)]
struct Open {
    count: AtomicUsize,
    /// Woken when the first call begins or the last one ends while the task is not polled.
    task: Mutex<Option<Waker>>,
}

impl Calls {
    /// Polls the task.
    pub fn poll<T>(
        &self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        *self.task() = None;
        let end = poll(context);
        if end.is_pending() {
            *self.task() = Some(context.waker().clone());
        }
        end
    }

    /// Whether there are any.
    pub fn are_open(&self) -> bool {
        self.0.count.load(Ordering::Acquire) > 0
    }

    fn wake(&self) {
        let task = self.task().take();
        task.into_iter().for_each(Waker::wake);
    }

    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
struct Counted(Calls);

impl Counted {
    fn new(calls: Calls) -> Self {
        if calls.0.count.fetch_add(1, Ordering::AcqRel) == 0 {
            calls.wake();
        }
        Self(calls)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.wake();
        }
    }
}

/// A call that a job has made and whose end it has not seen.
#[derive(Debug)]
pub struct OpenCall(Held);

/// What is held for it.
#[derive(Debug)]
enum Held {
    /// By a [`wait`], or by nobody.
    Nothing,
    Counted {
        _until_dropped: Counted,
    },
    /// It is polled, as in a runtime of the job's own, and the job waits for it.
    Lent {
        _until_dropped: Lent,
    },
    Refused,
}

/// A call begins.
pub fn begin_call() -> OpenCall {
    let is_polled = is_polled();
    OpenCall(match nesting() {
        Some(Nesting::Task(calls)) => Held::Counted { _until_dropped: Counted::new(calls) },
        Some(Nesting::Thread(place)) if is_polled => {
            Lent::ask(place).map_or(Held::Refused, |lent| Held::Lent { _until_dropped: lent })
        }
        Some(Nesting::InPlace) if is_polled => Held::Refused,
        Some(Nesting::Thread(_) | Nesting::InPlace) | None => Held::Nothing,
    })
}

/// The job whose calls are polled on this thread, if that is none of its own: somebody else may need it.
pub fn polled_elsewhere() -> Option<Job> {
    job::of_thread().filter(|job| job.is_elsewhere() && is_polled())
}

/// Whether calls on this thread are polled, and not [waited](wait) for.
fn is_polled() -> bool {
    STATE.try_with(|state| matches!(*state.borrow(), State::Runs)) == Ok(true)
}

impl OpenCall {
    /// Whether its job waits for it and nothing can run in the job's place: it is better run here.
    pub fn is_refused(&self) -> bool {
        matches!(self.0, Held::Refused) || is_refused()
    }
}

/// This thread waits for calls until this is dropped.
#[must_use = "dropped, the wait is over"]
pub fn wait() -> Waiting {
    Waiting { before: become_(State::Waits) }
}

/// Whether this thread [waits](wait) and nothing can run in its place. The first to ask in a wait has
/// the place lent, if it can be.
pub fn is_refused() -> bool {
    if STATE.try_with(|state| matches!(*state.borrow(), State::Waits)) == Ok(true) {
        become_(match nesting() {
            Some(Nesting::Thread(place)) => {
                Lent::ask(place).map_or(State::Refused, |lent| State::Lent { _until_dropped: lent })
            }
            Some(Nesting::InPlace) => State::Refused,
            Some(Nesting::Task(_)) | None => State::Waits,
        });
    }
    STATE.try_with(|state| matches!(*state.borrow(), State::Refused)) == Ok(true)
}

/// Runs what is called on this thread, in the place of the job that waits for it; none if it cannot
/// be run here.
pub fn run_here<T>(run: impl FnOnce(&dyn Place) -> Option<T>) -> Option<T> {
    match nesting()? {
        Nesting::Thread(place) => job::in_place(|| run(&*place)),
        Nesting::InPlace | Nesting::Task(_) => None,
    }
}

/// Runs a job, or a call in the place of the job that waits for it: what waits before and after on this
/// thread is not what waits within.
pub(crate) fn frame<T>(run: impl FnOnce() -> T) -> T {
    let _outer = Waiting { before: become_(State::Runs) };
    run()
}

/// How the calls are waited for that this thread makes.
fn nesting() -> Option<Nesting> {
    job::of_thread().filter(|job| !job.has_ended()).map(|job| job.nesting())
}

fn become_(state: State) -> State {
    // Where the thread ends, it waits for nothing any more.
    STATE.try_with(|now| now.replace(state)).unwrap_or_default()
}

/// See [`wait`].
#[derive(Debug)]
pub struct Waiting {
    before: State,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        become_(std::mem::take(&mut self.before));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::AtomicU8;
    use std::task::Wake;
    use std::time::Duration;

    use super::*;
    use crate::JobId;
    use crate::job::{Host, Stopped};

    /// It lends so many times, and counts how often it was given back.
    #[derive(Debug, Default)]
    struct Few {
        left: AtomicU8,
        back: AtomicU8,
    }

    impl Place for Few {
        fn lend(&self) -> bool {
            let less = |left: u8| left.checked_sub(1);
            self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
        }

        fn take_back(&self) {
            self.back.fetch_add(1, Ordering::AcqRel);
        }

        fn run(&self, _: &Address, argument: &[u8]) -> Option<Result<Vec<u8>, RunError>> {
            Some(Ok(argument.to_vec()))
        }
    }

    #[derive(Debug)]
    struct Nested(Nesting);

    impl Host for Nested {
        fn remaining(&self) -> Duration {
            Duration::MAX
        }

        fn is_stopped(&self) -> bool {
            false
        }

        fn stopped(self: Arc<Self>) -> Stopped {
            Box::pin(std::future::pending())
        }

        fn progress(&self, _: f32, _: &dyn fmt::Display) {}

        fn nesting(&self) -> Nesting {
            self.0.clone()
        }
    }

    pub(crate) fn job(nesting: Nesting) -> Job {
        Job::new(JobId::new(), 1, Arc::new(Nested(nesting)))
    }

    /// A job whose place can be lent so often.
    fn few(left: u8) -> (Arc<Few>, Job) {
        let few = Arc::new(Few { left: left.into(), back: 0.into() });
        (Arc::clone(&few), job(Nesting::Thread(few)))
    }

    impl Few {
        fn seen(&self) -> (u8, u8) {
            (self.left.load(Ordering::Acquire), self.back.load(Ordering::Acquire))
        }
    }

    #[derive(Debug, Default)]
    struct Woken(AtomicU8);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    #[test]
    fn the_calls_of_a_task_are_open_until_they_are_dropped_and_wake_it_while_it_is_not_polled() {
        let (calls, woken) = (Calls::default(), Arc::new(Woken::default()));
        let task = job(Nesting::Task(calls.clone()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut open = vec![];
        let _other = begin_call();
        let end = calls.poll(&mut context, |_| {
            open.push(task.clone().within(begin_call));
            open.push(task.clone().within(begin_call));
            open.pop();
            Poll::<()>::Pending
        });
        assert!(end.is_pending() && calls.are_open());
        assert_eq!(woken.0.load(Ordering::Acquire), 0, "it looks after the poll");
        open.clear();
        assert!(!calls.are_open());
        assert_eq!(woken.0.load(Ordering::Acquire), 1);
        assert!(calls.poll(&mut context, |_| Poll::<()>::Pending).is_pending());
        let elsewhere = std::thread::scope(|scope| {
            let call = scope.spawn(|| task.scope(begin_call));
            call.join().unwrap()
        });
        assert!(calls.are_open());
        assert_eq!(woken.0.load(Ordering::Acquire), 2);
        drop(elsewhere);
    }

    #[test]
    fn a_thread_that_waits_lends_its_place_until_then_and_else_the_call_runs_in_place() {
        let waiting = wait();
        assert!(!is_refused(), "a thread without a job only waits");
        drop(waiting);
        let (few, job) = few(2);
        job.within(|| {
            assert!(!is_refused(), "it does not wait");
            for times in 1..=2 {
                let waiting = wait();
                assert!(!begin_call().is_refused(), "the wait holds the place");
                assert!(!is_refused(), "it is lent already");
                assert_eq!(few.seen(), (2 - times, times - 1));
                drop(waiting);
                assert_eq!(few.seen(), (2 - times, times));
            }
            let _unasked = wait();
            drop(wait());
            assert_eq!(few.seen(), (0, 2), "nobody asked");
            assert!(is_refused());
            few.left.store(1, Ordering::Release);
            run_here(|_| {
                assert!(!is_refused(), "what runs does not wait");
                let _within = wait();
                assert!(!is_refused(), "what runs in place may lend it");
                Some(())
            });
            assert_eq!(few.seen(), (0, 3));
            assert!(is_refused());
        });
    }

    #[test]
    fn calls_that_are_polled_hold_the_place_on_whichever_thread_they_are_dropped() {
        let (few, job) = few(2);
        let (one, other) = job.clone().within(|| (begin_call(), begin_call()));
        assert_eq!(few.seen(), (0, 0));
        assert!(job.within(|| begin_call().is_refused()), "as many as there may be");
        drop(one);
        std::thread::scope(|scope| scope.spawn(|| drop(other)).join().unwrap());
        assert_eq!(few.seen(), (0, 2));
    }

    #[test]
    fn a_thread_that_polls_a_part_of_a_job_is_none_of_the_job_s() {
        let (_, job) = few(1);
        assert!(polled_elsewhere().is_none(), "there is no job");
        assert!(job.clone().within(polled_elsewhere).is_none(), "it is the job's own");
        assert_eq!(job.scope(polled_elsewhere).map(|job| job.id()), Some(job.id()));
        let waits = || {
            let _waiting = wait();
            polled_elsewhere()
        };
        assert!(job.scope(waits).is_none(), "it waits anyway");
    }

    #[test]
    fn a_job_that_has_ended_lends_nothing_and_runs_nothing() {
        let (few, job) = few(1);
        drop(job.end_guard());
        assert!(!job.scope(|| begin_call().is_refused()));
        few.left.store(0, Ordering::Release);
        assert!(!job.scope(|| begin_call().is_refused()));
        assert_eq!(few.seen(), (0, 0));
    }

    #[test]
    fn where_no_place_is_lent_calls_run_in_place() {
        job(Nesting::InPlace).within(|| {
            assert!(begin_call().is_refused());
            let _waiting = wait();
            assert!(is_refused());
        });
    }

    #[test]
    fn a_thread_given_its_job_waits_as_the_job() {
        let (few, job) = few(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                job.scope(|| {
                    assert_eq!(job::current().map(|job| job.id()), Some(job.id()));
                    assert!(job::is_elsewhere());
                    let _waiting = wait();
                    assert!(!is_refused());
                });
                assert!(job::current().is_none());
            });
        });
        assert_eq!(few.seen(), (0, 1));
    }
}
