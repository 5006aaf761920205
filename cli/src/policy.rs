//! How calls of the command line wait and where they run: the options of `call` and `map`.

use std::time::Duration;

use clap::Args;
use simple_dist_client::{Client, Dynamic, Fallback};

use crate::broker_args::Broker;
use crate::exit::Failure;
use crate::isolation::Kind;
use crate::roles::{parse_duration, parse_timeout};

/// The policy of each call.
#[derive(Debug, Clone, Args)]
pub(crate) struct Policy {
    /// How long to wait for a worker's value; a run here then takes as long as it takes
    #[arg(long, default_value = "60s", value_parser = parse_timeout, allow_hyphen_values = true)]
    timeout: Duration,
    /// When a call ends at the latest, a run here included
    #[arg(long, value_name = "TIME", value_parser = parse_deadline, allow_hyphen_values = true)]
    deadline: Option<Duration>,
    /// Which jobs go first: 0 to 9, 9 first
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: u8,
    /// Never run it here
    #[arg(long)]
    remote: bool,
    /// Never run it here, and wait for a broker, a distributor and a worker until its time has passed
    #[arg(long, conflicts_with = "remote")]
    wait: bool,
    /// Run it here and on a worker at once: the first end wins
    #[arg(long, conflicts_with_all = ["remote", "wait"])]
    race: bool,
    /// Also run it here while workers are busy and cores here are idle: the first end wins
    #[arg(long, conflicts_with_all = ["remote", "wait"])]
    when_busy: bool,
    /// Run it by itself, though an equal call of a deterministic function runs already or was answered
    #[arg(long)]
    fresh: bool,
    /// In what it runs here: a process of its own, killed at the deadline or with what crashes it, where
    /// runs too what may have ended a worker; or a thread
    #[arg(
        long,
        env = "SIMPLE_DIST_LOCAL_ISOLATION",
        default_value = "thread",
        value_name = "KIND"
    )]
    local_isolation: Kind,
}

impl Policy {
    /// A client for such calls.
    pub(crate) fn client(&self, broker: &Broker) -> Result<Client, Failure> {
        broker.client(self.local_isolation.into())
    }

    /// The function, called as was asked for.
    pub(crate) fn of(&self, function: Dynamic) -> Dynamic {
        let fallback = match self {
            Self { remote: true, .. } => Fallback::Never,
            Self { wait: true, .. } => Fallback::Wait,
            Self { race: true, .. } => Fallback::Race,
            _ => Fallback::WhenUnavailable,
        };
        let function = function.timeout(self.timeout).priority(self.priority).fallback(fallback);
        let function = function.when_busy(self.when_busy);
        let function = if self.fresh { function.fresh() } else { function };
        match self.deadline {
            Some(deadline) => function.deadline(deadline),
            None => function,
        }
    }
}

fn parse_deadline(text: &str) -> Result<Duration, String> {
    let deadline = parse_duration(text)?;
    let fits = !deadline.is_zero();
    fits.then_some(deadline).ok_or_else(|| "a call's deadline is more than zero".to_owned())
}
