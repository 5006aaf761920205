//! What operators do, and to which jobs.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use simple_dist_protocol::{Address, ClientId, Selector, UserName};
use utoipa::ToSchema;

/// What an operator did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Action {
    /// When, in milliseconds of Unix time.
    pub unix_ms: u64,
    /// From which address; behind a proxy, the proxy's.
    pub by: Option<String>,
    /// What, in words: `cancelled 12 jobs: fib@1 (10 queued, 2 running)`.
    pub what: String,
}

/// The jobs under way that an operator means: those that fit all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of this function: `fib@1`, or `fib` for all its versions.
    pub function: Option<Selector>,
    /// Of this login.
    pub user: Option<UserName>,
    /// Of this client.
    pub client: Option<ClientId>,
    /// Only those that have not started.
    pub queued: bool,
}

impl JobFilter {
    /// Whether it means every job that is under way.
    pub fn is_everything(&self) -> bool {
        self.function.is_none() && self.user.is_none() && self.client.is_none()
    }

    /// Whether it means jobs of this function.
    pub fn has_function(&self, name: &str) -> bool {
        let is = |asked: &Selector| {
            *name == *asked.to_string()
                || name.parse::<Address>().is_ok_and(|address| asked.matches(&address))
        };
        self.function.as_ref().is_none_or(is)
    }
}

/// Jobs of one function, by where they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Affected {
    /// The function, such as `fib@1`.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// Those that have not started.
    pub queued: u64,
    /// Those that run.
    pub running: u64,
}

/// A job that failed, as it can be called again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCall {
    /// The login of its caller.
    pub user: UserName,
    /// Its function, as it was called.
    pub function: Arc<str>,
    /// Its arguments, encoded as MessagePack.
    pub args: Bytes,
}
