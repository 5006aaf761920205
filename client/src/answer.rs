//! What a caller gets: the value, and, if asked for, where it came from.

use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::{Argument, Failure, codec};

use crate::erased_value::ErasedValue;
use crate::{CallError, Ran};

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

/// A value whose type its call knows.
#[derive(Debug)]
pub(crate) enum Value {
    /// In MessagePack, from a worker.
    Encoded(Bytes),
    /// As the function gave it here.
    Erased(ErasedValue),
}

/// An error whose type its call knows.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What it says.
    pub(crate) text: String,
    /// The error itself.
    pub(crate) error: Value,
}

impl Failed {
    /// What the call ends with: the error as the function's.
    pub(crate) fn typed<E: Failure>(self) -> CallError<E> {
        self.read(|error| match error {
            Value::Encoded(bytes) => E::read(&bytes).map_err(|error| error.to_string()),
            Value::Erased(error) => Ok(error.take()),
        })
    }

    pub(crate) fn read<E>(self, read: impl FnOnce(Value) -> Result<E, String>) -> CallError<E> {
        let Self { text, error } = self;
        match read(error) {
            Ok(error) => CallError::Function(error),
            Err(problem) => CallError::BadValue {
                message: format!("the function failed: {text}; its error is another: {problem}"),
            },
        }
    }
}

impl Answer<Value> {
    /// The answer with its value as the function's.
    pub(crate) fn typed<R: Argument, E>(self) -> Result<Answer<R>, CallError<E>> {
        self.read(|value| match value {
            Value::Encoded(bytes) => codec::decode(&bytes).map_err(|error| error.to_string()),
            Value::Erased(value) => Ok(value.take()),
        })
    }

    pub(crate) fn read<R, E>(
        self,
        read: impl FnOnce(Value) -> Result<R, String>,
    ) -> Result<Answer<R>, CallError<E>> {
        let Self { value, ran, waited, took } = self;
        let value = read(value).map_err(|problem| {
            let message = match ran.worker() {
                Some(worker) => format!("worker {worker} gave it: {problem}"),
                None => problem,
            };
            CallError::BadValue { message }
        })?;
        Ok(Answer { value, ran, waited, took })
    }
}
