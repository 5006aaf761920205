//! How far a job is, as its function says.

use simple_dist_protocol::text;

use crate::view::Progress;

/// A bar, with words for it.
pub(super) struct Bar {
    /// From 0 to 1.
    pub(super) value: String,
    /// `40 %: row 40 of 100`.
    pub(super) says: String,
}

impl Bar {
    pub(super) fn of(progress: &Progress) -> Self {
        let Progress { fraction, text } = progress;
        let percent = format!("{:.0} %", fraction * 100.0);
        let says = match text::line(text, text::SHOWN).to_string() {
            said if said.is_empty() => percent,
            said => format!("{percent}: {said}"),
        };
        Self { value: format!("{fraction:.3}"), says }
    }
}
