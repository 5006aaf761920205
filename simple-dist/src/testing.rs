//! For tests of programs that call or serve functions: a broker, a distributor and a worker in the
//! test's own process, and a check that a function is pure.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use simple_dist_broker::{Broker, Handle};
use simple_dist_client::Client;
use simple_dist_distributor::Distributor;
use simple_dist_protocol::{
    Address, Argument, AsyncErased, Body, Erased, Failure, Function, PureFunction, codec,
};
use simple_dist_worker::Worker;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long the roles may take to come up, and to stop.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the worker waits at its end for a job that a test left behind.
const GRACE: Duration = Duration::from_secs(1);

/// A broker, a distributor and a worker in this process, of one test alone: tests beside each other
/// do not meet. Dropped, everything ends at once.
///
/// ```
/// use simple_dist::testing::Cluster;
/// use simple_dist::{Fallback, Function};
///
/// const REVERSED: Function<String, String> = Function::new("reversed", 1);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster =
///     Cluster::start().serve(REVERSED, |text: String| text.chars().rev().collect()).await;
/// let reversed = cluster.client().function(REVERSED);
/// assert_eq!(reversed.call("abc".to_owned()).fallback(Fallback::Never).await?, "cba");
/// cluster.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Cluster {
    shutdown: CancellationToken,
    roles: JoinSet<()>,
    broker: Handle,
    client: Client,
    served: Vec<Address>,
}

impl Cluster {
    /// A cluster; awaited, it is there and ready.
    pub fn start() -> Builder {
        Builder { functions: Vec::new(), async_functions: Vec::new(), slots: 2, async_slots: 128 }
    }

    /// A client of it, the same each time.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where its broker is, for clients and workers of one's own.
    pub fn url(&self) -> &str {
        self.broker.url()
    }

