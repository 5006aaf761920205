//! Serve functions: a worker takes the jobs of its pool from the broker, runs them on threads of
//! its own and answers.
//!
//! ```text
//!   broker --deliveries--> Service --events--> Executor (pure: what is held, what is due)
//!          <--answers-----    |    <--effects--
//!                             +--runs--> Slots (threads, processes, tasks) --what they ran--> Service
//! ```
//!
//! ```no_run
//! use simple_dist_protocol::{Function, PureFunction};
//! use simple_dist_worker::{Worker, shutdown_signal};
//!
//! const SQUARE: PureFunction<u64, u64> = Function::pure("square", 1, |n| n * n);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), simple_dist_worker::Error> {
//! Worker::from_env()?.serve_pure(SQUARE).run(shutdown_signal()).await
//! # }
//! ```

mod broker_calls;
mod builder;
mod error;
mod inside;
mod isolation;
mod kind;
mod limits;
mod load;
mod registry;
mod service;
mod signal;
mod slots;
mod wire;

pub use builder::{Builder, Worker};
pub use error::Error;
pub use isolation::is_child;
pub use limits::{
    ASYNC_LENT_MAX, ASYNC_SLOTS_MAX, GRACE_MAX, ISOLATED_LENT_MAX, LENT_MAX, SLOTS_MAX,
};
pub use signal::shutdown_signal;
pub use simple_dist_isolation::Isolation;
pub use simple_dist_protocol::job;
