//! Many calls of one function.

mod arguments;
mod calls;
mod progress;
mod running;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt};
use simple_dist_protocol::job::Origin;
use simple_dist_protocol::{Argument, Failure, NoError};

use self::calls::Calls;
pub use self::progress::MapProgress;
use crate::options::options;
use crate::{Answer, CallError, Fallback, Handle, blocking};

/// A call for each argument of an iterator or a stream: a stream of their values, in the arguments'
/// order unless [`Map::unordered`]. Arguments are taken as calls end, so there may be endlessly many;
/// what is held is bounded by the calls [in flight](Map::in_flight).
///
/// A call that fails is an item like any other, and the stream goes on. To end with the first
/// failure, take the values by [`TryStreamExt`](futures_util::TryStreamExt), as here: what is dropped
/// is cancelled.
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
pub struct Map<A: Argument, R: Argument, S, E: Failure = NoError> {
    calls: Calls<A, R, S, (), E>,
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, E: Failure> Map<A, R, S, E> {
    pub(crate) fn new(handle: Handle<A, R, E>, arguments: S) -> Self {
        Self { calls: Calls::new(handle, arguments) }
    }

    options!(calls.handle.options);

    /// How long all calls together wait for workers, from the first poll. What is called later does
    /// not wait for any: it runs here, or times out.
    pub fn timeout_all(mut self, timeout: Duration) -> Self {
        self.calls.whole.timeout = Some(timeout);
        self
    }

    /// When all calls have ended at the latest, from the first poll. Arguments that are left then
    /// are not called: each is a [`Deadline`](CallError::Deadline) in the stream.
    pub fn deadline_all(mut self, deadline: Duration) -> Self {
        self.calls.whole.deadline = Some(deadline);
        self
    }

    /// How many calls are in flight at once, at least one: 256 by default. Of ordered calls, those
    /// that have ended before an earlier one count too.
    pub fn in_flight(mut self, calls: usize) -> Self {
        self.calls.in_flight = calls.max(1);
        self
    }

    /// Values in the order of their arguments, which is the default. To be chosen before the first
    /// poll: calls in flight are dropped.
    pub fn ordered(mut self) -> Self {
        self.calls.ordered(true);
        self
    }

    /// Values as they come. To be chosen before the first poll: calls in flight are dropped.
    pub fn unordered(mut self) -> Self {
        self.calls.ordered(false);
        self
    }

    /// How much work each argument is, in any unit: the longest calls begin first, so that none of them
    /// is the last. Values still come in the order of their arguments, unless [`unordered`](Self::unordered).
    ///
    /// Arguments are taken 1,024 at a time, fewer where a stream has no more yet, and each such window is
    /// in the order of its costs. Calls that have ended do not count as [in flight](Self::in_flight)
    /// then; as long as 1,024 values wait for an earlier one, no new window is taken.
    ///
    /// ```no_run
    /// # use simple_dist_client::Client;
    /// # use simple_dist_protocol::{Function, PureFunction};
    /// # const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, |n| n);
    /// # fn example(client: Client) -> Result<(), simple_dist_client::CallError> {
    /// let values = client.function(FIB).map(20..40).cost(|n| 2_u64.pow(*n as u32));
    /// for value in values.blocking() {
    ///     println!("{}", value?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn cost(mut self, cost: impl FnMut(&A) -> u64 + Send + 'static) -> Self {
        self.calls.arguments.by_cost(Box::new(cost));
        self
    }

    /// How far it is, whenever that changes while it is polled: to be read elsewhere, and slower if
    /// need be. It ends behind the last value, or when the map is dropped.
    ///
    /// ```no_run
    /// # use simple_dist_client::Client;
    /// # use simple_dist_protocol::{Function, PureFunction};
    /// # const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, |n| n);
    /// use futures_util::{StreamExt, TryStreamExt, future};
    ///
    /// # async fn example(client: Client) -> Result<(), simple_dist_client::CallError> {
    /// let mut values = client.function(FIB).map(0..45);
    /// let told = values.progress().for_each(|progress| async move {
    ///     println!("{} of {:?}, {} under way", progress.done, progress.total, progress.running);
    /// });
    /// let (_, values) = future::join(told, values.try_collect::<Vec<u64>>()).await;
    /// # values.map(drop)
    /// # }
    /// ```
    pub fn progress(&mut self) -> impl Stream<Item = MapProgress> + Send + Unpin + use<A, R, S, E> {
        self.calls.teller.listen()
    }

    /// Answers with where each call ran and how long it took.
    pub fn detailed(self) -> DetailedMap<A, R, S, E> {
        DetailedMap { calls: self.calls }
    }

