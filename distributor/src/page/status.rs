//! The small line at the head: from when the numbers are, and whose.

use crate::view::words::time_of_day;
use crate::view::{Phase, Seconds, View};

/// The head's small line.
pub(super) struct Status {
    /// How far the view was from being new when it was drawn, in milliseconds.
    pub(super) age_ms: u64,
    pub(super) at: String,
    pub(super) distributor: String,
    pub(super) broker: String,
    /// `standby`, if it is not active.
    pub(super) role: Option<&'static str>,
    /// `bad`, `warn` or `ok`.
    pub(super) tone: &'static str,
}

impl Status {
    pub(super) fn of(view: &View, age: Seconds) -> Self {
        let (role, tone) = match view.distributor.phase {
            Phase::Down => (Some("no link"), "bad"),
            Phase::Standby { .. } => (Some("standby"), "warn"),
            Phase::Active { .. } if view.broker.blocked || !view.broker.sure => (None, "warn"),
            Phase::Active { .. } => (None, "ok"),
        };
        Self {
            age_ms: (age.0 * 1e3) as u64,
            at: time_of_day(view.unix_ms),
            distributor: view.distributor.id.short(),
            broker: view.broker.address.clone(),
            role,
            tone,
        }
    }
}
