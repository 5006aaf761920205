//! A worker's child process: it runs what its parent gives it, one job at a time, and ends with it.

use std::future::pending;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use simple_dist_core::worker::Number;
use simple_dist_isolation::inside::{Parent, Sender, end};
use simple_dist_protocol::{job, panic_log};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::Error;
use crate::registry::Registry;
use crate::slots::{Board, Listener, Order, SlotEvent, Slots};

/// The pause between two words on how far a job is.
const PROGRESS: Duration = Duration::from_millis(100);
/// So many milliseconds what functions keep has to be dropped in.
const DROP_MILLIS: u32 = 500;

/// Runs jobs on a thread of this process from now on, until the parent wants no more: then the
/// process ends.
pub(crate) async fn serve(parent: Parent, registry: Registry, stack: usize) -> Result<(), Error> {
    let (board, (is_ready, ready)) = (Arc::<Board>::default(), oneshot::channel());
    let read = Arc::clone(&board);
    thread::Builder::new()
        .name("child".to_owned())
        .spawn(move || serve_parent(parent, registry, stack, read, is_ready))
        .map_err(Error::Threads)?;
    let Ok(sender) = ready.await else { return pending().await };
    loop {
        board.written().await;
        for (number, progress) in board.take() {
            sender.send(&SlotEvent::Progresses { number: number.0, progress });
        }
        tokio::time::sleep(PROGRESS).await;
    }
}

fn serve_parent(
    parent: Parent,
    registry: Registry,
    stack: usize,
    board: Arc<Board>,
    is_ready: oneshot::Sender<Arc<Sender>>,
) {
    let Ok((sender, mut receiver)) = parent.ready() else { end() };
    let sender = Arc::new(sender);
    let panics = Arc::clone(&sender);
    panic_log::elsewhere(move |report| panics.send(&SlotEvent::Panicked(report)));
    job::run_one_at_a_time();
    let (began, listener) = (Instant::now(), Listener::Parent(Arc::clone(&sender)));
    let mut slots = match Slots::in_child(registry, stack, board, began, listener) {
        Ok(slots) => slots,
        Err(error) => {
            tracing::error!(%error, "a child has no thread to run jobs on");
            end()
        }
    };
    // Its task ends with the process.
    let _told = is_ready.send(Arc::clone(&sender));
    while let Some(order) = receiver.receive() {
        match order {
            Order::Run(jobs) => {
                sender.begin_job();
                let now = began.elapsed();
                let works = jobs.into_iter().map(|job| job.work(now)).collect();
                if slots.run(0, works).is_err() {
                    end();
                }
            }
            Order::Revoke(first) => {
                let begun = slots.recall(0);
                sender.send(&SlotEvent::Revoked { first, begun });
            }
            Order::Lend(number, lent) => slots.lend(0, Number(number), lent),
            Order::Stop(number) => slots.stop(0, Number(number)),
        }
    }
    drop(slots);
    wait_for_thread(&sender);
    end()
}

/// The slot's thread drops what functions keep, unless one of them runs.
fn wait_for_thread(sender: &Arc<Sender>) {
    // Here, with the panics, and with the progress.
    const OTHERS: usize = 3;
    for _ in 0..DROP_MILLIS {
        if Arc::strong_count(sender) == OTHERS {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Catches the signals that are sent to all processes of a service: they are the parent's affair,
/// which ends its children when it needs them no more.
pub(crate) fn outlive_signals() {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        // Caught once, it does not end this process any more.
        let _caught = signal(kind);
    }
}
