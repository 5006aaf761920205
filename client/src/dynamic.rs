//! Functions not known when the caller was compiled: JSON in, JSON out.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use serde_json::Value;
use simple_dist_core::caller::CallOptions;
use simple_dist_protocol::job::Origin;
use simple_dist_protocol::{AddressError, Erased, Selector, arguments_from_json, value_to_json};

use crate::answer::Value as Given;
use crate::call::Pending;
use crate::new_call::Arguments;
use crate::options::{options, progress, trace};
use crate::stub::Stub;
use crate::{Answer, CallError, Client, Fallback, Progress, blocking};

/// By JSON, without the types of functions.
impl Client {
    /// A function known by its name alone, called with JSON: `fib@1`, or `fib` for the highest
    /// version served. It cannot run in this process.
    ///
    /// # Errors
    /// [`AddressError`], when this is no function's name.
    pub fn dynamic(&self, function: &str) -> Result<Dynamic, AddressError> {
        let stub = Stub::named(function.parse::<Selector>()?);
        Ok(Dynamic::new(self.clone(), Arc::new(stub)))
    }

    /// A function whose types are not known, called with JSON, that can run in this process.
    pub fn dynamic_with(&self, function: Erased) -> Dynamic {
        let isolated = self.isolates(function.address());
        Dynamic::new(self.clone(), Arc::new(Stub::erased(function).isolated(isolated)))
    }
}

/// A function called with JSON: see [`Client::dynamic`] and [`Client::dynamic_with`]. Cheap to
/// clone.
///
/// ```no_run
/// # use simple_dist_client::Client;
/// use serde_json::json;
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let value = client.dynamic("fib@1")?.call(json!(20)).await?;
/// let power = client.dynamic("pow")?.call_args(&[json!(2), json!(10)]).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a handle does nothing until it is called"]
#[derive(Debug, Clone)]
pub struct Dynamic {
    client: Client,
    stub: Arc<Stub>,
    options: CallOptions,
    origin: Origin,
}

impl Dynamic {
    pub(crate) fn new(client: Client, stub: Arc<Stub>) -> Self {
        let options = client.options().clone();
        Self { client, stub, options, origin: Origin::of_handle() }
    }

    options!(options);

    /// A call with one argument, which begins when it is awaited.
    #[expect(clippy::needless_pass_by_value, reason = "`call(json!(20))` is what one writes")]
    pub fn call(&self, argument: Value) -> DynamicCall {
        self.call_args(std::slice::from_ref(&argument))
    }

    /// A call with any number of arguments: several are a tuple, none is nil.
    pub fn call_args(&self, arguments: &[Value]) -> DynamicCall {
        let arguments =
            arguments_from_json(arguments).map(|bytes| Arguments::written(bytes.into()));
        let arguments =
            arguments.map_err(|error| CallError::BadArguments { message: error.to_string() });
        let (client, stub) = (self.client.clone(), Arc::clone(&self.stub));
        let pending = Pending::new(client, stub, self.options.clone(), self.origin.of_call());
        DynamicCall { arguments: Some(arguments), pending }
    }
}

/// A call whose value is JSON. It begins when it is first polled; dropping it cancels it.
#[must_use = "a call begins when it is awaited"]
#[derive(Debug)]
pub struct DynamicCall {
    arguments: Option<Result<Arguments, CallError>>,
    pending: Pending,
}

impl DynamicCall {
    options!(pending.options);
    trace!(pending.options);
    progress!();

    /// With where it ran and how long it took.
    pub fn detailed(self) -> DetailedDynamic {
        DetailedDynamic { call: self }
    }

    /// Waits for the value on this thread: in a program without a runtime, in `spawn_blocking`, in
    /// `block_in_place`, in a thread pool. In asynchronous code it works as well, but blocks the
    /// runtime's thread and whatever else would run there: await the call instead.
    ///
    /// # Errors
    /// [`CallError`], as when it is awaited.
    pub fn blocking(self) -> Result<Value, CallError<DynamicError>> {
        blocking::wait(&self.pending.origin(), self)
    }

    fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Answer<Value>, CallError<DynamicError>>> {
        let Self { arguments, pending } = self;
        let outcome = ready!(
            pending.poll(context, || { arguments.take().expect("taken once, at the first poll") })
        );
        Poll::Ready(match outcome {
            Ok(answer) => answer.read(json),
            Err(error) => Err(error.and_then(|failed| {
                let text = failed.text.clone();
                failed.read(|error| Ok(DynamicError { text, error: json(error)? }))
            })),
        })
    }
}

fn json(given: Given) -> Result<Value, String> {
    let bytes: Bytes = match given {
        Given::Encoded(bytes) => bytes,
        Given::Erased(bytes) => bytes.take(),
    };
    value_to_json(&bytes).map_err(|error| error.to_string())
}

/// The error that a function returned, when it was called with JSON.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DynamicError {
    /// What it says.
    pub text: String,
    /// The error itself.
    pub error: Value,
}

impl fmt::Display for DynamicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Future for DynamicCall {
    type Output = Result<Value, CallError<DynamicError>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_answer(context).map_ok(|answer| answer.value)
    }
}

/// A call whose future gives an [`Answer`]: see [`DynamicCall::detailed`].
#[must_use = "a call begins when it is awaited"]
#[derive(Debug)]
pub struct DetailedDynamic {
    call: DynamicCall,
}

impl DetailedDynamic {
    /// Waits for the answer on this thread: see [`DynamicCall::blocking`].
    ///
    /// # Errors
    /// [`CallError`], as when it is awaited.
    pub fn blocking(self) -> Result<Answer<Value>, CallError<DynamicError>> {
        blocking::wait(&self.call.pending.origin(), self)
    }
}

impl Future for DetailedDynamic {
    type Output = Result<Answer<Value>, CallError<DynamicError>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.call.poll_answer(context)
    }
}
