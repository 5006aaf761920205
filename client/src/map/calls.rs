//! The calls of a map: a bounded number of them at once, each with its key.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, FuturesUnordered, Stream, StreamExt};
use simple_dist_core::caller::CallOptions;
use simple_dist_protocol::{Argument, Failure};
use tokio::time::Instant;

use super::progress::{Progress, Teller};
use crate::call::Detailed;
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
    /// There until they have ended.
    arguments: Option<Pin<Box<S>>>,
    taken: usize,
    key: Key<A, K>,
    pub(super) in_flight: usize,
    pub(super) whole: Whole,
    running: Running<A, R, K, E>,
    progress: Progress,
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

enum Running<A: Argument, R: Argument, K, E: Failure> {
    Ordered(FuturesOrdered<Keyed<A, R, K, E>>),
    Unordered(FuturesUnordered<Keyed<A, R, K, E>>),
}

/// A call that keeps its key.
struct Keyed<A, R, K, E> {
    key: Option<K>,
    call: Detailed<A, R, E>,
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, E: Failure> Calls<A, R, S, (), E> {
    pub(super) fn new(handle: Handle<A, R, E>, arguments: S) -> Self {
        Self {
            handle,
            arguments: Some(Box::pin(arguments)),
            taken: 0,
            key: Box::new(|_, _| ()),
            in_flight: IN_FLIGHT,
            whole: Whole::default(),
            running: Running::Ordered(FuturesOrdered::new()),
            progress: Progress::default(),
            teller: Teller::default(),
        }
    }
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, K, E: Failure> Calls<A, R, S, K, E> {
    /// The same, none begun, with other keys.
    pub(super) fn keyed_by<L>(self, key: Key<A, L>) -> Calls<A, R, S, L, E> {
        let Self { handle, arguments, taken, key: _, in_flight, whole, running, progress, teller } =
            self;
        let running = match running {
            Running::Ordered(_) => Running::Ordered(FuturesOrdered::new()),
            Running::Unordered(_) => Running::Unordered(FuturesUnordered::new()),
        };
        Calls { handle, arguments, taken, key, in_flight, whole, running, progress, teller }
    }

    pub(super) fn ordered(&mut self, ordered: bool) {
        self.running = match ordered {
            true => Running::Ordered(FuturesOrdered::new()),
            false => Running::Unordered(FuturesUnordered::new()),
        };
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Item<R, E, K>>> {
        self.fill(context);
        let ended = match &mut self.running {
            Running::Ordered(calls) => calls.poll_next_unpin(context),
            Running::Unordered(calls) => calls.poll_next_unpin(context),
        };
        let ended = match ended {
            Poll::Ready(None) if self.arguments.is_some() => Poll::Pending,
            ended => ended,
        };
        if let Poll::Ready(Some((_, end))) = &ended {
            self.progress.done += 1;
            self.progress.failed += usize::from(end.is_err());
        }
        self.progress.running = self.running.len();
        self.progress.total = self.total();
        self.teller.tell(self.progress);
        ended
    }

    /// Begins calls while there are arguments and room.
    fn fill(&mut self, context: &mut Context<'_>) {
        while self.running.len() < self.in_flight {
            let Some(arguments) = &mut self.arguments else { return };
            let Poll::Ready(argument) = arguments.as_mut().poll_next(context) else { return };
            let Some(argument) = argument else {
                self.arguments = None;
                return;
            };
            let key = Some((self.key)(self.taken, &argument));
            self.taken += 1;
            let mut call = self.handle.call(argument);
            self.whole.limit(call.options_mut());
            self.running.push(Keyed { key, call: call.detailed() });
        }
    }

    /// What is not given out yet.
    pub(super) fn left(&self) -> (usize, Option<usize>) {
        let none = (0, Some(0));
        let (least, most) = self.arguments.as_ref().map_or(none, |them| them.size_hint());
        let running = self.running.len();
        (least.saturating_add(running), most.and_then(|most| most.checked_add(running)))
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

impl<A: Argument, R: Argument, K, E: Failure> Running<A, R, K, E> {
    fn len(&self) -> usize {
        match self {
            Self::Ordered(calls) => calls.len(),
            Self::Unordered(calls) => calls.len(),
        }
    }

    fn push(&mut self, call: Keyed<A, R, K, E>) {
        match self {
            Self::Ordered(calls) => calls.push_back(call),
            Self::Unordered(calls) => calls.push(call),
        }
    }
}

// Nothing in them is pinned but the arguments, and those are in a box.
impl<A: Argument, R: Argument, S, K, E: Failure> Unpin for Calls<A, R, S, K, E> {}
impl<A, R, K, E> Unpin for Keyed<A, R, K, E> {}

impl<A: Argument, R: Argument, K, E: Failure> Future for Keyed<A, R, K, E> {
    type Output = Item<R, E, K>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let end = ready!(Pin::new(&mut self.call).poll(context));
        Poll::Ready((self.key.take().expect("taken once, at its end"), end))
    }
}
