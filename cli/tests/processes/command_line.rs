//! What a user sees on the command line.

use std::process::Command;
use std::time::Duration;

use simple_dist_client::Fallback;
use simple_dist_demo::functions::SLEEP;

use crate::cluster::{BEFORE_TIMEOUT, Cluster, Folder, now, served_by};

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
async fn a_call_that_a_busy_worker_cannot_take_may_run_here() {
    let cluster = Cluster::new().await;
    let _distributor = cluster.start(&["distributor"]);
    let _worker = cluster.start(&["worker", "--slots", "1"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let mut slow = client.function(SLEEP).call(600_000).fallback(Fallback::Wait);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut slow).await.is_err());

    for (policy, why) in
        [("--race", "asked for by the caller"), ("--when-busy", "workers are busy")]
    {
        let called = cluster.output(&["call", "fib", "20", policy]);
        assert_eq!(String::from_utf8_lossy(&called.stdout), "6765\n");
        let said = String::from_utf8_lossy(&called.stderr);
        assert!(said.contains(why), "{said}");
    }
    for refused in ["--remote", "--wait"] {
        let called = cluster.output(&["call", "fib", "20", "--race", refused]);
        assert_eq!(called.status.code(), Some(2));
    }
}

#[tokio::test]
async fn equal_calls_share_a_run_unless_they_are_fresh() {
    let cluster = Cluster::new().await;
    let (_distributor, _worker) = (cluster.start(&["distributor"]), cluster.start(&["worker"]));
    served_by(&cluster.client(), 1).await;
    let folder = Folder::new();
    let values = folder.file("values", &"32\n".repeat(20));
    for (fresh, shared) in [(None, true), (Some("--fresh"), false)] {
        let map = ["map", "fib", &values, "--remote", "--json"];
        let mapped = cluster.output(&[&map[..], fresh.as_slice()].concat());
        let told = String::from_utf8_lossy(&mapped.stdout);
        assert_eq!(told.matches("\"value\":2178309").count(), 20, "{told}");
        assert_eq!(told.contains("\"coalesced\":true"), shared, "{told}");
        let said = String::from_utf8_lossy(&mapped.stderr);
        assert_eq!(said.contains("without a run of their own"), shared, "{said}");
    }
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
fn a_local_run_may_have_a_process_of_its_own() {
    for (arguments, code, said) in
        [(["fib", "20", "40s"], 0, "6765\n"), (["sleep", "600000", "300ms"], 75, "")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_simple-dist"))
            .args(["call", arguments[0], arguments[1], "--deadline", arguments[2]])
            .env("SIMPLE_DIST_LOCAL_ISOLATION", "process")
            .env("AMQP_URL", "amqp://127.0.0.1:9")
            .output()
            .expect("the binary runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), said);
        assert!(!told.contains("goes on"), "{told}");
    }
}

#[test]
fn without_a_broker_a_call_is_local_and_says_so() {
    let begun = now();
    let output = Command::new(env!("CARGO_BIN_EXE_simple-dist"))
        .args(["call", "fib", "20"])
        .env("AMQP_URL", "amqp://127.0.0.1:9")
        .output()
        .expect("the binary runs");
    assert!(begun.elapsed() < BEFORE_TIMEOUT, "not by its timeout of a minute");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "6765\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("local"));
}

#[tokio::test]
async fn a_call_that_goes_to_no_worker_says_what_is_missing() {
    let cluster = Cluster::new().await;
    let nowhere = "amqp://127.0.0.1:9";
    for (url, missing) in [
        (Some(nowhere), "no broker answers at 127.0.0.1:9"),
        (None, "no distributor is there, under the prefix"),
    ] {
        for [command, argument] in [["call", "20"], ["map", "20..22"]] {
            for policy in [&["--remote"][..], &["--wait", "--timeout", "1s"]] {
                let given = url.map_or(vec![], |url| vec!["--url", url]);
                let arguments = [&[command, "fib", argument], policy, &given].concat();
                let said = String::from_utf8(cluster.output(&arguments).stderr).expect("a text");
                assert!(said.contains(missing), "{arguments:?}: {said}");
            }
        }
    }
}
