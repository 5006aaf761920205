//! The distributor: takes jobs in, places them in pools, knows who runs what, answers clients.
//!
//! ```text
//!              deliveries             events                effects             publishes
//!  broker link ----------> [intake] ----------> Scheduler ----------> [wire]-- ----------> broker link
//!                             |                 (pure, in core)
//!                             +--> what cannot be understood: parked, counted
//! ```

mod builder;
mod desk;
mod intake;
mod page;
mod service;
pub mod view;
pub mod web;
mod wire;

pub use builder::{Builder, Distributor, Error};
pub use desk::{Desk, HttpCall, Refused};
