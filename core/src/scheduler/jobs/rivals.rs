//! The attempts of a job that go on beside its newest.

use simple_dist_protocol::Attempt;

/// How often, in one term, a job is placed beside an attempt that goes on.
pub(crate) const RIVALS: u8 = 2;

/// The older attempts of a job that may still answer, and for whose loss it has not been judged.
#[derive(Debug, Default)]
pub(crate) struct Rivals {
    attempts: Vec<Attempt>,
    /// How many there were.
    pub(crate) count: u8,
    /// How many of them were slow, and not given up by a worker that drains.
    pub(crate) hedges: u8,
}

impl Rivals {
    /// An attempt goes on beside a newer one.
    pub(crate) fn add(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
        self.count = self.count.saturating_add(1);
    }

    /// Whether the attempt is one of them.
    pub(crate) fn contains(&self, attempt: Attempt) -> bool {
        self.attempts.contains(&attempt)
    }

    /// The attempt has ended, or is the newest again. Returns whether it was one of them.
    pub(crate) fn remove(&mut self, attempt: Attempt) -> bool {
        let at = self.attempts.iter().position(|rival| *rival == attempt);
        at.map(|at| self.attempts.remove(at)).is_some()
    }
}
