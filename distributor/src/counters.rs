//! What is counted as it happens, since the process began, for `/metrics`; all else that it tells is
//! in the view.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::wire::decode::DecodeError;

/// How requests end.
pub(crate) const RESULTS: [&str; 3] = ["ok", "refused", "failed"];

/// Messages that could not be decoded, by their place in [`DecodeError::ALL`].
pub(crate) static UNFIT: [Counter; DecodeError::ALL.len()] = [const { Counter::new() }; _];
/// Responses over HTTP, by their place in [`RESULTS`].
pub(crate) static RESPONSES: [Counter; RESULTS.len()] = [const { Counter::new() }; _];
/// Logins with a token that is not ours.
pub(crate) static WRONG_TOKENS: Counter = Counter::new();
/// Connections over HTTP that were one too many.
pub(crate) static TURNED_AWAY: Counter = Counter::new();
/// Calls for whose arguments there was no room.
pub(crate) static ARGUMENTS_REFUSED: Counter = Counter::new();
/// Calls for whose answer there was none.
pub(crate) static ANSWERS_REFUSED: Counter = Counter::new();
/// Connections over HTTP that are open.
pub(crate) static CONNECTIONS: Counter = Counter::new();

/// A number of the process.
#[derive(Debug)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// It is this now.
    pub(crate) fn set(&self, count: usize) {
        self.0.store(count as u64, Ordering::Relaxed);
    }

    /// What it is.
    pub(crate) fn get(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64
    }
}
