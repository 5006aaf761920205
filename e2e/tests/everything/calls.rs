//! Calls as a user makes them.

use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::join_all;
use simple_dist_client::{CallError, Fallback, Ran};
use simple_dist_demo::functions::{ECHO, FAIL, FIB, SLEEP};
use simple_dist_e2e::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_answered_by_a_worker() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let answer = client.function(FIB).call(20).fallback(Fallback::Wait).detailed().await;
    let answer = answer.expect("it is answered");
    assert_eq!(answer.value, 6765);
    assert!(matches!(answer.ran, Ran::Remote { attempt: 1, .. }));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_gives_every_value_in_order() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let fib = client.function(FIB);
    let values: Vec<u64> =
        fib.map(0..25).in_flight(8).ordered().try_collect().await.expect("all are answered");
    assert_eq!(values[..10], [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]);
    assert_eq!(values.len(), 25);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_answer_and_the_worker_lives() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let failed = client.function(FAIL).call("on purpose".to_owned()).fallback(Fallback::Wait).await;
    assert!(matches!(failed, Err(CallError::Panicked { .. })), "{failed:?}");
    let answer = client.function(FIB).call(20).fallback(Fallback::Wait).await;
    assert_eq!(answer.expect("the worker lives"), 6765);
    cluster.stop().await;
}

/// Far more than the client, the broker and the distributor can handle within the timeouts after
/// which they consider each other gone.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_thousand_calls_begun_at_once_are_all_answered_by_workers() {
    const CALLS: u32 = 200_000;
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let echo = client.function(ECHO);
    let calls = (0..CALLS).map(|n| {
        let bytes = serde_bytes::ByteBuf::from(n.to_be_bytes());
        echo.call(bytes).fallback(Fallback::Never).timeout(Duration::from_secs(600))
    });
    for (n, answer) in (0..CALLS).zip(join_all(calls).await) {
        assert_eq!(answer.expect("every call is answered").as_ref(), n.to_be_bytes());
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_by_its_timeout() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let call = client.function(SLEEP).call(60_000).timeout(Duration::from_millis(200));
    let ended = tokio::time::timeout(Duration::from_secs(30), call.fallback(Fallback::Wait)).await;
    assert!(matches!(ended, Ok(Err(CallError::Timeout))), "{ended:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_arguments_and_values_travel() {
    let cluster = Cluster::start().await;
    let client = cluster.client();
    let bytes = serde_bytes::ByteBuf::from(vec![7; 4 * 1024 * 1024]);
    let answer = client.function(ECHO).call(bytes.clone()).fallback(Fallback::Wait).await;
    assert_eq!(answer.expect("it is answered"), bytes);
    cluster.stop().await;
}
