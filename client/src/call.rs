//! One call, as its caller holds it.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use simple_dist_core::caller::CallOptions;
use simple_dist_protocol::job::Origin;
use simple_dist_protocol::nested::{OpenCall, begin_call, polled_elsewhere};
use simple_dist_protocol::{Argument, Failure, JobId, NoError, Span};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::answer::Failed;
use crate::nested::{self, Parent};
use crate::new_call::{Arguments, NewCall, Outcome};
use crate::options::{options, progress, trace};
use crate::progress_sender::ProgressSender;
use crate::stub::Stub;
use crate::{Answer, CallError, Client, Fallback, Progress, Ran, blocking};

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
    progress!(A, R, E);

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
        blocking::wait(&self.pending.origin(), self)
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
        blocking::wait(&self.call.pending.origin(), self)
    }
}

impl<A: Argument, R: Argument, E: Failure> Future for Detailed<A, R, E> {
    type Output = Result<Answer<R>, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.call.poll_answer(context)
    }
}

/// A call without its types.
#[derive(Debug)]
pub(crate) struct Pending {
    client: Client,
    stub: Arc<Stub>,
    pub(crate) options: CallOptions,
    origin: Origin,
    state: State,
    progress: ProgressSender,
    /// While the job that made it waits for it, if one did.
    open: Option<OpenCall>,
    /// The job that made it, if one did.
    parent: Option<Parent>,
    /// From its beginning to its end.
    span: Option<Span>,
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
    pub(crate) fn new(
        client: Client,
        stub: Arc<Stub>,
        options: CallOptions,
        origin: Origin,
    ) -> Self {
        Self {
            client,
            stub,
            options,
            origin,
            state: State::New,
            progress: ProgressSender::default(),
            open: None,
            parent: None,
            span: None,
        }
    }

    /// Where it was made.
    pub(crate) fn origin(&self) -> Origin {
        self.origin.clone()
    }

    /// How far it is.
    pub(crate) fn progress(&mut self) -> impl Stream<Item = Progress> + Send + Unpin + use<> {
        self.options.progress = true;
        self.progress.subscribe()
    }

    /// Goes on; `arguments` are asked for at the first poll.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        arguments: impl FnOnce() -> Result<Arguments, CallError>,
    ) -> Poll<Outcome> {
        if let State::New = self.state {
            let begun = self.origin().within(|| {
                self.open = Some(begin_call());
                self.parent = Parent::current();
                self.begin(arguments()?)
            });
            self.state = match begun {
                Ok(state) => state,
                Err(error) => {
                    self.leave();
                    return Poll::Ready(Err(error.widen()));
                }
            };
        }
        let outcome = match self.poll_begun(context) {
            Poll::Ready(outcome) => outcome,
            // Nobody waits any more for the job that waits for this call.
            Poll::Pending => match &mut self.parent {
                Some(parent) => Err(ready!(parent.poll_end(context))),
                None => return Poll::Pending,
            },
        };
        if let Some(span) = self.span.take() {
            ended(&span, &outcome);
        }
        self.leave();
        Poll::Ready(outcome)
    }

    fn begin(&mut self, arguments: Arguments) -> Result<State, CallError> {
        self.options.check()?;
        let mut options = self.options.clone();
        if let Some(parent) = &self.parent {
            parent.limit(&mut options)?;
        }
        let id = JobId::new();
        let selector = &self.stub.target.selector;
        let span = &*self.span.insert(Span::call(selector, id, options.trace.as_deref()));
        let run = |arguments| span.within(|| nested::run(&self.stub, &options, arguments));
        let is_refused = self.open.as_ref().is_some_and(OpenCall::is_refused);
        let apart = polled_elsewhere().filter(|_| is_refused);
        let runs_here = is_refused && apart.is_none();
        let arguments = match if runs_here { run(arguments) } else { Err(arguments) } {
            Ok(outcome) => return Ok(State::RanHere(Box::new(outcome))),
            Err(arguments) => arguments,
        };
        if let Some(trace) = span.traceparent() {
            options.trace = Some(trace.into());
        }
        let (reply, end) = oneshot::channel();
        let (stub, at) = (Arc::clone(&self.stub), Instant::now());
        let progress = self.progress.clone();
        let call = NewCall { id, stub, arguments, options, at, progress, reply };
        if let Some(job) = apart {
            nested::run_polled(&job, call, self.client.begins().clone())?;
            return Ok(State::Waiting { id, end });
        }
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

impl Pending {
    /// It has ended, or nobody waits for it any more.
    fn leave(&mut self) {
        (self.open, self.parent, self.progress) = (None, None, ProgressSender::default());
        if let Some(span) = self.span.take() {
            span.fail("dropped");
        }
        // The receiver goes first: a call that has not been seen yet is then known to be dropped.
        if let State::Waiting { id, end } = std::mem::replace(&mut self.state, State::Ended)
            && !end.is_terminated()
        {
            drop(end);
            self.client.drop_call(id);
        }
    }
}

/// How a call ended, for its span.
fn ended(span: &Span, outcome: &Outcome) {
    match outcome {
        Ok(Answer { ran: Ran::Remote { worker, attempt }, .. }) => {
            span.set("simple_dist.worker", worker);
            span.set("simple_dist.attempt", attempt);
        }
        Ok(Answer { ran: Ran::Coalesced { worker } | Ran::Memo { worker, .. }, .. }) => {
            span.set("simple_dist.worker", worker);
            span.set("simple_dist.shared", true);
        }
        Ok(Answer { ran: Ran::Local { reason }, .. }) => {
            span.set("simple_dist.local", reason.kind());
        }
        Err(error) => span.fail(error.kind()),
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.leave();
    }
}
