//! Many calls of one function.

use std::fmt;
use std::iter::Fuse;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, FuturesUnordered, Stream, StreamExt};
use simple_dist_core::caller::CallOptions;
use simple_dist_protocol::{Argument, Failure, NoError};

use crate::call::Detailed;
use crate::{Answer, CallError, Fallback, Handle, blocking};

/// How many calls are in flight when the caller names no number: enough for lists to form.
const IN_FLIGHT: usize = 256;

/// A call for each argument of an iterator: a stream of their values, in the arguments' order
/// unless [`Map::unordered`]. Arguments are taken as calls end, so the iterator may be endless.
///
/// A call that fails is an item like any other; the stream goes on.
///
/// ```no_run
/// # use simple_dist_client::Client;
/// # use simple_dist_protocol::{Function, PureFunction};
/// # const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, |n| n);
/// use futures_util::TryStreamExt;
///
/// # async fn example(client: Client) -> Result<(), simple_dist_client::CallError> {
/// let fib = client.function(FIB);
/// let mut values = fib.map(0..45).in_flight(64).ordered();
/// while let Some(value) = values.try_next().await? {
///     println!("{value}");
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "calls begin when the stream is polled"]
pub struct Map<A: Argument, R: Argument, I, E: Failure = NoError> {
    handle: Handle<A, R, E>,
    arguments: Fuse<I>,
    options: CallOptions,
    in_flight: usize,
    running: Running<A, R, E>,
}

enum Running<A: Argument, R: Argument, E: Failure> {
    Ordered(FuturesOrdered<Detailed<A, R, E>>),
    Unordered(FuturesUnordered<Detailed<A, R, E>>),
}

impl<A: Argument, R: Argument, I: Iterator<Item = A>, E: Failure> Map<A, R, I, E> {
    pub(crate) fn new(handle: Handle<A, R, E>, arguments: I) -> Self {
        Self {
            handle,
            arguments: arguments.fuse(),
            options: CallOptions::default(),
            in_flight: IN_FLIGHT,
            running: Running::Ordered(FuturesOrdered::new()),
        }
    }

    /// How many calls are in flight at once, at least one: 256 by default. Of ordered calls, those
    /// that have ended before an earlier one count too.
    pub fn in_flight(mut self, calls: usize) -> Self {
        self.in_flight = calls.max(1);
        self
    }

    /// How long each call may take: see [`Call::timeout`](crate::Call::timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// The priority of each call: see [`Call::priority`](crate::Call::priority).
    pub fn priority(mut self, priority: u8) -> Self {
        self.options.priority = priority;
        self
    }

    /// When calls run in this process: see [`Call::fallback`](crate::Call::fallback).
    pub fn fallback(mut self, fallback: Fallback) -> Self {
        self.options.fallback = fallback;
        self
    }

    /// Values in the order of their arguments, which is the default. To be chosen before the first
    /// poll: calls in flight are dropped.
    pub fn ordered(mut self) -> Self {
        self.running = Running::Ordered(FuturesOrdered::new());
        self
    }

    /// Values as they come. To be chosen before the first poll: calls in flight are dropped.
    pub fn unordered(mut self) -> Self {
        self.running = Running::Unordered(FuturesUnordered::new());
        self
    }

    /// Answers with where each call ran and how long it took.
    pub fn detailed(self) -> DetailedMap<A, R, I, E> {
        DetailedMap { map: self }
    }

    /// An iterator that waits on this thread, where it may: see
    /// [`Call::blocking`](crate::Call::blocking).
    ///
    /// ```no_run
    /// # use simple_dist_client::{CallError, Client};
    /// # use simple_dist_protocol::{Function, PureFunction};
    /// # const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, |n| n);
    /// # fn example(client: Client) -> Result<(), CallError> {
    /// let total: u64 = client.function(FIB).map(0..45).blocking().sum::<Result<u64, _>>()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn blocking(self) -> BlockingMap<A, R, I, E> {
        BlockingMap { map: Some(self) }
    }

    fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Answer<R>, CallError<E>>>> {
        while self.running.len() < self.in_flight {
            let Some(argument) = self.arguments.next() else { break };
            let call = self.handle.call(argument).with(self.options.clone());
            self.running.push(call.detailed());
        }
        match &mut self.running {
            Running::Ordered(calls) => calls.poll_next_unpin(context),
            Running::Unordered(calls) => calls.poll_next_unpin(context),
        }
    }

    fn left(&self) -> (usize, Option<usize>) {
        let (least, most) = self.arguments.size_hint();
        let running = self.running.len();
        (least.saturating_add(running), most.and_then(|most| most.checked_add(running)))
    }
}

impl<A: Argument, R: Argument, E: Failure> Running<A, R, E> {
    fn len(&self) -> usize {
        match self {
            Self::Ordered(calls) => calls.len(),
            Self::Unordered(calls) => calls.len(),
        }
    }

    fn push(&mut self, call: Detailed<A, R, E>) {
        match self {
            Self::Ordered(calls) => calls.push_back(call),
            Self::Unordered(calls) => calls.push(call),
        }
    }
}

// Nothing in it is pinned: the iterator is only ever asked for the next.
impl<A: Argument, R: Argument, I, E: Failure> Unpin for Map<A, R, I, E> {}

impl<A: Argument, R: Argument, I: Iterator<Item = A>, E: Failure> Stream for Map<A, R, I, E> {
    type Item = Result<R, CallError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let answer = ready!(self.poll_answer(context));
        Poll::Ready(answer.map(|answer| answer.map(|answer| answer.value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left()
    }
}

impl<A: Argument, R: Argument, I, E: Failure> fmt::Debug for Map<A, R, I, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// A stream of [`Answer`]s: see [`Map::detailed`].
#[must_use = "calls begin when the stream is polled"]
#[derive(Debug)]
pub struct DetailedMap<A: Argument, R: Argument, I, E: Failure = NoError> {
    map: Map<A, R, I, E>,
}

impl<A: Argument, R: Argument, I: Iterator<Item = A>, E: Failure> Stream
    for DetailedMap<A, R, I, E>
{
    type Item = Result<Answer<R>, CallError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.map.poll_answer(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.map.left()
    }
}

/// An iterator over values: see [`Map::blocking`]. In asynchronous code its one item is the error
/// [`InsideRuntime`](CallError::InsideRuntime).
#[must_use = "calls begin when the iterator is asked for a value"]
#[derive(Debug)]
pub struct BlockingMap<A: Argument, R: Argument, I, E: Failure = NoError> {
    map: Option<Map<A, R, I, E>>,
}

impl<A: Argument, R: Argument, I: Iterator<Item = A>, E: Failure> Iterator
    for BlockingMap<A, R, I, E>
{
    type Item = Result<R, CallError<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        let map = self.map.as_mut()?;
        if let Err(error) = blocking::check() {
            self.map = None;
            return Some(Err(error.widen()));
        }
        blocking::wait(map.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.map.as_ref().map_or((0, Some(0)), Map::left)
    }
}
