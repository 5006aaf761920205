//! Why a worker does not run.

use std::io;
use std::time::Duration;

use simple_dist_isolation::StartError;
use simple_dist_link::UrlError;
use simple_dist_link::environment::EnvironmentError;
use simple_dist_protocol::Address;
use simple_dist_protocol::topology::PrefixError;

use crate::limits::{ASYNC_SLOTS_MAX, GRACE_MAX, SLOTS_MAX};

/// Why a worker cannot run, or ran no longer. Once it runs, no fault of the broker's ends it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A variable of the environment is invalid; fix its value.
    #[error("the environment cannot be used")]
    Environment(#[from] EnvironmentError),
    /// The broker's URL is invalid; fix it.
    #[error("the broker's URL cannot be used")]
    Url(#[from] UrlError),
    /// The prefix is invalid; fix it.
    #[error("the prefix cannot be used")]
    Prefix(#[from] PrefixError),
    /// There is nothing to serve; call [`serve`](crate::Builder::serve).
    #[error("there is no function to serve")]
    NoFunctions,
    /// Two functions have the same address; give one another name or version.
    #[error("two functions are called {0}")]
    Twice(Address),
    /// Slots out of their range: see [`slots`](crate::Builder::slots).
    #[error("a worker has 1 to {SLOTS_MAX} slots, not {0}")]
    Slots(usize),
    /// Async slots out of their range: see [`async_slots`](crate::Builder::async_slots).
    #[error("a worker has 1 to {ASYNC_SLOTS_MAX} async slots, not {0}")]
    AsyncSlots(usize),
    /// More grace than [`GRACE_MAX`].
    #[error("running jobs may go on for {GRACE_MAX:?} at most, not {0:?}")]
    Grace(Duration),
    /// An async function runs on its runtime, and cannot be
    /// [isolated](crate::Builder::isolated).
    #[error("{0} is async: it cannot run in a process of its own")]
    AsyncIsolated(Address),
    /// There is nothing that could be [isolated](crate::Builder::isolated).
    #[error("isolated() goes behind the function that it is for")]
    NothingIsolated,
    /// A child's `main` has come to its worker a second time; run each worker once.
    #[error("this process runs the jobs of its worker, and has come to it again")]
    ChildTwice,
    /// The system does not let a child run jobs.
    #[error("this process cannot run the jobs of its worker")]
    Child(#[source] io::Error),
    /// No child process could be started to run jobs.
    #[error("no child process can be started")]
    NoChild(#[source] StartError),
    /// Half of the slots or more ran jobs that nobody waited for, and that could not be stopped: see
    /// [`exit_when_stuck`](crate::Builder::exit_when_stuck).
    #[error("half of the slots or more ran on for nobody")]
    Stuck,
    /// The system cannot start more threads; use fewer slots, or smaller stacks.
    #[error("a slot's thread cannot be started")]
    Threads(#[source] io::Error),
}
