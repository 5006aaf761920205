//! One call, as its caller holds it.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_core::caller::{CallOptions, Obstacle};
use simple_dist_protocol::nested::{OpenCall, begin_call};
use simple_dist_protocol::{Argument, Failure, JobId, NoError, codec, limits};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::actor::{NewCall, Outcome};
use crate::answer::Failed;
use crate::erased_value::{ErasedValue, drop_here};
use crate::stub::Stub;
use crate::{Answer, CallError, Client, Fallback, blocking, nested};

/// The options of calls: of one, and as the defaults of a handle and a client. A call's own win over
/// its handle's, those over its client's.
macro_rules! options {
    ($($options:ident).+) => {
        /// How long to wait for workers: 60 s by default, an hour at most. Where it does not run
        /// in this process, the call has ended 2 s later. Where it does, the wait for a local slot
        /// and the run itself come on top, which only a [deadline](Self::deadline) ends.
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.$($options).+.timeout = timeout;
            self
        }

        /// When the call ends at the latest, from its beginning, whatever happens: with
        /// [`CallError::Deadline`](crate::CallError::Deadline) if nothing came before. Workers do not
        /// begin it later, nor does this process. What runs here then cannot be stopped: it goes on
        /// without the call, and keeps its local slot until it returns. Only a call of a job that
        /// runs in the job's own place is not cut short. None by default.
        pub fn deadline(mut self, deadline: Duration) -> Self {
            self.$($options).+.deadline = Some(deadline);
            self
        }

        /// Which jobs go first: 0 to 9, 9 first, 4 by default.
        pub fn priority(mut self, priority: u8) -> Self {
            self.$($options).+.priority = priority;
            self
        }

        /// When it runs in this process instead.
        pub fn fallback(mut self, fallback: Fallback) -> Self {
            self.$($options).+.fallback = fallback;
            self
        }

        /// How often it is tried again when the function returned an error: never by default. Each
        /// try is a job of its own, and none begins when the [timeout](Self::timeout) has passed.
        pub fn retry(mut self, retry: $crate::Retry) -> Self {
            self.$($options).+.retry = retry;
            self
        }
    };
}

/// What is of one call alone.
macro_rules! trace {
    ($($options:ident).+) => {
        /// A W3C `traceparent`, passed on to the worker.
        pub fn trace(mut self, traceparent: impl Into<String>) -> Self {
            self.$($options).+.trace = Some(traceparent.into().into());
            self
        }
    };
}
pub(crate) use options;
pub(crate) use trace;

/// A call of a function: a future of its value. It begins when it is first polled; dropping it
/// cancels it.
///
/// It always ends: by its [`deadline`](Self::deadline), if it has one. Without, by its
/// [`timeout`](Self::timeout) + 2 s where it does not run in this process, as with [`Fallback::Never`]
/// and [`Fallback::Wait`]; else by the timeout + the wait for a local slot + the run itself.
///
/// ```no_run
/// # use std::time::Duration;
/// # use simple_dist_client::{Client, Fallback};
/// # use simple_dist_protocol::{Function, PureFunction};
/// # const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, |n| n);
/// # async fn example(client: Client) -> Result<(), simple_dist_client::CallError> {
/// let fib = client.function(FIB);
/// let urgent = fib.call(21).timeout(Duration::from_secs(5)).priority(9).await?;
/// let strict = fib.call(23).fallback(Fallback::Never).await;
/// # Ok(())
/// # }
/// ```
///
/// What a function that can fail returns is told apart from everything else that can go wrong:
///
/// ```no_run
/// # use simple_dist_client::{CallError, Client};
/// # use simple_dist_protocol::Function;
/// const HALF: Function<u64, u64, String> = Function::new("half", 1);
///
/// # async fn example(client: Client) -> Result<(), CallError<String>> {
/// match client.function(HALF).call(7).await {
///     Ok(half) => println!("{half}"),
///     Err(CallError::Function(error)) => println!("no half: {error}"),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a call begins when it is awaited"]
pub struct Call<A, R, E = NoError> {
    argument: Option<A>,
    pending: Pending,
    end: PhantomData<fn() -> Result<R, E>>,
}

