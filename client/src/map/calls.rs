//! The calls of a map: a bounded number of them at once, each with its key.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::Stream;
use simple_dist_core::caller::CallOptions;
use simple_dist_protocol::job::Origin;
use simple_dist_protocol::{Argument, Failure};
use tokio::time::Instant;

use super::arguments::{Arguments, WINDOW};
use super::progress::{MapProgress, Teller};
use super::running::Running;
use crate::{Answer, CallError, Handle};

/// How many calls are in flight when the caller names no number: enough for lists to form.
const IN_FLIGHT: usize = 256;
/// What is left of a time that has passed: no call has none.
const NOTHING: Duration = Duration::from_nanos(1);

/// A key and how its call ended.
pub(super) type Item<R, E, K> = (K, Result<Answer<R>, CallError<E>>);

/// See the module.
pub(super) struct Calls<A: Argument, R: Argument, S, K, E: Failure> {
    pub(super) handle: Handle<A, R, E>,
    pub(super) arguments: Arguments<A, S>,
    key: Key<A, K>,
    pub(super) in_flight: usize,
    pub(super) whole: Whole,
    running: Running<A, R, K, E>,
    progress: MapProgress,
    pub(super) teller: Teller,
}

/// What is kept of each argument.
type Key<A, K> = Box<dyn FnMut(usize, &A) -> K + Send>;

/// The times of all calls together.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Duration>,
    began: Option<Instant>,
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, E: Failure> Calls<A, R, S, (), E> {
    pub(super) fn new(handle: Handle<A, R, E>, arguments: S) -> Self {
        Self {
            handle,
            arguments: Arguments::new(arguments),
            key: Box::new(|_, _| ()),
            in_flight: IN_FLIGHT,
            whole: Whole::default(),
            running: Running::new(true),
            progress: MapProgress::default(),
            teller: Teller::default(),
        }
    }
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, K, E: Failure> Calls<A, R, S, K, E> {
    /// The same, none begun, with other keys.
    pub(super) fn keyed_by<L>(self, key: Key<A, L>) -> Calls<A, R, S, L, E> {
        let Self { handle, arguments, key: _, in_flight, whole, running, progress, teller } = self;
        let running = Running::new(running.is_ordered());
        Calls { handle, arguments, key, in_flight, whole, running, progress, teller }
    }

    /// Where the map was made.
    pub(super) fn origin(&self) -> Origin {
        self.handle.origin().clone()
    }

    pub(super) fn ordered(&mut self, ordered: bool) {
        self.running = Running::new(ordered);
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Item<R, E, K>>> {
        let ended = loop {
            let held = self.running.held();
            self.fill(context);
            let ended = self.running.poll_next(context);
            // What has ended before an earlier one may make room for another.
            if matches!(ended, Poll::Ready(Some(_))) || self.running.held() == held {
                break ended;
            }
        };
        let ended = match ended {
            Poll::Ready(None) if !self.arguments.have_ended() => Poll::Pending,
            ended => ended,
        };
        if let Poll::Ready(Some((_, end))) = &ended {
            self.progress.done += 1;
            self.progress.failed += usize::from(end.is_err());
        }
        self.progress.running = self.begun();
        self.progress.total = self.total();
        self.teller.tell(self.progress);
        if matches!(ended, Poll::Ready(None)) {
            self.teller = Teller::default(); // whoever listens need not wait for the map to be dropped
        }
        ended
    }

    /// Begins calls while there are arguments and room.
    fn fill(&mut self, context: &mut Context<'_>) {
        while self.has_room() {
            let Some((place, argument)) = self.arguments.next(context) else { return };
            let key = (self.key)(place, &argument);
            let mut call = self.handle.call(argument);
            self.whole.limit(call.options_mut());
            self.running.push(place, key, call.detailed());
        }
    }

    /// Where the longest go first, the values of a window may wait for the shortest of it.
    fn has_room(&self) -> bool {
        if !self.arguments.are_by_cost() {
            return self.begun() < self.in_flight;
        }
        let waits = self.arguments.are_between_windows() && self.running.held() >= WINDOW;
        self.running.under_way() < self.in_flight && !waits
    }

    /// Those that are not given out yet.
    fn begun(&self) -> usize {
        self.running.under_way() + self.running.held()
    }

    /// What is not given out yet.
    pub(super) fn left(&self) -> (usize, Option<usize>) {
        let ((least, most), begun) = (self.arguments.left(), self.begun());
        (least.saturating_add(begun), most.and_then(|most| most.checked_add(begun)))
    }

    fn total(&self) -> Option<usize> {
        let (least, most) = self.left();
        (most == Some(least)).then(|| self.progress.done.saturating_add(least))
    }
}

impl Whole {
    /// What is left for a call that begins now.
    fn limit(&mut self, options: &mut CallOptions) {
        if self.timeout.is_none() && self.deadline.is_none() {
            return;
        }
        let passed = self.began.get_or_insert_with(Instant::now).elapsed();
        let left = |whole: Duration| whole.saturating_sub(passed).max(NOTHING);
        if let Some(timeout) = self.timeout.map(left) {
            options.timeout = options.timeout.min(timeout);
        }
        if let Some(deadline) = self.deadline.map(left) {
            options.deadline = Some(options.deadline.map_or(deadline, |own| own.min(deadline)));
        }
    }
}

// Nothing in them is pinned but the arguments, and those are in a box.
impl<A: Argument, R: Argument, S, K, E: Failure> Unpin for Calls<A, R, S, K, E> {}
