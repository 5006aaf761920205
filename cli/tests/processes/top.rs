//! `simple-dist top --once` with a fake distributor, and with none.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};
use simple_dist_distributor::view::{Status, View};

/// Runs a fake distributor until the process ends; returns its URL.
fn play(answer: impl Fn(&str) -> (u16, Value) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    // It ends with the test's process.
    thread::spawn(move || {
        for connection in listener.incoming() {
            // One that has gone is no reason to leave the others waiting.
            let _gone = serve(connection.expect("it is accepted"), &answer);
        }
    });
    url
}

fn serve(mut connection: TcpStream, answer: &impl Fn(&str) -> (u16, Value)) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let (status, body) = answer(&String::from_utf8_lossy(&request).to_lowercase());
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    connection.write_all(format!("{head}{body}").as_bytes())?;
    connection.shutdown(Shutdown::Both)
}

fn of_a_view(request: &str) -> (u16, Value) {
    let mut view = View { sequence: 7, ..View::default() };
    view.books.accepted = 3;
    view.books.queued = 3;
    let path = request.split(' ').nth(1).unwrap_or_default();
    let part = match path.split('?').next() {
        Some("/api/v1/status") => json!(Status::from(&view)),
        Some("/api/v1/workers" | "/api/v1/functions" | "/api/v1/jobs") => json!([]),
        _ => return (404, json!({"title": "no such thing"})),
    };
    (200, part)
}

fn once(url: &str, arguments: &[&str], token: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simple-dist"));
    command.args(["top", "--once", "--url", url]).args(arguments);
    command.env_remove("SIMPLE_DIST_TOKEN").env_remove("SIMPLE_DIST_TOKEN_FILE");
    command.envs(token.map(|token| ("SIMPLE_DIST_TOKEN", token)));
    command.output().expect("the binary runs")
}

#[test]
fn once_prints_the_view_as_text_or_json() {
    let url = play(of_a_view);
    let text = once(&url, &[], None);
    assert!(text.status.success(), "{}", String::from_utf8_lossy(&text.stderr));
    let said = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(said.contains("3 accepted = 3 queued + 0 placed"), "{said}");

    let object = once(&url, &["--json"], None);
    let object: Value = serde_json::from_slice(&object.stdout).expect("it is JSON");
    assert_eq!(object["status"]["sequence"], 7);
    assert!(["workers", "functions", "jobs"].iter().all(|list| object[list].is_array()));
}

#[test]
fn a_token_is_shown_to_a_distributor_that_wants_one() {
    let url = play(|request| {
        if request.contains("authorization: bearer open sesame\r\n") {
            of_a_view(request)
        } else {
            (401, json!({"title": "token wanted", "detail": "this wants the token"}))
        }
    });
    assert_eq!(once(&url, &[], Some("open sesame")).status.code(), Some(0));
    let refused = once(&url, &[], Some("open barley"));
    assert_eq!(refused.status.code(), Some(77));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("this wants the token"));
    assert_eq!(once(&url, &[], None).status.code(), Some(77));
}

#[test]
fn every_failure_to_connect_has_its_exit_code() {
    assert_eq!(once("http://127.0.0.1:9", &[], None).status.code(), Some(69));
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("http://{}", silent.local_addr().expect("it is bound"));
    assert_eq!(once(&url, &[], None).status.code(), Some(69));
    let another = play(|_| (200, json!("hello")));
    assert_eq!(once(&another, &[], None).status.code(), Some(78));
    assert_eq!(once("amqp://127.0.0.1", &[], None).status.code(), Some(78));
    let busy = play(|_| (503, json!({"title": "busy", "detail": "later"})));
    assert_eq!(once(&busy, &[], None).status.code(), Some(69));
}
