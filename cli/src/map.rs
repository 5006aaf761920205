//! `simple-dist map`: a call for every value of a range or file, the values in order.

use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal, Read};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use simple_dist_client::Ran;

use crate::at::Broker;
use crate::call;
use crate::exit::Failure;
use crate::roles::parse_duration;

/// Calls a function for every value.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist map fib 0..45
  simple-dist map fib 0..=45 > values.txt
  simple-dist map primes numbers.jsonl        one JSON value a line
  seq 100 | simple-dist map fib -")]
pub(crate) struct Options {
    /// The function: fib, or fib@1
    name: String,
    /// A range (0..45, 0..=45), a file of JSON values, one a line, or - for stdin
    values: String,
    /// How long each call may wait for a worker's value
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    timeout: Duration,
    /// Calls under way at once
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    #[command(flatten)]
    broker: Broker,
}

/// Calls it for all of them.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let values = values(&options.values)?;
    let client = options.broker.client()?;
    let function = call::dynamic(&client, &options.name)?;
    let progress = progress(values.len());
    let begun = begun();
    let (mut remote, mut local) = (0_u64, BTreeMap::new());
    let calls = values.into_iter().map(|value| {
        let progress = progress.clone();
        let call = function.call(value).timeout(options.timeout).detailed();
        async move {
            let answer = call.await;
            progress.inc(1);
            answer
        }
    });
    let in_flight = usize::try_from(options.in_flight).map_err(Failure::usage)?;
    let mut answers = stream::iter(calls).buffered(in_flight);
    while let Some(answer) = answers.try_next().await? {
        match answer.ran {
            Ran::Remote { .. } => remote += 1,
            Ran::Local { reason } => *local.entry(reason.to_string()).or_insert(0) += 1,
        }
        progress.suspend(|| println!("{}", answer.value));
    }
    progress.finish_and_clear();
    client.close().await;
    eprintln!("{remote} from workers, {}, {:.1?}", said(&local), begun.elapsed());
    Ok(())
}

/// How many ran here, and why.
fn said(local: &BTreeMap<String, u64>) -> String {
    let all: u64 = local.values().sum();
    let mut reasons = local.iter();
    match (reasons.next(), reasons.next()) {
        (None, _) => "0 local".to_owned(),
        (Some((reason, _)), None) => format!("{all} local ({reason})"),
        _ => {
            let counted: Vec<_> =
                local.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
            format!("{all} local ({})", counted.join(", "))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell's clock")]
fn begun() -> Instant {
    Instant::now()
}

fn progress(count: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len}, {per_sec}, {eta} left")
        .expect("the template is well-formed");
    ProgressBar::new(u64::try_from(count).unwrap_or(u64::MAX)).with_style(style)
}

/// The values that a range stands for, or that a file holds.
fn values(text: &str) -> Result<Vec<Value>, Failure> {
    if let Some(range) = range(text) {
        return Ok(range.map(Value::from).collect());
    }
    let lines = if text == "-" {
        let mut lines = String::new();
        std::io::stdin().read_to_string(&mut lines).map_err(Failure::usage)?;
        lines
    } else {
        fs::read_to_string(text).map_err(|error| {
            Failure::usage(format_args!("{text} is no range like 0..45, and as a file: {error}"))
        })?
    };
    lines.lines().filter(|line| !line.trim().is_empty()).map(call::parse).collect()
}

fn range(text: &str) -> Option<Box<dyn Iterator<Item = i64>>> {
    let (first, last) = text.split_once("..")?;
    let first: i64 = first.parse().ok()?;
    match last.strip_prefix('=') {
        Some(last) => last.parse().ok().map(|last| Box::new(first..=last) as _),
        None => last.parse().ok().map(|end| Box::new(first..end) as _),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_calls_ran_here_is_said() {
        let said = |local: &[(&str, u64)]| {
            said(&local.iter().map(|&(reason, count)| (reason.to_owned(), count)).collect())
        };
        assert_eq!(said(&[]), "0 local");
        assert_eq!(said(&[("busy", 3)]), "3 local (busy)");
        assert_eq!(said(&[("busy", 3), ("late", 1)]), "4 local (busy: 3, late: 1)");
    }

    #[test]
    fn ranges_are_written_as_in_rust() {
        let count = |text| range(text).map(Iterator::count);
        assert_eq!(count("0..45"), Some(45));
        assert_eq!(count("0..=45"), Some(46));
        assert_eq!(count("-2..2"), Some(4));
        assert_eq!(count("../numbers"), None);
    }
}
