//! How a call can fail.

use std::fmt;

use bytes::Bytes;
use simple_dist_protocol::message::{Crash, Marks, crash};
use simple_dist_protocol::{NoError, WorkerId, message};

use super::Reason;

/// Why a call has no value. `E` is the error of the function itself, if it can fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError<E = NoError> {
    /// The function returned this error.
    #[error("the function failed: {0}")]
    Function(E),
    /// The function panicked.
    #[error("the function panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// Each time that the job ran its worker was lost, or the process of its own in which it ran. It
    /// will not be run again.
    #[error("{}", poisoned(crashes))]
    Poisoned {
        /// The workers lost with it.
        workers: Vec<WorkerId>,
        /// What became of the child processes in which isolated workers ran it.
        crashes: Vec<Crash>,
    },
    /// The function ended the child of the caller's process in which it ran.
    #[error("the job ended the process that ran it: {}", crashed(*signal, *code, note.as_deref()))]
    Crashed {
        /// The signal that killed it, if one did.
        signal: Option<i32>,
        /// Its exit code, if it exited.
        code: Option<i32>,
        /// The most memory that it was seen to have resident, in bytes; 0 if it was not looked at.
        memory_bytes: u64,
        /// The end of what it printed.
        output: String,
        /// What else is known of it, if anything.
        note: Option<String>,
    },
    /// It was to run in a child of the caller's process, and there is none.
    #[error("no child process can be had: {problem}")]
    NoChild {
        /// Why.
        problem: String,
    },
    /// The call's time passed. It would now have run in this process, but may have ended another: see
    /// [`Suspects`](super::Suspects).
    #[error("the call's time passed, and it does not run here: {}", suspect(marks))]
    Suspect {
        /// What is held against its job.
        marks: Marks,
    },
    /// The call's time passed.
    #[error("the call's time passed")]
    Timeout,
    /// The call's deadline came first, or that of the job that made it. A run in this process may
    /// still go on.
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
    /// The value or the error is not what the caller expects: the worker has another function of
    /// this name.
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
    /// The argument, the value or the error is over the limit, and the call was not to run here,
    /// where there is none.
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
    /// MessagePack cannot carry the argument, the value or the error as it is, and the call was not
    /// to run here, where nothing needs to be written.
    #[error("{message}; where the function may run in the caller's process, nothing is sent")]
    Unsendable {
        /// Which of them, why, and what to do about it.
        message: String,
    },
    /// Somebody cancelled the job at the distributor, or the job that made this call was cancelled.
    #[error("the job was cancelled")]
    Cancelled,
    /// The client was closed.
    #[error("the client was closed")]
    Closed,
}

impl CallError {
    /// The same for a function that can fail: so that a function may call others by `?`.
    ///
    /// ```
    /// # use simple_dist_core::caller::CallError;
    /// fn of_one_that_can_fail(end: Result<u64, CallError>) -> Result<u64, CallError<String>> {
    ///     Ok(end.map_err(CallError::widen)? + 1)
    /// }
    /// ```
    pub fn widen<E>(self) -> CallError<E> {
        self.map(|never| match never {})
    }
}

impl<E> CallError<E> {
    /// The error in one lower-case word, for counters and traces.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Function(_) => "failed",
            Self::Panicked { .. } => "panicked",
            Self::Poisoned { .. } => "poisoned",
            Self::Crashed { .. } => "crashed",
            Self::NoChild { .. } => "no_child",
            Self::Suspect { .. } => "suspect",
            Self::Timeout => "timed_out",
            Self::Deadline => "deadline",
            Self::Unavailable { .. } => "unavailable",
            Self::BadArguments { .. } => "bad_arguments",
            Self::BadValue { .. } => "bad_value",
            Self::BadOptions { .. } => "bad_options",
            Self::TooLarge { .. } => "too_large",
            Self::Unsendable { .. } => "unsendable",
            Self::Cancelled => "cancelled",
            Self::Closed => "closed",
        }
    }

    /// With another form of the function's own error.
    pub fn map<F>(self, form: impl FnOnce(E) -> F) -> CallError<F> {
        self.and_then(|error| CallError::Function(form(error)))
    }

    /// With what becomes of the function's own error.
    pub fn and_then<F>(self, failed: impl FnOnce(E) -> CallError<F>) -> CallError<F> {
        match self {
            Self::Function(error) => failed(error),
            Self::Panicked { message } => CallError::Panicked { message },
            Self::Poisoned { workers, crashes } => CallError::Poisoned { workers, crashes },
            Self::Crashed { signal, code, memory_bytes, output, note } => {
                CallError::Crashed { signal, code, memory_bytes, output, note }
            }
            Self::NoChild { problem } => CallError::NoChild { problem },
            Self::Suspect { marks } => CallError::Suspect { marks },
            Self::Timeout => CallError::Timeout,
            Self::Deadline => CallError::Deadline,
            Self::Unavailable { reason } => CallError::Unavailable { reason },
            Self::BadArguments { message } => CallError::BadArguments { message },
            Self::BadValue { message } => CallError::BadValue { message },
            Self::BadOptions { message } => CallError::BadOptions { message },
            Self::TooLarge { bytes, limit } => CallError::TooLarge { bytes, limit },
            Self::Unsendable { message } => CallError::Unsendable { message },
            Self::Cancelled => CallError::Cancelled,
            Self::Closed => CallError::Closed,
        }
    }
}

fn crashed(signal: Option<i32>, code: Option<i32>, note: Option<&str>) -> String {
    let note = note.map(|note| format!(" ({note})"));
    crash::ending(signal, code) + &note.unwrap_or_default()
}

fn poisoned(crashes: &[Crash]) -> String {
    match crashes.last() {
        Some(last) => format!("the job ended the process that ran it too often: {last}"),
        None => "the job was lost with its worker too often".to_owned(),
    }
}

fn suspect(marks: &Marks) -> String {
    match marks.crashes.last() {
        Some(last) => format!("it ended the process that ran it: {last}"),
        None => "a worker was lost that had it".to_owned(),
    }
}

/// An error of a function's own, whose type only its shell knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What it says.
    pub text: String,
    /// The error in MessagePack, if a worker gave it. That of a local run is with the shell.
    pub error: Option<Bytes>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl CallError<Failed> {
    /// The error in an answer, if it is one that says how the job itself ended.
    pub(super) fn of(answer: message::Answer) -> Option<Self> {
        match answer {
            message::Answer::Failed { message, error } => {
                Some(Self::Function(Failed { text: message, error: Some(error) }))
            }
            message::Answer::Panicked { message, .. } => Some(Self::Panicked { message }),
            message::Answer::Poisoned { workers, crashes } => {
                Some(Self::Poisoned { workers, crashes })
            }
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
