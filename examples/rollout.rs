//! A new version of a function, beside the old one: workers first, callers after them, and nobody
//! is ever without an answer.
//!
//! `cargo run --example rollout`
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "as users write programs")]

use simple_dist::testing::Cluster;
use simple_dist::{CallError, Client, Fallback, Function, Reason, Worker};

/// The same arguments give another value now: that is another version.
const PRICE_1: Function<u32, u32> = Function::new("price", 1);
const PRICE_2: Function<u32, u32> = Function::new("price", 2);

fn price_1(units: u32) -> u32 {
    units * 100
}

fn price_2(units: u32) -> u32 {
    units * if units < 10 { 100 } else { 90 }
}

async fn new_price(client: &Client, units: u32) -> Result<u32, CallError> {
    client.function(PRICE_2).call(units).fallback(Fallback::Never).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before: all workers serve version 1.
    let cluster = Cluster::start().serve(PRICE_1, price_1).await;
    let client = cluster.client();
    let early = new_price(client, 10).await;
    assert_eq!(early, Err(CallError::Unavailable { reason: Reason::NotServed }));
    println!("version 2 before its workers: {early:?}");

    // First the workers: each new one serves both, as long as anybody calls version 1.
    let new = Worker::builder(cluster.url()).serve(PRICE_1, price_1).serve(PRICE_2, price_2);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let new = tokio::spawn(new.run(async { _ = stopped.await }));
    while !client.served().await.contains(&PRICE_2.address()) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }

    // Then the callers, one after another. Those who have not changed yet notice nothing.
    println!("10 units, version 1: {}", client.function(PRICE_1).call(10).await?);
    println!("10 units, version 2: {}", new_price(client, 10).await?);

    _ = stop.send(());
    new.await??;
    cluster.stop().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
