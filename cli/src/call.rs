//! `simple-dist call`: one call, its value on stdout, where it ran on stderr.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use futures_util::{Stream, StreamExt, future};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use simple_dist_client::{Answer, CallError, Client, Dynamic, DynamicError, Progress, Ran, Reason};
use simple_dist_demo::functions;
use simple_dist_link as link;
use simple_dist_protocol::{Erased, Selector, text};

use crate::broker_args::Broker;
use crate::exit::Failure;
use crate::interrupts::Interrupts;
use crate::output::{Writer, say};
use crate::policy::Policy;
use crate::suggestion;

/// Calls a function.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist call fib 20                     6765
  simple-dist call fib@1 20 --timeout 5s      only version 1, here after five seconds
  simple-dist call mandelbrot 0 80 24         several arguments
  simple-dist call echo '{\"$bytes\":\"AP8=\"}'   bytes, in base64
  simple-dist call fib 20 --json              value, where it ran, how long it took
  simple-dist call fib 20 --wait              by a worker, as soon as there is one
  simple-dist call fib 45 --deadline 2s       ended by then, whatever happens

The demo functions run here when no worker can be had; others then end with code 69. SIGINT, SIGTERM,
SIGHUP, or nobody reading stdout any more cancels the call; a second signal ends it at once.")]
pub(crate) struct Options {
    /// The function: fib, or fib@1
    name: String,
    /// Its arguments, one JSON value each
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// Prints one JSON object with the value and where it came from
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    policy: Policy,
    #[command(flatten)]
    broker: Broker,
}

/// How much of a value is repeated in an error.
pub(crate) const SHOWN: usize = 60;

/// Calls it.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let arguments: Vec<Value> =
        options.arguments.iter().map(|text| argument(text)).collect::<Result<_, _>>()?;
    let mut interrupts = Interrupts::listen()?;
    let client = options.policy.client(&options.broker)?;
    let function = options.policy.of(dynamic(&client, &options.name)?);
    let mut call = function.call_args(&arguments);
    let progress = std::io::stderr().is_terminal().then(|| call.progress());
    let prefix = &options.broker.prefix;
    let ended = tokio::select! {
        (answered, ()) = future::join(call.detailed(), show(progress)) => Ok(answered),
        failure = interrupts.first() => Err(failure),
    };
    let ended = match ended {
        Ok(Ok(answer)) => {
            let because = because(&answer, &client, prefix);
            tokio::select! {
                told = tell(&answer, &because, options.json) => told,
                failure = interrupts.first() => Err(failure),
            }
        }
        Ok(Err(error)) => {
            let hint = suggestion::hint(&client, &error, &options.name, prefix).await;
            Err(failure(error, &client, prefix).with(hint.as_deref()))
        }
        Err(failure) => Err(failure.with_cancelled(1, client.problem().is_none())),
    };
    interrupts.leave(client.close()).await;
    ended
}

/// Shows how far a call is, if its function says so, until it ends.
async fn show(progress: Option<impl Stream<Item = Progress> + Unpin>) {
    let Some(mut progress) = progress else { return };
    let style = ProgressStyle::with_template("{bar:40} {percent} % {msg}");
    let bar = ProgressBar::new(1000).with_style(style.expect("it is well-formed"));
    while let Some(Progress { fraction, text }) = progress.next().await {
        bar.set_position((fraction * 1000.0) as u64);
        bar.set_message(text::line(&text, SHOWN).to_string());
    }
    bar.finish_and_clear();
}

async fn tell(answer: &Answer<Value>, because: &str, json: bool) -> Result<(), Failure> {
    let writer = Writer::start(ProgressBar::hidden())?;
    let value = if json { &as_json(answer, because) } else { &answer.value };
    writer.line(text::json(value).map_err(Failure::function)?).await;
    writer.finish().await?;
    if !json {
        say(origin(answer, because));
    }
    Ok(())
}

