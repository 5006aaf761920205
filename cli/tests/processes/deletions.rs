//! An operator's mistake: shared queues and exchanges are deleted. They are soon back, and calls
//! continue.

use std::time::Duration;

use simple_dist_client::{Client, Fallback};
use simple_dist_demo::functions::FIB;

use crate::cluster::{Cluster, TIMEOUT, free_port, is_remote, now, served_by, timed};

/// Longer than it takes to report missing beats of the distributor.
const HEARD: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn deleted_queues_are_declared_again_and_calls_go_on() {
    let cluster = Cluster::new().await;
    let page = free_port();
    let _distributor = cluster.start(&["distributor", "--listen", &page]);
    let _standby = cluster.start(&["distributor"]);
    let _worker = cluster.start(&["worker", "--slots", "2"]);
    let client = cluster.client();
    served_by(&client, 1).await;

    for queue in ["submissions", "control", "answers", "parked"] {
        cluster.site.delete_queue(queue).await.expect("it can be deleted");
        back(&client, queue).await;
    }
    const EXCHANGES: [&str; 4] = ["submit", "results", "beats", "presence"];
    for exchange in EXCHANGES {
        cluster.site.delete_exchange(exchange).await.expect("it can be deleted");
        back(&client, exchange).await;
    }
    for exchange in EXCHANGES {
        cluster.site.unbind(exchange).await.expect("its bindings can be deleted");
        back(&client, exchange).await;
    }
    // The client's binding was deleted with the exchange; it hears the distributor again all the
    // same: no call fails for so long. On a busy machine some may, at first.
    let (begun, mut since) = (now(), now());
    while since.elapsed() < HEARD {
        let (answer, took) = timed(client.function(FIB).call(20).fallback(Fallback::Never)).await;
        if !answer.as_ref().is_ok_and(is_remote) {
            assert!(begun.elapsed() < TIMEOUT, "{answer:?} after {took:?}");
            since = now();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // This queue has no consumer; it is declared again all the same.
    assert_eq!(cluster.site.depth("parked").await.expect("it is there"), 0);
}

/// Waits until workers answer calls again: in two seconds, if the machine is not busy.
async fn back(client: &Client, what: &str) {
    let begun = now();
    loop {
        let call = client.function(FIB).call(20).fallback(Fallback::Never);
        let answer = call.timeout(Duration::from_secs(2)).detailed().await;
        if answer.as_ref().is_ok_and(is_remote) {
            return;
        }
        assert!(begun.elapsed() < TIMEOUT, "{what}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
