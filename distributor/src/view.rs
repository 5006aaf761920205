//! What the status page, the API, the metrics and `simple-dist top` show: the views of
//! [`simple_dist_core`], with what is wrong, and the words for it.

mod make;
mod problems;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod words;

pub use simple_dist_core::view::*;

pub(crate) use make::Maker;
pub(crate) use problems::{diagnose, placed_again, stale};
