//! Everything on one machine with one command.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cluster::{free_port, now};

/// Two processes and a broker start in this time, beside other tests.
const START: Duration = Duration::from_secs(30);

/// The process group of `up`, ended with the test.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        // Its children end with it.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn up(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simple-dist"));
    for variable in ["AMQP_URL", "AMQP_URL_FILE", "RABBITMQ_URL", "CLOUDAMQP_URL"] {
        command.env_remove(variable);
    }
    command.arg("up").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// The response to a plain request.
fn ask(at: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn call(at: &str) -> std::io::Result<String> {
    call_with(at, "")
}

fn call_with(at: &str, header: &str) -> std::io::Result<String> {
    let head =
        "POST /api/v1/functions/fib/call HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let body = "content-type: application/json\r\ncontent-length: 4\r\n\r\n[20]";
    ask(at, &format!("{head}{header}{body}"))
}

/// Calls until a worker answers.
fn answered(at: &str) -> String {
    let begun = now();
    loop {
        match call(at) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => return answer,
            other => assert!(begun.elapsed() < START, "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn up_prints_the_address_of_the_page_where_other_languages_can_call() {
    let page = free_port();
    let child = up(&["--listen", "127.0.0.1:0", "--page", &page]).spawn().unwrap();
    let mut up = Up(child);
    // Open for as long as `up` runs: it ends when nobody can read what it prints.
    let mut said = BufReader::new(up.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let told = format!("status page on http://{page}");
    assert!(said.any(|line| line == told), "it tells the address");

    let answer = answered(&page);
    assert!(answer.ends_with("\r\n\r\n6765"), "{answer}");
    // The first may have come before its worker, when nobody had said that `fib` is deterministic.
    let answer = call(&page).unwrap();
    let tag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).expect("it has one");
    let known = |more: &str| call_with(&page, &format!("if-none-match: {tag}\r\n{more}")).unwrap();
    let (not_modified, fresh) = (known(""), known("cache-control: no-cache\r\n"));
    assert!(not_modified.starts_with("HTTP/1.1 304"), "{not_modified}");
    assert!(fresh.starts_with("HTTP/1.1 200") && fresh.ends_with("6765"), "{fresh}");
    let get = "GET / HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\nconnection: close\r\n\r\n";
    // The first worker may answer before the second has started.
    let is_all = |html: &String| html.contains("2 workers") && html.contains("fib@1");
    let begun = now();
    while !ask(&page, get).is_ok_and(|html| is_all(&html)) {
        assert!(begun.elapsed() < START, "the page shows both");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn up_replaces_a_worker_that_was_killed() {
    let page = free_port();
    let arguments = ["--workers", "1", "--listen", "127.0.0.1:0", "--page", &page];
    let mut up = Up(up(&arguments).spawn().unwrap());
    let mut said = BufReader::new(up.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    answered(&page);
    // A role that dies within three seconds is not restarted.
    std::thread::sleep(Duration::from_secs(5));
    let worker = rustix::process::Pid::from_raw(worker_of(up.0.id())).unwrap();
    rustix::process::kill_process(worker, rustix::process::Signal::KILL).unwrap();
    assert!(said.any(|line| line.starts_with("a worker has ended: signal: 9")), "it tells");
    assert!(answered(&page).ends_with("6765"));
    assert_ne!(worker_of(up.0.id()), worker.as_raw_nonzero().get());
}

#[test]
fn up_without_workers_prints_the_settings_for_your_own_worker() {
    let arguments = ["--workers", "0", "--prefix", "mine", "--listen", "127.0.0.1:0"];
    let page = free_port();
    let mut up = Up(up(&[&arguments[..], &["--page", &page]].concat()).spawn().unwrap());
    let mut said = BufReader::new(up.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = said.find_map(|line| line.split_once("client: ").map(|(_, rest)| rest.to_owned()));
    let line = line.expect("it prints the variables");
    let variables = line.split(' ').filter_map(|word| word.split_once('='));
    let simple_dist = env!("CARGO_BIN_EXE_simple-dist");
    let _worker = Up(Command::new(simple_dist).arg("worker").envs(variables).spawn().unwrap());
    assert!(answered(&page).ends_with("6765"));
}

/// The child of `up` that was started last.
fn worker_of(up: u32) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{up}/task/{up}/children"));
    let children = children.expect("it lives");
    children.split_whitespace().last().expect("it has children").parse().expect("a pid")
}

#[test]
fn up_reports_that_the_address_of_the_page_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut up = up(&["--listen", "127.0.0.1:0", "--page", &address]);
    let output = up.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address));
}
