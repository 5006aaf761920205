//! How long deaths are felt: figures for `docs/ARCHITECTURE.md`, printed and not judged.
//!
//! ```text
//! FIGURES=50 cargo test -p simple-dist-cli --test processes figures -- --ignored --nocapture
//! ```
//!
//! On the embedded broker, or on that of `AMQP_URL`.

#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::time::Duration;

use simple_dist_client::Fallback;
use simple_dist_demo::functions::{FIB, SLEEP};
use tokio::task::JoinSet;

use crate::cluster::{Cluster, is_remote, now, served_by, timed};

/// How long a call waits that a killed worker was running.
const LONGEST: Duration = Duration::from_secs(4);

/// How often each is measured.
fn rounds() -> usize {
    std::env::var("FIGURES").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

fn print(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize].as_millis();
    let (count, median, p99) = (took.len(), at(0.5), at(0.99));
    println!("{what:60} {count:3} times: p50 {median:5} ms, p99 {p99:5} ms");
}

/// From the kill of the only worker to the local answer: of a call made at once, of one made a
/// little later, and of one that the worker was running.
#[tokio::test]
#[ignore = "it prints figures"]
async fn of_a_killed_worker() {
    let cluster = Cluster::new().await;
    let _distributor = cluster.start(&["distributor"]);
    let client = cluster.client();
    let mut took = [vec![], vec![], vec![]];
    for _ in 0..rounds() {
        let mut worker = cluster.start(&["worker"]);
        served_by(&client, 1).await;
        let sleep = client.function(SLEEP).call(200).timeout(LONGEST);
        let mut held = JoinSet::new();
        held.spawn(async move { (sleep.await, now()) });
        tokio::time::sleep(Duration::from_millis(100)).await;
        worker.kill();
        let killed = now();
        for took in &mut took[..2] {
            let call = client.function(FIB).call(20).timeout(LONGEST);
            let (answer, here) = timed(call).await;
            match answer {
                Ok(answer) => assert!(!is_remote(&answer)),
                // What may have reached the worker may have ended it, and does not run here.
                Err(error) => println!("after {here:?}: {error}"),
            }
            took.push(here);
        }
        // With threads for slots the worker's death may be the job's fault: it does not run here.
        let (_answer, ended) = held.join_next().await.expect("it runs").expect("it ends");
        took[2].push(ended - killed);
    }
    let [at_once, later, held] = took;
    print("a call made when the only worker was killed", at_once);
    print("the next", later);
    print("the end of one of 200 ms that it was running", held);
}

/// From the start of a distributor and a worker to the answer of a call that waits for them.
#[tokio::test]
#[ignore = "it prints figures"]
async fn of_a_cold_start() {
    let mut took = vec![];
    for _ in 0..rounds() {
        let cluster = Cluster::new().await;
        let client = cluster.client();
        let begun = now();
        let _distributor = cluster.start(&["distributor"]);
        let _worker = cluster.start(&["worker"]);
        let call = client.function(FIB).call(20).fallback(Fallback::Wait);
        call.await.expect("it is answered");
        took.push(begun.elapsed());
    }
    print("the first call, from the start of the processes", took);
}

/// From the kill of the active distributor to the answer by a worker: of a call made at once, and
/// of one that the worker was running.
#[tokio::test]
#[ignore = "it prints figures"]
async fn of_a_failover() {
    let cluster = Cluster::new().await;
    let mut active = cluster.start(&["distributor"]);
    let _worker = cluster.start(&["worker", "--slots", "2"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let (mut new, mut held) = (vec![], vec![]);
    for _ in 0..rounds() {
        let standby = cluster.start(&["distributor"]);
        tokio::time::sleep(Duration::from_millis(2_000)).await;
        let sleep = client.function(SLEEP).call(300).fallback(Fallback::Never);
        let mut running = JoinSet::new();
        running.spawn(async move { (sleep.await, now()) });
        tokio::time::sleep(Duration::from_millis(150)).await;
        active.kill();
        let killed = now();
        let (answer, took) = timed(client.function(FIB).call(20).fallback(Fallback::Never)).await;
        answer.expect("it is answered");
        new.push(took);
        let (answer, ended) = running.join_next().await.expect("it runs").expect("it ends");
        answer.expect("it is answered");
        held.push(ended - killed);
        active = standby;
    }
    print("a call made when the active distributor was killed", new);
    print("one with 150 ms left to run", held);
}
