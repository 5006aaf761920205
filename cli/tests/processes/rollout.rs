//! Calls move to a new version of their function as a distributor is told.

use simple_dist_protocol::Function;
use simple_dist_worker::Worker;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Role, free_port, json, phase, until};

const PRICE_1: Function<u64, u64> = Function::new("price", 1);
const PRICE_2: Function<u64, u64> = Function::new("price", 2);

/// A worker of both versions, which say which they are.
fn serve_both(cluster: &Cluster) -> JoinSet<()> {
    let worker = Worker::builder(&cluster.site.url).prefix(&cluster.site.prefix);
    let worker = worker.serve(PRICE_1, |_| 1).serve(PRICE_2, |_| 2);
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
    let _worker = serve_both(&cluster);
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
        let refused = cluster.output(&["distributor", "--promote", promote]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{promote}: {said}");
        assert!(said.contains(why), "{promote}: {said}");
    }
}
