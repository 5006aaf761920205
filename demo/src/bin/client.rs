//! A client that calls the demo's functions: `AMQP_URL=amqp://localhost cargo run --bin client`.
//! It prints the same without a broker, only more slowly.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::time::Duration;

use futures_util::TryStreamExt;
use serde_bytes::ByteBuf;
use simple_dist::{CallError, Client};
use simple_dist_demo::{ECHO, FAIL, FIB, MANDELBROT, PRIMES};

const WIDTH: u32 = 78;
const HEIGHT: u32 = 32;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?.connect()?;

    let fib = client.function(FIB);
    println!("fib(20) = {}", fib.call(20).await?);
    let answer = fib.call(30).timeout(Duration::from_secs(5)).detailed().await?;
    println!("fib(30) = {}, from {:?} in {:?}", answer.value, answer.ran, answer.took);

    let primes = client.function(PRIMES).call(100_000).priority(9).await?;
    println!("there are {primes} primes below 100000");
    let bytes = client.function(ECHO).call(ByteBuf::from("hello")).await?;
    println!("echo: {}", String::from_utf8_lossy(&bytes));

    let rows = (0..HEIGHT).map(|y| (y, WIDTH, HEIGHT));
    let mut picture = client.function(MANDELBROT).map(rows).in_flight(64).ordered();
    while let Some(row) = picture.try_next().await? {
        println!("{}", row.into_iter().map(shade).collect::<String>());
    }

    match client.function(FAIL).call("as it was told to".to_owned()).await {
        Err(CallError::Panicked { message, .. }) => println!("fail panicked: {message}"),
        other => println!("fail ended otherwise: {other:?}"),
    }
    Ok(())
}

fn shade(iterations: u16) -> char {
    match iterations {
        0..4 => ' ',
        4..8 => '.',
        8..16 => ':',
        16..64 => '*',
        _ => '#',
    }
}
