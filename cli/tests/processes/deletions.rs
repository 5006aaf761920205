//! An operator's slip: what all share at the broker is deleted. It is soon there again, and calls
//! go on.

use std::time::Duration;

use simple_dist_client::{Client, Fallback};
use simple_dist_demo::functions::FIB;

use crate::cluster::{Cluster, free_port, is_remote, now, served_by, timed};

/// Within this, calls are answered by workers again. Two seconds are wanted; the machine of a test
/// may be busy.
const SOON: Duration = Duration::from_secs(6);
/// Whoever does not hear the distributor's beats any more takes longer than this to say so.
const HEARD: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_deleted_is_there_again_and_calls_go_on() {
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
    // The client's own binding went with the exchange: it hears the distributor all the same.
    let begun = now();
    while begun.elapsed() < HEARD {
        let (answer, took) = timed(client.function(FIB).call(20).fallback(Fallback::Never)).await;
        assert!(is_remote(&answer.expect("it is answered")), "{took:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Nobody consumes this one: it is there again all the same.
    assert_eq!(cluster.site.depth("parked").await.expect("it is there"), 0);
}

/// Calls are answered by workers, soon.
async fn back(client: &Client, what: &str) {
    let begun = now();
    loop {
        let call = client.function(FIB).call(20).fallback(Fallback::Never);
        let answer = call.timeout(Duration::from_secs(2)).detailed().await;
        if answer.as_ref().is_ok_and(is_remote) {
            return;
        }
        assert!(begun.elapsed() < SOON, "{what}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
