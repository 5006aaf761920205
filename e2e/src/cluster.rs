//! A distributor, workers and clients of one test, in its process.

use std::time::Duration;

use simple_dist_client::Client;
use simple_dist_demo::functions::{self, FIB};
use simple_dist_distributor::Distributor;
use simple_dist_distributor::view;
use simple_dist_distributor::web::{Secret, Settings};
use simple_dist_worker::Worker;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{BrokerSite, free_port, remote};

/// How long the roles may take to stop.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a worker waits at shutdown for a job that a test left behind.
const GRACE: Duration = Duration::from_secs(1);

/// Roles on their own site at the broker.
#[derive(Debug)]
pub struct Cluster {
    shutdown: CancellationToken,
    roles: JoinSet<()>,
    /// The site.
    pub site: BrokerSite,
}

impl Cluster {
    /// The token for actions on the page.
    pub const TOKEN: &str = "a token of this test";

    /// Starts a distributor and a worker of the demo functions, and waits until it serves.
    pub async fn start() -> Self {
        Self::of(None, "here").await
    }

    /// The same with a page, and its URL without a trailing slash. `host` is the host name that the
    /// worker reports.
    ///
    /// # Panics
    /// Panics if no port is free.
    pub async fn with_page(host: &str) -> (Self, String) {
        Self::with_page_under("", host).await
    }

    /// The same with the page under a path, as behind a proxy; the address has it.
    pub async fn with_page_under(path: &str, host: &str) -> (Self, String) {
        let mut settings = Settings::new(free_port().parse().expect("it is an address"));
        settings.token = Some(Secret::new(Self::TOKEN).expect("it can be sent in a header"));
        settings.base_path = path.parse().expect("it is a path");
        let address = format!("http://{}{path}", settings.listen);
        (Self::of(Some(settings), host).await, address)
    }

    async fn of(page: Option<Settings>, host: &str) -> Self {
        let (shutdown, roles) = (CancellationToken::new(), JoinSet::new());
        let mut cluster = Self { shutdown, roles, site: BrokerSite::new().await };
        let mut distributor = Distributor::builder(&cluster.site.url).prefix(&cluster.site.prefix);
        if let Some(settings) = page {
            distributor = distributor.http(settings);
        }
        let role = distributor.run(cluster.shutdown.clone().cancelled_owned());
        cluster.roles.spawn(async { role.await.expect("the settings are usable") });
        cluster.worker(host);
        remote(&cluster.client().function(FIB), 1).await;
        // The first answers may arrive before the next view, from which page and API take the
        // workers.
        tokio::time::sleep(view::EVERY * 2).await;
        cluster
    }

    /// Starts one more worker; the handle kills it.
    pub fn worker(&mut self, host: &str) -> AbortHandle {
        let worker = Worker::builder(&self.site.url).prefix(&self.site.prefix);
        let mut worker = worker.slots(2).host(host).grace(GRACE);
        for function in functions::all() {
            worker = worker.serve_erased(function);
        }
        let role = worker.run(self.shutdown.clone().cancelled_owned());
        self.roles.spawn(async { role.await.expect("the settings are usable") })
    }

    /// A client of this cluster.
    ///
    /// # Panics
    /// Panics if the site's URL is invalid.
    pub fn client(&self) -> Client {
        Client::builder(&self.site.url)
            .prefix(&self.site.prefix)
            .connect()
            .expect("the URL is usable")
    }

    /// Stops every role and waits for it.
    ///
    /// # Panics
    /// Panics if a role has panicked, or does not stop.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        let stopped = async {
            while let Some(ended) = self.roles.join_next().await {
                // A role that a test killed has not panicked.
                assert!(!ended.is_err_and(|error| error.is_panic()), "a role panicked");
            }
        };
        tokio::time::timeout(TIMEOUT, stopped).await.expect("every role stops");
    }
}
