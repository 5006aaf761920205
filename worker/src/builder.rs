//! What a worker is told before it runs.

use std::fmt;
use std::future::pending;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use simple_dist_isolation::inside;
use simple_dist_link::environment::Environment;
use simple_dist_link::{BrokerUrl, Certificates, own_thread};
use simple_dist_protocol::topology::{QueueKind, Topology};
use simple_dist_protocol::{Argument, AsyncErased, Body, Erased, Failure, Function, PureFunction};

use crate::error::Error;
use crate::isolation::Isolated;
use crate::kind::Kind;
use crate::limits::{ASYNC_SLOTS_MAX, GRACE_MAX, SLOTS_MAX};
use crate::service::{Options, Service};

/// Async slots for each core, unless the program says otherwise.
const ASYNC_SLOTS: usize = 64;
/// What running jobs get when the worker is told to leave.
const GRACE: Duration = Duration::from_secs(30);
/// The stack of a slot's thread: as much as a program's first thread usually has.
const STACK: usize = 8 * 1024 * 1024;

/// A process that serves functions; see [`Worker::builder`].
#[derive(Debug)]
pub struct Worker(());

impl Worker {
    /// A worker configured by the environment: broker, certificates, prefix and slots. See
    /// [`environment`](simple_dist_link::environment) for the variables.
    ///
    /// # Errors
    /// [`Error::Environment`] if a variable is invalid.
    pub fn from_env() -> Result<Builder, Error> {
        let said = Environment::read()?;
        let mut builder = Self::builder(said.url).certificates(said.certificates);
        if let Some(prefix) = said.prefix {
            builder = builder.prefix(prefix);
        }
        if let Some(slots) = said.slots {
            builder = builder.slots(slots);
        }
        builder.isolated.by_default = said.isolated.unwrap_or_default();
        Ok(builder)
    }

    /// A worker for the broker at this URL.
    ///
    /// ```
    /// use simple_dist_protocol::{Function, PureFunction};
    /// use simple_dist_worker::Worker;
    ///
    /// const SQUARE: PureFunction<u64, u64> = Function::pure("square", 1, |n| n * n);
    ///
    /// let worker = Worker::builder("amqp://localhost").serve_pure(SQUARE).slots(4);
    /// ```
    pub fn builder(url: impl Into<String>) -> Builder {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Builder {
            url: url.into(),
            certificates: Certificates::new(),
            functions: vec![],
            slots: cores,
            async_functions: vec![],
            async_slots: cores.saturating_mul(ASYNC_SLOTS).min(ASYNC_SLOTS_MAX),
            grace: GRACE,
            grace_ends: Box::pin(pending()),
            exits_when_stuck: false,
            stack: STACK,
            prefix: "sd".to_owned(),
            host: None,
            isolated: Isolated::default(),
        }
    }
}

/// The settings of a worker; [`Builder::run`] starts it.
#[must_use = "a worker does nothing until it is run"]
pub struct Builder {
    url: String,
    certificates: Certificates,
    pub(crate) functions: Vec<Erased>,
    pub(crate) slots: usize,
    pub(crate) async_functions: Vec<AsyncErased>,
    pub(crate) async_slots: usize,
    grace: Duration,
    grace_ends: BoxFuture<'static, ()>,
    exits_when_stuck: bool,
    pub(crate) stack: usize,
    pub(crate) prefix: String,
    host: Option<String>,
    pub(crate) isolated: Isolated,
}

