//! `simple-dist cancel`: ends jobs that nobody should wait for any more.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use simple_dist_protocol::{ClientId, JobId, Selector, UserName};

use crate::api::{Api, Distributor};
use crate::exit::Failure;
use crate::output::say;

/// How long cancelling many may take: 100,000 take a few seconds.
const MANY: Duration = Duration::from_secs(30);

/// Cancels jobs, by their ids or all that fit: their callers get the error `Cancelled`.
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  simple-dist cancel 0190163d8694739b9ecb1e6ffb4c5c2b
  SIMPLE_DIST_TOKEN_FILE=/run/secrets/token simple-dist cancel ID --url http://distributor.example:8080
  simple-dist cancel --function fib@1 --queued       what of it has not started
  simple-dist cancel --user guest --dry-run          only say what would be cancelled
  simple-dist top --once --json | jq -r '.jobs[] | select(.state == "under_way") | .id' \
    | xargs simple-dist cancel

The id is on the page of the job, in the API and in the logs as job.id. A job that has not started is
never started. One that runs is asked to stop; what does not heed that, in a process of its own, is
killed a second later, and in a thread keeps its slot, shown as abandoned, until it returns.

The distributor wants its token: SIMPLE_DIST_TOKEN, or a file named by SIMPLE_DIST_TOKEN_FILE.

Exit codes: 1 a job has ended or is unknown, 69 no distributor answers, 77 it wants a token or another
one, 78 unusable settings."#)]
pub(crate) struct Options {
    /// The jobs' ids
    #[arg(required_unless_present_any = WHICH, conflicts_with_all = WHICH, value_name = "ID",
        value_parser = parse_id)]
    ids: Vec<JobId>,
    /// All jobs of this function: `fib@1`, or `fib` for all its versions
    #[arg(long, value_name = "NAME")]
    function: Option<Selector>,
    /// All jobs of this login
    #[arg(long, value_name = "LOGIN")]
    user: Option<UserName>,
    /// All jobs of this client
    #[arg(long, value_name = "ID")]
    client: Option<ClientId>,
    /// Of those only what has not started
    #[arg(long, conflicts_with = "ids")]
    queued: bool,
    /// Only say what would be cancelled
    #[arg(long, conflicts_with = "ids")]
    dry_run: bool,
    #[command(flatten)]
    distributor: Distributor,
}

/// What says which jobs, instead of their ids.
const WHICH: [&str; 3] = ["function", "user", "client"];

/// What was cancelled, or would be.
#[derive(Debug, Deserialize)]
struct Report {
    jobs: Vec<Affected>,
    cancelled: u64,
}

/// Jobs of one function.
#[derive(Debug, Deserialize)]
struct Affected {
    function: String,
    queued: u64,
    running: u64,
}

/// Runs the command: every job is tried, and the last failure is the end.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let api = options.distributor.api()?;
    if options.ids.is_empty() {
        return cancel_all(&api, options);
    }
    let mut ended = Ok(());
    for id in &options.ids {
        match api.post(&format!("/api/v1/jobs/{id}/cancel")) {
            Ok(()) => say(format_args!("{id} cancelled")),
            Err(error) => api.go_on(&mut ended, id, error)?,
        }
    }
    ended
}

/// Says what it is about to do, then does it.
fn cancel_all(api: &Api, options: &Options) -> Result<(), Failure> {
    let mut query = format!("queued={}", options.queued);
    let Options { function, user, client, .. } = options;
    let fields = [
        function.as_ref().map(|it| ("function", it.to_string())),
        user.as_ref().map(|it| ("user", it.to_string())),
        client.as_ref().map(|it| ("client", it.to_string())),
    ];
    for (name, value) in fields.into_iter().flatten() {
        query.push_str(&format!("&{name}={}", percent(&value)));
    }
    let ask = |dry: bool| -> Result<Report, Failure> {
        let path = format!("/api/v1/jobs/cancel?{query}&dry_run={dry}");
        let text = api.post_for_text(&path, MANY).map_err(|error| api.failure(error))?;
        serde_json::from_str(&text).map_err(Failure::configuration)
    };
    let meant = ask(true)?;
    for Affected { function, queued, running } in &meant.jobs {
        say(format_args!("{function}: {queued} queued, {running} running"));
    }
    let all: u64 = meant.jobs.iter().map(|of| of.queued + of.running).sum();
    if options.dry_run || all == 0 {
        say(format_args!("{all} jobs fit, none is cancelled"));
        return Ok(());
    }
    let cancelled = ask(false)?.cancelled;
    say(format_args!("{cancelled} of {all} jobs cancelled"));
    Ok(())
}

/// A value of a query: names of logins may contain anything.
fn percent(value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => (byte as char).to_string(),
        other => format!("%{other:02X}"),
    };
    value.bytes().map(byte).collect()
}

pub(crate) fn parse_id(text: &str) -> Result<JobId, String> {
    text.parse().map_err(|_| "a job's id has 32 hexadecimal digits".to_owned())
}
