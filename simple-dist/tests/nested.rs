//! Functions that call others of their own pool.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::TryStreamExt;
use simple_dist::testing::Cluster;
use simple_dist::{Client, Fallback, Function, PureFunction};
use tokio::time::timeout;

/// As long as anything here may take before the test is red.
const LIMIT: Duration = Duration::from_secs(100);

const FIB: Function<u64, u64> = Function::new("fib", 1);

/// A cluster that serves `fib`, which calls itself, on workers alone.
async fn cluster(slots: usize) -> Cluster {
    let known = Arc::new(OnceLock::<Client>::new());
    let client = Arc::clone(&known);
    let fib = move |n| {
        let fib = client.get().expect("it is called later").function(FIB);
        let call = |n| fib.call(n).fallback(Fallback::Never).blocking().expect("a value");
        if n < 2 { n } else { call(n - 1) + call(n - 2) }
    };
    let cluster = Cluster::start().slots(slots).serve(FIB, fib).await;
    known.set(cluster.client().clone()).expect("it is set once");
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fib_by_remote_calls_of_itself() {
    let cluster = cluster(2).await;
    let call = cluster.client().function(FIB).call(13).fallback(Fallback::Never);
    assert_eq!(timeout(LIMIT, call).await.expect("in time").unwrap(), 233);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_parents_than_slots() {
    let cluster = cluster(2).await;
    let calls = cluster.client().function(FIB).map([2; 4]).fallback(Fallback::Never);
    let values: Vec<u64> = timeout(LIMIT, calls.try_collect()).await.expect("in time").unwrap();
    assert_eq!(values, [1; 4]);
    cluster.stop().await;
}

/// Each waits while all others have begun, more than may lend their places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_parents_than_may_lend_their_places() {
    let cluster = cluster(1).await;
    let calls = cluster.client().function(FIB).map([3; 300]).in_flight(300);
    let calls = calls.fallback(Fallback::Never);
    let values: Vec<u64> = timeout(LIMIT, calls.try_collect()).await.expect("in time").unwrap();
    assert_eq!(values, [2; 300]);
    cluster.stop().await;
}

/// Without workers, on the threads for local runs.
#[test]
fn local_runs_that_call_each_other() {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    const LOCAL: PureFunction<u64, u64> = Function::pure("local", 1, |n| {
        let call = |n| CLIENT.wait().function(LOCAL).call(n).blocking().expect("a value");
        if n < 2 { n } else { call(n - 1) + call(n - 2) }
    });
    let client = CLIENT.get_or_init(|| Client::local().unwrap());
    let calls = client.function(LOCAL).map([5; 64]).timeout(LIMIT).blocking();
    assert_eq!(calls.map(Result::unwrap).collect::<Vec<_>>(), [5; 64]);
}

/// They wait on tasks, more than there are async slots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_functions_that_call_each_other() {
    let known = Arc::new(OnceLock::<Client>::new());
    let client = Arc::clone(&known);
    let fib = move |n| {
        let client = Arc::clone(&client);
        async move {
            let fib = client.get().expect("it is called later").function(FIB);
            let call = async |n| fib.call(n).fallback(Fallback::Never).await.expect("a value");
            if n < 2 { n } else { call(n - 1).await + call(n - 2).await }
        }
    };
    let cluster = Cluster::start().async_slots(2).serve_async(FIB, fib).await;
    known.set(cluster.client().clone()).expect("it is set once");
    let calls = cluster.client().function(FIB).map([5; 20]).fallback(Fallback::Never);
    let values: Vec<u64> = timeout(LIMIT, calls.try_collect()).await.expect("in time").unwrap();
    assert_eq!(values, [5; 20]);
    cluster.stop().await;
}
