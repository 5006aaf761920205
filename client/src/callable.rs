//! What is called: a function's name, and the function itself where it is known here.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use simple_dist_core::caller::{LocalRun, Target};
use simple_dist_protocol::{Address, Argument, Erased, Failure, Function, RunError, Selector};

use crate::kept::{Kept, drop_here};

/// A function to call.
pub(crate) struct Callable {
    /// Its name.
    pub(crate) target: Arc<Target>,
    /// The function itself, if it can run in this process.
    pub(crate) body: Option<Body>,
}

/// A function without its types.
pub(crate) struct Body {
    pub(crate) address: Address,
    /// There until it is dropped.
    run: Option<Box<Run>>,
}

type Run = dyn Fn(Input) -> Result<Kept, RunError<Kept>> + Send + Sync;

/// What a function runs on.
#[derive(Debug)]
pub(crate) enum Input {
    /// The argument in MessagePack.
    Written(Bytes),
    /// The argument itself.
    Kept(Kept),
}

impl Callable {
    /// A function that gives what calling it gives: its value, an `R`, and its error, an `E`, are
    /// never written.
    pub(crate) fn typed<A: Argument, R: Argument, E: Failure>(
        function: Function<A, R, E>,
        body: impl Fn(A) -> E::Return<R> + Send + Sync + 'static,
    ) -> Self {
        let run = move |input| {
            let end = match input {
                Input::Written(bytes) => function.run_on_bytes(&body, &bytes),
                Input::Kept(argument) => function.run_caught(&body, argument.take()),
            };
            end.map(Kept::new).map_err(|error| error.map(Kept::new))
        };
        Self::known(function.address(), LocalRun::Typed, Box::new(run))
    }

    /// A function whose value and error are `Bytes` of MessagePack, as is its argument.
    pub(crate) fn erased(function: Erased) -> Self {
        let address = function.address().clone();
        let run = move |input| {
            let bytes = match input {
                Input::Written(bytes) => bytes,
                Input::Kept(bytes) => bytes.take(),
            };
            let kept = |bytes| Kept::new(Bytes::from(bytes));
            function.run(&bytes).map(kept).map_err(|error| error.map(kept))
        };
        Self::known(address, LocalRun::Written, Box::new(run))
    }

    pub(crate) fn named(selector: Selector) -> Self {
        Self { target: Arc::new(Target::new(selector, LocalRun::No)), body: None }
    }

    fn known(address: Address, local: LocalRun, run: Box<Run>) -> Self {
        let target = Target::new(Selector::from(address.clone()), local);
        Self { target: Arc::new(target), body: Some(Body { address, run: Some(run) }) }
    }
}

impl Body {
    /// Runs it on this thread. A panic ends here.
    pub(crate) fn run(&self, input: Input) -> Result<Kept, RunError<Kept>> {
        self.run.as_ref().expect("it is not dropped yet")(input)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        drop_here(self.run.take());
    }
}

impl fmt::Debug for Callable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}
