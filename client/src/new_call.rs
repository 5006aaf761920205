//! A call on its way to the client's task.

use std::sync::Arc;

use bytes::Bytes;
use simple_dist_core::caller::{CallOptions, Obstacle};
use simple_dist_protocol::{Argument, JobId, codec, limits};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::answer::{Failed, Value};
use crate::erased_value::{ErasedValue, drop_here};
use crate::progress_sender::ProgressSender;
use crate::stub::Stub;
use crate::{Answer, CallError};

/// How a call ends, before its value or error is read.
pub(crate) type Outcome = Result<Answer<Value>, CallError<Failed>>;

/// A call that begins.
#[derive(Debug)]
pub(crate) struct NewCall {
    pub(crate) id: JobId,
    pub(crate) stub: Arc<Stub>,
    pub(crate) arguments: Arguments,
    pub(crate) options: CallOptions,
    /// When its caller began to wait.
    pub(crate) at: Instant,
    /// Where its progress goes.
    pub(crate) progress: ProgressSender,
    /// Where its end goes.
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// What a call is made with: one of the two, so that its memory is not needed twice.
#[derive(Debug)]
pub(crate) enum Arguments {
    /// In MessagePack.
    Encoded(Bytes),
    /// As it is, and why it cannot travel.
    Erased(ErasedValue, Obstacle),
}

impl Arguments {
    pub(crate) fn of<A: Argument>(argument: A) -> Self {
        let obstacle = match codec::encode_exact(&argument) {
            Ok(bytes) => match too_large(&bytes) {
                None => {
                    drop_here(argument);
                    return Self::Encoded(bytes.into());
                }
                Some(obstacle) => obstacle,
            },
            Err(error) => {
                Obstacle::Unsendable { message: format!("the argument cannot be sent: {error}") }
            }
        };
        Self::Erased(ErasedValue::new(argument), obstacle)
    }

    /// What is known in MessagePack alone.
    #[cfg(feature = "json")]
    pub(crate) fn written(bytes: Bytes) -> Self {
        match too_large(&bytes) {
            None => Self::Encoded(bytes),
            Some(obstacle) => Self::Erased(ErasedValue::new(bytes), obstacle),
        }
    }
}

fn too_large(bytes: &[u8]) -> Option<Obstacle> {
    let (bytes, limit) = (bytes.len() as u64, limits::ARGUMENT_BYTES as u64);
    (bytes > limit).then_some(Obstacle::TooLarge { bytes, limit })
}
