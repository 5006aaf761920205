//! How calls move to new versions of their functions, as a distributor is told.

use clap::Args;
use simple_dist_distributor::{Promotion, Rollout};

use crate::exit::Failure;

/// How calls move to new versions.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The newest version that calls without a version go to, with their share if not all, such as
    /// fib@2:10%: the others go to the version below. May be given several times, or with commas; by
    /// default they go to the highest version served
    #[arg(
        long,
        value_name = "FUNCTION@VERSION[:SHARE]",
        env = "SIMPLE_DIST_PROMOTE",
        value_delimiter = ','
    )]
    promote: Vec<Promotion>,
}

impl Arguments {
    pub(crate) fn get(self) -> Result<Rollout, Failure> {
        Rollout::new(self.promote).map_err(Failure::configuration)
    }
}
