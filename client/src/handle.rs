//! A function as a client calls it.

use std::fmt;
use std::sync::Arc;

use simple_dist_protocol::{Argument, Failure, Function, NoError};

use crate::call::Pending;
use crate::callable::Callable;
use crate::{Call, Client, Map};

/// A function to call: see [`Client::function`]. Cheap to clone.
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
pub struct Handle<A, R, E = NoError> {
    client: Client,
    callable: Arc<Callable>,
    function: Function<A, R, E>,
}

impl<A: Argument, R: Argument, E: Failure> Handle<A, R, E> {
    pub(crate) fn new(
        client: Client,
        function: Function<A, R, E>,
        callable: Arc<Callable>,
    ) -> Self {
        Self { client, callable, function }
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
    #[must_use]
    pub fn locally(self, body: impl Fn(A) -> E::Return<R> + Send + Sync + 'static) -> Self {
        let callable = Arc::new(Callable::typed(self.function, body));
        Self { callable, ..self }
    }

    /// A call, which begins when it is awaited.
    pub fn call(&self, argument: A) -> Call<A, R, E> {
        Call::new(argument, Pending::new(self.client.clone(), Arc::clone(&self.callable)))
    }

    /// A call for each argument, some of them at once.
    pub fn map<I: IntoIterator<Item = A>>(&self, arguments: I) -> Map<A, R, I::IntoIter, E> {
        Map::new(self.clone(), arguments.into_iter())
    }
}

// By hand: derived, it would ask the same of `A`, `R` and `E`.
impl<A, R, E> Clone for Handle<A, R, E> {
    fn clone(&self) -> Self {
        let (client, callable) = (self.client.clone(), Arc::clone(&self.callable));
        Self { client, callable, function: self.function }
    }
}

impl<A, R, E> fmt::Debug for Handle<A, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:?})", self.callable)
    }
}
