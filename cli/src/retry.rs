//! `simple-dist retry`: runs failed jobs again.

use std::time::Duration;

use clap::Args;
use simple_dist_protocol::JobId;

use crate::api::Distributor;
use crate::cancel::parse_id;
use crate::exit::Failure;
use crate::output::{print, say};
use crate::roles::parse_duration;

/// Runs failed jobs again, each as a new job, and prints their values.
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  simple-dist retry 0190163d8694739b9ecb1e6ffb4c5c2b
  curl -s localhost:8080/api/v1/failures | jq -r '.[].job' | xargs simple-dist retry

Functions are pure, so running one again is safe; its first caller has its answer and is not told. Of the
jobs that failed last the arguments are kept, up to 32 MiB, and none over a restart of the distributor.

The distributor wants its token: SIMPLE_DIST_TOKEN, or a file named by SIMPLE_DIST_TOKEN_FILE.

Exit codes: 1 a job failed again, or cannot be run again, 69 no distributor answers, 77 it wants a token
or another one, 78 unusable settings."#)]
pub(crate) struct Options {
    /// The jobs' ids
    #[arg(required = true, value_name = "ID", value_parser = parse_id)]
    ids: Vec<JobId>,
    /// How long each may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    distributor: Distributor,
}

/// Runs the command: every job is tried, and the last failure is the end.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let api = options.distributor.api()?;
    let mut ended = Ok(());
    for id in &options.ids {
        let path = format!("/api/v1/jobs/{id}/retry?timeout={}", options.timeout.as_secs_f64());
        match api.post_for_text(&path, options.timeout) {
            Ok(value) => {
                say(format_args!("{id} has a value now"));
                print(value)?;
            }
            Err(error) => api.go_on(&mut ended, id, error)?,
        }
    }
    ended
}
