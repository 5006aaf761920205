//! The long-lived roles: each runs until it is stopped.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use simple_dist_demo::functions;
use simple_dist_distributor::{MEMO, Sharing};
use simple_dist_protocol::limits;
use simple_dist_protocol::topology::QueueKind;
use simple_dist_worker::{GRACE_MAX, SLOTS_MAX, is_child, shutdown_signal};

use crate::broker_args::Broker;
use crate::exit::Failure;
use crate::http::Http;
use crate::isolation::Isolation;
use crate::output::print;
use crate::{bench, children, healthcheck, rollout};

/// Accepts jobs, assigns them to pools of workers, answers clients.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist distributor
  AMQP_URL=amqp://dist:secret@broker.example:5672/jobs simple-dist distributor
  simple-dist distributor --queues quorum     on a RabbitMQ cluster
  SIMPLE_DIST_TOKEN_FILE=token simple-dist distributor --listen 0.0.0.0:8080

The page is at http://localhost:8080, and other languages call functions there:
  curl --json '[20]' localhost:8080/api/v1/functions/fib/call

Start a second one anywhere: it is on standby, and takes over when the active one is gone.")]
pub(crate) struct Distributor {
    #[command(flatten)]
    broker: Broker,
    /// How the broker keeps the shared queues
    #[arg(long, env = "SIMPLE_DIST_QUEUES", default_value = "classic")]
    queues: Queues,
    /// Show the first 120 characters of jobs' arguments on the page, in the API and in `top`
    #[arg(long, env = "SIMPLE_DIST_PREVIEW_ARGUMENTS", value_parser = FalseyValueParser::new())]
    preview_arguments: bool,
    /// Run slow jobs a second time where a slot is idle, at most so many in 100 runs; 0 for none
    #[arg(long, value_name = "PERCENT", env = "SIMPLE_DIST_HEDGE", default_value_t = 5,
        value_parser = clap::value_parser!(u8).range(0..=100))]
    hedge: u8,
    /// Run so many in 1,000 calls of deterministic functions once more where a slot is idle, and give a
    /// worker no more jobs whose answers differ from those of all others; 0 for none
    #[arg(long, value_name = "PERMILLE", env = "SIMPLE_DIST_CROSS_CHECK", default_value_t = 0,
        value_parser = clap::value_parser!(u16).range(0..=1000))]
    cross_check: u16,
    /// Let a draining worker end what it has just begun, rather than begin it elsewhere
    #[arg(long, env = "SIMPLE_DIST_KEEP_DRAINED", value_parser = FalseyValueParser::new())]
    keep_drained: bool,
    /// Whose equal calls of deterministic functions share runs and answers
    #[arg(long, env = "SIMPLE_DIST_SHARE", default_value = "all")]
    share: Share,
    /// A file that keeps the history of the last week over a restart, at most about 5 MB
    #[arg(long, value_name = "FILE", env = "SIMPLE_DIST_HISTORY")]
    history: Option<PathBuf>,
    #[command(flatten)]
    memo: Memo,
    #[command(flatten)]
    rollout: rollout::Arguments,
    #[command(flatten)]
    http: Http,
    #[command(flatten)]
    child: children::Child,
}

/// The answers that a distributor keeps.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Memo {
    /// The most bytes of kept answers, of functions declared with a memo; 0 for none
    #[arg(long = "memo", value_name = "BYTES", env = "SIMPLE_DIST_MEMO", default_value_t = MEMO)]
    pub(crate) bytes: usize,
}

/// Who shares runs and answers.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Share {
    /// Everybody
    All,
    /// Each login for itself
    User,
    /// Nobody: each call runs
    Off,
}

/// How the broker keeps the shared queues.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Queues {
    /// On one node
    Classic,
    /// On several nodes of a cluster
    Quorum,
}

/// Serves the demo functions.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist worker
  simple-dist worker --slots 8 --grace 60s
  simple-dist worker --memory 512 --cpu-time 1m    limits for each job's process
  simple-dist worker --isolation thread            jobs on threads: faster, and never killed

