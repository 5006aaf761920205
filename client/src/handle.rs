//! A function as a client calls it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Iter, Stream};
use simple_dist_core::caller::CallOptions;
use simple_dist_protocol::job::Origin;
use simple_dist_protocol::{Argument, Body, Failure, Function, NoError};

use crate::call::Pending;
use crate::options::options;
use crate::stub::Stub;
use crate::{Call, Client, Fallback, Map};

/// A function to call: see [`Client::function`]. Cheap to clone. Its options are the defaults of its
/// calls.
///
/// ```no_run
/// # use simple_dist_client::Client;
/// # use simple_dist_protocol::{Function, PureFunction};
/// # const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, |n| n);
/// # fn example(client: Client) -> Result<(), simple_dist_client::CallError> {
/// let fib = client.function(FIB);
/// let value = fib.call(24).blocking()?; // in a program without a runtime
/// # Ok(())
/// # }
/// ```
#[must_use = "a handle does nothing until it is called"]
pub struct Handle<A, R, E = NoError> {
    client: Client,
    stub: Arc<Stub>,
    function: Function<A, R, E>,
    pub(crate) options: CallOptions,
    origin: Origin,
}

impl<A: Argument, R: Argument, E: Failure> Handle<A, R, E> {
    pub(crate) fn new(client: Client, function: Function<A, R, E>, stub: Arc<Stub>) -> Self {
        let options = client.options().clone();
        Self { client, stub, function, options, origin: Origin::of_handle() }
    }

    options!(options);

    /// Where it was made.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// With a body that may run in this process, when no worker can be had or as the call's
    /// [`Fallback`](crate::Fallback) says. That of a function that can fail returns a `Result`.
    ///
    /// ```no_run
    /// # use simple_dist_client::Client;
    /// # use simple_dist_protocol::Function;
    /// const SORTED: Function<Vec<u32>, Vec<u32>> = Function::new("sorted", 1);
    ///
    /// # fn example(client: Client) -> Result<(), simple_dist_client::CallError> {
    /// let sorted = client.function(SORTED).locally(|mut numbers| {
    ///     numbers.sort_unstable();
    ///     numbers
    /// });
    /// let value = sorted.call(vec![2, 1]).blocking()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn locally(self, body: impl Body<A, R, E> + Send + Sync + 'static) -> Self {
        let isolated = self.client.isolates(&self.function.address());
        let stub = Arc::new(Stub::typed(self.function, body).isolated(isolated));
        Self { stub, ..self }
    }

    /// A call, which begins when it is awaited.
    pub fn call(&self, argument: A) -> Call<A, R, E> {
        let (client, stub) = (self.client.clone(), Arc::clone(&self.stub));
        Call::new(argument, Pending::new(client, stub, self.options.clone(), self.origin.of_call()))
    }

    /// A call for each argument, some of them at once.
    pub fn map<I: IntoIterator<Item = A>>(&self, arguments: I) -> Map<A, R, Iter<I::IntoIter>, E> {
        self.map_stream(stream::iter(arguments))
    }

    /// A call for each argument of a stream, as they come, some of them at once.
    ///
    /// ```no_run
    /// # use simple_dist_client::Client;
    /// # use simple_dist_protocol::{Function, PureFunction};
    /// # const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, |n| n);
    /// use futures_util::{TryStreamExt, stream};
    ///
    /// # async fn example(client: Client) -> Result<(), simple_dist_client::CallError> {
    /// let pages = stream::unfold(0, |n| async move { Some((n, n + 1)) }); // read from somewhere
    /// let mut values = client.function(FIB).map_stream(pages);
    /// while let Some(value) = values.try_next().await? {
    ///     println!("{value}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn map_stream<S: Stream<Item = A>>(&self, arguments: S) -> Map<A, R, S, E> {
        Map::new(Self { origin: self.origin.of_call(), ..self.clone() }, arguments)
    }
}

// By hand: derived, it would ask the same of `A`, `R` and `E`.
impl<A, R, E> Clone for Handle<A, R, E> {
    fn clone(&self) -> Self {
        let (client, stub) = (self.client.clone(), Arc::clone(&self.stub));
        let (options, origin) = (self.options.clone(), self.origin.clone());
        Self { client, stub, function: self.function, options, origin }
    }
}

impl<A, R, E> fmt::Debug for Handle<A, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:?})", self.stub)
    }
}
