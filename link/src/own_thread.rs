//! A role's task on a thread of its own.

use std::future::Future;
use std::{io, thread};

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Runs a task, and whatever it starts, on a thread of its own with a runtime of its own: the broker
/// is talked to in time whatever the caller's runtime does, and what the task hands to its link and
/// back wakes no other thread. It gets a token that is cancelled when `shutdown` has completed.
/// Dropped, the task is dropped on its thread.
///
/// # Errors
/// When the thread cannot be started, or the task panicked.
pub async fn own_thread<T, F>(
    name: &str,
    shutdown: impl Future<Output = ()>,
    task: impl FnOnce(CancellationToken) -> F + Send + 'static,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (told, dropped) = (CancellationToken::new(), CancellationToken::new());
    let (tell, end) = oneshot::channel();
    let (stop, gone) = (told.clone(), dropped.clone());
    let work = move || {
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = gone.cancelled() => {}
                // If nobody listens it was dropped.
                output = task(stop) => drop(tell.send(output)),
            }
        });
    };
    thread::Builder::new().name(name.to_owned()).spawn(work)?;
    let _drops = dropped.drop_guard();
    let panicked = || io::Error::other("its thread panicked");
    let mut end = std::pin::pin!(end);
    tokio::select! {
        output = &mut end => return output.map_err(|_| panicked()),
        () = shutdown => told.cancel(),
    }
    end.await.map_err(|_| panicked())
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_task_runs_elsewhere_and_is_told_of_the_shutdown() {
        let here = thread::current().id();
        let task = |shutdown: CancellationToken| async move {
            shutdown.cancelled().await;
            thread::current().id()
        };
        let there = timeout(SOON, own_thread("test", ready(()), task)).await.unwrap().unwrap();
        assert_ne!(there, here);
    }

    #[tokio::test]
    async fn dropped_it_drops_its_task() {
        let (held, mut dropped) = oneshot::channel::<()>();
        let (begins, begun) = oneshot::channel();
        let runs = own_thread("test", pending(), move |_| async move {
            let _held = held;
            begins.send(()).unwrap();
            pending::<()>().await;
        });
        tokio::select! {
            _ = runs => unreachable!("it has no end"),
            begun = timeout(SOON, begun) => begun.unwrap().unwrap(),
        }
        assert!(timeout(SOON, &mut dropped).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let task = |_| async { panic!("no") };
        assert!(
            timeout(SOON, own_thread::<(), _>("test", pending(), task)).await.unwrap().is_err()
        );
    }
}