A worker of your own functions is ten lines: see the README.")]
pub(crate) struct Worker {
    #[command(flatten)]
    broker: Broker,
    /// Concurrent jobs; by default one for each core
    #[arg(long, env = "SIMPLE_DIST_SLOTS", value_parser = parse_slots, allow_hyphen_values = true)]
    slots: Option<usize>,
    /// How long running jobs may continue after SIGTERM; a second SIGTERM ends the wait
    #[arg(long, default_value = "30s", value_parser = parse_grace, allow_hyphen_values = true)]
    grace: Duration,
    #[command(flatten)]
    isolation: Isolation,
    /// Leave with exit code 70 once half of the slots have run on for 10 s for nobody, which jobs on
    /// threads can: so that a supervisor starts the worker again
    #[arg(long)]
    exit_when_stuck: bool,
    /// Also serve `abort`, which ends its process: to watch the recovery
    #[arg(long)]
    with_abort: bool,
    /// A file to touch while running, for `simple-dist healthcheck --file`
    #[arg(long, value_name = "PATH", env = "SIMPLE_DIST_HEALTH_FILE")]
    health_file: Option<PathBuf>,
    #[command(flatten)]
    child: children::Child,
}

/// Measures calls against bare round trips.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist bench                           everything, in about five minutes
  simple-dist bench --quick                   a tenth of the calls
  simple-dist bench --workload echo-1 --workload echo-10k
  simple-dist bench --embedded --json > figures.jsonl
  simple-dist bench --delay 40ms              as if the broker were in another town
  simple-dist bench --page --workers 4000     the status page, with 100,000 jobs queued

Starts its own distributor and worker, under its own prefix.")]
pub(crate) struct Bench {
    #[command(flatten)]
    broker: Broker,
    /// Start an embedded broker of its own for it
    #[arg(long)]
    embedded: bool,
    /// A tenth of the calls
    #[arg(long)]
    quick: bool,
    /// Only this one, by name; may be given several times
    #[arg(long, value_name = "NAME", value_parser = parse_workload)]
    workload: Vec<String>,
    /// Delay everything to and from the broker by so much, each way. What does it is part of this
    /// process, and counts as the client's processor time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    delay: Option<Duration>,
    /// Print one JSON object per line, as each is measured, instead of a table at the end
    #[arg(long)]
    json: bool,
    /// Measure the status page instead: workers that only beat, 200 functions, 100,000 jobs behind one
    /// busy slot, 10 open pages
    #[arg(long)]
    page: bool,
    /// How many such workers there are
    #[arg(long, value_name = "COUNT", requires = "page", default_value_t = 1000,
        value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
    /// Echo what comes to this queue, as the other end of the raw round trip
    #[arg(long, hide = true, value_name = "QUEUE")]
    raw_worker: Option<String>,
}

/// Runs a distributor until it is stopped.
pub(crate) async fn distributor(options: Distributor) -> Result<(), Failure> {
    options.child.bind_to_parent();
    let kind = match options.queues {
        Queues::Classic => QueueKind::Classic,
        Queues::Quorum => QueueKind::Quorum,
    };
    let mut distributor = simple_dist_distributor::Distributor::builder(options.broker.url()?)
        .certificates(options.broker.certificates()?)
        .prefix(&options.broker.prefix)
        .queues(kind)
        .preview_arguments(options.preview_arguments)
        .hedge(options.hedge)
        .cross_check(options.cross_check)
        .keep_drained(options.keep_drained)
        .memo(options.memo.bytes)
        .rollout(options.rollout.get()?)
        .sharing(match options.share {
            Share::All => Sharing::All,
            Share::User => Sharing::User,
            Share::Off => Sharing::Off,
        });
    if let Some(file) = options.history {
        distributor = distributor.history(file);
    }
    if let Some(settings) = options.http.settings()? {
        distributor = distributor.http(settings);
    }
    stoppable(async { distributor.run(shutdown_signal()).await.map_err(Failure::unusable) }).await
}

/// Runs a worker until it is stopped.
pub(crate) async fn worker(options: Worker) -> Result<(), Failure> {
    options.child.bind_to_parent();
    let mut worker = simple_dist_worker::Worker::builder(options.broker.url()?)
        .certificates(options.broker.certificates()?)
        .prefix(&options.broker.prefix)
        .grace(options.grace)
        .exit_when_stuck(options.exit_when_stuck);
    worker = options.isolation.apply(worker);
    if let Some(slots) = options.slots {
        worker = worker.slots(slots);
    }
    for function in functions::all() {
        worker = worker.serve_erased(function);
    }
    if options.with_abort {
        worker = worker.serve_pure(functions::ABORT);
    }
    let worker = worker.grace_until(second_signal());
    let serves = async {
        worker.run(shutdown_signal()).await.map_err(|error| match error {
            simple_dist_worker::Error::Stuck => Failure::stuck(error),
            error => Failure::unusable(error),
        })
    };
    // A child says nothing about the health of its parent.
    let health_file = options.health_file.filter(|_| !is_child());
    let Some(health_file) = health_file else { return serves.await };
    tokio::select! {
        ended = serves => ended,
        failure = healthcheck::touch(health_file) => Err(failure),
    }
}

