//! What happens in a slot, and who is told: the worker's task, or in a child process its parent.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use simple_dist_core::worker::{Event, Number};
use simple_dist_isolation::inside;
use simple_dist_protocol::message::{Answer, Progress};
use simple_dist_protocol::panic_log::Report;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// The wait for a service that has more events than it can take.
const PAUSE: Duration = Duration::from_millis(1);

/// Something that happens to the job of this number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SlotEvent {
    /// It has ended.
    Ran { number: u64, answer: Answer, took: Duration },
    /// It waits for a call of its own.
    Waits { number: u64 },
    /// And no longer.
    Resumes { number: u64 },
    /// It is so far.
    Progresses { number: u64, progress: Progress },
    /// Of the jobs that were given with this first one, only so many have begun or will.
    Revoked { first: u64, begun: usize },
    /// It panicked, and will end; for the log.
    Panicked(Report),
}

/// Who is told.
#[derive(Debug)]
pub(crate) enum Listener {
    Service(mpsc::Sender<Event>),
    Parent(Arc<inside::Sender>),
}

impl SlotEvent {
    /// Whether it is of a job, and not of this one.
    pub(super) fn is_of_another(&self, job: u64) -> bool {
        match self {
            Self::Ran { number, .. }
            | Self::Waits { number }
            | Self::Resumes { number }
            | Self::Progresses { number, .. } => *number != job,
            Self::Revoked { .. } | Self::Panicked(_) => false,
        }
    }

    /// As the executor takes it.
    pub(super) fn event(self, slot: usize) -> Option<Event> {
        match self {
            Self::Ran { number, answer, took } => {
                Some(Event::Ran { slot, number: Number(number), answer, took })
            }
            Self::Waits { number } => Some(Event::Waits { slot, number: Number(number) }),
            Self::Resumes { number } => Some(Event::Resumes { slot, number: Number(number) }),
            Self::Progresses { .. } | Self::Revoked { .. } | Self::Panicked(_) => None,
        }
    }
}

impl Listener {
    /// Whether it is taken. The calling thread may wait, whatever runtime it is in.
    pub(super) fn tell(&self, slot: usize, event: SlotEvent) -> bool {
        let service = match self {
            Self::Service(service) => service,
            Self::Parent(parent) => {
                parent.send(&event);
                return true;
            }
        };
        let Some(event) = event.event(slot) else { return true };
        let mut event = event;
        loop {
            match service.try_send(event) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(back)) => event = back,
            }
            thread::sleep(PAUSE);
        }
    }
}
