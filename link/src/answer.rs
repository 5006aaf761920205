//! Waiting for answers of the broker, and what happens if none comes.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::reason::{Reason, reason};
use simple_dist_protocol::limits;

/// A timeout for answers of the broker: [`BROKER`](limits::BROKER) long, not counting the time in
/// which it is blocked. It counts polls without an answer, so that a process that was frozen itself
/// does not consider the broker silent.
#[derive(Debug, Clone)]
pub(super) struct AnswerTimeout {
    blocked: watch::Receiver<bool>,
    /// Polls without a confirm of what was written.
    unconfirmed: Arc<AtomicU32>,
}

/// The time between two polls.
pub(super) const LOOK: Duration = Duration::from_millis(100);

impl AnswerTimeout {
    pub(super) fn new(blocked: watch::Receiver<bool>) -> Self {
        Self { blocked, unconfirmed: Arc::default() }
    }

    pub(super) fn is_blocked(&self) -> bool {
        *self.blocked.borrow()
    }

    /// How long the confirm of what was written has been outstanding.
    pub(super) fn unconfirmed(&self) -> Duration {
        LOOK * self.unconfirmed.load(Ordering::Relaxed)
    }

    /// Waits for an answer, however long the broker is blocked.
    pub(super) async fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, lapin::Error>>,
    ) -> Result<T, Reason> {
        tokio::pin!(answer);
        let mut looks = 0;
        while LOOK * looks < limits::BROKER {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|error| reason(&error)),
                () = sleep(LOOK) => looks = self.next(looks),
            }
        }
        Err(Failure::Late.into())
    }

    /// Another poll without a confirm of what was written, after so many: an error if that is enough.
    pub(super) fn unconfirmed_still(&self, looks: &mut u32) -> Result<(), Reason> {
        *looks = self.next(*looks);
        self.unconfirmed.store(*looks, Ordering::Relaxed);
        if LOOK * *looks < limits::BROKER { Ok(()) } else { Err(Failure::Late.into()) }
    }

    /// A confirm came.
    pub(super) fn confirmed(&self, looks: &mut u32) {
        *looks = 0;
        self.unconfirmed.store(0, Ordering::Relaxed);
    }

    fn next(&self, looks: u32) -> u32 {
        if self.is_blocked() { 0 } else { looks + 1 }
    }
}

/// Waits for an answer that is useless later, blocked or not.
pub(super) async fn in_time<T>(
    answer: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, Failure> {
    match timeout(limits::BROKER, answer).await {
        Ok(answer) => answer.map_err(Failure::Answer),
        Err(_) => Err(Failure::Late),
    }
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The broker or the connection reported an error.
    Answer(lapin::Error),
    /// No answer came in time.
    Late,
    /// Our own verdict.
    Known(Reason),
    /// The generation must end.
    Fatal(Reason),
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Answer(error) => reason(&error),
            Failure::Late => Self::Lost(format!("no answer within {:?}", limits::BROKER)),
            Failure::Known(reason) | Failure::Fatal(reason) => reason,
        }
    }
}

/// Reports faults to the task of a generation from where nobody can wait.
#[derive(Debug, Clone)]
pub(super) struct FaultSender(mpsc::Sender<Reason>);

impl FaultSender {
    pub(super) fn new() -> (Self, mpsc::Receiver<Reason>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// The first fault ends the generation; further ones may be dropped.
    pub(super) fn tell(&self, reason: Reason) {
        let _told_or_known = self.0.try_send(reason);
    }
}
