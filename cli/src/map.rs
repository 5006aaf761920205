//! `simple-dist map`: a call for every value of a range, a file or stdin.
//!
//! ```text
//!  input (a thread reads) --> Run: calls in flight, values that wait for their turn --> stdout (a thread writes)
//! ```

mod input;
mod tally;

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::time::Instant;

use clap::Args;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::{Value, json};
use simple_dist_client::{Answer, CallError, Client, Dynamic, DynamicError, Ran};
use simple_dist_protocol::text;

use self::input::{Entry, Input};
use self::tally::Tally;
use crate::broker_args::Broker;
use crate::call;
use crate::exit::Failure;
use crate::interrupts::Interrupts;
use crate::output::{Writer, say};
use crate::policy::Policy;
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
  simple-dist map fib 0..45 --json            {\"index\":0,\"argument\":0,\"value\":0,\"ran\":..}
  simple-dist map fib ids.jsonl --wait        by workers alone, whatever is down meanwhile

Input is read as calls end, and may be endless; blank lines are skipped. A line that is no JSON, or
whose call fails, is named on stderr, or with --json told among the values; the others go on. On
SIGINT, SIGTERM, SIGHUP, or when nobody reads the values any more, calls under way are cancelled; a
second signal ends it at once.

Exit codes: 0 every call gave its value, 1 some did not, 2 usage, 74 stdout cannot be written;
128 and the signal's number if one ended it, 141 if nobody reads the values any more.")]
pub(crate) struct Options {
    /// The function: fib, or fib@1
    name: String,
    /// A range (0..45, 0..=45), a file of JSON values, one a line, or - for stdin
    #[arg(allow_hyphen_values = true)]
    values: String,
    #[command(flatten)]
    policy: Policy,
    /// Calls under way at once
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Prints values as they come, not in the order of their arguments
    #[arg(long)]
    unordered: bool,
    /// Prints one JSON object a line: index, argument, value or error, where it ran, how long it took
    #[arg(long)]
    json: bool,
    /// Ends at the first call without a value, with its exit code
    #[arg(long, overrides_with = "keep_going")]
    fail_fast: bool,
    /// Goes on after calls without a value, which is the default
    #[arg(long, overrides_with = "fail_fast")]
    keep_going: bool,
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
    let client = options.policy.client(&options.broker)?;
    let progress = progress(&input);
    let mut run = Run {
        function: options.policy.of(call::dynamic(&client, &options.name)?),
        client: client.clone(),
        progress: progress.clone(),
        begun: begun(),
        calls: FuturesUnordered::new(),
        ended: BTreeMap::new(),
        taken: 0,
        told: 0,
        largest: 1,
        unreached: None,
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
    let hint = match &run.unreached {
        Some(error) => {
            let Options { name, broker, .. } = &run.options;
            suggestion::hint(&client, error, name, &broker.prefix).await
        }
        None => None,
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
    /// The end of a call that may have gone to no worker.
    unreached: Option<CallError<DynamicError>>,
    tally: Tally,
}

/// One of the calls.
struct Which {
    number: u64,
    /// For people.
    name: String,
    /// Where it was read, if that has lines, and what: for programs.
    line: Option<u64>,
    argument: Option<Value>,
}

/// A call that has ended: which, and how.
struct Called {
    which: Which,
    ended: Result<Answer<Value>, CallError<DynamicError>>,
}

/// What is to be told of it.
enum Ended {
    Value(String),
    /// And the line that says so, if programs read it.
    Failed(Failure, Option<String>),
}

impl Which {
    /// What is told of it to programs.
    fn told(&self, mut of: Value) -> Value {
        of["index"] = json!(self.number);
        let argument = self.argument.clone();
        for (key, value) in [("line", self.line.map(Value::from)), ("argument", argument)] {
            if let Some(value) = value {
                of[key] = value;
            }
        }
        of
    }
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
        let Entry { name, line, size, argument } = entry;
        let number = self.taken;
        let mut which = Which { number, name, line, argument: None };
        self.taken += 1;
        self.largest = self.largest.max(size);
        match argument {
            Ok(argument) => {
                which.argument = self.options.json.then(|| argument.clone());
                let call = self.function.call(argument).detailed();
                self.calls.push(Box::pin(async move { Called { which, ended: call.await } }));
            }
            Err(problem) => {
                let ended = self.failed(&which, Failure::usage(problem));
                self.ended.insert(number, ended);
            }
        }
    }

    fn note(&mut self, called: Called) {
        let Called { which, ended } = called;
        let number = which.number;
        let ended = match ended {
            Ok(answer) => self.value(&which, &answer),
            Err(error) => {
                if suggestion::may_be_unreached(&error) {
                    self.unreached.get_or_insert_with(|| error.clone());
                }
                let failure = call::failure(error, &self.client, &self.options.broker.prefix);
                self.failed(&which, failure)
            }
        };
        if let Ended::Value(value) = &ended {
            self.largest = self.largest.max(value.len());
        }
        self.ended.insert(number, ended);
    }

    fn value(&mut self, which: &Which, answer: &Answer<Value>) -> Ended {
        let because = call::because(answer, &self.client, &self.options.broker.prefix);
        let told = match self.options.json {
            true => text::json(&which.told(call::as_json(answer, &because))),
            false => text::json(&answer.value),
        };
        match told {
            Ok(told) => {
                match answer.ran {
                    Ran::Remote { .. } => self.tally.remote += 1,
                    Ran::Coalesced { .. } | Ran::Memo { .. } => self.tally.shared += 1,
                    Ran::Local { .. } => *self.tally.local.entry(because).or_insert(0) += 1,
                }
                Ended::Value(told)
            }
            Err(error) => self.failed(which, Failure::function(error)),
        }
    }

    fn failed(&self, which: &Which, failure: Failure) -> Ended {
        let named = failure.of(&which.name);
        let told = self.options.json.then(|| {
            let told = which.told(json!({"error": named.message()}));
            text::json(&told).unwrap_or_default()
        });
        Ended::Failed(named, told)
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
                Ended::Failed(failure, told) => {
                    self.tally.failed += 1;
                    self.progress.set_message(format!(", {} failed", self.tally.failed));
                    let is_told = told.is_some();
                    if let Some(told) = told
                        && !writer.line(told).await
                    {
                        return Ok(false);
                    }
                    if self.options.fail_fast && !self.options.keep_going {
                        return Err(failure);
                    }
                    if !is_told {
                        self.progress.suspend(|| failure.say());
                    }
                }
            }
        }
        Ok(true)
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell's clock")]
fn begun() -> Instant {
    Instant::now()
}

fn progress(input: &Input) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (progress, template) = match input.count() {
        Some(count) => {
            (ProgressBar::new(count), "{bar:40} {pos} of {len}{msg}, {rate}, {eta} left")
        }
        None => (ProgressBar::no_length(), "{pos} done{msg}, {rate}"),
    };
    let style = ProgressStyle::with_template(template).expect("it is well-formed");
    progress.with_style(style.with_key("rate", |state: &ProgressState, to: &mut dyn fmt::Write| {
        let _written = write!(to, "{:.0}/s", state.per_sec());
    }))
}
