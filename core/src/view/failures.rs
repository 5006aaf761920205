//! What fails, grouped by what is said of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::{JobId, WorkerId};
use utoipa::ToSchema;

use super::{Seconds, text};

/// Failures of one function that say the same, but for numbers in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// The function, such as `fib@1`.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// The kind: `failed` (its own error), `panicked`, `expired` (out of time), `crashed` (its process;
    /// the job may have been run again), `poisoned`,
    /// `not_served`, `bad_arguments`, `too_large`, `unsendable`, `busy`.
    pub kind: String,
    /// What the newest says; the first 200 characters.
    pub message: Option<String>,
    /// Where the newest panicked, as file, line and column.
    pub location: Option<String>,
    /// Whether these are all those of the function that fit into no other group.
    pub rest: bool,
    /// How many, since the distributor began.
    pub count: u64,
    /// Those of the last one to two minutes.
    pub lately: u64,
    /// The time since the first.
    pub first: Seconds,
    /// The time since the newest.
    pub last: Seconds,
    /// The newest.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub job: JobId,
    /// The worker that ran the newest, if one did.
    #[serde(with = "text::optional")]
    #[schema(value_type = Option<String>)]
    pub worker: Option<WorkerId>,
    /// The first 120 characters of its arguments as JSON, if the distributor keeps them.
    pub arguments: Option<String>,
}