/// A call's failure, in the broker's words where it did not go to a worker.
pub(crate) fn failure(error: CallError<DynamicError>, client: &Client, prefix: &str) -> Failure {
    match error {
        CallError::Unavailable { reason } => {
            let why = why(reason, client.problem().as_ref(), prefix);
            Failure::unavailable(format_args!("unavailable: {why}"))
        }
        error => Failure::from(error),
    }
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

/// One argument of the command line.
fn argument(text: &str) -> Result<Value, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::usage("an argument is empty: an empty text is '\"\"'"));
    }
    parse(text.as_bytes()).map_err(|problem| {
        Failure::usage(format_args!("the argument {} is {problem}", text::line(text, SHOWN)))
    })
}

/// JSON, or what it is instead.
pub(crate) fn parse(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text)
        .map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to() + 1))?;
    let value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let problem = error.to_string();
        let problem = problem.trim_end_matches(&format!(" at line {line} column {column}"));
        let bare = text.trim_start().starts_with(char::is_alphabetic);
        let hint = if bare { "; text is quoted: '\"text\"'" } else { "" };
        format!("not JSON at column {column}: {problem}{hint}")
    })?;
    let digits = text.trim();
    let digits = digits.strip_prefix('-').unwrap_or(digits);
    match value {
        Value::Number(number)
            if number.is_f64() && digits.bytes().all(|it| it.is_ascii_digit()) =>
        {
            Err("beyond the integers that can be sent, -2^63 to 2^64 - 1".to_owned())
        }
        value => Ok(value),
    }
}

/// Why an answer was made here, if it was.
pub(crate) fn because(answer: &Answer<Value>, client: &Client, prefix: &str) -> String {
    match answer.ran {
        Ran::Remote { .. } | Ran::Coalesced { .. } | Ran::Memo { .. } => String::new(),
        Ran::Local { reason } => why(reason, client.problem().as_ref(), prefix),
    }
}

/// Why a call did not go to a worker, in the broker's words where it has said some.
pub(crate) fn why(reason: Reason, problem: Option<&link::Reason>, prefix: &str) -> String {
    match (reason, problem) {
        (Reason::NoDistributor, _) => {
            format!("{reason}, under the prefix {prefix} of this broker's vhost")
        }
        (
            Reason::NoConnection | Reason::Refused | Reason::Tls | Reason::Mismatch,
            Some(problem),
        ) => problem.to_string(),
        _ => reason.to_string(),
    }
}

/// Where an answer came from, for people.
fn origin(answer: &Answer<Value>, because: &str) -> String {
    let took = answer.took;
    match &answer.ran {
        Ran::Remote { worker, attempt: 1 } => {
            format!("from worker {}, {took:.1?}", worker.short())
        }
        Ran::Remote { worker, attempt } => {
            format!("from worker {}, attempt {attempt}, {took:.1?}", worker.short())
        }
        Ran::Coalesced { worker } => {
            format!("from worker {}, by the run of an equal call, {took:.1?}", worker.short())
        }
        Ran::Memo { worker, age } => {
            format!("kept for {age:.1?}, from worker {}, {took:.1?}", worker.short())
        }
        Ran::Local { .. } => format!("local ({because}), {took:.1?}"),
    }
}

/// The same, and the value, for programs.
pub(crate) fn as_json(answer: &Answer<Value>, because: &str) -> Value {
    let ran = match &answer.ran {
        Ran::Remote { worker, attempt } => {
            json!({"where": "worker", "worker": worker.to_string(), "attempt": attempt})
        }
        Ran::Coalesced { worker } => {
            json!({"where": "worker", "worker": worker.to_string(), "coalesced": true})
        }
        Ran::Memo { worker, age } => {
            let age = milliseconds(*age);
            json!({"where": "memo", "worker": worker.to_string(), "age_ms": age})
        }
        Ran::Local { .. } => json!({"where": "local", "reason": because}),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_json_is_reported_with_its_position() {
        for (text, problem) in [
            (&b"[1, x]"[..], "not JSON at column 5: expected value"),
            (b"twenty", "not JSON at column 2: expected ident; text is quoted: '\"text\"'"),
            (b"", "not JSON at column 0: EOF while parsing a value"),
            (b"20 30", "not JSON at column 4: trailing characters"),
            (b"\"\xff\"", "not UTF-8 at byte 2"),
            (b"-99999999999999999999", "beyond the integers that can be sent, -2^63 to 2^64 - 1"),
        ] {
            assert_eq!(parse(text), Err(problem.to_owned()));
        }
    }
}
