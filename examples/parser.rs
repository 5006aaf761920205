//! A function that can fail, with an error of its own: the caller gets it typed, and the page shows
//! it as failed.
//!
//! `cargo run --example parser`
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use simple_dist::testing::Cluster;
use simple_dist::{CallError, Function, PureFunction, Retry};

/// The third type is what it fails with.
const SUM: PureFunction<String, i64, ParseError> = Function::pure("sum", 1, sum);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum ParseError {
    Empty,
    NoNumber { line: usize, text: String },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is nothing to add"),
            Self::NoNumber { line, text } => write!(f, "line {line}: {text:?} is no number"),
        }
    }
}

impl std::error::Error for ParseError {}

fn sum(text: String) -> Result<i64, ParseError> {
    if text.is_empty() {
        return Err(ParseError::Empty);
    }
    let number = |(line, text): (usize, &str)| {
        let text = text.trim();
        text.parse::<i64>()
            .map_err(|_| ParseError::NoNumber { line: line + 1, text: text.to_owned() })
    };
    text.lines().enumerate().map(number).sum()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::start().serve_pure(SUM).await;
    let sum = cluster.client().function(SUM);

    println!("{}", sum.call("1\n2\n39".to_owned()).await?); // one `?` for all that can go wrong
    match sum.call("1\ntwo".to_owned()).await {
        Err(CallError::Function(error @ ParseError::NoNumber { line: 2, .. })) => {
            println!("{error}")
        }
        other => panic!("line 2 is no number: {other:?}"),
    }

    // Where another try may help, as with a file or a service that a function reads.
    let retry = Retry::times(2).backoff(Duration::from_millis(20));
    let end = sum.call(String::new()).retry(retry).await;
    assert_eq!(end, Err(CallError::Function(ParseError::Empty)));

    cluster.stop().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
