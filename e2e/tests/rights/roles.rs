//! The roles at work, each under its own login with the least permissions.

use std::time::Duration;

use simple_dist_client::Client;
use simple_dist_demo::functions::{self, FIB};
use simple_dist_distributor::Distributor;
use simple_dist_e2e::{Vhost, remote};
use simple_dist_protocol::topology::{Role, Topology};
use simple_dist_worker::Worker;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a step of a test may take.
const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ: AMQP_URL and rabbitmqctl"]
async fn everything_works_with_least_rights_also_after_a_cut_and_a_change_of_term() {
    let topology = Topology::default();
    let mut vhost = Vhost::new();
    let [distributor, worker, client] = Role::ALL.map(|role| vhost.user(role, &topology));
    let (shutdown, mut roles) = (CancellationToken::new(), JoinSet::new());

    let [first, second] = [shutdown.child_token(), shutdown.child_token()];
    let active =
        Distributor::builder(vhost.url_of(&distributor)).run(first.clone().cancelled_owned());
    roles.spawn(async { active.await.expect("the settings are usable") });
    let mut serving = Worker::builder(vhost.url_of(&worker)).slots(2);
    for function in functions::all() {
        serving = serving.serve_erased(function);
    }
    let serving = serving.run(shutdown.clone().cancelled_owned());
    roles.spawn(async { serving.await.expect("the settings are usable") });
    let client = Client::connect(vhost.url_of(&client)).expect("the URL is usable");
    let fib = client.function(FIB);
    assert_eq!(remote(&fib, 20).await, 6765);

    vhost.cut();
    assert_eq!(remote(&fib, 20).await, 6765, "on the next generation's queues");

    let standby = Distributor::builder(vhost.url_of(&distributor)).run(second.cancelled_owned());
    roles.spawn(async { standby.await.expect("the settings are usable") });
    first.cancel();
    roles.join_next().await.expect("the active one ends").expect("it stopped without a panic");
    assert_eq!(remote(&fib, 20).await, 6765, "in the next term");

    client.close().await;
    shutdown.cancel();
    let stopped = async { while roles.join_next().await.is_some() {} };
    tokio::time::timeout(TIMEOUT, stopped).await.expect("every role stops");
}