impl<A: Argument, R: Argument, E: Failure> Call<A, R, E> {
    pub(crate) fn new(argument: A, pending: Pending) -> Self {
        Self { argument: Some(argument), pending, end: PhantomData }
    }

    options!(pending.options);
    trace!(pending.options);

    pub(crate) fn options_mut(&mut self) -> &mut CallOptions {
        &mut self.pending.options
    }

    /// With where it ran and how long it took.
    pub fn detailed(self) -> Detailed<A, R, E> {
        Detailed { call: self }
    }

    /// Waits for the value on this thread: in a program without a runtime, in `spawn_blocking`, in
    /// `block_in_place`, in a thread pool. In asynchronous code it works as well, but blocks the
    /// runtime's thread and whatever else would run there: await the call instead.
    ///
    /// # Errors
    /// [`CallError`], as when it is awaited.
    pub fn blocking(self) -> Result<R, CallError<E>> {
        blocking::wait(self)
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<Answer<R>, CallError<E>>> {
        let Self { argument, pending, .. } = self;
        let outcome = ready!(pending.poll(context, || {
            Ok(Arguments::of(argument.take().expect("taken once, at the first poll")))
        }));
        Poll::Ready(match outcome {
            Ok(answer) => answer.typed(),
            Err(error) => Err(error.and_then(Failed::typed)),
        })
    }
}

// Nothing in it is pinned: the argument is only ever moved out.
impl<A, R, E> Unpin for Call<A, R, E> {}

impl<A: Argument, R: Argument, E: Failure> Future for Call<A, R, E> {
    type Output = Result<R, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_answer(context).map_ok(|answer| answer.value)
    }
}

impl<A, R, E> fmt::Debug for Call<A, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("pending", &self.pending).finish_non_exhaustive()
    }
}

/// A call whose future gives an [`Answer`]: see [`Call::detailed`].
#[must_use = "a call begins when it is awaited"]
#[derive(Debug)]
pub struct Detailed<A, R, E = NoError> {
    call: Call<A, R, E>,
}

impl<A: Argument, R: Argument, E: Failure> Detailed<A, R, E> {
    /// Waits for the answer on this thread: see [`Call::blocking`].
    ///
    /// # Errors
    /// [`CallError`], as when it is awaited.
    pub fn blocking(self) -> Result<Answer<R>, CallError<E>> {
        blocking::wait(self)
    }
}

impl<A: Argument, R: Argument, E: Failure> Future for Detailed<A, R, E> {
    type Output = Result<Answer<R>, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.call.poll_answer(context)
    }
}

/// What a call is made with: one of the two, so that its memory is not needed twice.
#[derive(Debug)]
pub(crate) enum Arguments {
    /// In MessagePack.
    Encoded(Bytes),
    /// As it is, and why it cannot travel.
    Erased(ErasedValue, Obstacle),
}

impl Arguments {
    fn of<A: Argument>(argument: A) -> Self {
        let obstacle = match codec::encode_exact(&argument) {
            Ok(bytes) => match too_large(&bytes) {
                None => {
                    drop_here(argument);
                    return Self::Encoded(bytes.into());
                }
                Some(obstacle) => obstacle,
            },
            Err(error) => {
                Obstacle::Unsendable { message: format!("the argument cannot be sent: {error}") }
            }
        };
        Self::Erased(ErasedValue::new(argument), obstacle)
    }

    /// What is known in MessagePack alone.
    pub(crate) fn written(bytes: Bytes) -> Self {
        match too_large(&bytes) {
            None => Self::Encoded(bytes),
            Some(obstacle) => Self::Erased(ErasedValue::new(bytes), obstacle),
        }
    }
}

fn too_large(bytes: &[u8]) -> Option<Obstacle> {
    let (bytes, limit) = (bytes.len() as u64, limits::ARGUMENT_BYTES as u64);
    (bytes > limit).then_some(Obstacle::TooLarge { bytes, limit })
}

