//! What calls tell the client's task beside its channel.

use std::sync::{Mutex, PoisonError};

use simple_dist_protocol::JobId;
use tokio::sync::Notify;

/// What calls tell the client's task beside its channel.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) dropped: Dropped,
}

/// Calls dropped by their callers: at most those that had begun.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    ids: Mutex<Vec<JobId>>,
    changed: Notify,
}

impl Dropped {
    pub(crate) fn push(&self, id: JobId) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.changed.notify_one();
    }

    pub(crate) fn take(&self) -> Vec<JobId> {
        std::mem::take(&mut self.ids.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
