//! `call` and `map` in pipelines: signals, closed pipes, input that never ends.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::cluster::{self, Cluster, Folder, TIMEOUT, free_port, now, served_by};

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn under_way(site: &str) -> u64 {
    let books = &cluster::json(site, "/api/v1/status")["books"];
    ["queued", "placed", "running"].iter().filter_map(|state| books[state].as_u64()).sum()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = now();
    while !holds() {
        assert!(begun.elapsed() < TIMEOUT, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a child has a pid"), signal).expect("it lives");
}

#[tokio::test]
async fn a_signal_or_a_closed_stdout_cancels_what_is_under_way_and_says_how_much() {
    let cluster = Cluster::new().await;
    let site = free_port();
    let _distributor = cluster.start(&["distributor", "--listen", &site]);
    let _worker = cluster.start(&["worker", "--slots", "2"]);
    served_by(&cluster.client(), 1).await;
    for (how, code) in
        [(Some(Signal::INT), 130), (Some(Signal::TERM), 143), (Some(Signal::HUP), 129), (None, 141)]
    {
        let mut command = cluster.command(&["map", "sleep", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut map = command.spawn().expect("the binary runs");
        // Its input stays open: only the signal, or its reader, ends it.
        let mut input = map.stdin.take().expect("it is piped");
        input.write_all("600000\n".repeat(5).as_bytes()).expect("it reads");
        until("five are under way", || under_way(&site) == 5);
        match how {
            Some(how) => signal(&map, how),
            None => drop(map.stdout.take()),
        }
        until("it ends", || map.try_wait().expect("it is a child").is_some());
        let output = map.wait_with_output().expect("it has ended");
        drop(input);
        assert_eq!(output.status.code(), Some(code), "{}", words(&output));
        assert!(words(&output).contains("5 calls cancelled"), "{}", words(&output));
        until("all are gone", || under_way(&site) == 0);
    }
}

#[tokio::test]
async fn map_begins_before_its_input_ends_and_names_what_fails() {
    let cluster = Cluster::new().await;
    let (_distributor, _worker) = (cluster.start(&["distributor"]), cluster.start(&["worker"]));
    served_by(&cluster.client(), 1).await;
    let mut command = cluster.command(&["map", "fib", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut map = command.spawn().expect("the binary runs");
    let mut input = map.stdin.take().expect("it is piped");
    let mut values = BufReader::new(map.stdout.take().expect("it is piped")).lines();
    input.write_all(b"20\n").expect("it reads");
    assert_eq!(values.next().expect("a value comes").expect("it is text"), "6765");
    input.write_all(b"x\n\n-1\r\n\xff\n21").expect("it reads");
    drop(input);
    assert_eq!(values.next().expect("the others go on").expect("it is text"), "10946");
    assert!(values.next().is_none());
    let output = map.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    for named in ["line 2 (x)", "line 4 (-1): fib@1 takes a u64, not -1", "line 5 (", "3 of 5"] {
        assert!(words(&output).contains(named), "{named}: {}", words(&output));
    }
}

#[tokio::test]
async fn map_tells_programs_of_each_value_and_failure_in_one_object() {
    let cluster = Cluster::new().await;
    let folder = Folder::new();
    let named = &folder.file("numbers", "20\n\nx\n-1\n");
    let output = cluster.output(&["map", "fib", named, "--json", "--fail-fast", "--keep-going"]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    let told = String::from_utf8_lossy(&output.stdout);
    let told: Vec<Value> =
        told.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    let where_ = |told: &Value| (told["index"].clone(), told["line"].clone());
    assert_eq!(
        told.iter().map(where_).collect::<Vec<_>>(),
        [(json!(0), json!(1)), (json!(1), json!(3)), (json!(2), json!(4)),]
    );
    assert_eq!((&told[0]["argument"], &told[0]["value"]), (&json!(20), &json!(6765)));
    let reason = told[0]["ran"]["reason"].as_str().expect("it ran here");
    assert!(reason.contains("under the prefix"), "nobody is there: {reason}");
    assert!(told[0]["took_ms"].is_number());
    assert!(told[1]["error"].as_str().expect("x is no JSON").contains("line 3 (x)"));
    assert!(told[1].get("argument").is_none() && told[2].get("value").is_none());
    assert!(told[2]["error"].as_str().expect("-1 is no u64").contains("not -1"));
    assert_eq!(words(&output).lines().count(), 2, "the sum alone: {}", words(&output));
}

#[tokio::test]
async fn a_call_that_is_to_be_remote_never_runs_here_and_waits_if_asked_to() {
    let cluster = Cluster::new().await;
    let remote = cluster.output(&["map", "fib", "0..2", "--remote", "--fail-fast"]);
    assert_eq!(remote.status.code(), Some(69), "{}", words(&remote));
    assert!(words(&remote).contains("(0): unavailable: no distributor"), "{}", words(&remote));
    let mut waits = cluster.command(&["map", "fib", "20..22", "--wait", "--priority", "9"]);
    let waits = waits.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let (_distributor, _worker) = (cluster.start(&["distributor"]), cluster.start(&["worker"]));
    let waited = waits.expect("the binary runs").wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&waited.stdout), "6765\n10946\n", "{}", words(&waited));
    assert!(words(&waited).contains("2 from workers"), "{}", words(&waited));
}

#[tokio::test]
async fn unwritable_output_is_a_failure() {
    let cluster = Cluster::new().await;
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    for arguments in [
        &["call", "fib", "1", "--url", "amqp://127.0.0.1:9"][..],
        &["map", "fib", "0..3", "--url", "amqp://127.0.0.1:9"],
    ] {
        let output = cluster.command(arguments).stdout(full()).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(74), "{arguments:?} {}", words(&output));
    }
    for arguments in [&["--help"][..], &["--version"], &["completions", "bash"]] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_simple-dist"));
        let output = command.args(arguments).stdout(full()).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(74), "{arguments:?} {}", words(&output));
    }
}

#[tokio::test]
async fn invalid_arguments_are_refused_in_a_sentence() {
    let cluster = Cluster::new().await;
    for (arguments, code, said) in [
        (&["map", "fib", "45..0"][..], 2, "45..0 is empty: did you mean 0..45?"),
        (&["map", "fib", "0..x"], 2, "x is no whole number"),
        (&["worker", "--slots", "0"], 2, "a worker has 1 to 1024 slots"),
        (&["worker", "--slots", "5000"], 2, "a worker has 1 to 1024 slots"),
        (&["call", "fib", "1", "--timeout", "2h"], 2, "at most 1h"),
        (&["call", "fibb", "1", "--url", "amqp://127.0.0.1:9"], 69, "did you mean fib?"),
        (&["call", "fib", "20.5", "--url", "amqp://127.0.0.1:9"], 2, "takes a u64, not 20.5"),
    ] {
        let output = cluster.output(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {}", words(&output));
        assert!(words(&output).contains(said), "{arguments:?} {}", words(&output));
    }
}

#[tokio::test]
async fn a_panic_prints_no_escape_sequences() {
    let cluster = Cluster::new().await;
    let (_distributor, _worker) = (cluster.start(&["distributor"]), cluster.start(&["worker"]));
    served_by(&cluster.client(), 1).await;
    let message = r#""\u001b]0;title\u0007\u0000\r\u009b\u202e""#;
    for local in [&["--remote"][..], &["--url", "amqp://127.0.0.1:9"]] {
        let output = cluster.output(&[&["call", "fail", message], local].concat());
        let odd = |c: char| c != '\n' && !simple_dist_protocol::text::is_plain(c);
        assert!(!words(&output).contains(odd), "{:?}", words(&output));
        assert!(words(&output).contains(r"\u{1b}]0;title\u{7}"), "{:?}", words(&output));
    }
}
