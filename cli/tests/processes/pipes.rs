//! `call` and `map` in pipelines: signals, closed pipes, input that never ends.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{Cluster, free_port, json, now, served_by};

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn under_way(site: &str) -> u64 {
    let books = &json(site, "/api/v1/status")["books"];
    ["queued", "placed", "running"].iter().filter_map(|state| books[state].as_u64()).sum()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = now();
    while !holds() {
        assert!(begun.elapsed().as_secs() < 30, "{what}");
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
        let output = map.wait_with_output().expect("it ends");
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
async fn what_cannot_be_written_is_a_failure() {
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
async fn what_makes_no_sense_is_refused_in_a_sentence() {
    let cluster = Cluster::new().await;
    for (arguments, code, said) in [
        (&["map", "fib", "45..0"][..], 2, "45..0 is empty: did you mean 0..45?"),
        (&["map", "fib", "0..x"], 2, "x is no whole number"),
        (&["worker", "--slots", "0"], 2, "a worker has 1 to 1024 slots"),
        (&["worker", "--slots", "5000"], 2, "a worker has 1 to 1024 slots"),
        (&["call", "fib", "1", "--timeout", "2h"], 2, "1h at most"),
        (&["call", "fibb", "1", "--url", "amqp://127.0.0.1:9"], 69, "did you mean fib?"),
        (&["call", "fib", "20.5", "--url", "amqp://127.0.0.1:9"], 2, "takes a u64, not 20.5"),
    ] {
        let output = cluster.output(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {}", words(&output));
        assert!(words(&output).contains(said), "{arguments:?} {}", words(&output));
    }
}

#[tokio::test]
async fn a_panic_steers_no_terminal() {
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
