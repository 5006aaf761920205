//! Errors of a broker as a whole.

use std::{io, net::SocketAddr};

/// Why a broker could not be started, or does not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address that was asked for.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The address is reachable from other machines, but the well-known default user would let
    /// everybody in.
    #[error("{0} is not a loopback address: set a user and password first")]
    NotLoopback(SocketAddr),
    /// A user name or password is empty or has more than 255 bytes.
    #[error("user names and passwords have 1 to 255 bytes")]
    BadUser,
    /// The broker's thread could not be started.
    #[error("cannot start the broker's thread")]
    Thread(#[source] io::Error),
    /// The broker has been stopped.
    #[error("the broker has stopped")]
    Stopped,
}
