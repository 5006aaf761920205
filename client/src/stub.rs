//! A function's stub: its name, and its body where it can run in this process.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use simple_dist_core::caller::{LocalRun, Target};
#[cfg(feature = "json")]
use simple_dist_protocol::Erased;
use simple_dist_protocol::{Address, Argument, Failure, Function, RunError, Selector};

use crate::erased_value::{ErasedValue, drop_here};

/// A function to call.
pub(crate) struct Stub {
    /// Its name.
    pub(crate) target: Arc<Target>,
    /// The function itself, if it can run in this process.
    pub(crate) body: Option<LocalBody>,
}

/// A function without its types.
pub(crate) struct LocalBody {
    pub(crate) address: Address,
    /// There until it is dropped.
    run: Option<Box<Run>>,
}

type Run = dyn Fn(Input) -> Result<ErasedValue, RunError<ErasedValue>> + Send + Sync;

/// What a function runs on.
#[derive(Debug)]
pub(crate) enum Input {
    /// The argument in MessagePack.
    Encoded(Bytes),
    /// The argument itself.
    Erased(ErasedValue),
}

impl Stub {
    /// A function that gives what calling it gives: its value, an `R`, and its error, an `E`, are
    /// never written.
    pub(crate) fn typed<A: Argument, R: Argument, E: Failure>(
        function: Function<A, R, E>,
        body: impl Fn(A) -> E::Return<R> + Send + Sync + 'static,
    ) -> Self {
        let run = move |input| {
            let end = match input {
                Input::Encoded(bytes) => function.run_on_bytes(&body, &bytes),
                Input::Erased(argument) => function.run_caught(&body, argument.take()),
            };
            end.map(ErasedValue::new).map_err(|error| error.map(ErasedValue::new))
        };
        Self::known(function.address(), LocalRun::Typed, Box::new(run))
    }

    /// A function whose value and error are `Bytes` of MessagePack, as is its argument.
    #[cfg(feature = "json")]
    pub(crate) fn erased(function: Erased) -> Self {
        let address = function.address().clone();
        let run = move |input| {
            let bytes = match input {
                Input::Encoded(bytes) => bytes,
                Input::Erased(bytes) => bytes.take(),
            };
            let erased = |bytes| ErasedValue::new(Bytes::from(bytes));
            function.run(&bytes).map(erased).map_err(|error| error.map(erased))
        };
        Self::known(address, LocalRun::Written, Box::new(run))
    }

    /// The same, run in a child of this process.
    pub(crate) fn isolated(mut self, isolated: bool) -> Self {
        if let Some(target) = Arc::get_mut(&mut self.target) {
            target.isolated = isolated;
        }
        self
    }

    pub(crate) fn named(selector: Selector) -> Self {
        Self { target: Arc::new(Target::new(selector, LocalRun::No)), body: None }
    }

    fn known(address: Address, local: LocalRun, run: Box<Run>) -> Self {
        let target = Target::new(Selector::from(address.clone()), local);
        Self { target: Arc::new(target), body: Some(LocalBody { address, run: Some(run) }) }
    }
}

impl LocalBody {
    /// Runs it on this thread. A panic ends here.
    pub(crate) fn run(&self, input: Input) -> Result<ErasedValue, RunError<ErasedValue>> {
        self.run.as_ref().expect("it is not dropped yet")(input)
    }
}

impl Drop for LocalBody {
    fn drop(&mut self) {
        drop_here(self.run.take());
    }
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}
