//! Functions without their types, and how a run of one ends whatever it does.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::{Argument, Failure, Function, RunError, written};
use crate::{Address, MemoPolicy, limits};

/// A function with its body but without its types, for a registry: the argument and the value are
/// MessagePack.
pub struct Erased {
    address: Address,
    deterministic: bool,
    memo: Option<MemoPolicy>,
    start: Box<dyn Fn() -> Runner + Send + Sync>,
}

/// An [`Erased`] function as one thread runs it, with the state that it keeps there.
pub struct Runner(Box<RunBytes>);

type RunBytes = dyn FnMut(&[u8]) -> Result<Vec<u8>, RunError>;

impl<A: Argument, R: Argument, E: Failure> Function<A, R, E> {
    /// The function with a body, without its types: bytes in, bytes out.
    pub fn erased(&self, body: impl Fn(A) -> E::Return<R> + Send + Sync + 'static) -> Erased {
        self.erased_with(|| (), move |(), argument| body(argument))
    }

    /// The same, with a state that each thread which runs it makes for itself before its first
    /// run. A panic may leave a state half changed: the next run begins with a new one.
    pub fn erased_with<S: 'static>(
        &self,
        init: impl Fn() -> S + Send + Sync + 'static,
        body: impl Fn(&mut S, A) -> E::Return<R> + Send + Sync + 'static,
    ) -> Erased {
        self.warn_of_hidden_errors();
        let (function, shared) = (*self, Arc::new((init, body)));
        let start = move || {
            let (shared, mut kept) = (Arc::clone(&shared), None);
            let run = move |bytes: &[u8]| {
                let argument = function.read(bytes)?;
                let (init, body) = &*shared;
                let mut state = kept.take().unwrap_or_else(init);
                match catch_unwind(AssertUnwindSafe(|| body(&mut state, argument))) {
                    Ok(returned) => {
                        kept = Some(state);
                        written::<R, E>(returned)
                    }
                    Err(panic) => {
                        // Dropped while a panic unwinds, it could end the process.
                        drop_caught(state);
                        resume_unwind(panic)
                    }
                }
            };
            Runner(Box::new(run))
        };
        let (address, deterministic, memo) = (self.address(), self.deterministic, self.memo);
        Erased { address, deterministic, memo, start: Box::new(start) }
    }
}

impl Erased {
    /// Name and version.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether the same arguments always give the same bytes.
    pub fn is_deterministic(&self) -> bool {
        self.deterministic
    }

    /// How its answers are kept, if they are.
    pub fn memo_policy(&self) -> Option<MemoPolicy> {
        self.memo
    }

    /// The function for one thread to run, with a state of its own.
    pub fn runner(&self) -> Runner {
        (self.start)()
    }

    /// Runs it once, with a state of its own.
    ///
    /// # Errors
    /// [`RunError`], when there is no value.
    pub fn run(&self, argument: &[u8]) -> Result<Vec<u8>, RunError> {
        self.runner().run(argument)
    }
}

impl Runner {
    /// Runs it here. A panic ends here, be it the function's, or of whatever reads, writes or
    /// drops its argument and its value.
    ///
    /// # Errors
    /// [`RunError`], when there is no value.
    pub fn run(&mut self, argument: &[u8]) -> Result<Vec<u8>, RunError> {
        caught(|| (self.0)(argument))
    }
}

impl fmt::Debug for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.address, f)
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

pub(super) fn drop_caught<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // Dropping what a panic says may panic in its turn.
        std::mem::forget(panic);
    }
}

pub(super) fn caught<T, E>(run: impl FnOnce() -> Result<T, RunError<E>>) -> Result<T, RunError<E>> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|payload| Err(RunError::Panicked(message(payload))))
}

pub(super) fn message(payload: Box<dyn Any + Send>) -> String {
    let text = if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.as_str()
    } else {
        // Dropping a value of the user's may panic in its turn.
        std::mem::forget(payload);
        return "a value that is not text".to_owned();
    };
    cut(text)
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(limits::MESSAGE_CHARS).collect()
}
