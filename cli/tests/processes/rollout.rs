//! Calls move to a new version of their function as a distributor is told, and run as it for nobody.
//!
//! ```text
//! cargo test -p simple-dist-cli --test processes rollout -- --ignored --nocapture
//! ```

#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use simple_dist_client::Fallback;
use simple_dist_protocol::Function;
use simple_dist_worker::Worker;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Role, free_port, json, now, phase, until};

const PRICE_1: Function<u64, u64> = Function::new("price", 1);
const PRICE_2: Function<u64, u64> = Function::new("price", 2);

/// A worker of both versions.
fn serve_both(
    cluster: &Cluster,
    bodies: [impl Fn(u64) -> u64 + Send + Sync + 'static; 2],
) -> JoinSet<()> {
    let [one, two] = bodies;
    let worker = Worker::builder(&cluster.site.url).prefix(&cluster.site.prefix).slots(4);
    let worker = worker.serve(PRICE_1, one).serve(PRICE_2, two);
    let mut roles = JoinSet::new();
    let run = worker.run(std::future::pending());
    roles.spawn(async { run.await.expect("its settings are usable") });
    roles
}

/// Calls `price` over HTTP; returns the version that answered.
fn version(site: &str) -> String {
    let url = format!("http://{site}/api/v1/functions/price/call");
    let answer = ureq::post(url).content_type("application/json").send("[1]");
    answer.expect("it has a value").body_mut().read_to_string().expect("it is text")
}

fn share_of_second(site: &str) -> usize {
    (0..60).filter(|_| version(site) == "2").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_a_version_move_by_their_share_and_the_standby_knows_it() {
    let cluster = Cluster::new().await;
    let sites = [free_port(), free_port()];
    let start = |site: &str| {
        let mut command = cluster.command(&["distributor", "--promote", "price@2:30%,other@7"]);
        Role::run(command.env("LISTEN", site))
    };
    let mut active = start(&sites[0]);
    until("it is active", || phase(&sites[0]).as_deref() == Some("active")).await;
    let _standby = start(&sites[1]);
    let _worker = serve_both(&cluster, [(|_| 1) as fn(u64) -> u64, |_| 2]);
    let unversioned = |site: &str| {
        let functions = json(site, "/api/v1/functions");
        let all = functions["functions"].as_array().or(functions.as_array()).cloned();
        let of = all.unwrap_or_default().into_iter().find(|it| it["name"] == "price@2");
        of.and_then(|of| of["unversioned"].as_f64())
    };
    until("version 2 has its share", || unversioned(&sites[0]) == Some(0.3)).await;
    let second = share_of_second(&sites[0]);
    assert!((5..=35).contains(&second), "{second} of 60");

    until("it is on standby", || phase(&sites[1]).as_deref() == Some("standby")).await;
    active.kill();
    until("the standby is active", || phase(&sites[1]).as_deref() == Some("active")).await;
    until("version 2 has its share", || unversioned(&sites[1]) == Some(0.3)).await;
    let second = share_of_second(&sites[1]);
    assert!((5..=35).contains(&second), "{second} of 60");
}

#[tokio::test]
async fn a_promotion_that_makes_no_sense_is_refused_with_the_reason() {
    let cluster = Cluster::new().await;
    for (promote, code, why) in [
        ("fib", 2, "like fib@2:10%"),
        ("fib@2:110%", 2, "0% to 100%"),
        ("fib@2:10", 2, "0% to 100%"),
        ("fib@2:10%,fib@3", 78, "fib has two promotions"),
    ] {
        check_refused(&cluster, ["--promote", promote], code, why);
    }
    for (shadow, code, why) in [
        ("fib@1", 2, "like fib@1=fib@2:5%"),
        ("fib@1=fib@2:101%", 2, "0% to 100%"),
        ("fib@1=fib@1", 78, "cannot be its own shadow"),
    ] {
        check_refused(&cluster, ["--shadow", shadow], code, why);
    }
}

#[track_caller]
fn check_refused(cluster: &Cluster, [flag, given]: [&str; 2], code: i32, why: &str) {
    let refused = cluster.output(&["distributor", flag, given]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(code), "{given}: {said}");
    assert!(said.contains(why), "{given}: {said}");
}

fn shadow(site: &str) -> Value {
    json(site, "/api/v1/status")["shadows"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_also_run_as_a_shadow_once_their_callers_have_the_answer() {
    let (cluster, site) = (Cluster::new().await, free_port());
    let flags = ["--shadow", "price@1=price@2", "--promote", "price@1", "--preview-arguments"];
    let mut distributor = cluster.command(&[&["distributor"], &flags[..]].concat());
    let _distributor = Role::run(distributor.env("LISTEN", &site));
    let answered = Arc::new(AtomicU64::new(0));
    let has_answered = Arc::clone(&answered);
    // Version 2 ends only after the caller has its answer.
    let bodies: [Box<dyn Fn(u64) -> u64 + Send + Sync>; 2] = [
        Box::new(|units| units),
        Box::new(move |units| {
            while has_answered.load(Ordering::SeqCst) < units {
                std::thread::sleep(Duration::from_millis(1));
            }
            if units % 10 == 0 { units - 1 } else { units }
        }),
    ];
    let _worker = serve_both(&cluster, bodies);
    let client = cluster.client();
    let price = client.function(PRICE_1).fallback(Fallback::Wait);
    for units in 1..=20 {
        assert_eq!(price.call(units).await, Ok(units));
        answered.store(units, Ordering::SeqCst);
        let ended = || {
            let count = |of: &str| shadow(&site)[of].as_u64().unwrap_or_default();
            count("equal") + count("differ") == units
        };
        until("it has run as its shadow", ended).await;
    }
    let seen = shadow(&site);
    assert_eq!(
        (&seen["equal"], &seen["differ"], &seen["skipped"]),
        (&18.into(), &2.into(), &0.into())
    );
    let newest = &seen["examples"][0];
    let said = ["arguments", "live", "shadow"].map(|of| newest[of].as_str().unwrap_or_default());
    assert_eq!(said, ["20", "value 20", "value 19"]);
    let books = &json(&site, "/api/v1/status")["books"];
    assert_eq!(books["accepted"], 20);
}

/// What a shadow costs the callers of a busy function.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it prints figures"]
async fn figures() {
    const CALLS: u64 = 1000;
    for share in ["0%", "20%", "100%"] {
        let (cluster, site) = (Cluster::new().await, free_port());
        let flags = ["--shadow", &format!("price@1=price@2:{share}")];
        let mut distributor = cluster.command(&[&["distributor"], &flags[..]].concat());
        let _distributor = Role::run(distributor.env("LISTEN", &site));
        let body = |millis: u64, wrong: u64| {
            move |units: u64| {
                std::thread::sleep(Duration::from_millis(millis));
                if wrong > 0 && units.is_multiple_of(wrong) { units + 1 } else { units }
            }
        };
        let bodies: [Box<dyn Fn(u64) -> u64 + Send + Sync>; 2] =
            [Box::new(body(5, 0)), Box::new(body(4, 50))];
        let _worker = serve_both(&cluster, bodies);
        let client = cluster.client();
        let price = client.function(PRICE_1).fallback(Fallback::Wait);
        let mut took = vec![];
        for units in 0..CALLS {
            let begun = now();
            assert_eq!(price.call(units).await, Ok(units));
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let seen = shadow(&site);
        let count = |of: &str| seen[of].as_u64().unwrap_or_default();
        println!(
            "--shadow {share}: {CALLS} calls of 5 ms, p50 {:.1?}, p99 {:.1?}; {} equal, {} differ, {} \
             faster, {} slower, {} skipped",
            took[took.len() / 2],
            took[took.len() * 99 / 100],
            count("equal"),
            count("differ"),
            count("faster"),
            count("slower"),
            count("skipped"),
        );
    }
}
