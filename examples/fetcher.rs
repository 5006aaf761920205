//! An async function: it waits far more than it computes, so many run at once on one core, and a
//! call that nobody waits for any more is dropped where it stands.
//!
//! `cargo run --example fetcher`
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "as users write programs")]

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use simple_dist::testing::Cluster;
use simple_dist::{CallError, ErrorText, Function};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const FETCH: Function<String, String, ErrorText> = Function::new("fetch", 1);

async fn fetch(address: String) -> Result<String, ErrorText> {
    let mut stream = TcpStream::connect(address).await?; // an io::Error travels as its text
    stream.write_all(b"?").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A slow service of somebody's.
async fn service(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            stream.read_u8().await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
            stream.write_all(b"!").await
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let service = tokio::spawn(service(listener));

    let cluster = Cluster::start().serve_async(FETCH, fetch).await;
    let fetch = cluster.client().function(FETCH);
    let begun = Instant::now();
    let pages: Vec<String> = fetch.map(vec![address; 100]).in_flight(100).try_collect().await?;
    println!("{} pages of half a second each took {:.1?}", pages.len(), begun.elapsed());

    service.abort();
    match fetch.call("127.0.0.1:1".to_owned()).await {
        Err(CallError::Function(error)) => println!("nobody there: {error}"),
        other => panic!("nobody listens there: {other:?}"),
    }
    cluster.stop().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
