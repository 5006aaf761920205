//! What jobs say of their progress, until the service asks: the newest of each slot.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::mem::take;
use std::sync::{Mutex, MutexGuard, PoisonError};

use simple_dist_core::worker::Number;
use simple_dist_protocol::message::Progress;
use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// By slot.
    news: Mutex<BTreeMap<usize, (Number, Progress)>>,
    written: Notify,
}

impl Board {
    /// A slot's job is so far.
    pub(super) fn write(&self, slot: usize, number: Number, fraction: f32, text: &dyn Display) {
        // The text is the user's, and is written outside the lock.
        self.put(slot, number, Progress::new(fraction, text));
    }

    /// The same, as said in a child process.
    pub(super) fn put(&self, slot: usize, number: Number, progress: Progress) {
        let mut news = self.lock();
        let is_first = news.is_empty();
        news.insert(slot, (number, progress));
        drop(news);
        if is_first {
            self.written.notify_one();
        }
    }

    /// Ends when there is something to take.
    pub(crate) async fn written(&self) {
        self.written.notified().await;
    }

    /// What was said since the last time.
    pub(crate) fn take(&self) -> Vec<(Number, Progress)> {
        take(&mut *self.lock()).into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, (Number, Progress)>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
