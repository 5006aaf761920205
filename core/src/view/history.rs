//! What a minute was like, for a history of hours.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Seconds;

/// What ended in a minute of the clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Minute {
    /// When it began, in seconds of Unix time.
    pub unix: u64,
    /// The 95th percentile of the wait; what still waited at its end counts with its wait so far, if
    /// that is longer.
    pub wait_p95: Option<Seconds>,
    /// The 95th percentile of the run times.
    pub run_p95: Option<Seconds>,
    /// The functions that failed most, at most two, and those that were slowest: at most four.
    pub functions: Vec<MinuteOf>,
}

/// What ended of one function in a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MinuteOf {
    /// The function, such as `fib@1`.
    #[schema(value_type = String)]
    pub function: Arc<str>,
    /// Jobs that ended.
    pub ended: u64,
    /// Those that failed or ran out of time.
    pub failed: u64,
    /// The 95th percentile of the wait, as for all.
    pub wait_p95: Option<Seconds>,
    /// The 95th percentile of the run times.
    pub run_p95: Option<Seconds>,
}
