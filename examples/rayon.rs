//! A program with threads and no runtime: calls that block, from rayon's own threads.
//!
//! `cargo run --example rayon`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use rayon::prelude::*;
use simple_dist::testing::Cluster;
use simple_dist::{Client, Function, PureFunction};

/// With its body: workers and callers can both run it.
const COLLATZ: PureFunction<u64, u32> = Function::pure("collatz", 1, steps);

fn steps(mut n: u64) -> u32 {
    let mut steps = 0;
    while n > 1 {
        n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
        steps += 1;
    }
    steps
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A cluster lives in a runtime; what calls it needs none.
    let runtime = tokio::runtime::Runtime::new()?;
    let cluster = runtime.block_on(async { Cluster::start().serve_pure(COLLATZ).await });
    let client = Client::connect(cluster.url())?;
    let collatz = client.function(COLLATZ);

    let longest = (1..500_u64)
        .into_par_iter()
        .map(|n| collatz.call(n).blocking().map(|steps| (steps, n)))
        .try_reduce(|| (0, 0), |one, other| Ok(one.max(other)))?;
    println!("{} takes {} steps", longest.1, longest.0);
    assert_eq!(longest, (143, 327));

    runtime.block_on(cluster.stop());
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
