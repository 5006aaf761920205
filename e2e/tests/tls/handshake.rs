//! Why a client cannot connect to a TLS proxy.

use std::time::Duration;

use simple_dist_client::Client;
use simple_dist_link::{Certificates, Reason};

/// How long a step of a test may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The reason that a client reports for having no connection to this URL.
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
    let reason = tokio::time::timeout(TIMEOUT, told).await.expect("it says why");
    client.close().await;
    reason
}
