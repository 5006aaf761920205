//! `simple-dist call`: one call, its value on stdout, where it ran on stderr.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use simple_dist_client::{Answer, Client, Dynamic, Fallback, Ran};
use simple_dist_demo::functions;
use simple_dist_protocol::{Erased, Selector};

use crate::at::Broker;
use crate::exit::Failure;
use crate::roles::parse_duration;

/// Calls a function.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist call fib 20                     6765
  simple-dist call fib@1 20 --timeout 5s      only version 1, here after five seconds
  simple-dist call mandelbrot 0 80 24         several arguments
  simple-dist call echo '{\"$bytes\":\"AP8=\"}'   bytes, in base64
  simple-dist call fib 20 --json              value, where it ran, how long it took

The demo functions run here when no worker can be had; others then end with code 69.")]
pub(crate) struct Options {
    /// The function: fib, or fib@1
    name: String,
    /// Its arguments, one JSON value each
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// How long to wait for a worker's value; a run here then takes as long as it takes
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    timeout: Duration,
    /// Prints one JSON object with the value and where it came from
    #[arg(long)]
    json: bool,
    /// Never run it here
    #[arg(long)]
    remote: bool,
    #[command(flatten)]
    broker: Broker,
}

/// Calls it.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let arguments: Vec<Value> =
        options.arguments.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
    let client = options.broker.client()?;
    let function = dynamic(&client, &options.name)?;
    let fallback = if options.remote { Fallback::Never } else { Fallback::WhenUnavailable };
    let answered =
        function.call_args(&arguments).timeout(options.timeout).fallback(fallback).detailed().await;
    client.close().await;
    let answer = answered?;
    if options.json {
        println!("{}", as_json(&answer));
    } else {
        println!("{}", answer.value);
        eprintln!("{}", origin(&answer));
    }
    Ok(())
}

/// A function by its name, with the demo's own as the fallback.
pub(crate) fn dynamic(client: &Client, name: &str) -> Result<Dynamic, Failure> {
    let selector: Selector = name.parse().map_err(Failure::usage)?;
    let known =
        functions::all().into_iter().find(|known: &Erased| selector.matches(known.address()));
    match known {
        Some(function) => Ok(client.dynamic_with(function)),
        None => client.dynamic(name).map_err(Failure::usage),
    }
}

/// One argument.
pub(crate) fn parse(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::usage(format_args!(
            "the argument {text:?} is not JSON ({error}); text is quoted: '\"text\"'"
        ))
    })
}

/// Where an answer came from, for people.
pub(crate) fn origin(answer: &Answer<Value>) -> String {
    let took = answer.took;
    match &answer.ran {
        Ran::Remote { worker, attempt: 1 } => {
            format!("from worker {}, {took:.1?}", worker.short())
        }
        Ran::Remote { worker, attempt } => {
            format!("from worker {}, attempt {attempt}, {took:.1?}", worker.short())
        }
        Ran::Local { reason } => format!("local ({reason}), {took:.1?}"),
    }
}

fn as_json(answer: &Answer<Value>) -> Value {
    let ran = match &answer.ran {
        Ran::Remote { worker, attempt } => {
            json!({"where": "worker", "worker": worker.to_string(), "attempt": attempt})
        }
        Ran::Local { reason } => json!({"where": "local", "reason": reason.to_string()}),
    };
    json!({
        "value": answer.value,
        "ran": ran,
        "waited_ms": milliseconds(answer.waited),
        "took_ms": milliseconds(answer.took),
    })
}

/// To the microsecond, so that it prints as short as it is.
fn milliseconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}
