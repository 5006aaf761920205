//! Waiting for a future on this thread.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use simple_dist_protocol::job::Origin;
use simple_dist_protocol::nested;
use tokio::task::coop::unconstrained;

/// Waits for a future on this thread, also on one of a runtime's: of the budget that a task has
/// there, nothing comes back while it waits. It lends its place meanwhile if it runs a job, or one has
/// made the future.
pub(crate) fn wait<F: Future>(origin: &Origin, future: F) -> F::Output {
    origin.within(|| wait_here(future))
}

fn wait_here<F: Future>(future: F) -> F::Output {
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
    use std::fmt;
    use std::future::{pending, poll_fn};
    use std::sync::atomic::AtomicBool;
    use std::task::Poll;
    use std::time::Duration;

    use simple_dist_protocol::job::{Host, Job, Stopped};
    use simple_dist_protocol::nested::{Nesting, Place};
    use simple_dist_protocol::{Address, JobId, RunError};

    use super::*;

    /// It parks the thread that lends it, as a channel does that nothing comes from yet.
    #[derive(Debug, Default)]
    struct Parking(AtomicBool);

    impl Place for Parking {
        fn lend(&self) -> bool {
            thread::park_timeout(Duration::from_secs(5));
            self.0.store(true, Ordering::Release);
            true
        }

        fn take_back(&self) {}

        fn run(&self, _: &Address, _: &[u8]) -> Option<Result<Vec<u8>, RunError>> {
            None
        }
    }

    #[derive(Debug)]
    struct Parked(Arc<Parking>);

    impl Host for Parked {
        fn remaining(&self) -> Duration {
            Duration::MAX
        }

        fn is_stopped(&self) -> bool {
            false
        }

        fn stopped(self: Arc<Self>) -> Stopped {
            Box::pin(pending())
        }

        fn progress(&self, _: f32, _: &dyn fmt::Display) {}

        fn nesting(&self) -> Nesting {
            Nesting::Thread(Arc::clone(&self.0) as _)
        }
    }

    #[test]
    fn a_wake_while_the_place_is_lent_is_not_lost() {
        let (sender, ended) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let place = Arc::<Parking>::default();
            let job = Job::new(JobId::new(), 1, Arc::new(Parked(Arc::clone(&place))));
            job.within(|| {
                wait_here(poll_fn(|context| {
                    if place.0.load(Ordering::Acquire) {
                        return Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                }));
            });
            sender.send(())
        });
        ended.recv_timeout(Duration::from_secs(20)).expect("the wait ends");
    }
}
