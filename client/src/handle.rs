//! A function as a client calls it.

use std::fmt;
use std::sync::Arc;

use simple_dist_protocol::{Argument, Function};

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
pub struct Handle<A, R> {
    client: Client,
    callable: Arc<Callable>,
    function: Function<A, R>,
}

impl<A: Argument, R: Argument> Handle<A, R> {
    pub(crate) fn new(client: Client, function: Function<A, R>, callable: Arc<Callable>) -> Self {
        Self { client, callable, function }
    }

    /// With a body that may run in this process, when no worker can be had or as the call's
    /// [`Fallback`](crate::Fallback) says.
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
    pub fn locally(self, body: impl Fn(A) -> R + Send + Sync + 'static) -> Self {
        let callable = Arc::new(Callable::typed(self.function, body));
        Self { callable, ..self }
    }

    /// A call, which begins when it is awaited.
    pub fn call(&self, argument: A) -> Call<A, R> {
        Call::new(argument, Pending::new(self.client.clone(), Arc::clone(&self.callable)))
    }

    /// A call for each argument, some of them at once.
    pub fn map<I: IntoIterator<Item = A>>(&self, arguments: I) -> Map<A, R, I::IntoIter> {
        Map::new(self.clone(), arguments.into_iter())
    }
}

// By hand: derived, it would ask the same of `A` and `R`.
impl<A, R> Clone for Handle<A, R> {
    fn clone(&self) -> Self {
        let (client, callable) = (self.client.clone(), Arc::clone(&self.callable));
        Self { client, callable, function: self.function }
    }
}

impl<A, R> fmt::Debug for Handle<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:?})", self.callable)
    }
}
