//! How calls of the command line wait and where they run: the options of `call` and `map`.

use std::time::Duration;

use clap::Args;
use simple_dist_client::{Dynamic, Fallback};

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
}

impl Policy {
    /// The function, called as was asked for.
    pub(crate) fn of(&self, function: Dynamic) -> Dynamic {
        let fallback = match (self.remote, self.wait) {
            (_, true) => Fallback::Wait,
            (true, false) => Fallback::Never,
            (false, false) => Fallback::WhenUnavailable,
        };
        let function = function.timeout(self.timeout).priority(self.priority).fallback(fallback);
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
