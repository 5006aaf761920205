//! A function as a client calls it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use simple_dist_protocol::Argument;

use crate::call::Pending;
use crate::callable::Callable;
use crate::{Call, Client, Map};

/// A function to call: see [`Client::function`]. Cheap to clone.
///
/// ```no_run
/// # use simple_dist_client::Client;
/// # use simple_dist_protocol::Function;
/// # const FIB: Function<u64, u64> = Function::new("fib", 1, |n| n);
/// # fn example(client: Client) -> Result<(), simple_dist_client::CallError> {
/// let fib = client.function(&FIB);
/// let value = fib.call(24).blocking()?; // in a program without a runtime
/// # Ok(())
/// # }
/// ```
pub struct Handle<A, R> {
    client: Client,
    callable: Arc<Callable>,
    types: PhantomData<fn(A) -> R>,
}

impl<A: Argument, R: Argument> Handle<A, R> {
    pub(crate) fn new(client: Client, callable: Arc<Callable>) -> Self {
        Self { client, callable, types: PhantomData }
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
        Self { client, callable, types: PhantomData }
    }
}

impl<A, R> fmt::Debug for Handle<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:?})", self.callable)
    }
}
