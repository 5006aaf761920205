//! What slow workers and restarts cost: figures for `docs/PURITY.md`, printed and not judged.
//!
//! ```text
//! cargo test -p simple-dist-cli --test processes slow -- --ignored --nocapture
//! ```
//!
//! On the embedded broker, or on that of `AMQP_URL`.

#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::time::Duration;

use simple_dist_client::Fallback;
use simple_dist_demo::functions::SLEEP;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Role, free_port, json, now, served_by};

const CALLS: usize = 1000;
/// Of the four slots, one is free.
const AT_ONCE: usize = 3;
/// How long each runs, in milliseconds.
const RUN: u64 = 100;
/// The slow worker is frozen so long, and thawed so long.
const FROZEN: Duration = Duration::from_secs(1);
const THAWED: Duration = Duration::from_millis(500);
/// What is interrupted by a restart runs so long.
const LONG: Duration = Duration::from_secs(6);

/// One of four workers with one slot each is frozen and thawed by turns.
#[tokio::test]
#[ignore = "it prints figures"]
async fn one_worker_of_four() {
    for percent in ["0", "5"] {
        let cluster = Cluster::new().await;
        let page = free_port();
        let mut distributor = cluster.command(&["distributor", "--hedge", percent]);
        let _distributor = Role::run(distributor.env("LISTEN", &page));
        let workers: Vec<_> = (0..4).map(|_| cluster.start(&["worker", "--slots", "1"])).collect();
        let client = cluster.client();
        served_by(&client, 4).await;
        let slow = async {
            loop {
                workers[0].freeze();
                tokio::time::sleep(FROZEN).await;
                workers[0].thaw();
                tokio::time::sleep(THAWED).await;
            }
        };
        let calls = async {
            let sleep = client.function(SLEEP);
            let mut callers = JoinSet::new();
            for caller in 0..AT_ONCE {
                let sleep = sleep.clone();
                callers.spawn(async move {
                    let mut took = vec![];
                    for _ in (caller..CALLS).step_by(AT_ONCE) {
                        let begun = now();
                        sleep.call(RUN).fallback(Fallback::Never).await.expect("it is answered");
                        took.push(begun.elapsed());
                    }
                    took
                });
            }
            callers.join_all().await.concat()
        };
        let begun = now();
        let mut took = tokio::select! {
            took = calls => took,
            () = slow => unreachable!("it goes on"),
        };
        let all = begun.elapsed();
        workers[0].thaw();
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize].as_millis();
        let events = &json(&page, "/api/v1/status")["books"]["events"];
        println!(
            "--hedge {percent}: {CALLS} calls in {all:.1?}: p50 {} ms, p99 {} ms, longest {} ms; \
             {} hedges, {} won, {} lost",
            at(0.5),
            at(0.99),
            at(1.0),
            events["hedges"],
            events["hedges_won"],
            events["hedges_lost"],
        );
    }
}

/// Four workers are stopped and started again, one by one, while jobs of a few seconds keep half of their
/// slots busy.
#[tokio::test]
#[ignore = "it prints figures"]
async fn a_rolling_restart() {
    for keep in ["true", "false"] {
        let cluster = Cluster::new().await;
        let page = free_port();
        let mut distributor = cluster.command(&["distributor"]);
        distributor.env("SIMPLE_DIST_KEEP_DRAINED", keep).env("LISTEN", &page);
        let _distributor = Role::run(&mut distributor);
        let start = || cluster.start(&["worker", "--slots", "2"]);
        let mut workers: Vec<_> = (0..4).map(|_| start()).collect();
        let client = cluster.client();
        served_by(&client, 4).await;
        let mut callers = JoinSet::new();
        for caller in 0..4 {
            let sleep = client.function(SLEEP);
            callers.spawn(async move {
                // They do not all end at once.
                tokio::time::sleep(LONG * caller / 4).await;
                loop {
                    let millis = u64::try_from(LONG.as_millis()).expect("it is short");
                    sleep.call(millis).fallback(Fallback::Never).await.expect("it is answered");
                }
            });
        }
        tokio::time::sleep(LONG * 3).await;
        let mut stops = vec![];
        for _ in 0..4 {
            let stopped = workers.remove(0);
            let begun = now();
            assert!(tokio::task::spawn_blocking(|| stopped.stop()).await.expect("it ends"));
            stops.push(begun.elapsed());
            workers.push(start());
            // It serves, and has its share of the jobs.
            tokio::time::sleep(LONG / 2).await;
        }
        let events = &json(&page, "/api/v1/status")["books"]["events"];
        let all: Duration = stops.iter().sum();
        println!(
            "keep {keep}: stopped in {stops:.1?}, {all:.1?} in all, {} moved",
            events["moved"]
        );
        callers.abort_all();
    }
}
