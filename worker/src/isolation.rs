//! Jobs in processes of their own: what a builder is told of them.

use std::collections::BTreeSet;
use std::time::Duration;

use simple_dist_isolation::{Isolation, Limits, Spec, inside};
use simple_dist_link::environment;
use simple_dist_protocol::Address;

use crate::builder::Builder;

/// Whether this process is a child that was started to run a worker's jobs. Its `main` goes the way
/// to [`Builder::run`], and may leave out what only the worker itself should do, such as listening
/// on a port.
pub fn is_child() -> bool {
    inside::is_child()
}

/// What is run in processes of its own, and how.
#[derive(Debug, Default)]
pub(crate) struct Isolated {
    /// All sync functions.
    pub(crate) by_default: bool,
    /// These.
    pub(crate) chosen: BTreeSet<Address>,
    /// The function that was served last.
    pub(crate) last: Option<Address>,
    /// One was to be chosen before any was served.
    pub(crate) is_misplaced: bool,
    pub(crate) limits: Limits,
    pub(crate) recycle_after: Option<u32>,
    pub(crate) shares_output: bool,
}

impl Builder {
    /// In what the jobs of sync functions run: on threads by default, or in
    /// [processes](Isolation::Process) of their own, as by default in `simple-dist worker`. Async
    /// functions always run on the runtime.
    ///
    /// There is a process for each slot: the same program, started again, whose `main` comes to
    /// [`run`](Self::run) and runs jobs there. Whatever `main` does before is done in each child as
    /// well, within 5 s; what only the worker should do it may leave out where
    /// [`is_child`](crate::is_child) is true.
    ///
    /// ```no_run
    /// use simple_dist_protocol::{Function, PureFunction};
    /// use simple_dist_worker::{Isolation, Worker, shutdown_signal};
    ///
    /// const SQUARE: PureFunction<u64, u64> = Function::pure("square", 1, |n| n * n);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), simple_dist_worker::Error> {
    /// Worker::from_env()?
    ///     .isolation(Isolation::Process)
    ///     .memory(1 << 30)
    ///     .serve_pure(SQUARE)
    ///     .run(shutdown_signal())
    ///     .await
    /// # }
    /// ```
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolated.by_default = isolation == Isolation::Process;
        self
    }

    /// Runs the function that was served last in processes of its own, and the others as they are:
    /// to everybody else these are two workers, each with as many [slots](Self::slots).
    ///
    /// ```
    /// use simple_dist_protocol::{Function, PureFunction};
    /// use simple_dist_worker::Worker;
    ///
    /// const SQUARE: PureFunction<u64, u64> = Function::pure("square", 1, |n| n * n);
    /// const PARSE: PureFunction<String, u64> = Function::pure("parse", 1, |text| text.len() as u64);
    ///
    /// let worker = Worker::builder("amqp://localhost").serve_pure(SQUARE).serve_pure(PARSE).isolated();
    /// ```
    pub fn isolated(mut self) -> Self {
        self.isolated.is_misplaced |= self.isolated.last.is_none();
        self.isolated.chosen.extend(self.isolated.last.clone());
        self
    }

    /// The memory that a child process may have of its own, in bytes: its heap and stacks, and what
    /// it maps to write. Beyond it allocations fail, which ends the child as a rule. Not limited by
    /// default.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.isolated.limits.memory = Some(bytes);
        self
    }

    /// The processor time that one job in a child process may use, rounded up to seconds. Not
    /// limited by default, but by what its caller waits.
    pub fn cpu_time(mut self, most: Duration) -> Self {
        self.isolated.limits.cpu_time = Some(most);
        self
    }

    /// How many files, sockets and pipes a child process may have open. As many as the worker by
    /// default.
    pub fn open_files(mut self, most: u64) -> Self {
        self.isolated.limits.open_files = Some(most);
        self
    }

    /// Replaces a child process when it has run so many jobs: against leaks. Never by default.
    pub fn recycle_after(mut self, jobs: u32) -> Self {
        self.isolated.recycle_after = Some(jobs.max(1));
        self
    }

    /// Whether the last lines that jobs in child processes printed, at most 20 and the first 200 bytes
    /// of each, go to the distributors, which show them on the page of this worker. They may quote
    /// arguments, and everybody who may read the page can read them; so they do not by default. The
    /// worker's own log has them in any case.
    pub fn share_output(mut self, share: bool) -> Self {
        self.isolated.shares_output = share;
        self
    }
}

/// A child's environment: without credentials, but with a URL where programs want one.
pub(crate) fn spec() -> Spec {
    let (without, with) = environment::of_children();
    Spec { name: String::new(), without, with }
}
