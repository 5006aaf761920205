//! What the status page, the API, the metrics and `simple-dist top` show: the views of
//! [`simple_dist_core`], a diagnosis, and how numbers are formatted.

mod builder;
pub(crate) mod format;
mod looks;
mod problems;
#[cfg(test)]
pub(crate) mod sample;

pub use simple_dist_core::view::*;

pub(crate) use builder::ViewBuilder;
pub(crate) use looks::{COLOURS, Looks};
pub(crate) use problems::{diagnose, placed_again, stale};
