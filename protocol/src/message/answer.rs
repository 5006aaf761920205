//! How a job ends.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Answered, Crash};
use crate::{RunError, WorkerId, limits, panic_log};

/// How a job ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Read")]
pub enum Answer {
    /// The function returned this value, in MessagePack.
    Value(Bytes),
    /// The function returned an error. On the wire it is a panic with an `error`, which readers who
    /// know no better take for one.
    #[serde(rename = "Panicked")]
    Failed {
        /// What it says.
        message: String,
        /// The error in MessagePack.
        error: Bytes,
    },
    /// The function panicked; or, for readers who know no better, its value cannot be sent.
    Panicked {
        /// What it said.
        message: String,
        /// Whether it did not panic, but its value or its error cannot be written so that it would
        /// be read as it is: then the message says why.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        unsendable: bool,
        /// Where it panicked, as file, line and column: for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        location: Option<String>,
    },
    /// The job ended too many workers or child processes to be run again.
    Poisoned {
        /// The workers lost with it.
        workers: Vec<WorkerId>,
        /// The child processes that it ended.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        crashes: Vec<Crash>,
    },
    /// No live worker serves the function.
    NotServed,
    /// The function, its argument or an option cannot be understood.
    BadArguments {
        /// What is wrong.
        message: String,
    },
    /// The argument or value is over the limit.
    TooLarge {
        /// Its bytes.
        bytes: u64,
        /// The most there may be.
        limit: u64,
    },
    /// There is no room for the job: a [`Bound`](super::Bound) is reached.
    Busy,
    /// The caller, or a person at the page, cancelled it.
    Cancelled,
    /// The caller's time passed.
    Expired,
}

impl Answer {
    /// The kind in one lower-case word, for counters and pages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Value(_) => "value",
            Self::Failed { .. } => "failed",
            Self::Panicked { unsendable: true, .. } => "unsendable",
            Self::Panicked { .. } => "panicked",
            Self::Poisoned { .. } => "poisoned",
            Self::NotServed => "not_served",
            Self::BadArguments { .. } => "bad_arguments",
            Self::TooLarge { .. } => "too_large",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// A panic that said this, nobody knows where.
    pub fn panicked(message: impl Into<String>) -> Self {
        Self::Panicked { message: message.into(), unsendable: false, location: None }
    }

    /// A value or an error that cannot be sent, for this reason.
    pub fn unsendable(message: impl Into<String>) -> Self {
        Self::Panicked { message: message.into(), unsendable: true, location: None }
    }

    /// A copy that keeps no part of the message in which it came.
    #[must_use]
    pub fn copied(&self) -> Self {
        match self {
            Self::Value(value) => Self::Value(Bytes::copy_from_slice(value)),
            Self::Failed { message, error } => {
                Self::Failed { message: message.clone(), error: Bytes::copy_from_slice(error) }
            }
            Self::Panicked { .. }
            | Self::BadArguments { .. }
            | Self::Poisoned { .. }
            | Self::NotServed
            | Self::TooLarge { .. }
            | Self::Busy
            | Self::Cancelled
            | Self::Expired => self.clone(),
        }
    }

    /// What a value or an error of the function is encoded as.
    pub fn payload(&self) -> Option<&Bytes> {
        match self {
            Self::Value(value) => Some(value),
            Self::Failed { error, .. } => Some(error),
            Self::Panicked { .. }
            | Self::BadArguments { .. }
            | Self::Poisoned { .. }
            | Self::NotServed
            | Self::TooLarge { .. }
            | Self::Busy
            | Self::Cancelled
            | Self::Expired => None,
        }
    }

    /// The bytes of what it carries.
    pub fn weight(&self) -> usize {
        match self {
            Self::Value(value) => value.len(),
            Self::Failed { message, error } => message.len() + error.len(),
            Self::Panicked { message, .. } | Self::BadArguments { message } => message.len(),
            Self::Poisoned { crashes, .. } => crashes.iter().map(Crash::weight).sum(),
            Self::NotServed
            | Self::TooLarge { .. }
            | Self::Busy
            | Self::Cancelled
            | Self::Expired => 0,
        }
    }
}

impl Answered {
    /// Whether another job's run gave it.
    pub fn is_shared(&self) -> bool {
        self.coalesced || self.memo_age_ms.is_some()
    }
}

/// The answer that a run gives.
impl From<Result<Vec<u8>, RunError>> for Answer {
    fn from(end: Result<Vec<u8>, RunError>) -> Self {
        match end {
            Ok(bytes) | Err(RunError::Failed { error: bytes, .. })
                if bytes.len() > limits::ARGUMENT_BYTES =>
            {
                Self::TooLarge { bytes: bytes.len() as u64, limit: limits::ARGUMENT_BYTES as u64 }
            }
            Ok(value) => Self::Value(Bytes::from(value)),
            Err(RunError::Failed { text, error }) => {
                Self::Failed { message: text, error: Bytes::from(error) }
            }
            Err(error @ RunError::Argument { .. }) => {
                Self::BadArguments { message: error.to_string() }
            }
            Err(error @ (RunError::Value(_) | RunError::Error { .. })) => {
                Self::unsendable(error.to_string())
            }
            Err(RunError::Panicked(message)) => {
                let location = panic_log::take_location();
                Self::Panicked { message, unsendable: false, location }
            }
        }
    }
}

/// An answer as it is written: an error of the function and a panic have one name.
#[derive(Deserialize)]
enum Read {
    Value(Bytes),
    Panicked {
        message: String,
        #[serde(default)]
        unsendable: bool,
        #[serde(default)]
        location: Option<String>,
        #[serde(default)]
        error: Option<Bytes>,
    },
    Poisoned {
        workers: Vec<WorkerId>,
        #[serde(default)]
        crashes: Vec<Crash>,
    },
    NotServed,
    BadArguments {
        message: String,
    },
    TooLarge {
        bytes: u64,
        limit: u64,
    },
    Busy,
    Cancelled,
    Expired,
}

impl From<Read> for Answer {
    fn from(read: Read) -> Self {
        match read {
            Read::Value(value) => Self::Value(value),
            Read::Panicked { message, error: Some(error), .. } => Self::Failed { message, error },
            Read::Panicked { message, unsendable, location, error: None } => {
                Self::Panicked { message, unsendable, location }
            }
            Read::Poisoned { workers, crashes } => Self::Poisoned { workers, crashes },
            Read::NotServed => Self::NotServed,
            Read::BadArguments { message } => Self::BadArguments { message },
            Read::TooLarge { bytes, limit } => Self::TooLarge { bytes, limit },
            Read::Busy => Self::Busy,
            Read::Cancelled => Self::Cancelled,
            Read::Expired => Self::Expired,
        }
    }
}
