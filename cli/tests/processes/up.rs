//! Everything on one machine by one command.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::farm::now;

/// Two processes and a broker start meanwhile, beside other tests.
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

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port left");
    listener.local_addr().expect("a listener has an address")
}

fn up(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simple-dist"));
    for variable in ["AMQP_URL", "AMQP_URL_FILE", "RABBITMQ_URL", "CLOUDAMQP_URL"] {
        command.env_remove(variable);
    }
    command.arg("up").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// What is answered to a plain request.
fn ask(at: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn call(at: SocketAddr) -> std::io::Result<String> {
    ask(
        at,
        "POST /api/v1/functions/fib/call HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 4\r\n\r\n[20]",
    )
}

#[tokio::test]
async fn up_tells_where_the_page_is_and_other_languages_call_there() {
    let page = free_address();
    let child = up(&["--listen", "127.0.0.1:0", "--page", &page.to_string()]).spawn().unwrap();
    let mut up = Up(child);
    let said = BufReader::new(up.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let told = format!("status page on http://{page}");
    assert!(said.into_iter().any(|line| line == told), "it tells the address");

    let begun = now();
    let answer = loop {
        match call(page) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => break answer,
            other => assert!(begun.elapsed() < START, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(answer.ends_with("\r\n\r\n6765"), "{answer}");
    let get = "GET / HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\nconnection: close\r\n\r\n";
    let html = ask(page, get).unwrap();
    assert!(html.contains("2 workers") && html.contains("fib@1"), "{html}");
}

#[test]
fn up_says_so_when_the_address_of_the_page_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut up = up(&["--listen", "127.0.0.1:0", "--page", &address]);
    let output = up.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address));
}
