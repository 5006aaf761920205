//! `simple-dist map`: a call for every value of a range, a file or stdin.
//!
//! ```text
//!  input (a thread reads) --> Run: calls in flight, values that wait for their turn --> stdout (a thread writes)
//! ```

mod input;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use simple_dist_client::{Answer, CallError, Client, Dynamic, DynamicError, Ran};
use simple_dist_protocol::text;

use self::input::{Entry, Input};
use crate::broker_args::Broker;
use crate::call;
use crate::exit::Failure;
use crate::interrupts::Interrupts;
use crate::output::{Writer, say};
use crate::roles::parse_timeout;
use crate::suggestion;

/// Calls a function for every value.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist map fib 0..45
  simple-dist map fib 0..=45 > values.txt
  simple-dist map primes numbers.jsonl        one JSON value a line
  seq 100 | simple-dist map fib -
  tail -f numbers | simple-dist map fib - --unordered

Input is read as calls end, and may be endless; blank lines are skipped. A line that is no JSON, or
whose call fails, is named on stderr, and the others go on. On SIGINT, SIGTERM, SIGHUP, or when
nobody reads the values any more, calls under way are cancelled; a second signal ends it at once.

Exit codes: 0 every call gave its value, 1 some did not, 2 usage, 74 stdout cannot be written;
128 and the signal's number if one ended it, 141 if nobody reads the values any more.")]
pub(crate) struct Options {
    /// The function: fib, or fib@1
    name: String,
    /// A range (0..45, 0..=45), a file of JSON values, one a line, or - for stdin
    #[arg(allow_hyphen_values = true)]
    values: String,
    /// How long each call may wait for a worker's value
    #[arg(long, default_value = "60s", value_parser = parse_timeout, allow_hyphen_values = true)]
    timeout: Duration,
    /// Calls under way at once
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Prints values as they come, not in the order of their arguments
    #[arg(long)]
    unordered: bool,
    /// Ends at the first call without a value, with its exit code
    #[arg(long)]
    fail_fast: bool,
    #[command(flatten)]
    broker: Broker,
}

/// The bytes that calls under way and values that wait for their turn may take, were each as large
/// as the largest yet. One call there always is.
const HELD: usize = 256 << 20;

/// Calls it for all of them.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let mut interrupts = Interrupts::listen()?;
    let mut input = Input::open(&options.values)?;
    let client = options.broker.client()?;
    let progress = progress(input.count());
    let mut run = Run {
        function: call::dynamic(&client, &options.name)?,
        client: client.clone(),
        progress: progress.clone(),
        begun: begun(),
        calls: FuturesUnordered::new(),
        ended: BTreeMap::new(),
        taken: 0,
        told: 0,
        largest: 1,
        unavailable: false,
        tally: Tally::default(),
        options,
    };
    let writer = Writer::start(progress.clone())?;
    let ended = tokio::select! {
        ended = run.all(&mut input, writer) => ended,
        failure = interrupts.first() => Err(failure),
    };
    progress.finish_and_clear();
    let cancelled = run.calls.len();
    run.calls.clear();
    let told = client.problem().is_none();
    let hint = match run.unavailable {
        true => suggestion::hint(&client, &run.options.name).await,
        false => None,
    };
    interrupts.leave(client.close()).await;
    ended.map_err(|failure| failure.with(hint.as_deref()).with_cancelled(cancelled, told))?;
    say(format_args!("{}, {:.1?}", run.tally.said(), run.begun.elapsed()));
    match run.tally.failed {
        0 => Ok(()),
        failed => {
            let failure = Failure::function(format_args!("{failed} of {} failed", run.told));
            Err(failure.with(hint.as_deref()))
        }
    }
}

/// All calls of one run.
struct Run {
    client: Client,
    options: Options,
    function: Dynamic,
    progress: ProgressBar,
    begun: Instant,
    calls: FuturesUnordered<BoxFuture<'static, Called>>,
    /// What has ended before its turn.
    ended: BTreeMap<u64, Ended>,
    /// How many values were taken from the input, and of how many the end was told.
    taken: u64,
    told: u64,
    /// The bytes of the largest argument or value.
    largest: usize,
    /// Whether a call could not go to any worker, and not run here.
    unavailable: bool,
    tally: Tally,
}

/// A call that has ended: which, and how.
struct Called {
    number: u64,
    name: String,
    ended: Result<Answer<Value>, CallError<DynamicError>>,
}

/// What is to be told of it.
enum Ended {
    Value(String),
    Failed(Failure),
}

