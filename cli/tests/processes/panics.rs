//! The panic of a function is one line of the log, and a failure that everybody sees.

use serde_json::{Value, json};
use simple_dist_client::{CallError, Fallback};
use simple_dist_demo::functions::FAIL;

use crate::cluster::{Cluster, Role, free_port, get, json, served_by, until};

/// Every line of a log, which must be JSON.
fn lines(log: &str) -> Vec<Value> {
    let read = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    log.lines().map(read).collect()
}

#[tokio::test]
async fn a_functions_panic_is_one_line_of_the_workers_log() {
    let cluster = Cluster::new().await;
    let site = free_port();
    let _distributor = cluster.start(&["distributor", "--listen", &site]);
    let mut command = cluster.command(&["worker", "--slots", "1"]);
    command.env("RUST_LOG", "warn").env("RUST_BACKTRACE", "1");
    let (worker, log) = Role::run_logging(&mut command);
    let client = cluster.client();
    served_by(&client, 1).await;

    let said = "on\npurpose \u{1b}[31m".to_owned();
    let failed = client.function(FAIL).call(said.clone()).fallback(Fallback::Wait).await;
    assert!(matches!(failed, Err(CallError::Panicked { .. })), "{failed:?}");
    let failures = || json(&site, "/api/v1/failures");
    until("it is listed", || failures().as_array().is_some_and(|it| !it.is_empty())).await;
    let failure = &failures()[0];
    assert_eq!((&failure["function"], &failure["kind"]), (&json!("fail@1"), &json!("panicked")));
    assert_eq!((&failure["message"], &failure["count"]), (&json!(said), &json!(1)));
    let location = failure["location"].as_str().expect("it is known");
    assert!(location.contains("functions.rs:"), "{location}");
    assert!(get(&site, "/").contains(location), "the page says so");
    assert!(worker.stop(), "it ends well");

    let lines = lines(&log.join().expect("it is text"));
    let panics: Vec<&Value> =
        lines.iter().map(|line| &line["fields"]).filter(|it| it["panic"].is_string()).collect();
    let [panic] = panics[..] else { panic!("{panics:?}") };
    assert_eq!(panic["panic"], said);
    assert_eq!(panic["function"], FAIL.address().to_string());
    assert_eq!(panic["attempt"], 1);
    assert!(panic["job.id"].as_str().is_some_and(|job| job.len() == 32), "{panic}");
    assert!(panic["location"].as_str().is_some_and(|at| at.contains("functions.rs:")), "{panic}");
    assert!(panic["backtrace"].is_string(), "{panic}");
}

#[tokio::test]
async fn a_panic_in_a_local_run_is_logged_once() {
    let cluster = Cluster::new().await;
    let mut command = cluster.command(&["call", "fail", r#""on purpose""#]);
    let nobody = "amqp://guest:guest@127.0.0.1:9";
    let output = command.env("AMQP_URL", nobody).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("on purpose").count(), 1, "{said}");
    assert!(!said.contains("thread '"), "{said}");
}
