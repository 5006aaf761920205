//! A distributor with its page, workers and a client of one test.

use std::time::Duration;

use simple_dist_client::Client;
use simple_dist_demo::functions::{self, FIB};
use simple_dist_distributor::Distributor;
use simple_dist_distributor::web::{Secret, Settings};
use simple_dist_e2e::{Site, remote};
use simple_dist_worker::Worker;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::browser::free_port;

/// Who has it may act.
pub(crate) const TOKEN: &str = "a token of this test";
/// How long the roles may take to stop.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a worker waits at its end for a job that a test left behind.
const GRACE: Duration = Duration::from_secs(1);

/// Roles at a place of their own at the broker.
pub(crate) struct System {
    shutdown: CancellationToken,
    roles: JoinSet<()>,
    site: Site,
    /// Where the page is, without a slash at its end.
    pub(crate) address: String,
}

impl System {
    /// A distributor, serving its page, and a worker of this host name that has answered.
    pub(crate) async fn start(host: &str) -> Self {
        let (shutdown, roles) = (CancellationToken::new(), JoinSet::new());
        let listen = format!("127.0.0.1:{}", free_port());
        let mut settings = Settings::new(listen.parse().expect("it is an address"));
        settings.token = Some(Secret::new(TOKEN).expect("it can be sent in a header"));
        let address = format!("http://{listen}");
        let mut system = Self { shutdown, roles, site: Site::new().await, address };
        let stop = system.shutdown.clone().cancelled_owned();
        let distributor = Distributor::builder(&system.site.url).prefix(&system.site.prefix);
        let role = distributor.http(settings).run(stop);
        system.roles.spawn(async { role.await.expect("the settings are usable") });
        system.worker(host);
        remote(&system.client().function(FIB), 1).await;
        system
    }

    /// One more worker; its handle kills it.
    pub(crate) fn worker(&mut self, host: &str) -> AbortHandle {
        let stop = self.shutdown.clone().cancelled_owned();
        let worker = Worker::builder(&self.site.url).prefix(&self.site.prefix);
        let mut worker = worker.slots(2).host(host).grace(GRACE);
        for function in functions::all() {
            worker = worker.serve_erased(function);
        }
        let role = worker.run(stop);
        self.roles.spawn(async { role.await.expect("the settings are usable") })
    }

    pub(crate) fn client(&self) -> Client {
        Client::builder(&self.site.url)
            .prefix(&self.site.prefix)
            .connect()
            .expect("the URL is usable")
    }

    /// Stops every role and waits for it.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        let stopped = async { while self.roles.join_next().await.is_some() {} };
        tokio::time::timeout(PATIENCE, stopped).await.expect("every role stops");
    }
}
