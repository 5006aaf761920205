//! `simple-dist top`: the status page in a terminal.
//!
//! ```text
//!  keys --------> +-----+ --draw--> terminal
//!  [poll] ------> | Top |
//!   |  ^  Fetched  +-----+ --Send--> [poll]      (one thread: asks, waits, asks again)
//!   v  |
//!  distributor's HTTP API
//! ```

mod data;
mod detail;
mod draw;
mod format;
mod plain;
#[cfg(test)]
mod sample;
mod screen;
mod state;
mod status;
mod table;
mod tables;

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use simple_dist_protocol::text;

use crate::api::Distributor;
use crate::exit::Failure;
use crate::output::print;
use crate::roles::parse_duration;
use data::Data;

/// The width of `--once` when stdout is not a terminal.
const WIDTH: usize = 160;

/// Shows in a terminal what workers, functions and jobs are doing now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist top
  simple-dist top --url http://distributor.example:8080 --interval 500ms
  simple-dist top --once                                     prints it once, as text
  simple-dist top --once --json | jq .status.books           for scripts
  SIMPLE_DIST_TOKEN_FILE=/run/secrets/token simple-dist top  can drain and resume workers

Press ? for the keys. NO_COLOR turns the colours off. A distributor that listens elsewhere than
on this machine wants its token for looking, too.

Exit codes: 69 no distributor answers, 77 it wants a token or another one, 78 unusable settings.")]
pub(crate) struct Options {
    #[command(flatten)]
    distributor: Distributor,
    /// How often to refresh, from 100ms to 1h
    #[arg(long, default_value = "1s", value_parser = parse_interval, allow_hyphen_values = true)]
    interval: Duration,
    /// Prints everything once
    #[arg(long)]
    once: bool,
    /// As one JSON object
    #[arg(long, requires = "once")]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let api = options.distributor.api()?;
    if !options.once {
        return screen::watch(api, options.interval).await;
    }
    let text = if options.json {
        text::json(&data::raw(&api)?).map_err(Failure::function)?
    } else {
        plain::text(&Data::fetch(&api)?, width())
    };
    print(text.trim_end())
}

fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return WIDTH;
    }
    ratatui::crossterm::terminal::size().map_or(WIDTH, |(columns, _)| usize::from(columns))
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    let bounds = Duration::from_millis(100)..=Duration::from_secs(3600);
    if bounds.contains(&interval) {
        Ok(interval)
    } else {
        Err("an interval must be 100ms to 1h".to_owned())
    }
}
