//! How a call can fail.

use simple_dist_protocol::{WorkerId, message};

use super::Reason;

/// Why a call has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The function panicked.
    #[error("the function panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// Workers were lost each time they ran the job. It will not be run again.
    #[error("the job was lost with its worker too often")]
    Poisoned {
        /// The workers lost with it.
        workers: Vec<WorkerId>,
    },
    /// The call's time passed.
    #[error("the call's time passed")]
    Timeout,
    /// The call's deadline came first. A run in this process may still go on.
    #[error("the call's deadline passed")]
    Deadline,
    /// It could not go to a worker, and was not to run here.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// Why it could not.
        reason: Reason,
    },
    /// The argument is not what the function takes.
    #[error("bad arguments: {message}")]
    BadArguments {
        /// What is wrong with it.
        message: String,
    },
    /// The value is not what the caller expects: the worker has another function of this name.
    #[error("bad value: {message}")]
    BadValue {
        /// What is wrong with it.
        message: String,
    },
    /// An option of the call is out of its range.
    #[error("an option is out of range: {message}")]
    BadOptions {
        /// Which.
        message: &'static str,
    },
    /// The argument or the value is over the limit, and the call was not to run here, where there is
    /// none.
    #[error(
        "{bytes} bytes are over the limit of {limit}; bytes in a list take up to two each, in \
         serde_bytes::ByteBuf or bytes::Bytes one"
    )]
    TooLarge {
        /// Its bytes.
        bytes: u64,
        /// The most there may be.
        limit: u64,
    },
    /// MessagePack cannot carry the argument or the value as it is, and the call was not to run here,
    /// where nothing needs to be written.
    #[error("{message}; where the function may run in the caller's process, nothing is sent")]
    Unsendable {
        /// Which of the two, why, and what to do about it.
        message: String,
    },
    /// Somebody cancelled the job at the distributor.
    #[error("the job was cancelled")]
    Cancelled,
    /// `blocking()` in asynchronous code, where it would block everything else: await the call, or
    /// wait in `spawn_blocking`.
    #[error("a blocking call inside an asynchronous runtime")]
    InsideRuntime,
    /// The client was closed.
    #[error("the client was closed")]
    Closed,
}

impl CallError {
    /// The error in an answer, if it is one that says how the job itself ended.
    pub(super) fn of(answer: message::Answer) -> Option<Self> {
        match answer {
            message::Answer::Panicked { message, .. } => Some(Self::Panicked { message }),
            message::Answer::Poisoned { workers } => Some(Self::Poisoned { workers }),
            message::Answer::BadArguments { message } => Some(Self::BadArguments { message }),
            message::Answer::Cancelled => Some(Self::Cancelled),
            message::Answer::Value(_)
            | message::Answer::TooLarge { .. }
            | message::Answer::NotServed
            | message::Answer::Busy
            | message::Answer::Expired => None,
        }
    }
}
