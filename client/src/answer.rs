//! What a caller gets: the value, and, if asked for, where it came from.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::Argument;
use simple_dist_protocol::message::{self, Bound};
use simple_dist_protocol::{WorkerId, codec};

use crate::CallError;

/// A value with where and how fast it was made: see [`Call::detailed`](crate::Call::detailed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<R> {
    /// What the function returned.
    pub value: R,
    /// Where it ran.
    pub ran: Ran,
    /// From the beginning of the call to the beginning of the run that gave the value.
    pub waited: Duration,
    /// The run itself.
    pub took: Duration,
}

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
    /// In this process.
    Local {
        /// Why.
        reason: Reason,
    },
}

/// Why a call does not go to a worker. What the broker itself said is in
/// [`Client::problem`](crate::Client::problem) and, once, in the log.
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
    /// The call's time passed.
    TimedOut,
    /// The caller asked for it: [`Fallback::After`](crate::Fallback::After).
    After,
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
            Self::TimedOut => "timed_out",
            Self::After => "after",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Busy(bound) => return write!(f, "there is no room for the job: {bound}"),
            Self::NoConnection => "no connection to the broker",
            Self::Refused => "the broker refuses the login, or a right that it needs",
            Self::Tls => "no TLS with the broker: its certificate or ours is not trusted",
            Self::Mismatch => "the broker has another installation under this prefix",
            Self::Blocked => "the broker takes no messages for now",
            Self::Unconfirmed => "the broker does not confirm messages",
            Self::NoDistributor => "no distributor is there",
            Self::NotServed => "no live worker serves the function",
            Self::TooLarge => "the argument or the value is too large to travel",
            Self::TimedOut => "the call's time passed",
            Self::After => "asked for by the caller",
        };
        f.write_str(text)
    }
}

/// How a call ends, before its value is decoded.
pub(crate) type Outcome = Result<Ended, CallError>;

/// An [`Answer`] with its value still in MessagePack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) value: Bytes,
    pub(crate) ran: Ran,
    pub(crate) waited: Duration,
    pub(crate) took: Duration,
}

impl Ended {
    pub(crate) fn remote(value: Bytes, worker: WorkerId, answered: &message::Answered) -> Self {
        Self {
            value,
            ran: Ran::Remote { worker, attempt: answered.attempt },
            waited: Duration::from_millis(answered.waited_ms),
            took: Duration::from_micros(answered.took_us),
        }
    }

    pub(crate) fn decode<R: Argument>(self) -> Result<Answer<R>, CallError> {
        self.read(|bytes| codec::decode(bytes).map_err(|error| error.to_string()))
    }

    pub(crate) fn read<R>(
        self,
        read: impl FnOnce(&[u8]) -> Result<R, String>,
    ) -> Result<Answer<R>, CallError> {
        let Self { value, ran, waited, took } = self;
        let value = read(&value).map_err(|problem| {
            let message = match ran {
                Ran::Remote { worker, .. } => format!("worker {worker} gave it: {problem}"),
                Ran::Local { .. } => problem,
            };
            CallError::BadValue { message }
        })?;
        Ok(Answer { value, ran, waited, took })
    }
}
