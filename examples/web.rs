//! A web service that computes nothing itself: its requests wait for workers, and through an outage,
//! until their time is over.
//!
//! `cargo run --example web`
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "as users write programs")]

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Router, serve};
use simple_dist::client::Handle;
use simple_dist::testing::Cluster;
use simple_dist::{CallError, Fallback, Function};

const PRIMES: Function<u64, u64> = Function::new("primes", 1);

fn primes(below: u64) -> u64 {
    (2..below).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count() as u64
}

async fn count(
    State(primes): State<Handle<u64, u64>>,
    Path(below): Path<u64>,
) -> Result<String, (StatusCode, String)> {
    let count = primes.call(below).await.map_err(|error| {
        let status = match error {
            CallError::Timeout | CallError::Deadline => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        (status, error.to_string())
    })?;
    Ok(format!("{count}\n"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::start().serve(PRIMES, primes).await;

    // Said once, for every call of this handle.
    let handle =
        cluster.client().function(PRIMES).fallback(Fallback::Wait).timeout(Duration::from_secs(10));
    let service = Router::new().route("/primes/{below}", get(count)).with_state(handle);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async { serve(listener, service).await });

    // Whoever hangs up drops the future of the call, which cancels the job.
    let answer = fetch(address, "/primes/1000").await?;
    println!("{answer}");
    assert!(answer.ends_with("\r\n\r\n168\n"), "{answer}");
    server.abort();
    cluster.stop().await;
    Ok(())
}

/// A request as `curl` makes one.
async fn fetch(address: std::net::SocketAddr, path: &str) -> std::io::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[test]
fn it_runs() {
    main().unwrap();
}
