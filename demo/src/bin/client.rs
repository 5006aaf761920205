//! A client of the demo's functions: what a user writes to call.
//!
//! ```text
//! AMQP_URL=amqp://localhost cargo run --release -p simple-dist-demo --bin client
//! ```
#![expect(clippy::print_stdout, reason = "it shows values")]

use std::env;
use std::time::Duration;

use anyhow::Context;
use futures_util::TryStreamExt;
use simple_dist_client::{Client, Ran};
use simple_dist_demo::{FIB, PRIMES};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://localhost".to_owned());
    let client = Client::connect(&url).context("the broker's URL")?;
    let fib = client.function(FIB);

    // A worker's value when one can be had, and this process's own when not.
    println!("fib(20) = {}", fib.call(20).await?);

    // Options of one call, and where it ran.
    let answer = fib.call(30).timeout(Duration::from_secs(5)).priority(9).detailed().await?;
    match answer.ran {
        Ran::Remote { worker, .. } => println!("fib(30) = {} from {worker}", answer.value),
        Ran::Local { reason } => println!("fib(30) = {} here: {reason}", answer.value),
    }

    // Many calls at once, their values in order.
    let mut values = client.function(PRIMES).map((1..=10).map(|n| n * 1_000)).ordered();
    while let Some(count) = values.try_next().await? {
        println!("{count} primes");
    }
    client.close().await;
    Ok(())
}
