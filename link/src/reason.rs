//! Why there is no connection, and the meaning of the client library's errors.

use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing answers at the address.
    #[error("no broker answers at {address}: {problem}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The error.
        problem: String,
    },
    /// TLS failed: the certificate cannot be trusted, or the broker wants another one of ours.
    #[error("no TLS with {address}: {problem}")]
    Tls {
        /// Host and port.
        address: String,
        /// The error.
        problem: String,
    },
    /// The broker refuses the login or lacks a permission.
    #[error("refused by the broker: {0}")]
    Refused(String),
    /// Something that this role needs has not been declared by a distributor yet.
    #[error("not declared yet: {0}")]
    Missing(String),
    /// Something is declared with other properties (406): another installation's prefix or queue
    /// type.
    #[error("declared otherwise: {0}")]
    Mismatch(String),
    /// The connection was lost, or an answer did not come in time.
    #[error("the connection was lost: {0}")]
    Lost(String),
}

/// The reason behind an error of the client library.
pub(super) fn reason(error: &lapin::Error) -> Reason {
    let ErrorKind::ProtocolError(amqp) = error.kind() else {
        return Reason::Lost(error.to_string());
    };
    let text = amqp.get_message().to_string();
    match amqp.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => Reason::Missing(text),
        // A limit on queues, or on the size of a message.
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)
            if text.contains(" limit ") || text.contains(" larger than ") =>
        {
            Reason::Refused(text)
        }
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => Reason::Mismatch(text),
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED | AMQPSoftError::RESOURCELOCKED)
        | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => Reason::Refused(text),
        AMQPErrorKind::Soft(_) | AMQPErrorKind::Hard(_) => Reason::Lost(text),
    }
}

/// Whether somebody else holds the queue exclusively (405).
pub(super) fn is_locked(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ProtocolError(amqp)
            if matches!(amqp.kind(), AMQPErrorKind::Soft(AMQPSoftError::RESOURCELOCKED))
    )
}
