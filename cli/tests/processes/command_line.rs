//! What a user sees on the command line.

use std::process::Command;
use std::time::Duration;

use crate::cluster::{Cluster, now, served_by};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_runs_to_its_end() {
    let cluster = Cluster::new().await;
    let output = cluster.output(&["demo"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_value_alone_is_on_stdout() {
    let cluster = Cluster::new().await;
    let (_distributor, _worker) = (cluster.start(&["distributor"]), cluster.start(&["worker"]));
    served_by(&cluster.client(), 1).await;

    let called = cluster.output(&["call", "fib", "20", "--remote"]);
    assert_eq!(String::from_utf8_lossy(&called.stdout), "6765\n");
    assert!(String::from_utf8_lossy(&called.stderr).contains("from worker"));

    let mapped = cluster.output(&["map", "fib", "0..10"]);
    assert_eq!(String::from_utf8_lossy(&mapped.stdout), "0\n1\n1\n2\n3\n5\n8\n13\n21\n34\n");
}

#[tokio::test]
async fn every_failure_has_its_exit_code() {
    let cluster = Cluster::new().await;
    let (_distributor, _worker) = (cluster.start(&["distributor"]), cluster.start(&["worker"]));
    served_by(&cluster.client(), 1).await;

    let code = |arguments: &[&str]| cluster.output(arguments).status.code();
    assert_eq!(code(&["call", "fail", "\"on purpose\""]), Some(1));
    for where_it_runs in [&["--remote"][..], &[]] {
        let output = cluster.output(&[&["call", "half", "7"], where_it_runs].concat());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.lines().last(), Some("simple-dist: the function failed: 7 is odd"));
    }
    let mapped = cluster.output(&["map", "half", "6..9"]);
    assert_eq!(mapped.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&mapped.stdout), "3\n4\n");
    assert!(String::from_utf8_lossy(&mapped.stderr).contains("(7): the function failed: 7 is odd"));
    assert_eq!(code(&["call", "fib", "\"twenty\""]), Some(2));
    assert_eq!(code(&["call", "fib", "not json"]), Some(2));
    assert_eq!(code(&["call", "Not A Name", "1"]), Some(2));
    assert_eq!(code(&["call", "nobody", "1"]), Some(69));
    assert_eq!(code(&["call", "sleep", "5000", "--timeout", "200ms", "--remote"]), Some(75));
    assert_eq!(code(&["call", "fib", "1", "--url", "http://localhost"]), Some(78));
}

#[test]
fn without_a_broker_a_call_is_local_and_says_so() {
    let begun = now();
    let output = Command::new(env!("CARGO_BIN_EXE_simple-dist"))
        .args(["call", "fib", "20"])
        .env("AMQP_URL", "amqp://127.0.0.1:9")
        .output()
        .expect("the binary runs");
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "6765\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("local"));
}
