//! What operators do on the command line: cancel many jobs, and run failed ones again.

use std::process::{Command, Output};
use std::time::Duration;

use simple_dist_client::{CallError, Fallback};
use simple_dist_demo::functions::SLEEP;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Role, TIMEOUT, free_port, get, json, served_by, until};

const TOKEN: &str = "a-token-that-only-operators-know";

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_cancelled_at_once_and_what_failed_is_run_again() {
    let cluster = Cluster::new().await;
    let site = free_port();
    let mut distributor = cluster.command(&["distributor"]);
    let _distributor = Role::run(distributor.env("LISTEN", &site).env("SIMPLE_DIST_TOKEN", TOKEN));
    let _worker = cluster.start(&["worker", "--slots", "1"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let url = format!("http://{site}");
    let run = |arguments: &[&str]| -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_simple-dist"));
        command.args(arguments).args(["--url", &url]).env("SIMPLE_DIST_TOKEN", TOKEN);
        let Output { status, stdout, stderr } = command.output().expect("the binary runs");
        let text = [stdout, stderr].concat();
        (status.code(), String::from_utf8(text).expect("it is text"))
    };

    let sleep = client.function(SLEEP);
    let mut calls = JoinSet::new();
    for _ in 0..30 {
        calls.spawn(sleep.call(600_000).fallback(Fallback::Wait).timeout(TIMEOUT * 6));
    }
    until("one runs and the others wait", || {
        let books = &json(&site, "/api/v1/status")["books"];
        let waiting = ["queued", "placed"].iter().filter_map(|state| books[state].as_u64());
        books["running"] == 1 && waiting.sum::<u64>() == 29
    })
    .await;
    let filter = ["cancel", "--function", "sleep@1", "--queued"];
    let (code, said) = run(&[&filter[..], &["--dry-run"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("sleep@1: 29 queued, 0 running"), "{said}");
    assert_eq!(json(&site, "/api/v1/status")["books"]["cancelled"], 0);
    let (code, said) = run(&filter);
    assert!(code == Some(0) && said.contains("29 of 29 jobs cancelled"), "{said}");
    for _ in 0..29 {
        let ended = calls.join_next().await.expect("there are more").expect("no panic");
        assert!(matches!(ended, Err(CallError::Cancelled)), "{ended:?}");
    }
    let (code, said) = run(&["cancel", "--function", "sleep"]);
    assert!(code == Some(0) && said.contains("1 of 1 jobs cancelled"), "{said}");
    assert_eq!(run(&["cancel", "--queued"]).0, Some(2), "which?");

    let late = sleep.call(1500).fallback(Fallback::Never).timeout(Duration::from_millis(300)).await;
    assert!(matches!(late, Err(CallError::Timeout)), "{late:?}");
    let failed = || {
        let jobs = json(&site, "/api/v1/jobs?function=sleep&state=ended");
        let mut jobs = jobs.as_array().expect("a list").iter();
        jobs.find(|job| job["answer"] == "expired")?["id"].as_str().map(str::to_owned)
    };
    until("it has failed", || failed().is_some()).await;
    let id = failed().expect("it has");
    let (code, said) = run(&["retry", &id]);
    assert!(code == Some(0) && said.starts_with("1500\n"), "{said}");
    let newest = || json(&site, "/api/v1/jobs?function=sleep&state=ended&limit=1")[0].clone();
    until("the new job is shown as done", || newest()["answer"] == "value").await;
    let (code, said) = run(&["retry", newest()["id"].as_str().expect("an id")]);
    assert!(code == Some(1) && said.contains("did not fail"), "{said}");
    let audit = json(&site, "/api/v1/actions");
    let did: Vec<_> =
        audit.as_array().expect("a list").iter().map(|it| it["what"].as_str()).collect();
    assert_eq!(did.len(), 3, "{did:?}");
    assert!(did[2].is_some_and(|it| it == "cancelled 29 jobs: sleep@1 (29 queued)"), "{did:?}");
    assert_eq!(audit[0]["by"], "127.0.0.1");
    assert!(get(&site, "/actions").contains(&format!("retried job {id} of sleep@1")));
}
