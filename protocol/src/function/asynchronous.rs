//! Async functions without their types: what a worker runs as tasks.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::erased::{drop_caught, message};
use super::{Argument, Failure, Function, RunError, written};
use crate::{Address, MemoPolicy};

/// An async function with its body but without its types, for a registry: the argument and the
/// value are MessagePack.
pub struct AsyncErased {
    address: Address,
    deterministic: bool,
    memo: Option<MemoPolicy>,
    start: Box<dyn Fn(Bytes) -> AsyncRun + Send + Sync>,
}

/// One run of an async function. Dropped, it is cancelled. A panic ends here, be it the body's, or
/// of whatever reads, writes or drops its argument and its value.
#[must_use = "it runs when it is awaited"]
pub struct AsyncRun(Option<Body>);

type Body = Pin<Box<dyn Future<Output = Result<Vec<u8>, RunError>> + Send>>;

impl<A: Argument, R: Argument, E: Failure> Function<A, R, E> {
    /// The function with an async body, without its types: bytes in, bytes out.
    pub fn erased_async<F>(&self, body: impl Fn(A) -> F + Send + Sync + 'static) -> AsyncErased
    where
        F: Future<Output = E::Return<R>> + Send + 'static,
    {
        self.warn_of_hidden_errors();
        let (function, body) = (*self, Arc::new(body));
        let start = move |bytes: Bytes| {
            let body = Arc::clone(&body);
            AsyncRun(Some(Box::pin(async move {
                let argument = function.read(&bytes)?;
                drop(bytes);
                written::<R, E>(body(argument).await)
            })))
        };
        let (address, deterministic, memo) = (self.address(), self.deterministic, self.memo);
        AsyncErased { address, deterministic, memo, start: Box::new(start) }
    }
}

impl AsyncErased {
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

    /// A run, which begins when it is awaited.
    pub fn run(&self, argument: Bytes) -> AsyncRun {
        (self.start)(argument)
    }
}

impl Future for AsyncRun {
    type Output = Result<Vec<u8>, RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(body) = &mut self.0 else { panic!("a run was polled after its end") };
        let end = match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(end)) => end,
            Err(payload) => Err(RunError::Panicked(message(payload))),
        };
        drop_caught(self.0.take());
        Poll::Ready(end)
    }
}

impl Drop for AsyncRun {
    fn drop(&mut self) {
        drop_caught(self.0.take());
    }
}

impl fmt::Debug for AsyncErased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.address, f)
    }
}

impl fmt::Debug for AsyncRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncRun").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::codec;

    /// It panics when it is dropped.
    struct Sharp;

    impl Drop for Sharp {
        fn drop(&mut self) {
            panic!("dropped")
        }
    }

    fn poll(run: &mut AsyncRun) -> Poll<Result<Vec<u8>, RunError>> {
        Pin::new(run).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn run<F: Future<Output = u8> + Send + 'static>(
        argument: &str,
        body: impl Fn(String) -> F + Send + Sync + 'static,
    ) -> AsyncRun {
        let erased = Function::<String, u8>::new("f", 1).erased_async(body);
        erased.run(codec::encode(argument).unwrap().into())
    }

    #[test]
    fn a_run_gives_the_value_of_its_body_in_bytes() {
        let mut seven = run("seven", |text| async move { u8::try_from(text.len()).unwrap() });
        let Poll::Ready(Ok(value)) = poll(&mut seven) else { panic!("no value") };
        assert_eq!(codec::decode::<u8>(&value).unwrap(), 5);
    }

    #[test]
    fn whatever_panics_ends_the_run_and_nothing_else() {
        let begins = run("", |_| -> std::future::Ready<u8> { panic!("begun") });
        let awaits = run("", |_| async { panic!("awaited") });
        for (mut run, words) in [(begins, "begun"), (awaits, "awaited")] {
            let end = poll(&mut run);
            assert!(matches!(&end, Poll::Ready(Err(RunError::Panicked(said))) if said == words));
        }
    }

    #[test]
    fn a_run_is_cancelled_by_dropping_it_whatever_its_body_holds() {
        let held = Arc::new(());
        let kept = Arc::clone(&held);
        let mut waits = run("", move |_| {
            let kept = Arc::clone(&kept);
            async move {
                let _sharp = (kept, Sharp);
                std::future::pending().await
            }
        });
        assert!(poll(&mut waits).is_pending());
        assert_eq!(Arc::strong_count(&held), 3);
        drop(waits);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn a_wrong_argument_is_an_error() {
        let erased = Function::<u8, u8>::new("f", 1).erased_async(std::future::ready);
        let mut run = erased.run(codec::encode("one").unwrap().into());
        assert!(matches!(poll(&mut run), Poll::Ready(Err(RunError::Argument { .. }))));
    }
}
