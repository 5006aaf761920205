//! How calls move to new versions of their functions, as a distributor is told.

use clap::Args;
use simple_dist_distributor::{Promotion, Rollout, Shadow};

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
    /// A function of which some calls also run as another one, in idle slots and for nobody, to compare
    /// the two on the page, such as fib@1=fib@2:5%. May be given several times, or with commas
    #[arg(
        long,
        value_name = "FUNCTION=FUNCTION[:SHARE]",
        env = "SIMPLE_DIST_SHADOW",
        value_delimiter = ','
    )]
    shadow: Vec<Shadow>,
}

impl Arguments {
    pub(crate) fn get(self) -> Result<Rollout, Failure> {
        Rollout::new(self.promote, self.shadow).map_err(Failure::configuration)
    }
}
