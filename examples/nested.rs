//! Served functions that call others, in the same pool: a slot that waits for a call lends its place.
//!
//! `cargo run --example nested`
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "as users write programs")]

use simple_dist::testing::Cluster;
use simple_dist::{Client, Fallback, Function, Worker};

const FIB: Function<u64, u64> = Function::new("fib", 1);

/// Below this, calling costs more than computing.
const SMALL: u64 = 6;

fn fib(client: &Client, n: u64) -> u64 {
    if n < 2 {
        n
    } else if n < SMALL {
        fib(client, n - 1) + fib(client, n - 2)
    } else {
        let calls = client.function(FIB).map([n - 1, n - 2]).blocking();
        calls.sum::<Result<u64, _>>().expect("workers are there")
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::start().await;
    let client = cluster.client().clone();
    // Two slots: far fewer than there are calls that wait for others.
    let worker = Worker::builder(cluster.url()).slots(2).serve(FIB, move |n| fib(&client, n));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run(async { _ = stopped.await }));

    let client = Client::connect(cluster.url())?;
    let value = client.function(FIB).call(12).fallback(Fallback::Wait).await?;
    println!("fib(12) = {value}");
    assert_eq!(value, 144);

    _ = stop.send(());
    worker.await??;
    cluster.stop().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