impl Run {
    async fn all(&mut self, input: &mut Input, writer: Writer) -> Result<(), Failure> {
        let mut more = true;
        while more || !self.calls.is_empty() {
            tokio::select! {
                entry = input.next(), if more && self.has_room() => match entry? {
                    Some(entry) => self.begin(entry),
                    None => more = false,
                },
                Some(called) = self.calls.next() => self.note(called),
            }
            if !self.tell(&writer).await? {
                break;
            }
        }
        writer.finish().await
    }

    fn has_room(&self) -> bool {
        let held = self.calls.len() + self.ended.len();
        held < self.options.in_flight as usize && held * self.largest < HELD
    }

    fn begin(&mut self, entry: Entry) {
        let Entry { name, size, argument } = entry;
        let number = self.taken;
        self.taken += 1;
        self.largest = self.largest.max(size);
        match argument {
            Ok(argument) => {
                let call = self.function.call(argument).timeout(self.options.timeout).detailed();
                self.calls
                    .push(Box::pin(async move { Called { number, name, ended: call.await } }));
            }
            Err(problem) => {
                let failure = Failure::usage(format_args!("{name}: {problem}"));
                self.ended.insert(number, Ended::Failed(failure));
            }
        }
    }

    fn note(&mut self, called: Called) {
        let Called { number, name, ended } = called;
        let ended = match ended {
            Ok(Answer { value, ran, .. }) => {
                match ran {
                    Ran::Remote { .. } => self.tally.remote += 1,
                    Ran::Local { reason } => {
                        let why = call::why(reason, self.client.problem().as_ref());
                        *self.tally.local.entry(why).or_insert(0) += 1;
                    }
                }
                text::json(&value)
                    .map_or_else(|e| Ended::Failed(Failure::function(e)), Ended::Value)
            }
            Err(error) => {
                self.unavailable |= matches!(error, CallError::Unavailable { .. });
                Ended::Failed(Failure::from(error).of(&name))
            }
        };
        if let Ended::Value(value) = &ended {
            self.largest = self.largest.max(value.len());
        }
        self.ended.insert(number, ended);
    }

    /// Tells of what has ended and whose turn it is; false if nobody reads it any more.
    async fn tell(&mut self, writer: &Writer) -> Result<bool, Failure> {
        while let Some(next) = self.ended.first_entry()
            && (self.options.unordered || *next.key() == self.told)
        {
            let ended = next.remove();
            self.told += 1;
            self.progress.inc(1);
            match ended {
                Ended::Value(value) => {
                    if !writer.line(value).await {
                        return Ok(false);
                    }
                }
                Ended::Failed(failure) if self.options.fail_fast => return Err(failure),
                Ended::Failed(failure) => {
                    self.tally.failed += 1;
                    self.progress.suspend(|| failure.say());
                }
            }
        }
        Ok(true)
    }
}

/// Where calls ran.
#[derive(Debug, Default)]
struct Tally {
    remote: u64,
    /// By reason.
    local: BTreeMap<String, u64>,
    failed: u64,
}

impl Tally {
    fn said(&self) -> String {
        let remote = match self.remote {
            1 => "1 from a worker".to_owned(),
            remote => format!("{remote} from workers"),
        };
        let all: u64 = self.local.values().sum();
        let mut reasons = self.local.iter();
        let why = match (reasons.next(), reasons.next()) {
            (None, _) => String::new(),
            (Some((reason, _)), None) => format!(" ({reason})"),
            _ => {
                let counted = |(reason, count)| format!("{reason}: {count}");
                let counted: Vec<_> = self.local.iter().map(counted).collect();
                format!(" ({})", counted.join(", "))
            }
        };
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        format!("{remote}, {all} local{why}{failed}")
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell's clock")]
fn begun() -> Instant {
    Instant::now()
}

fn progress(count: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (progress, template) = match count {
        Some(count) => (ProgressBar::new(count), "{bar:40} {pos} of {len}, {per_sec}, {eta} left"),
        None => (ProgressBar::no_length(), "{pos} done, {per_sec}"),
    };
    progress.with_style(ProgressStyle::with_template(template).expect("it is well-formed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_and_why_calls_ran_is_said() {
        let said = |remote, local: &[(&str, u64)], failed| {
            let local = local.iter().map(|&(reason, count)| (reason.to_owned(), count)).collect();
            Tally { remote, local, failed }.said()
        };
        assert_eq!(said(1, &[], 0), "1 from a worker, 0 local");
        assert_eq!(said(2, &[("busy", 3)], 1), "2 from workers, 3 local (busy), 1 failed");
        let local = [("busy", 3), ("late", 1)];
        assert_eq!(said(0, &local, 0), "0 from workers, 4 local (busy: 3, late: 1)");
    }
}
