//! Waiting for a future on this thread.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use simple_dist_protocol::nested;
use tokio::task::coop::unconstrained;

/// Waits for a future on this thread, also on one of a runtime's: of the budget that a task has
/// there, nothing comes back while it waits. It lends its place meanwhile if it runs a job.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(unconstrained(future));
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
