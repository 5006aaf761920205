//! Where a call ran and why, and how it ends.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::WorkerId;
use simple_dist_protocol::message::{Answered, Bound};

use super::{CallError, Failed};

/// Where a function ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// On a worker.
    Remote {
        /// Which.
        worker: WorkerId,
        /// At which attempt, from 1.
        attempt: u32,
    },
    /// On a worker, by the run of an equal call, which was under way and which this one waited for.
    Coalesced {
        /// Which.
        worker: WorkerId,
    },
    /// On a worker, by the run of an equal call, whose answer was kept.
    Memo {
        /// Which.
        worker: WorkerId,
        /// How long it was kept by then.
        age: Duration,
    },
    /// In this process.
    Local {
        /// Why.
        reason: Reason,
    },
}

impl Ran {
    /// The worker whose run gave the value; `None` if it was made in this process.
    pub fn worker(&self) -> Option<WorkerId> {
        match self {
            Self::Remote { worker, .. }
            | Self::Coalesced { worker }
            | Self::Memo { worker, .. } => Some(*worker),
            Self::Local { .. } => None,
        }
    }
}

/// Why a call does not go to a worker. What the broker itself said is in the client's `problem` and,
/// once, in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// There is no connection to the broker.
    NoConnection,
    /// The broker refuses the login, or a right that it needs.
    Refused,
    /// There is somebody at the broker's address, but no TLS with it.
    Tls,
    /// What this client uses is declared otherwise at the broker: another prefix or queue kind.
    Mismatch,
    /// The broker takes no messages for now: it is short of memory or disk.
    Blocked,
    /// The broker has not confirmed what was sent to it for a second.
    Unconfirmed,
    /// No distributor was heard for three seconds, or none was ever there.
    NoDistributor,
    /// No live worker serves the function.
    NotServed,
    /// There is no room for the job: this bound is reached.
    Busy(Bound),
    /// The argument or the value is over the limit of what travels.
    TooLarge,
    /// MessagePack cannot carry the argument or the value as it is.
    Unsendable,
    /// The call's time passed.
    TimedOut,
    /// The caller asked for it: [`Fallback::After`](super::Fallback::After) or
    /// [`Fallback::Race`](super::Fallback::Race).
    After,
    /// Its workers were busy and a local slot was idle, and the caller asked for that: `when_busy`.
    WhenBusy,
    /// A job called it that waits for it, and nothing else could run in that job's place.
    Nested,
}

impl Reason {
    /// The reason in one lower-case word, for counters and pages.
    pub fn kind(self) -> &'static str {
        match self {
            Self::NoConnection => "no_connection",
            Self::Refused => "refused",
            Self::Tls => "tls",
            Self::Mismatch => "mismatch",
            Self::Blocked => "blocked",
            Self::Unconfirmed => "unconfirmed",
            Self::NoDistributor => "no_distributor",
            Self::NotServed => "not_served",
            Self::Busy(_) => "busy",
            Self::TooLarge => "too_large",
            Self::Unsendable => "unsendable",
            Self::TimedOut => "timed_out",
            Self::Nested => "nested",
            Self::After => "after",
            Self::WhenBusy => "when_busy",
        }
    }

    /// Whether the call runs here beside its worker, and not instead.
    pub(super) fn is_beside(self) -> bool {
        matches!(self, Self::After | Self::WhenBusy)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Busy(bound) => return write!(f, "there is no room for the job: {bound}"),
            Self::NoConnection => "no connection to the broker",
            Self::Refused => "the broker refuses the login, or a right or limit that it needs",
            Self::Tls => "no TLS with the broker",
            Self::Mismatch => "the broker has another installation under this prefix",
            Self::Blocked => "the broker takes no messages for now",
            Self::Unconfirmed => "the broker does not confirm messages",
            Self::NoDistributor => "no distributor is there",
            Self::NotServed => "no live worker serves the function",
            Self::TooLarge => "the argument or the value is too large to travel",
            Self::Unsendable => "the argument or the value cannot travel as it is",
            Self::TimedOut => "the call's time passed",
            Self::After => "asked for by the caller",
            Self::WhenBusy => "workers are busy, and a local slot was idle",
            Self::Nested => "a job called it whose place nothing else could run in",
        };
        f.write_str(text)
    }
}

/// How a call ends.
pub type CallEnd = Result<Ended, CallError<Failed>>;

/// A call that ended with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The value in MessagePack, if a worker gave it. That of a local run is with the shell.
    pub value: Option<Bytes>,
    /// Where it was made.
    pub ran: Ran,
    /// From the beginning of the call to the beginning of the run.
    pub waited: Duration,
    /// The run itself.
    pub took: Duration,
}

impl Ended {
    pub(super) fn remote(value: Bytes, worker: WorkerId, answered: &Answered) -> Self {
        let ran = match answered.memo_age_ms {
            Some(age) => Ran::Memo { worker, age: Duration::from_millis(age) },
            None if answered.coalesced => Ran::Coalesced { worker },
            None => Ran::Remote { worker, attempt: answered.attempt },
        };
        Self {
            value: Some(value),
            ran,
            waited: Duration::from_millis(answered.waited_ms),
            took: Duration::from_micros(answered.took_us),
        }
    }
}
