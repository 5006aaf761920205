//! A distributor, workers and clients of one test.

use std::time::Duration;

use simple_dist_client::Client;
use simple_dist_demo::functions::{self, FIB};
use simple_dist_distributor::Distributor;
use simple_dist_e2e::{Site, remote};
use simple_dist_worker::Worker;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long anything may take to come about.
const PATIENCE: Duration = Duration::from_secs(20);

/// Roles at a place of their own at the broker.
pub(crate) struct System {
    shutdown: CancellationToken,
    roles: JoinSet<()>,
    pub(crate) site: Site,
}

impl System {
    /// A distributor and a worker of the demo functions, serving.
    pub(crate) async fn start() -> Self {
        let (shutdown, roles) = (CancellationToken::new(), JoinSet::new());
        let mut system = Self { shutdown, roles, site: Site::new().await };
        system.distributor();
        system.worker();
        let client = system.client();
        remote(&client.function(FIB), 1).await;
        system
    }

    fn distributor(&mut self) {
        let stop = self.shutdown.clone().cancelled_owned();
        let role = Distributor::builder(&self.site.url).prefix(&self.site.prefix).run(stop);
        self.roles.spawn(async { role.await.expect("the settings are usable") });
    }

    fn worker(&mut self) {
        let stop = self.shutdown.clone().cancelled_owned();
        let mut worker = Worker::builder(&self.site.url).prefix(&self.site.prefix).slots(4);
        for function in functions::all() {
            worker = worker.serve_erased(function);
        }
        let role = worker.run(stop);
        self.roles.spawn(async { role.await.expect("the settings are usable") });
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
