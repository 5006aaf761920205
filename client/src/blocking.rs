//! Waiting for a future on a thread that may wait.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use simple_dist_protocol::nested;
use tokio::runtime::Handle;
use tokio::task::coop;

use crate::CallError;

/// An error in asynchronous code, where waiting would stop everything else on the thread.
pub(crate) fn check() -> Result<(), CallError> {
    match Handle::try_current() {
        Ok(_) if is_polling() => Err(CallError::InsideRuntime),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether this thread polls a future for tokio: it gives each poll a budget, and takes it away
/// where a thread may block, as in `spawn_blocking` and `block_in_place`. Only the budget tells
/// these from asynchronous code without a panic.
fn is_polling() -> bool {
    let context = &mut Context::from_waker(Waker::noop());
    // Given back unused, the first gives back what the others take.
    let Poll::Ready(_all) = coop::poll_proceed(context) else { return true };
    (0..u8::MAX).any(|_| match coop::poll_proceed(context) {
        Poll::Ready(taken) => {
            taken.made_progress();
            false
        }
        Poll::Pending => true,
    })
}

/// Waits for a future on this thread, which lends its place meanwhile if it runs a job.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let _waiting = nested::wait();
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => {
                // Whatever could run in place was asked for at the first poll.
                nested::is_refused();
                thread::park();
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
