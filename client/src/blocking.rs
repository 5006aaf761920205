//! Waiting for a future on this thread.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use simple_dist_protocol::nested;
use tokio::task::coop::unconstrained;

/// Waits for a future on this thread, also on one of a runtime's: of the budget that a task has
/// there, nothing comes back while it waits. It lends its place meanwhile if it runs a job.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let woken = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(unconstrained(future));
    let _waiting = nested::wait();
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => {
                // Whatever could run in place was asked for at the first poll.
                nested::is_refused();
                // Whoever lends the place parks this thread too, and may take the token of a wake.
                while !woken.woken.swap(false, Ordering::Acquire) {
                    thread::park();
                }
            }
        }
    }
}

struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::task::Poll;
    use std::time::Duration;

    use simple_dist_protocol::nested::Place;
    use simple_dist_protocol::{Address, RunError};

    use super::*;

    /// It parks the thread that lends it, as a channel does that nothing comes from yet.
    struct Parking(Rc<Cell<bool>>);

    impl Place for Parking {
        fn lend(&self) -> bool {
            thread::park_timeout(Duration::from_secs(5));
            self.0.set(true);
            true
        }

        fn take_back(&self) {}

        fn run(&self, _: &Address, _: &[u8]) -> Option<Result<Vec<u8>, RunError>> {
            None
        }
    }

    #[test]
    fn a_wake_while_the_place_is_lent_is_not_lost() {
        let (sender, ended) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let lent = Rc::new(Cell::new(false));
            nested::occupy(Rc::new(Parking(Rc::clone(&lent))));
            wait(poll_fn(|context| {
                if lent.get() {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            }));
            sender.send(())
        });
        ended.recv_timeout(Duration::from_secs(20)).expect("the wait ends");
    }
}
