//! Waiting for a worker, as somebody does who has just started one.

use std::time::Duration;

use simple_dist_client::{Fallback, Handle};

/// How long a worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Calls with this argument until a worker answers.
///
/// # Panics
/// When none does for 20 s.
pub async fn remote(function: &Handle<u64, u64>, argument: u64) -> u64 {
    let called = async {
        loop {
            match function.call(argument).fallback(Fallback::Never).await {
                Ok(value) => return value,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, called).await.expect("a worker answers")
}
