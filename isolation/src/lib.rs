//! Child processes that run jobs: the same binary, executed again, whose `main` comes to the same
//! place and finds that it is a child.
//!
//! ```text
//!   parent's thread                         child
//!   Child::start --exec, stdin = socket-->  main() .. reach(name) -> Parent
//!         <------------ ready ------------
//!   send ------------- frames ----------->  receive
//!   next <------------ frames ------------  Sender::send
//!        <-- stdout, stderr: one pipe ----
//!        <-- its end: pidfd --------------  exit, abort, SIGSEGV, SIGKILL ..
//! ```
//!
//! A child is one process group, which is killed as a whole when the child ends, and so is what has
//! left the group. It dies with the thread that started it. A child starts no children of its own: what it finds on its way to its
//! place that would is told so.
//!
//! Blocking input and output only, and nothing of the parent's waits for what a child could hold
//! up: a descendant that keeps its pipes or sockets open, or a child that reads nothing.

mod child;
mod death;
mod descendants;
mod frame;
mod output;
mod rlimits;
mod start;
mod waker;

pub mod inside;

/// In what jobs run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// On threads of the process itself: a job costs microseconds, cannot be stopped, and takes all
    /// others with it if it ends the process.
    #[default]
    Thread,
    /// In child processes, each of which runs one job at a time: the same program, started again. A
    /// job is killed at its deadline and when it is cancelled, and one that ends its process costs
    /// that alone.
    ///
    /// A child has the environment of its parent, but for the broker's credentials: a function that
    /// calls others takes a URL for that from a variable of its own.
    ///
    /// Not for tests: a test's program, started again, runs its tests.
    Process,
}

pub use child::{Child, Gone, Happening};
pub use death::Death;
pub use rlimits::Limits;
pub use start::{START_LIMIT, Spec, StartError};
pub use waker::Waker;
