//! Values sooner: races, calls of busy workers that run in their caller's process as well, and maps that
//! begin with the longest calls.

#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use simple_dist::testing::Cluster;
use simple_dist::{Client, Fallback, Function, Handle, Ran, Reason, Worker, job};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// As long as anything here may take before the test is red.
const LIMIT: Duration = Duration::from_secs(100);

const DOUBLE: Function<u64, u64> = Function::new("double", 1);

fn local(answer: &simple_dist::Answer<u64>) -> Option<Reason> {
    match answer.ran {
        Ran::Local { reason } => Some(reason),
        Ran::Remote { .. } | Ran::Coalesced { .. } | Ran::Memo { .. } => None,
    }
}

/// Waits in a job until there is a permit.
fn pass(gate: &Semaphore) {
    while gate.try_acquire().is_err() {
        sleep(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn while_its_workers_are_busy_a_caller_takes_its_calls_back() {
    let gate = Arc::new(Semaphore::new(0));
    let closed = Arc::clone(&gate);
    let at_worker = move |n| {
        pass(&closed);
        n * 2
    };
    let cluster = Cluster::start().slots(1).serve(DOUBLE, at_worker).await;
    let client = Client::builder(cluster.url()).local_slots(2).connect().unwrap();
    let double = client.function(DOUBLE).locally(|n| n * 2).when_busy(true);
    let answers = double.map(0..20).detailed().try_collect::<Vec<_>>();
    let answers = timeout(LIMIT, answers).await.unwrap().unwrap();
    assert!(answers.iter().all(|answer| local(answer) == Some(Reason::WhenBusy)), "{answers:?}");
    assert!(answers.iter().map(|answer| answer.value).eq((0..20).map(|n| n * 2)));
    gate.add_permits(20);
    client.close().await;
    cluster.stop().await;
}

#[tokio::test]
async fn the_first_end_of_a_race_wins_and_the_other_is_told() {
    let gate = Arc::new(Semaphore::new(0));
    let closed = Arc::clone(&gate);
    let at_worker = move |n| {
        pass(&closed);
        n * 2
    };
    let cluster = Cluster::start().slots(1).serve(DOUBLE, at_worker).await;
    let double = cluster.client().function(DOUBLE).fallback(Fallback::Race);

    let here = double.clone().locally(|n| n * 2).call(21).detailed();
    let answer = timeout(LIMIT, here).await.unwrap().unwrap();
    assert_eq!((answer.value, local(&answer)), (42, Some(Reason::After)));

    gate.add_permits(2);
    let (told, is_told) = oneshot::channel();
    let told = std::sync::Mutex::new(Some(told));
    let slow = double.locally(move |n| {
        let job = job::current().expect("it is called");
        while !job.is_cancelled() {
            sleep(Duration::from_millis(1));
        }
        let told = told.lock().unwrap().take().expect("it is called once");
        told.send(()).unwrap();
        n * 2
    });
    let answer = timeout(LIMIT, slow.call(4).detailed()).await.unwrap().unwrap();
    assert_eq!((answer.value, local(&answer)), (8, None));
    timeout(LIMIT, is_told).await.unwrap().unwrap();
    cluster.stop().await;
}

/// Two workers, and a client of two slots, whose cores do not matter: jobs sleep.
struct Site {
    cluster: Cluster,
    client: Client,
    other: JoinSet<()>,
}

impl Site {
    async fn new(slots: usize, at_worker: fn(u64) -> u64) -> Self {
        let cluster = Cluster::start().slots(slots).serve(DOUBLE, at_worker).await;
        let worker = Worker::builder(cluster.url()).slots(slots).serve(DOUBLE, at_worker);
        let mut other = JoinSet::new();
        other.spawn(async {
            worker.run(std::future::pending()).await.expect("it is never stopped")
        });
        let client = Client::builder(cluster.url()).local_slots(2).connect();
        let site = Self { client: client.expect("the broker's URL is usable"), cluster, other };
        // Both are there once jobs run in all slots at a time.
        loop {
            let began = Instant::now();
            let one_each =
                site.handle(at_worker).fallback(Fallback::Never).map(vec![50; 2 * slots]);
            one_each.try_collect::<Vec<_>>().await.expect("they end");
            if began.elapsed() < Duration::from_millis(90) {
                return site;
            }
        }
    }

    fn handle(&self, here: fn(u64) -> u64) -> Handle<u64, u64> {
        self.client.function(DOUBLE).locally(here)
    }

    async fn stop(mut self) {
        self.client.close().await;
        self.other.shutdown().await;
        self.cluster.stop().await;
    }
}

fn sleeps(ms: u64) -> u64 {
    sleep(Duration::from_millis(ms));
    ms * 2
}

/// `cargo test -p simple-dist --test sooner -- --ignored --nocapture --test-threads 1`
#[tokio::test]
#[ignore = "it prints figures"]
async fn figures_of_busy_workers() {
    let site = Site::new(1, sleeps).await;
    for when_busy in [false, true, false, true] {
        let calls = site.handle(sleeps).when_busy(when_busy).map([50; 200]).detailed();
        let began = Instant::now();
        let answers: Vec<_> = calls.try_collect().await.unwrap();
        let took = began.elapsed();
        let here = answers.iter().filter(|answer| local(answer).is_some()).count();
        println!("200 calls of 50 ms, when_busy({when_busy}): {took:.2?}, {here} of them here");
    }
    site.stop().await;
}

/// The same command.
#[tokio::test]
#[ignore = "it prints figures"]
async fn figures_of_races() {
    /// Every twentieth run anywhere, in whatever process, takes 100 ms more than its 5.
    fn hiccups(n: u64) -> u64 {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        sleep(Duration::from_millis(if run.is_multiple_of(20) { 105 } else { 5 }));
        n * 2
    }
    let site = Site::new(1, hiccups).await;
    for fallback in [Fallback::WhenUnavailable, Fallback::Race] {
        let double = site.handle(hiccups).fallback(fallback);
        let timed = |n| {
            let call = double.call(n);
            async move {
                let began = Instant::now();
                call.await.unwrap();
                began.elapsed()
            }
        };
        let calls = futures_util::stream::iter(0..1000).map(timed).buffer_unordered(1);
        let mut took: Vec<Duration> = calls.collect().await;
        took.sort_unstable();
        println!(
            "{fallback:?}: p50 {:.1?}, p95 {:.1?}, p99 {:.1?}",
            took[500], took[950], took[990]
        );
    }
    site.stop().await;
}

/// The same command. The longest call takes a second, the second half of that, the third a third.
#[tokio::test]
#[ignore = "it prints figures"]
async fn figures_of_the_order_of_a_map() {
    let site = Site::new(2, sleeps).await;
    let sleep = site.handle(sleeps).fallback(Fallback::Never);
    let rising: Vec<u64> = (1..=100).rev().map(|n| 1000 / n).collect();
    // 37 and 100 have no common divisor.
    let mixed: Vec<u64> = (0..100).map(|n| rising[n * 37 % 100]).collect();
    let took = async |calls: simple_dist::client::Map<u64, u64, _>| {
        let began = Instant::now();
        calls.try_collect::<Vec<_>>().await.expect("they end");
        began.elapsed()
    };
    let least = rising.iter().sum::<u64>() / 4;
    println!("100 calls of 10 ms to 1 s, in four slots: {least} ms are the least possible");
    let mut all = [vec![], vec![], vec![]];
    for _ in 0..5 {
        all[0].push(took(sleep.map(rising.clone())).await);
        all[1].push(took(sleep.map(mixed.clone())).await);
        all[2].push(took(sleep.map(mixed.clone()).cost(|ms| *ms)).await);
    }
    for (order, mut took) in ["the longest last", "mixed", "by cost"].into_iter().zip(all) {
        took.sort_unstable();
        println!("{order}: {:.2?} to {:.2?}, p50 {:.2?}", took[0], took[4], took[2]);
    }
    site.stop().await;
}