// By hand: the URL may contain a password.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("functions", &self.functions)
            .field("slots", &self.slots)
            .field("async_functions", &self.async_functions)
            .field("async_slots", &self.async_slots)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Serves a function by a body, which may hold what it needs: all slots share it.
    ///
    /// ```
    /// use simple_dist_protocol::Function;
    /// use simple_dist_worker::Worker;
    ///
    /// const LOOK_UP: Function<String, Option<u32>> = Function::new("look-up", 1);
    ///
    /// let table = std::collections::HashMap::from([("one".to_owned(), 1)]);
    /// let worker = Worker::builder("amqp://localhost")
    ///     .serve(LOOK_UP, move |word| table.get(&word).copied());
    /// ```
    ///
    /// The body of a function that can fail returns a `Result`:
    ///
    /// ```
    /// use simple_dist_protocol::Function;
    /// use simple_dist_worker::Worker;
    ///
    /// const HALF: Function<u64, u64, String> = Function::new("half", 1);
    ///
    /// let worker = Worker::builder("amqp://localhost")
    ///     .serve(HALF, |n| if n % 2 == 0 { Ok(n / 2) } else { Err(format!("{n} is odd")) });
    /// ```
    pub fn serve<A: Argument, R: Argument, E: Failure>(
        self,
        function: Function<A, R, E>,
        body: impl Body<A, R, E> + Send + Sync + 'static,
    ) -> Self {
        self.serve_erased(function.erased(body))
    }

    /// Serves a function by a body with a state, which each slot makes for itself before its first
    /// run, and anew after a panic: a loaded model, a compiled pattern, buffers.
    ///
    /// ```
    /// use simple_dist_protocol::Function;
    /// use simple_dist_worker::Worker;
    ///
    /// const SORTED: Function<Vec<u32>, Vec<u32>> = Function::new("sorted", 1);
    ///
    /// let worker = Worker::builder("amqp://localhost").serve_with(
    ///     SORTED,
    ///     || Vec::with_capacity(1024),
    ///     |buffer: &mut Vec<u32>, numbers| {
    ///         buffer.clear();
    ///         buffer.extend(numbers);
    ///         buffer.sort_unstable();
    ///         buffer.clone()
    ///     },
    /// );
    /// ```
    pub fn serve_with<S: 'static, A: Argument, R: Argument, E: Failure>(
        self,
        function: Function<A, R, E>,
        init: impl Fn() -> S + Send + Sync + 'static,
        body: impl Fn(&mut S, A) -> E::Return<R> + Send + Sync + 'static,
    ) -> Self {
        self.serve_erased(function.erased_with(init, body))
    }

    /// Serves a function that brings its body.
    pub fn serve_pure<A: Argument, R: Argument, E: Failure>(
        self,
        function: PureFunction<A, R, E>,
    ) -> Self {
        self.serve_erased(function.erased())
    }

    /// Serves a function without its types.
    pub fn serve_erased(mut self, function: Erased) -> Self {
        self.isolated.last = Some(function.address().clone());
        self.functions.push(function);
        self
    }

    /// Serves a function by an async body, which runs on the runtime that [`run`](Self::run) is
    /// awaited on, as one of many at once: for work that waits for others, not for the processor. A
    /// body that computes, or blocks its thread, holds up whatever else that runtime does, the
    /// worker's own connection included. While it awaits calls of its own, another runs in its async
    /// slot, up to [`ASYNC_LENT_MAX`](crate::ASYNC_LENT_MAX).
    ///
    /// It is dropped at its next `await` when the call is cancelled or its time has passed. What
    /// it panics with is the call's answer.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use simple_dist_protocol::Function;
    /// use simple_dist_worker::Worker;
    ///
    /// const FETCH: Function<String, u16> = Function::new("fetch", 1);
    ///
    /// let worker = Worker::builder("amqp://localhost").serve_async(FETCH, |url| async move {
    ///     tokio::time::sleep(Duration::from_millis(10)).await; // a request
    ///     if url.is_empty() { 404 } else { 200 }
    /// });
    /// ```
    ///
    /// To everybody else a program that serves both kinds is two workers: their slots are not the
    /// same, so neither are their queues.
    pub fn serve_async<A: Argument, R: Argument, E: Failure, F>(
        self,
        function: Function<A, R, E>,
        body: impl Fn(A) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = E::Return<R>> + Send + 'static,
    {
        self.serve_erased_async(function.erased_async(body))
    }

    /// Serves an async function without its types.
    pub fn serve_erased_async(mut self, function: AsyncErased) -> Self {
        self.isolated.last = Some(function.address().clone());
        self.async_functions.push(function);
        self
    }

    /// How many jobs of async functions run at once: 1 to [`ASYNC_SLOTS_MAX`], 64 for each core by
    /// default.
    pub fn async_slots(mut self, slots: usize) -> Self {
        self.async_slots = slots;
        self
    }

    /// How many jobs run at once, each on a thread: 1 to [`SLOTS_MAX`], as many as there are cores
    /// by default. Those of async functions are counted [apart](Self::async_slots).
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    /// How long running jobs may continue after the worker is told to stop, before they are returned:
    /// 30 s by default, at most [`GRACE_MAX`]. Stopping takes up to 4 s more.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Ends the grace period early: when this completes after the worker was told to stop, whatever
    /// still runs is returned at once. For a second signal:
    ///
    /// ```no_run
    /// # async fn example(worker: simple_dist_worker::Builder) -> Result<(), simple_dist_worker::Error> {
    /// use simple_dist_worker::shutdown_signal;
    ///
    /// let second = async {
    ///     shutdown_signal().await;
    ///     shutdown_signal().await;
    /// };
    /// worker.grace_until(second).run(shutdown_signal()).await
    /// # }
    /// ```
    pub fn grace_until(mut self, ends: impl Future<Output = ()> + Send + 'static) -> Self {
        self.grace_ends = Box::pin(ends);
        self
    }

    /// Whether the worker leaves, with [`Error::Stuck`], once half of its slots have run on for ten
    /// seconds for nobody: what runs on a thread cannot be stopped, and only an end of the process frees
    /// its slot. For a supervisor that starts it again. What other slots run ends first, within the
    /// [grace](Self::grace). No by default, and not needed where jobs run in processes of their own.
    pub fn exit_when_stuck(mut self, exits: bool) -> Self {
        self.exits_when_stuck = exits;
        self
    }

    /// The stack of each slot's thread, in bytes: 8 MiB by default.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack = bytes;
        self
    }

    /// The prefix of the installation's queues and exchanges: `sd` by default.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The CA to trust and the certificate to present over TLS, for an `amqps://` URL with the
    /// feature `tls`.
    pub fn certificates(mut self, certificates: Certificates) -> Self {
        self.certificates = certificates;
        self
    }

    /// The host shown to people: the system's host name by default.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.host = Some(name.into());
        self
    }

    /// Serves until `shutdown` ends, and then stops gracefully: takes no more jobs, hands
    /// back what has not begun, waits for what runs and for the confirms of its answers. Without
    /// a broker it goes on trying. Dropped, it leaves at once, which loses no job either.
    ///
    /// # Errors
    /// Only before it begins, if no child process can be started, or if it is stuck and was told to
    /// [exit](Self::exit_when_stuck) then; see [`Error`].
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        if !(1..=SLOTS_MAX).contains(&self.slots) {
            return Err(Error::Slots(self.slots));
        }
        if self.grace > GRACE_MAX {
            return Err(Error::Grace(self.grace));
        }
        if !(1..=ASYNC_SLOTS_MAX).contains(&self.async_slots) {
            return Err(Error::AsyncSlots(self.async_slots));
        }
        let topology = Topology::new(&self.prefix, QueueKind::Classic)?;
        if inside::is_child() {
            return self.run_in_child().await;
        }
        let url = BrokerUrl::new(&self.url, &self.certificates)?;
        let (host, grace) = (self.host.clone().unwrap_or_else(host_name), self.grace);
        let grace_ends = std::mem::replace(&mut self.grace_ends, Box::pin(pending())).shared();
        let (exits_when_stuck, shutdown) = (self.exits_when_stuck, shutdown.shared());
        let run = |Kind { functions, deterministic, memo, bodies, slots, lends }| {
            let options = Options {
                url: url.clone(),
                topology: topology.clone(),
                functions,
                deterministic,
                memo,
                bodies,
                slots,
                lends,
                grace,
                exits_when_stuck,
                host: host.clone(),
            };
            let grace_ends = grace_ends.clone();
            Box::pin(own_thread("worker", shutdown.clone(), move |shutdown| async move {
                let service = Service::start(options).map_err(Error::Threads)?;
                service.run(shutdown.cancelled(), grace_ends).await
            }))
        };
        let ended = try_join_all(self.kinds()?.into_iter().map(run)).await;
        ended.map_err(Error::Threads)?.into_iter().collect()
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: PureFunction<u64, u64> = Function::pure("one", 1, |n| n);

    async fn error(builder: Builder) -> Error {
        builder.run(std::future::ready(())).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_worker_without_functions_is_refused() {
        let error = error(Worker::builder("amqp://localhost")).await;
        assert!(matches!(error, Error::NoFunctions));
    }

    #[tokio::test]
    async fn two_functions_of_one_address_are_refused() {
        let error =
            error(Worker::builder("amqp://localhost").serve_pure(ONE).serve_pure(ONE)).await;
        assert!(matches!(error, Error::Twice(address) if address == ONE.address()));
    }

    #[tokio::test]
    async fn a_function_is_served_in_one_way_alone() {
        let twice = |worker: Builder| worker.serve_async(ONE.declaration(), std::future::ready);
        let worker = || Worker::builder("amqp://localhost");
        for builder in [twice(worker().serve_pure(ONE)), twice(twice(worker()))] {
            let error = error(builder).await;
            assert!(matches!(error, Error::Twice(address) if address == ONE.address()));
        }
    }

    #[tokio::test]
    async fn numbers_out_of_their_range_are_refused() {
        let builder = || Worker::builder("amqp://localhost").serve_pure(ONE);
        for slots in [0, SLOTS_MAX + 1, usize::MAX] {
            assert!(
                matches!(error(builder().slots(slots)).await, Error::Slots(said) if said == slots)
            );
        }
        for slots in [0, ASYNC_SLOTS_MAX + 1] {
            let error = error(builder().async_slots(slots)).await;
            assert!(matches!(error, Error::AsyncSlots(said) if said == slots));
        }
        assert!(matches!(error(builder().grace(Duration::MAX)).await, Error::Grace(Duration::MAX)));
    }

    #[tokio::test]
    async fn a_prefix_is_plain() {
        let error = error(Worker::builder("amqp://localhost").serve_pure(ONE).prefix("a.b")).await;
        assert!(matches!(error, Error::Prefix(_)));
    }

    #[test]
    fn the_machine_has_a_name_and_a_password_is_not_printed() {
        assert!(!host_name().is_empty());
        let builder = Worker::builder("amqp://user:secret@localhost");
        assert!(!format!("{builder:?}").contains("secret"));
    }
}
