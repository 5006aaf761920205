//! What a job may ask that runs in its caller's process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::job::{self, Stopped};
use simple_dist_protocol::message::Progress;
use simple_dist_protocol::nested::Nesting;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::progress_sender::ProgressSender;

/// A run for one call.
#[derive(Debug)]
pub(crate) struct Host {
    /// Of the call.
    deadline: Option<Instant>,
    /// When the call has ended.
    ended: CancellationToken,
    progress: ProgressSender,
}

impl Host {
    /// For a call that has ended when the guard is dropped.
    pub(crate) fn new(
        deadline: Option<Instant>,
        progress: ProgressSender,
    ) -> (Arc<Self>, DropGuard) {
        let ended = CancellationToken::new();
        (Arc::new(Self { deadline, ended: ended.clone(), progress }), ended.drop_guard())
    }

    /// How long somebody waits yet, if that has an end.
    pub(super) fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether the call has ended.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// The function says how far it is.
    pub(super) fn tell(&self, progress: Progress) {
        self.progress.send(progress);
    }
}

impl job::Host for Host {
    fn remaining(&self) -> Duration {
        self.left().unwrap_or(Duration::MAX)
    }

    fn is_stopped(&self) -> bool {
        self.is_over()
    }

    fn stopped(self: Arc<Self>) -> Stopped {
        Box::pin(self.ended.clone().cancelled_owned())
    }

    fn progress(&self, fraction: f32, text: &dyn fmt::Display) {
        self.tell(Progress::new(fraction, text));
    }

    /// There are few threads for local runs, and what they run must not wait for them.
    fn nesting(&self) -> Nesting {
        Nesting::InPlace
    }
}
