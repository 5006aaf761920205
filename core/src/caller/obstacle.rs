//! Why an argument or a value cannot travel, whoever would take it.

use super::target::LocalRun;
use super::{CallError, Reason};

/// What keeps an argument from a worker, or a value from its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It is over the limit.
    TooLarge {
        /// Its bytes.
        bytes: u64,
        /// The most there may be.
        limit: u64,
    },
    /// It cannot be written so that it would be read as it is.
    Unsendable {
        /// Which of the two, why, and what to do about it.
        message: String,
    },
}

impl Obstacle {
    /// Why the call runs here.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::TooLarge,
            Self::Unsendable { .. } => Reason::Unsendable,
        }
    }

    /// Whether such a run here has a way round it.
    pub(super) fn is_passed_by(&self, run: LocalRun) -> bool {
        match self {
            Self::TooLarge { .. } => run != LocalRun::No,
            Self::Unsendable { .. } => run == LocalRun::Typed,
        }
    }
}

impl<E> From<Obstacle> for CallError<E> {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::TooLarge { bytes, limit } => Self::TooLarge { bytes, limit },
            Obstacle::Unsendable { message } => Self::Unsendable { message },
        }
    }
}
