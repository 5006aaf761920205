//! Waits for a worker that has just been started.

use std::time::Duration;

use simple_dist_client::{Fallback, Handle};
use simple_dist_protocol::Argument;

/// How long a worker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Calls with this argument until a worker answers.
///
/// # Panics
/// Panics if none does within 30 s.
pub async fn remote<A: Argument + Clone, R: Argument>(function: &Handle<A, R>, argument: A) -> R {
    let called = async {
        loop {
            match function.call(argument.clone()).fallback(Fallback::Never).await {
                Ok(value) => return value,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(TIMEOUT, called).await.expect("a worker answers")
}