/// A call without its types.
#[derive(Debug)]
pub(crate) struct Pending {
    client: Client,
    stub: Arc<Stub>,
    pub(crate) options: CallOptions,
    state: State,
    /// While an async job waits for it.
    open: Option<OpenCall>,
}

enum State {
    New,
    /// The client's thread has much to take in.
    Beginning {
        id: JobId,
        begun: Beginning,
        end: oneshot::Receiver<Outcome>,
    },
    Waiting {
        id: JobId,
        end: oneshot::Receiver<Outcome>,
    },
    /// Within a job, on its own thread.
    RanHere(Box<Outcome>),
    Ended,
}

type Beginning = Pin<Box<dyn Future<Output = Result<(), CallError>> + Send>>;

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("New"),
            Self::Beginning { id, .. } => write!(f, "Beginning({id})"),
            Self::Waiting { id, .. } => write!(f, "Waiting({id})"),
            Self::RanHere(_) => f.write_str("RanHere"),
            Self::Ended => f.write_str("Ended"),
        }
    }
}

impl Pending {
    pub(crate) fn new(client: Client, stub: Arc<Stub>, options: CallOptions) -> Self {
        Self { client, stub, options, state: State::New, open: None }
    }

    /// Goes on; `arguments` are asked for at the first poll.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        arguments: impl FnOnce() -> Result<Arguments, CallError>,
    ) -> Poll<Outcome> {
        if let State::New = self.state {
            self.open = begin_call();
            self.state = match arguments().and_then(|arguments| self.begin(arguments)) {
                Ok(state) => state,
                Err(error) => {
                    (self.state, self.open) = (State::Ended, None);
                    return Poll::Ready(Err(error.widen()));
                }
            };
        }
        let outcome = ready!(self.poll_begun(context));
        (self.state, self.open) = (State::Ended, None);
        Poll::Ready(outcome)
    }

    fn begin(&self, arguments: Arguments) -> Result<State, CallError> {
        self.options.check()?;
        let arguments = match nested::run(&self.stub, &self.options, arguments) {
            Ok(outcome) => return Ok(State::RanHere(Box::new(outcome))),
            Err(arguments) => arguments,
        };
        let (id, (reply, end)) = (JobId::new(), oneshot::channel());
        let (stub, options, at) = (Arc::clone(&self.stub), self.options.clone(), Instant::now());
        let call = NewCall { id, stub, arguments, options, at, reply };
        match self.client.begins().try_send(call) {
            Ok(()) => Ok(State::Waiting { id, end }),
            Err(TrySendError::Closed(_)) => Err(CallError::Closed),
            Err(TrySendError::Full(call)) => {
                let begins = self.client.begins().clone();
                let begun = async move { begins.send(call).await.map_err(|_| CallError::Closed) };
                Ok(State::Beginning { id, begun: Box::pin(begun), end })
            }
        }
    }

    fn poll_begun(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        if let State::Beginning { begun, .. } = &mut self.state {
            ready!(begun.as_mut().poll(context)).map_err(CallError::widen)?;
            if let State::Beginning { id, end, .. } =
                std::mem::replace(&mut self.state, State::Ended)
            {
                self.state = State::Waiting { id, end };
            }
        }
        match &mut self.state {
            State::RanHere(outcome) => {
                Poll::Ready(std::mem::replace(outcome, Err(CallError::Closed)))
            }
            State::Waiting { end, .. } => {
                let outcome = ready!(Pin::new(end).poll(context));
                Poll::Ready(outcome.unwrap_or(Err(CallError::Closed)))
            }
            State::New | State::Beginning { .. } | State::Ended => {
                panic!("a call was polled after its end")
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // The receiver goes first: a call that has not been seen yet is then known to be dropped.
        if let State::Waiting { id, end } = std::mem::replace(&mut self.state, State::Ended) {
            drop(end);
            self.client.drop_call(id);
        }
    }
}