    /// Each value, or failure, with its argument's place, from 0, and the argument itself.
    ///
    /// ```no_run
    /// # use simple_dist_client::Client;
    /// # use simple_dist_protocol::{Function, PureFunction};
    /// # const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, |n| n);
    /// use futures_util::StreamExt;
    ///
    /// # async fn example(client: Client) {
    /// let mut values = client.function(FIB).map(0..45).unordered().keyed();
    /// while let Some(((_, n), value)) = values.next().await {
    ///     match value {
    ///         Ok(value) => println!("fib({n}) = {value}"),
    ///         Err(error) => eprintln!("fib({n}): {error}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn keyed(self) -> KeyedMap<A, R, S, (usize, A), E>
    where
        A: Clone,
    {
        self.keyed_by(|place, argument| (place, argument.clone()))
    }

    /// Each value, or failure, with what this makes of its argument's place, from 0, and its
    /// argument: a name, say, where the argument is large. To be chosen before the first poll.
    pub fn keyed_by<K>(
        self,
        key: impl FnMut(usize, &A) -> K + Send + 'static,
    ) -> KeyedMap<A, R, S, K, E> {
        KeyedMap { calls: self.calls.keyed_by(Box::new(key)) }
    }

    /// An iterator that waits on this thread: see [`Call::blocking`](crate::Call::blocking).
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
    pub fn blocking(self) -> BlockingMap<Self> {
        BlockingMap { origin: self.calls.origin(), items: self }
    }
}

/// A stream of [`Answer`]s: see [`Map::detailed`].
#[must_use = "calls begin when the stream is polled"]
pub struct DetailedMap<A: Argument, R: Argument, S, E: Failure = NoError> {
    calls: Calls<A, R, S, (), E>,
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, E: Failure> DetailedMap<A, R, S, E> {
    /// An iterator that waits on this thread: see [`Call::blocking`](crate::Call::blocking).
    pub fn blocking(self) -> BlockingMap<Self> {
        BlockingMap { origin: self.calls.origin(), items: self }
    }
}

/// A stream of keys, each with how its call ended: see [`Map::keyed`] and [`Map::keyed_by`].
#[must_use = "calls begin when the stream is polled"]
pub struct KeyedMap<A: Argument, R: Argument, S, K, E: Failure = NoError> {
    calls: Calls<A, R, S, K, E>,
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, K, E: Failure> KeyedMap<A, R, S, K, E> {
    /// Answers with where each call ran and how long it took.
    pub fn detailed(self) -> DetailedKeyedMap<A, R, S, K, E> {
        DetailedKeyedMap { calls: self.calls }
    }

    /// An iterator that waits on this thread: see [`Call::blocking`](crate::Call::blocking).
    pub fn blocking(self) -> BlockingMap<Self> {
        BlockingMap { origin: self.calls.origin(), items: self }
    }
}

/// A stream of keys, each with the [`Answer`] of its call: see [`KeyedMap::detailed`].
#[must_use = "calls begin when the stream is polled"]
pub struct DetailedKeyedMap<A: Argument, R: Argument, S, K, E: Failure = NoError> {
    calls: Calls<A, R, S, K, E>,
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, K, E: Failure> DetailedKeyedMap<A, R, S, K, E> {
    /// An iterator that waits on this thread: see [`Call::blocking`](crate::Call::blocking).
    pub fn blocking(self) -> BlockingMap<Self> {
        BlockingMap { origin: self.calls.origin(), items: self }
    }
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, E: Failure> Stream for Map<A, R, S, E> {
    type Item = Result<R, CallError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.calls.poll_next(context);
        item.map(|item| item.map(|((), end)| end.map(|answer| answer.value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.calls.left()
    }
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, E: Failure> Stream for DetailedMap<A, R, S, E> {
    type Item = Result<Answer<R>, CallError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.calls.poll_next(context);
        item.map(|item| item.map(|((), end)| end))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.calls.left()
    }
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, K, E: Failure> Stream
    for KeyedMap<A, R, S, K, E>
{
    type Item = (K, Result<R, CallError<E>>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.calls.poll_next(context);
        item.map(|item| item.map(|(key, end)| (key, end.map(|answer| answer.value))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.calls.left()
    }
}

impl<A: Argument, R: Argument, S: Stream<Item = A>, K, E: Failure> Stream
    for DetailedKeyedMap<A, R, S, K, E>
{
    type Item = (K, Result<Answer<R>, CallError<E>>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.calls.poll_next(context)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.calls.left()
    }
}

/// Shows which function it is, whatever the types.
macro_rules! debug {
    ($($map:ident<$($parameter:ident),+>),+) => {
        $(impl<A: Argument, R: Argument, $($parameter,)+ E: Failure> fmt::Debug
            for $map<A, R, $($parameter,)+ E>
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($map)).field(&self.calls.handle).finish()
            }
        })+
    };
}
debug!(Map<S>, DetailedMap<S>, KeyedMap<S, K>, DetailedKeyedMap<S, K>);

/// An iterator over the items of a map: see [`Map::blocking`].
#[must_use = "calls begin when the iterator is asked for a value"]
#[derive(Debug)]
pub struct BlockingMap<M> {
    origin: Origin,
    items: M,
}

impl<M: Stream + Unpin> Iterator for BlockingMap<M> {
    type Item = M::Item;

    fn next(&mut self) -> Option<Self::Item> {
        blocking::wait(&self.origin, self.items.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}
