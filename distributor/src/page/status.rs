//! The small line in the header: the time of the numbers and the distributor they come from.

use crate::view::format::time_of_day;
use crate::view::{Phase, Seconds, View};

/// The header's status line.
pub(super) struct Status {
    /// The age of the view when it was rendered, in milliseconds.
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
