//! Answers of equal calls that differ, and workers that were outvoted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::WorkerId;
use utoipa::ToSchema;

use super::{Seconds, text};

/// Runs of one call of a deterministic function whose answers differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The function, such as `fib@1`.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// The time since it was found.
    pub age: Seconds,
    /// The worker that all others contradict, if there is one.
    #[serde(with = "text::optional")]
    #[schema(value_type = Option<String>)]
    pub outvoted: Option<WorkerId>,
    /// Whether it shows that the function is not deterministic.
    pub refutes: bool,
    /// The first 120 characters of the arguments as JSON, if the distributor shows them.
    pub arguments: Option<String>,
    /// What each run has answered, in order.
    pub answers: Vec<DifferingAnswer>,
}

/// What a run has answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DifferingAnswer {
    /// Its worker.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub worker: WorkerId,
    /// `value`, or `failed` with an error of the function.
    pub kind: String,
    /// The bytes of the value or the error.
    pub bytes: u64,
    /// Their BLAKE3 digest: 64 hexadecimal digits.
    pub digest: String,
    /// The first 120 characters as JSON, if the distributor shows arguments.
    pub preview: Option<String>,
}

/// Why a worker is in quarantine, or ought to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outvoted {
    /// The function of which it was outvoted.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// In how many calls.
    pub calls: u32,
    /// The time since that sufficed.
    pub age: Seconds,
    /// The function that it alone serves, for which it goes on.
    #[schema(value_type = Option<String>)]
    pub serves_alone: Option<Arc<str>>,
}
