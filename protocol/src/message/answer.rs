//! How a job ends.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::WorkerId;

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
    },
    /// The job was struck too often to be run again.
    Poisoned {
        /// The workers lost with it.
        workers: Vec<WorkerId>,
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

    /// The bytes of what it carries.
    pub fn weight(&self) -> usize {
        match self {
            Self::Value(value) => value.len(),
            Self::Failed { message, error } => message.len() + error.len(),
            Self::Panicked { message, .. } | Self::BadArguments { message } => message.len(),
            Self::Poisoned { .. }
            | Self::NotServed
            | Self::TooLarge { .. }
            | Self::Busy
            | Self::Cancelled
            | Self::Expired => 0,
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
        error: Option<Bytes>,
    },
    Poisoned {
        workers: Vec<WorkerId>,
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
            Read::Panicked { message, unsendable, error: None } => {
                Self::Panicked { message, unsendable }
            }
            Read::Poisoned { workers } => Self::Poisoned { workers },
            Read::NotServed => Self::NotServed,
            Read::BadArguments { message } => Self::BadArguments { message },
            Read::TooLarge { bytes, limit } => Self::TooLarge { bytes, limit },
            Read::Busy => Self::Busy,
            Read::Cancelled => Self::Cancelled,
            Read::Expired => Self::Expired,
        }
    }
}
