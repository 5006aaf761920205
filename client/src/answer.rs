//! What a caller gets: the value, and, if asked for, where it came from.

use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::{Argument, codec};

use crate::kept::Kept;
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
    Written(Bytes),
    /// As the function gave it here.
    Kept(Kept),
}

impl Answer<Value> {
    /// The answer with its value as the function's.
    pub(crate) fn typed<R: Argument>(self) -> Result<Answer<R>, CallError> {
        self.read(|value| match value {
            Value::Written(bytes) => codec::decode(&bytes).map_err(|error| error.to_string()),
            Value::Kept(value) => Ok(value.take()),
        })
    }

    pub(crate) fn read<R>(
        self,
        read: impl FnOnce(Value) -> Result<R, String>,
    ) -> Result<Answer<R>, CallError> {
        let Self { value, ran, waited, took } = self;
        let value = read(value).map_err(|problem| {
            let message = match ran {
                Ran::Remote { worker, .. } => format!("worker {worker} gave it: {problem}"),
                Ran::Local { .. } => problem,
            };
            CallError::BadValue { message }
        })?;
        Ok(Answer { value, ran, waited, took })
    }
}
