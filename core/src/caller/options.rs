//! What a caller may ask of one call.

use std::time::Duration;

use simple_dist_protocol::limits;

use super::{CallError, Retry};

/// When a function runs in this process instead of on a worker.
///
/// A local run ends when the function does, however short the call's timeout; a deadline ends the
/// call nevertheless. Whatever is chosen here, a job that may have ended a worker does not run in this
/// process, unless [`Suspects`] says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Fallback {
    /// When no worker can be reached, the call's time has passed, or its argument or value cannot
    /// travel: over 8 MiB, nested deeper than 128, `Some(None)` and its like.
    #[default]
    WhenUnavailable,
    /// Never: the call then ends as `Unavailable`, `Timeout`, `TooLarge` or `Unsendable`.
    Never,
    /// When no answer has come after this time, beside the worker: the first end wins. And
    /// whenever [`WhenUnavailable`](Self::WhenUnavailable) is.
    After(Duration),
    /// Here and on a worker at once, for the shortest wait: `After(Duration::ZERO)` by a name.
    Race,
    /// Never, and an outage is waited out until the call's time has passed: without a connection, a
    /// distributor or a worker for it, or room, the call waits for them and ends as `Timeout`.
    Wait,
}

impl Fallback {
    /// Whether a call may run in this process at all.
    pub(super) fn runs_here(self) -> bool {
        match self {
            Self::WhenUnavailable | Self::After(_) | Self::Race => true,
            Self::Never | Self::Wait => false,
        }
    }

    /// How long after its beginning a call runs here beside the worker, if it does.
    pub(super) fn beside_after(self) -> Option<Duration> {
        match self {
            Self::After(delay) => Some(delay),
            Self::Race => Some(Duration::ZERO),
            Self::WhenUnavailable | Self::Never | Self::Wait => None,
        }
    }
}

/// What becomes of a call whose job may have ended a worker, and that would now run in this process:
/// it could end that as well.
///
/// It is a suspect from when the distributor says so: an attempt of it was lost with a worker that runs
/// jobs in threads, or it ended the child process that an isolated worker ran it in. What the client
/// cannot know yet it does not heed: a worker that was lost a moment before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Suspects {
    /// It does not run here: it waits for workers, and ends as `Poisoned`, or as `Suspect` when its
    /// time has passed.
    #[default]
    NeverHere,
    /// It runs here like any other.
    RunHere,
}

/// What its caller asks of a call.
#[derive(Debug, Clone)]
pub struct CallOptions {
    /// How long to wait for workers.
    pub timeout: Duration,
    /// When the call ends at the latest, from its beginning, whatever happens.
    pub deadline: Option<Duration>,
    /// 0 to 9, 9 first.
    pub priority: u8,
    /// When it runs in this process instead.
    pub fallback: Fallback,
    /// Whether it also does beside the workers, where it may run here at all, while they are busy and
    /// local slots are idle.
    pub when_busy: bool,
    /// Whether it does even if it may have ended a worker.
    pub suspects: Suspects,
    /// A W3C `traceparent`.
    pub trace: Option<Box<str>>,
    /// Whether it is to be told how far it is.
    pub progress: bool,
    /// Whether it runs by itself, though its function is deterministic and an equal call runs.
    pub fresh: bool,
    /// How often it is tried again.
    pub retry: Retry,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            timeout: limits::TIMEOUT_DEFAULT,
            deadline: None,
            priority: limits::PRIORITY_DEFAULT,
            fallback: Fallback::default(),
            when_busy: false,
            suspects: Suspects::default(),
            trace: None,
            progress: false,
            fresh: false,
            retry: Retry::default(),
        }
    }
}

impl CallOptions {
    /// An error if one is out of its range.
    ///
    /// # Errors
    /// [`CallError::BadOptions`], which names it.
    pub fn check(&self) -> Result<(), CallError> {
        let message = if self.timeout.is_zero() {
            "a call's time is more than zero"
        } else if self.timeout > limits::TIMEOUT_MAX {
            "a call's time is at most an hour"
        } else if self.deadline.is_some_and(|deadline| deadline.is_zero()) {
            "a call's deadline is more than zero"
        } else if self.priority > limits::PRIORITY_MAX {
            "a priority is 0 to 9"
        } else if self.trace.as_ref().is_some_and(|trace| trace.len() > TRACE_BYTES) {
            "a trace is at most 128 bytes"
        } else {
            return Ok(());
        };
        Err(CallError::BadOptions { message })
    }
}

/// A W3C `traceparent` has 55 bytes; a later version of it may have more.
const TRACE_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_ranges() {
        let check = |change: fn(&mut CallOptions)| {
            let mut options = CallOptions::default();
            change(&mut options);
            options.check()
        };
        assert_eq!(check(|_| ()), Ok(()));
        for change in [
            (|options| options.timeout = Duration::ZERO) as fn(&mut CallOptions),
            |options| options.timeout = limits::TIMEOUT_MAX + Duration::from_millis(1),
            |options| options.deadline = Some(Duration::ZERO),
            |options| options.priority = 10,
            |options| options.trace = Some("x".repeat(129).into()),
        ] {
            assert!(matches!(check(change), Err(CallError::BadOptions { .. })));
        }
    }
}
