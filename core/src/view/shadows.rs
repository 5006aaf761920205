//! Functions whose calls also run as another one, their shadow, and how the two compare.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::JobId;
use utoipa::ToSchema;

use super::{Seconds, text};

/// A function and its shadow, compared since the distributor began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Shadow {
    /// The function that is called, `fib@1`.
    #[schema(value_type = String)]
    pub live: Arc<str>,
    /// The function that some of its calls also run as, `fib@2`.
    #[schema(value_type = String)]
    pub shadow: Arc<str>,
    /// The share of the calls that do: 0 to 1.
    pub share: f64,
    /// Calls to which both gave the same answer: a value or an error.
    pub equal: u64,
    /// Calls to which they gave different answers.
    pub differ: u64,
    /// Calls to which the shadow gave none: it panicked, or cannot read the arguments.
    pub failed: u64,
    /// Runs that were given up, since they took much longer.
    pub expired: u64,
    /// Runs that ended their process, or were lost with their worker.
    pub lost: u64,
    /// Calls that were drawn but not run: no slot was idle, another one of this pair was under way, or
    /// no worker serves the shadow.
    pub skipped: u64,
    /// Answers that the shadow took a tenth less time for, or even less.
    pub faster: u64,
    /// Answers that the shadow took a tenth more time for, or even more.
    pub slower: u64,
    /// How long those took that both answered, on average.
    pub live_mean: Option<Seconds>,
    /// How long the same took as the shadow.
    pub shadow_mean: Option<Seconds>,
    /// Why they are compared no more, if so.
    pub stopped: Option<ShadowStop>,
    /// Calls on which they differ or the shadow fails, the newest first: at most five.
    pub examples: Vec<ShadowExample>,
}

impl Shadow {
    /// How many runs as the shadow have ended.
    pub fn tried(&self) -> u64 {
        self.equal + self.differ + self.failed + self.expired + self.lost
    }
}

/// Why a function and its shadow are compared no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShadowStop {
    /// A run as the shadow ended its process, or was lost with its worker.
    Lost,
    /// Several runs in a row took much longer.
    Slow,
}

/// A call on which they differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowExample {
    /// The job.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub job: JobId,
    /// When, in milliseconds of Unix time.
    pub unix_ms: u64,
    /// The beginning of its arguments as JSON, if that may be shown.
    pub arguments: Option<String>,
    /// What its caller got: how it ended, and the beginning of the value or error if that may be shown,
    /// else its size.
    pub live: String,
    /// What the shadow said.
    pub shadow: String,
}
