//! What a job that runs may ask its worker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_core::worker::Number;
use simple_dist_protocol::job::{Host, Stopped};
use simple_dist_protocol::nested::Nesting;
use tokio::time::Instant;

use super::Setting;

/// One job, while a slot runs it.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) number: Number,
    pub(super) deadline: Instant,
    pub(super) setting: Setting,
    pub(super) nesting: Nesting,
}

impl Host for Running {
    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn is_stopped(&self) -> bool {
        self.setting.control.is_stopped(self.number)
    }

    fn stopped(self: Arc<Self>) -> Stopped {
        Box::pin(async move { self.setting.control.stopped(self.number).await })
    }

    fn progress(&self, fraction: f32, text: &dyn fmt::Display) {
        let Setting { slot, board, .. } = &self.setting;
        board.write(*slot, self.number, fraction, text);
    }

    fn nesting(&self) -> Nesting {
        self.nesting.clone()
    }
}
