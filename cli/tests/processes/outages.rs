//! The broker goes away and comes back, from the viewpoint of one client behind a relay.

use std::time::Duration;

use futures_util::future::join_all;
use simple_dist_client::{Fallback, Ran, Reason};
use simple_dist_demo::functions::{FIB, SLEEP};
use simple_dist_e2e::{BrokerSite, Relay};

use crate::cluster::{
    AT_ONCE, BEFORE_TIMEOUT, Cluster, is_remote, local_at_once, served_by, timed,
};

#[tokio::test]
async fn without_its_broker_a_client_is_local_and_with_it_again_remote() {
    let cluster = Cluster::new().await;
    let (_distributor, _worker) = (cluster.start(&["distributor"]), cluster.start(&["worker"]));
    let relay = Relay::before(&cluster.site.url).await;
    let client = cluster.client_at(&relay.url(&cluster.site.url));
    served_by(&client, 1).await;
    let sleep = client.function(SLEEP);

    // Longer than this test is held up.
    let under_way = timed(sleep.call(5_000));
    let ((answer, took), ()) = tokio::join!(under_way, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        relay.refuse();
    });
    assert!(!is_remote(&answer.expect("it is answered")));
    // Four seconds are given to the link, and a minute to the call.
    assert!(took < BEFORE_TIMEOUT, "{took:?}");
    assert!(local_at_once(&client).await < AT_ONCE);

    relay.open();
    served_by(&client, 1).await;
}

#[tokio::test]
async fn with_its_broker_frozen_a_client_is_local() {
    let cluster = Cluster::new().await;
    let (_distributor, _worker) = (cluster.start(&["distributor"]), cluster.start(&["worker"]));
    let relay = Relay::before(&cluster.site.url).await;
    let client = cluster.client_at(&relay.url(&cluster.site.url));
    served_by(&client, 1).await;
    let fib = client.function(FIB);

    relay.stall();
    let (answer, took) = timed(fib.call(20)).await;
    assert_eq!(answer.expect("it is answered").value, 6765);
    assert!(took < BEFORE_TIMEOUT, "not by its timeout of a minute: {took:?}");
}

#[tokio::test]
async fn a_cut_connection_costs_a_call_nothing_but_time() {
    let cluster = Cluster::new().await;
    let (_distributor, _worker) = (cluster.start(&["distributor"]), cluster.start(&["worker"]));
    let relay = Relay::before(&cluster.site.url).await;
    let client = cluster.client_at(&relay.url(&cluster.site.url));
    served_by(&client, 1).await;

    let sleep = client.function(SLEEP);
    let ((answer, _), ()) =
        tokio::join!(timed(sleep.call(1_000).fallback(Fallback::Wait)), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            relay.cut();
        });
    assert!(is_remote(&answer.expect("it is answered")));
}

#[tokio::test]
async fn while_the_broker_is_blocked_calls_are_local() {
    let (site, faults) = BrokerSite::with_faults().await;
    let cluster = Cluster { site };
    let (_distributor, _worker) = (cluster.start(&["distributor"]), cluster.start(&["worker"]));
    let client = cluster.client();
    served_by(&client, 1).await;
    let fib = client.function(FIB);

    faults.block().await.expect("the broker lives");
    // The first call discovers that nothing is accepted.
    let (answer, took) = timed(fib.call(20)).await;
    assert!(!is_remote(&answer.expect("it is answered")));
    assert!(took < BEFORE_TIMEOUT, "not by its timeout of a minute: {took:?}");
    let (answer, _) = timed(fib.call(20)).await;
    assert_eq!(answer.expect("it is answered").ran, Ran::Local { reason: Reason::Blocked });
    assert!(local_at_once(&client).await < AT_ONCE);

    faults.unblock().await.expect("the broker lives");
    served_by(&client, 1).await;
}

#[tokio::test]
async fn a_broker_that_restarts_without_its_messages_loses_no_call() {
    let (site, faults) = BrokerSite::with_faults().await;
    let cluster = Cluster { site };
    let _distributor = cluster.start(&["distributor"]);
    let _worker = cluster.start(&["worker", "--slots", "4"]);
    let client = cluster.client();
    served_by(&client, 1).await;

    let sleep = client.function(SLEEP);
    let calls = (0..40).map(|_| timed(sleep.call(200)));
    let (answers, ()) = tokio::join!(join_all(calls), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        faults.restart().await.expect("the broker lives");
    });
    for (answer, took) in answers {
        assert_eq!(answer.expect("every call is answered").value, 200);
        assert!(took < BEFORE_TIMEOUT, "not by its timeout of a minute: {took:?}");
    }
    served_by(&client, 1).await;
}