/// Runs the benchmark and prints the figures.
pub(crate) async fn bench(options: Bench) -> Result<(), Failure> {
    let mut embedded = None;
    let url = if options.embedded {
        let (broker, url) = bench::start_broker().await.map_err(Failure::unavailable)?;
        embedded = Some(broker);
        url
    } else {
        options.broker.url()?
    };
    if !url.starts_with("amqp:") {
        return Err(Failure::configuration("the benchmark does not support TLS: use an amqp URL"));
    }
    if let Some(queue) = options.raw_worker {
        return bench::serve_raw(&url, &queue).await.map_err(Failure::unavailable);
    }
    if options.page {
        let figure = bench::run_page(&url, options.workers.into()).await;
        let figure = figure.map_err(Failure::unavailable)?;
        if options.json {
            return print(serde_json::to_string(&figure).map_err(Failure::function)?);
        }
        return print(bench::page_table(&figure));
    }
    let mut relay = None;
    let url = if let Some(delay) = options.delay {
        let started = bench::Relay::start(&url, delay).await.map_err(Failure::unavailable)?;
        relay.insert(started).url.clone()
    } else {
        url
    };
    let mut workloads = bench::all(options.quick);
    if !options.workload.is_empty() {
        workloads.retain(|workload| options.workload.iter().any(|name| name == workload.name));
    }
    let mut figures = vec![];
    let mut printed = Ok(());
    let tell = |figure| {
        if options.json && printed.is_ok() {
            let line = serde_json::to_string(&figure).map_err(Failure::function);
            printed = line.and_then(print);
        }
        figures.push(figure);
    };
    bench::run(&url, &workloads, tell).await.map_err(Failure::unavailable)?;
    drop((relay, embedded));
    printed?;
    if options.json { Ok(()) } else { print(bench::tables(&figures)) }
}

/// Stops a role gracefully at the first signal, immediately at the second.
async fn stoppable(role: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::select! {
        ended = role => ended,
        () = second_signal() => Err(Failure::function("stopped immediately at the second signal")),
    }
}

async fn second_signal() {
    shutdown_signal().await;
    shutdown_signal().await;
}

fn parse_workload(text: &str) -> Result<String, String> {
    let names: Vec<_> = bench::all(false).iter().map(|workload| workload.name).collect();
    let known = names.contains(&text).then(|| text.to_owned());
    known.ok_or_else(|| format!("the workloads are {}", names.join(", ")))
}

fn parse_slots(text: &str) -> Result<usize, String> {
    let slots = text.parse().ok().filter(|slots| (1..=SLOTS_MAX).contains(slots));
    slots.ok_or_else(|| format!("a worker has 1 to {SLOTS_MAX} slots (--slots, SIMPLE_DIST_SLOTS)"))
}

fn parse_grace(text: &str) -> Result<Duration, String> {
    let grace = parse_duration(text)?;
    let fits = grace <= GRACE_MAX;
    fits.then_some(grace).ok_or_else(|| "the grace time is at most 24h".to_owned())
}

/// Parses the timeout of a call.
pub(crate) fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text)?;
    let fits = !timeout.is_zero() && timeout <= limits::TIMEOUT_MAX;
    fits.then_some(timeout).ok_or_else(|| "a timeout is more than zero and at most 1h".to_owned())
}

/// Parses `1.5s`, `250ms`, `2m`, `1h`, or bare seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if text.starts_with('-') {
        return Err("a duration cannot be negative".to_owned());
    }
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{unit:?} is not one of ms, s, m, h")),
    };
    let number: f64 =
        number.parse().map_err(|_| "expected a duration like 250ms, 5s or 2m".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in [("250ms", 250), ("5s", 5000), ("1.5", 1500), ("2m", 120_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "-1s", "5 parsecs", "1e99999s", "s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_out_of_its_range_is_refused() {
        assert_eq!((parse_slots("1"), parse_slots("1024")), (Ok(1), Ok(1024)));
        for text in ["0", "1025", "-1", "1.5", "", "99999999999999999999"] {
            assert!(parse_slots(text).is_err(), "{text}");
        }
        assert_eq!(parse_timeout("1h"), Ok(Duration::from_secs(3600)));
        for text in ["0", "0ms", "61m", "-1s"] {
            assert!(parse_timeout(text).is_err(), "{text}");
        }
        assert_eq!(parse_grace("0"), Ok(Duration::ZERO));
        assert!(parse_grace("25h").is_err());
    }
}
