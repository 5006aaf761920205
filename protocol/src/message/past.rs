//! The recent past, as the active distributor tells it to those on standby: each keeps the same
//! history, and goes on with it in the next term.

use serde::{Deserialize, Serialize};

/// The last seconds, and a minute that has just ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// The last few seconds, the latest last: what was told in a lost message is told again.
    pub seconds: Vec<Moment>,
    /// The last minute of the clock, in the first seconds after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minute: Option<Minute>,
}

/// What a second was like, or a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When it began, in seconds of Unix time.
    pub unix: u64,
    /// Jobs accepted.
    pub accepted: u32,
    /// Jobs that ended with a value.
    pub done: u32,
    /// Jobs that failed or ran out of time.
    pub failed: u32,
    /// Jobs that were cancelled.
    pub cancelled: u32,
    /// Local runs of clients, as they reported.
    pub local: u32,
    /// The most jobs that waited.
    pub queued: u32,
    /// Slots that ran a job, on average.
    pub busy: u32,
    /// The most slots of live workers.
    pub slots: u32,
    /// The 95th percentile of the wait, in microseconds; 0 for none.
    pub wait_us: u32,
}

/// What a minute of the clock was like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Minute {
    /// All of it.
    pub all: Moment,
    /// The 95th percentile of the run times, in microseconds; 0 for none.
    pub run_us: u32,
    /// The functions that were slowest, and those that failed most: at most four.
    pub functions: Vec<MinuteOf>,
}

/// One function in a minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MinuteOf {
    /// The function, such as `fib@1`.
    pub function: std::sync::Arc<str>,
    /// Jobs that ended.
    pub ended: u32,
    /// Those that failed or ran out of time.
    pub failed: u32,
    /// The 95th percentile of the wait, in microseconds; 0 for none.
    pub wait_us: u32,
    /// The 95th percentile of the run times, in microseconds; 0 for none.
    pub run_us: u32,
}
