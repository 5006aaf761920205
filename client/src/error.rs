//! How a client can fail to start.

use simple_dist_link::UrlError;
use simple_dist_link::environment::EnvironmentError;
use simple_dist_protocol::topology::PrefixError;

/// Why there is no client. That the broker is not there is no reason: a client connects for ever.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A variable of the environment cannot be used.
    #[error("the environment cannot be used")]
    Environment(#[from] EnvironmentError),
    /// The URL cannot be used.
    #[error("the broker's URL cannot be used")]
    Url(#[from] UrlError),
    /// The prefix cannot be used.
    #[error("the prefix cannot be used")]
    Prefix(#[from] PrefixError),
    /// Functions were to run in child processes, which have no way into the program.
    #[error("local_isolation(Process) needs Entrance::enter at the beginning of main")]
    NoEntrance,
    /// The client's thread cannot be started.
    #[error("the client's thread cannot be started")]
    Thread(#[source] std::io::Error),
}