    /// Waits until everything that the cluster serves has a worker.
    ///
    /// # Panics
    /// When that takes 20 s.
    pub async fn ready(&self) {
        let ready = async {
            loop {
                let served: BTreeSet<Address> = self.client.served().await.into_iter().collect();
                if self.served.iter().all(|function| served.contains(function)) {
                    return;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, ready).await.expect("the cluster's worker serves its functions in time");
    }

    /// Stops every role, and waits for it.
    ///
    /// # Panics
    /// When a role has panicked, or does not stop.
    pub async fn stop(mut self) {
        self.client.close().await;
        self.shutdown.cancel();
        let stopped = async {
            while let Some(ended) = self.roles.join_next().await {
                ended.expect("a role does not panic");
            }
        };
        timeout(PATIENCE, stopped).await.expect("every role stops");
        self.broker.stop().await;
    }
}

/// What a [`Cluster`] serves. Awaited, it is a cluster.
#[derive(Debug)]
#[must_use = "a cluster starts when it is awaited"]
pub struct Builder {
    functions: Vec<Erased>,
    async_functions: Vec<AsyncErased>,
    slots: usize,
    async_slots: usize,
}

impl Builder {
    /// Serves a function, as a worker does.
    pub fn serve<A: Argument, R: Argument, E: Failure>(
        self,
        function: Function<A, R, E>,
        body: impl Body<A, R, E> + Send + Sync + 'static,
    ) -> Self {
        self.serve_erased(function.erased(body))
    }

    /// Serves a function with a state for each slot, as [`simple_dist_worker::Builder::serve_with`]
    /// does.
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
        self.functions.push(function);
        self
    }

    /// Serves a function by an async body, as a worker does.
    pub fn serve_async<A: Argument, R: Argument, E: Failure, F>(
        mut self,
        function: Function<A, R, E>,
        body: impl Fn(A) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = E::Return<R>> + Send + 'static,
    {
        self.async_functions.push(function.erased_async(body));
        self
    }

    /// How many async functions the worker runs at once: 128 by default.
    pub fn async_slots(mut self, slots: usize) -> Self {
        self.async_slots = slots;
        self
    }

    /// The worker's slots: 2 by default.
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    async fn start(self) -> Cluster {
        let broker = Broker::builder().start().await.expect("loopback has a port left");
        let (shutdown, mut roles) = (CancellationToken::new(), JoinSet::new());
        let threads = self.functions.iter().map(Erased::address);
        let tasks = self.async_functions.iter().map(AsyncErased::address);
        let served: Vec<Address> = threads.chain(tasks).cloned().collect();
        let distributor = Distributor::builder(broker.url());
        let until = shutdown.clone().cancelled_owned();
        roles.spawn(async { distributor.run(until).await.expect("its settings are usable") });
        let client = Client::connect(broker.url()).expect("the broker's URL is usable");
        // Who listens before the worker comes is told of it at once, and else with the next beat.
        timeout(PATIENCE, client.connected()).await.expect("the cluster's client connects in time");
        if !served.is_empty() {
            use simple_dist_worker::Builder;
            let worker = Worker::builder(broker.url()).slots(self.slots).grace(GRACE);
            let worker = self.functions.into_iter().fold(worker, Builder::serve_erased);
            let worker = worker.async_slots(self.async_slots);
            let worker = self.async_functions.into_iter().fold(worker, Builder::serve_erased_async);
            let until = shutdown.clone().cancelled_owned();
            roles.spawn(async { worker.run(until).await.expect("its settings are usable") });
        }
        let cluster = Cluster { shutdown, roles, broker, client, served };
        cluster.ready().await;
        cluster
    }
}

impl IntoFuture for Builder {
    type Output = Cluster;
    type IntoFuture = Pin<Box<dyn Future<Output = Cluster> + Send>>;

    /// Starts everything and waits until it is ready.
    ///
    /// # Panics
    /// When something cannot be started, such as two functions of one address.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

/// Checks that a value arrives as it is sent, also what its type does not write.
///
/// ```
/// simple_dist::testing::assert_travels(&(1, "one".to_owned()));
/// ```
///
/// # Panics
/// When it cannot be sent, or another value would arrive.
#[track_caller]
pub fn assert_travels<T: Argument + Debug + PartialEq>(value: &T) {
    let bytes = codec::encode_exact(value);
    let bytes = bytes.unwrap_or_else(|error| panic!("{value:?} cannot be sent: {error}"));
    let arrives = codec::decode(&bytes);
    let arrives: T = arrives.unwrap_or_else(|error| panic!("{value:?} does not arrive: {error}"));
    assert!(arrives == *value, "{value:?} is sent, {arrives:?} arrives");
}

/// Runs a function twice on each argument and compares what would travel.
///
/// ```
/// use simple_dist::testing::assert_pure;
/// use simple_dist::{Function, PureFunction};
///
/// const DOUBLE: PureFunction<u64, u64> = Function::pure("double", 1, |n| n * 2);
///
/// assert_pure(DOUBLE, [0, 1, u64::MAX / 2]);
/// ```
///
/// # Panics
/// When two runs on one argument give other bytes, or a value or an error cannot be sent.
#[track_caller]
pub fn assert_pure<A, R, E>(function: PureFunction<A, R, E>, arguments: impl IntoIterator<Item = A>)
where
    A: Argument + Clone + Debug,
    R: Argument,
    E: Failure,
{
    for argument in arguments {
        let run = || match E::into_result(function.run(argument.clone())) {
            Ok(value) => codec::encode_exact(&value).map(Ok),
            Err(error) => E::write(&error).map(Err),
        };
        let (one, other) = (run(), run());
        match (one, other) {
            (Ok(one), Ok(other)) => {
                assert!(one == other, "{function:?} gives two values for {argument:?}");
            }
            (Err(error), _) | (_, Err(error)) => {
                panic!("what {function:?} gives for {argument:?} cannot be sent: {error}")
            }
        }
    }
}
