//! The distributor: accepts jobs, places them in pools, tracks which worker runs what, answers
//! clients.
//!
//! ```text
//!              deliveries             events                effects             publishes
//!  broker link ----------> [wire::decode] ----> Scheduler ----------> [wire] ------------> broker link
//!                             |                 (pure, in core)
//!                             +--> undecodable messages are parked and counted
//! ```

mod builder;
mod counters;
mod handle;
mod history;
mod operator;
mod page;
mod service;
pub mod view;
pub mod web;
mod wire;

pub use builder::{
    Builder, Distributor, Error, MEMO, Percent, Promotion, Rollout, RolloutError, Shadow, Sharing,
};
pub use handle::{Handle, HttpCall, Refused};
