//! The binary `simple-dist`: every role of the service, and the tools around it.
//!
//! Reads the command line, starts logging, runs one command, and turns its result into an exit
//! code. Only this crate knows about the environment, signals and exit codes.

mod api;
mod bench;
mod broker_args;
mod call;
mod cancel;
mod children;
mod definitions;
mod demo;
mod exit;
mod healthcheck;
mod http;
mod interrupts;
mod isolation;
mod logs;
mod map;
mod output;
mod policy;
mod retry;
mod roles;
mod rollout;
mod setup;
mod suggestion;
mod top;
mod traces;
mod up;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use simple_dist_client::Entrance;
use simple_dist_demo::functions;

use crate::exit::Failure;
use crate::output::print;
use crate::traces::Traces;

/// Run pure functions on other machines; every call returns.
///
/// Start a broker (RabbitMQ), one `simple-dist distributor`, and a `simple-dist worker` on every
/// machine that should do work; then call.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the whole scenario in its own processes: a call, a crash, a fallback, a recovery
    Demo(demo::Options),
    /// Runs everything on this machine: an embedded broker, a distributor, demo workers
    Up(up::Up),
    /// Runs the embedded broker alone
    Broker(up::Broker),
    /// Accepts jobs, assigns them to workers, tracks them; any number may be on standby
    Distributor(roles::Distributor),
    /// Serves the demo functions: fib, primes, mandelbrot, sleep, echo, half, fail
    Worker(roles::Worker),
    /// Calls a function; prints its value, and on stderr where it ran
    Call(call::Options),
    /// Calls a function for each value of a range or file; prints the results in order
    Map(map::Options),
    /// Cancels jobs, by their ids or all that fit
    Cancel(cancel::Options),
    /// Runs failed jobs again
    Retry(retry::Options),
    /// Shows what workers, functions and jobs are doing now, in the terminal
    Top(top::Options),
    /// Measures calls against bare round trips through the same broker
    Bench(roles::Bench),
    /// Creates credentials for every role, and the RabbitMQ definitions to match
    Setup(setup::Setup),
    /// Prints a credential that `setup` created: a client's URL, the page's token
    Credentials(setup::Credentials),
    /// Reports by its exit code whether a service is alive: a container's health check
    Healthcheck(healthcheck::Options),
    /// Prints a shell's completion script
    #[command(
        after_help = "Example:\n  simple-dist completions bash > /etc/bash_completion.d/simple-dist"
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whose spans these are, in a trace.
    fn service_name(&self) -> &'static str {
        if matches!(self, Self::Distributor(_)) {
            "simple-dist-distributor"
        } else if matches!(self, Self::Worker(_)) {
            "simple-dist-worker"
        } else {
            "simple-dist"
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  simple-dist demo                         see it work
  simple-dist up                           everything on this machine
  simple-dist distributor                  in one terminal,
  simple-dist worker                       in another, on as many machines as you like,
  simple-dist call fib 20                  and call: 6765
  simple-dist call fib 40 --timeout 5s --json
  simple-dist map fib 0..45 --json
  simple-dist top                          watch it

The broker is AMQP_URL (then RABBITMQ_URL, CLOUDAMQP_URL; or a file named by AMQP_URL_FILE), by
default amqp://127.0.0.1:5672; `demo` and `up` start one if none is set. RUST_LOG sets
what is logged.

Exit codes: 0 done, 1 the function failed, 2 usage, 69 broker or worker unavailable, 70 the worker
was stuck, 74 stdout cannot be written, 75 timed out, 77 a token is required, 78 bad configuration;
128 plus the signal's number if one ended it, 141 if stdout was closed.";

fn main() -> ExitCode {
    let entrance = functions::all().into_iter().fold(Entrance::new(), Entrance::serve_erased);
    entrance.enter();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return tell(&told),
    };
    let service =
        matches!(cli.command, Command::Distributor(_) | Command::Worker(_) | Command::Broker(_));
    logs::start(service);
    // Sends the last spans when the command has ended.
    let _traces = match Traces::start(cli.command.service_name()) {
        Ok(traces) => traces,
        Err(failure) => return failure.report(),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::configuration(error).report(),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Prints the help, the version, or what is wrong with the command line.
fn tell(told: &clap::Error) -> ExitCode {
    let printed = told.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(error) if !told.use_stderr() => Failure::output(error).report(),
        Ok(()) | Err(_) => ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(2)),
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(options) => demo::run(options).await,
        Command::Up(options) => up::up(options).await,
        Command::Broker(options) => up::broker(options).await,
        Command::Distributor(options) => roles::distributor(options).await,
        Command::Worker(options) => roles::worker(options).await,
        Command::Call(options) => call::run(options).await,
        Command::Map(options) => map::run(options).await,
        Command::Cancel(options) => cancel::run(&options),
        Command::Retry(options) => retry::run(&options),
        Command::Top(options) => top::run(options).await,
        Command::Bench(options) => roles::bench(options).await,
        Command::Setup(options) => setup::setup(&options),
        Command::Credentials(options) => setup::credentials(&options),
        Command::Healthcheck(options) => healthcheck::run(options).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "simple-dist", &mut script);
            print(String::from_utf8_lossy(&script).trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
