//! Equal calls of deterministic functions share a run, and where they say so its answer.

#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use simple_dist::testing::Cluster;
use simple_dist::{CallError, Client, Fallback, Function, Handle, Ran};
use tokio::time::{Instant, timeout};

/// As long as anything here may take before the test is red.
const LIMIT: Duration = Duration::from_secs(100);

const SLOW: Function<u64, u64> = Function::new("slow", 1).deterministic();

const HOUR: Duration = Duration::from_secs(3600);
/// Half of an even number, kept for an hour; an odd one is an error.
const HALF: Function<u64, u64, String> = Function::new("half", 1).memo(HOUR, 1 << 20);

/// A cluster that serves `half`, and counts its runs.
async fn halves() -> (Cluster, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let half = move |n: u64| {
        counted.fetch_add(1, Ordering::Relaxed);
        if n.is_multiple_of(2) { Ok(n / 2) } else { Err(format!("{n} is odd")) }
    };
    (Cluster::start().serve(HALF, half).await, runs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_equal_call_has_the_kept_value_or_error_until_a_fresh_one_renews_it() {
    let (cluster, runs) = halves().await;
    let other = Client::connect(cluster.url()).expect("the URL is usable");
    let half = |client: &Client| client.function(HALF).fallback(Fallback::Wait);
    let first = half(cluster.client()).call(42).detailed().await.expect("it has a value");
    assert!(matches!(first.ran, Ran::Remote { attempt: 1, .. }), "{:?}", first.ran);
    let second = half(&other).call(42).detailed().await.expect("it has a value");
    let Ran::Memo { worker, age } = second.ran else { panic!("{:?}", second.ran) };
    assert_eq!((second.value, Some(worker), second.took), (21, first.ran.worker(), first.took));
    assert!(age < HOUR && second.waited == Duration::ZERO);
    for _ in 0..2 {
        let failed = half(&other).call(7).await;
        assert_eq!(failed, Err(CallError::Function("7 is odd".to_owned())));
    }
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    let fresh = half(&other).call(42).fresh().detailed().await.expect("it has a value");
    assert!(matches!(fresh.ran, Ran::Remote { .. }), "{:?}", fresh.ran);
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    other.close().await;
    cluster.stop().await;
}

/// Calls ten thousand times, one after another; returns how long that took.
async fn one_after_another(handle: Handle<u64, u64>) -> Duration {
    let began = Instant::now();
    for _ in 0..10_000 {
        assert!(handle.call(42).await.is_ok(), "each has a value");
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure for docs/PURITY.md; it takes a minute"]
async fn figures() {
    let runs = Arc::new(AtomicU32::new(0));
    let body = |runs: &Arc<AtomicU32>| {
        let runs = Arc::clone(runs);
        move |n: u64| {
            runs.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
            n
        }
    };
    const KEPT: Function<u64, u64> = Function::new("kept", 1).memo(HOUR, 1 << 20);
    let cluster = Cluster::start().serve(SLOW, body(&runs)).serve(KEPT, body(&runs)).await;
    for (name, function) in [("without", SLOW), ("with a memo", KEPT)] {
        let handle = cluster.client().function(function).fallback(Fallback::Wait);
        let before = runs.load(Ordering::Relaxed);
        let took = one_after_another(handle).await;
        let runs = runs.load(Ordering::Relaxed) - before;
        println!("10,000 equal calls of 1 ms {name}: {took:.1?}, {runs} runs");
    }
    cluster.stop().await;
}

/// A cluster that serves `slow`, which takes so long, and counts its runs.
async fn cluster(run: Duration) -> (Cluster, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let slow = move |n| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(run);
        n * 2
    };
    (Cluster::start().serve(SLOW, slow).await, runs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_equal_calls_of_two_clients_cost_one_run() {
    // Until then all are sent.
    let (cluster, runs) = cluster(Duration::from_secs(3)).await;
    let other = Client::connect(cluster.url()).expect("the URL is usable");
    timeout(LIMIT, other.connected()).await.expect("in time");
    let calls = (0..1000).map(|number| {
        let client = if number % 2 == 0 { cluster.client() } else { &other };
        client.function(SLOW).call(21).fallback(Fallback::Wait).into_future()
    });
    let values = timeout(LIMIT, join_all(calls)).await.expect("in time");
    let values: Result<Vec<u64>, CallError> = values.into_iter().collect();
    assert_eq!(values.expect("each has a value"), [42; 1000]);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    other.close().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fresh_calls_run_each_by_itself() {
    let (cluster, runs) = cluster(Duration::from_millis(100)).await;
    let call =
        || cluster.client().function(SLOW).call(21).fresh().fallback(Fallback::Wait).into_future();
    let values = timeout(LIMIT, join_all([call(), call(), call()])).await.expect("in time");
    assert!(values.into_iter().all(|value| value == Ok(42)));
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    cluster.stop().await;
}
