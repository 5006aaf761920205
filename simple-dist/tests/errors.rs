//! Functions that can fail, through a broker, a distributor and a worker.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use simple_dist::testing::Cluster;
use simple_dist::{CallError, ErrorText, Fallback, Function, PureFunction, Retry};

const PARSE: Function<String, u32, ParseError> = Function::new("parse", 1);
const READ: PureFunction<String, usize, ErrorText> = Function::pure("read", 1, read);
/// The same function by the declaration of who has not heard that it can fail.
const PARSE_BLINDLY: Function<String, u32> = Function::new("parse", 1);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum ParseError {
    Empty,
    NotADigit { at: usize, found: char },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is nothing to parse"),
            Self::NotADigit { at, found } => write!(f, "{found:?} at {at} is no digit"),
        }
    }
}

fn parse(text: &str) -> Result<u32, ParseError> {
    if let Some((at, found)) = text.char_indices().find(|(_, found)| !found.is_ascii_digit()) {
        return Err(ParseError::NotADigit { at, found });
    }
    text.parse().map_err(|_| ParseError::Empty)
}

fn read(path: String) -> Result<usize, ErrorText> {
    Ok(std::fs::read(path)?.len())
}

#[tokio::test]
async fn an_error_comes_back_as_it_is_from_a_worker_and_from_here() {
    let cluster = Cluster::start().serve(PARSE, |text| parse(&text)).serve_pure(READ).await;
    let client = cluster.client();
    let remote = client.function(PARSE);
    let local = simple_dist::Client::local().expect("it starts");
    let local = local.function(PARSE).locally(|text| parse(&text));
    for (parse, fallback) in [(remote, Fallback::Wait), (local, Fallback::default())] {
        let parsed = |text: &str| parse.call(text.to_owned()).fallback(fallback);
        assert_eq!(parsed("12").await, Ok(12));
        assert_eq!(parsed("").await, Err(CallError::Function(ParseError::Empty)));
        let wrong = parsed("1é").await;
        assert_eq!(wrong, Err(CallError::Function(ParseError::NotADigit { at: 1, found: 'é' })));
        assert_eq!(wrong.unwrap_err().to_string(), "the function failed: 'é' at 1 is no digit");
    }

    let missing = client.function(READ).call("/no/such/file".to_owned()).fallback(Fallback::Wait);
    let Err(CallError::Function(error)) = missing.await else { panic!("there is none") };
    assert!(error.as_str().contains("No such file"), "{error}");

    let untyped = client.dynamic("parse").expect("a name").call("x".into()).await;
    let Err(CallError::Function(error)) = untyped else { panic!("{untyped:?}") };
    assert_eq!(error.text, "'x' at 0 is no digit");
    assert_eq!(error.error["NotADigit"]["found"], "x");

    let blind = client.function(PARSE_BLINDLY).call(String::new()).fallback(Fallback::Wait).await;
    let Err(CallError::BadValue { message }) = blind else { panic!("{blind:?}") };
    assert!(message.contains("there is nothing to parse"), "{message}");
    cluster.stop().await;
}

/// Gives the number of its run in this test, from that run on; before, it fails or panics.
const FLAKY: Function<(u32, bool), u32, String> = Function::new("flaky", 1);

fn flaky() -> impl Fn((u32, bool)) -> Result<u32, String> + Send + Sync {
    let runs = Arc::new(AtomicU32::new(0));
    move |(from, panics)| {
        let run = runs.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(!panics || run >= from, "run {run}");
        if run >= from { Ok(run) } else { Err(format!("run {run}")) }
    }
}

#[tokio::test]
async fn what_failed_is_tried_again_on_workers_as_often_as_its_caller_says() {
    let cluster = Cluster::start().serve(FLAKY, flaky()).await;
    let flaky = cluster.client().function(FLAKY).fallback(Fallback::Wait);
    let again = |times| Retry::times(times).backoff(Duration::from_millis(1));
    let failed = |run: u32| Err(CallError::Function(format!("run {run}")));
    assert_eq!(flaky.call((9, false)).await, failed(1));
    assert_eq!(flaky.call((9, false)).retry(again(2)).await, failed(4));
    assert_eq!(flaky.call((6, false)).retry(again(2)).await, Ok(6));
    let panicked = flaky.call((9, true)).retry(again(2)).await;
    assert_eq!(panicked, Err(CallError::Panicked { message: "run 7".to_owned() }));
    assert_eq!(flaky.call((9, true)).retry(again(2).on_panics()).await, Ok(9));
    let patient = flaky.retry(again(2));
    let values: Vec<_> = patient.map([(12, false), (0, false)]).in_flight(1).collect().await;
    assert_eq!(values, [Ok(12), Ok(13)]);
    cluster.stop().await;
}
