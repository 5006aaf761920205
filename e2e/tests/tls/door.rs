//! What a client says of its connection to a door.

use std::time::Duration;

use simple_dist_client::Client;
use simple_dist_link::{Certificates, Reason};

/// How long anything may take to come about.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Why a client has no connection to this door.
pub(crate) async fn problem(url: &str, certificates: Certificates) -> Reason {
    let client = Client::builder(url).certificates(certificates).connect().expect("it is usable");
    let told = async {
        loop {
            match client.problem() {
                Some(reason) => return reason,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let reason = tokio::time::timeout(PATIENCE, told).await.expect("it says why");
    client.close().await;
    reason
}
