//! The handle to a client, and the thread behind it.

mod builder;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use simple_dist_core::caller::CallOptions;
use simple_dist_isolation::Isolation;
use simple_dist_link as link;
use simple_dist_link::Link;
use simple_dist_link::environment::Environment;
use simple_dist_protocol::topology::Topology;
use simple_dist_protocol::{Address, Argument, Callee, ClientId, Failure, JobId};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::builder::Builder;
use crate::actor::Actor;
use crate::dropped::Shared;
use crate::local::STACK;
use crate::new_call::NewCall;
use crate::stub::Stub;
use crate::{ConnectError, Handle, isolation};

/// Calls on their way to the client's thread: more wait in their callers.
const BEGINNING: usize = 4096;
/// How long the last handle, dropped, waits for the thread to take its leave of the broker.
const LEAVE: Duration = Duration::from_secs(1);

/// Calls functions on workers. Cheap to clone; the connection behind it, on a thread of its own,
/// lasts as long as there is a client, a handle or a call. The last of them, dropped, waits up to a
/// second for the thread to take its leave of the broker, though not inside a runtime:
/// [`close`](Self::close) is awaited there.
///
/// ```no_run
/// use simple_dist_client::Client;
/// use simple_dist_protocol::{Function, PureFunction};
///
/// const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, fib);
///
/// fn fib(n: u64) -> u64 {
///     if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("amqp://localhost")?;
/// let value = client.function(FIB).call(20).await?;
/// assert_eq!(value, 6765);
/// client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    begins: mpsc::Sender<NewCall>,
    shared: Arc<Shared>,
    problem: watch::Receiver<Option<link::Reason>>,
    served: watch::Receiver<Option<Vec<Address>>>,
    shutdown: CancellationToken,
    ended: CancellationToken,
    thread: Option<Running>,
    /// The defaults of its calls.
    options: CallOptions,
    /// In what functions run here.
    isolation: Isolation,
    /// Of a client without a broker: what would be its link's.
    _no_link: Option<mpsc::Sender<link::Event>>,
}

/// The client's thread. Its end shows as a closed channel.
#[derive(Debug)]
struct Running {
    id: ThreadId,
    end: Mutex<Receiver<()>>,
}

impl Client {
    /// Begins to connect, and goes on for ever. An unusable URL is the only error to expect: a
    /// broker that is not there makes calls run here.
    ///
    /// # Errors
    /// [`ConnectError`], when the URL is invalid or the system starts no more threads.
    pub fn connect(url: impl Into<String>) -> Result<Self, ConnectError> {
        Self::builder(url).connect()
    }

    /// A client without a broker: every call runs in this process, by the body that the function or
    /// [`Handle::locally`] brings. For unit tests of what calls functions.
    ///
    /// ```
    /// use simple_dist_client::Client;
    /// use simple_dist_protocol::{Function, PureFunction};
    ///
    /// const DOUBLE: PureFunction<u64, u64> = Function::pure("double", 1, |n| n * 2);
    ///
    /// let client = Client::local()?;
    /// assert_eq!(client.function(DOUBLE).call(21).blocking()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ConnectError::Thread`], when the system starts no more threads.
    pub fn local() -> Result<Self, ConnectError> {
        let (sender, events) = mpsc::channel(1);
        let problem = "this client has none".to_owned();
        let down = link::Reason::Unreachable { address: "no broker".to_owned(), problem };
        // It is empty, and takes one.
        let _taken = sender.try_send(link::Event::Down(down));
        let (id, topology) = (ClientId::new(), Topology::default());
        let options = CallOptions::default();
        let thread = Isolation::Thread;
        start(id, topology, options, (cores(), thread), Some(sender), move || (None, events))
    }

    /// A client as the environment says: the broker, certificates and the prefix. See
    /// [`environment`](simple_dist_link::environment) for the variables.
    ///
    /// ```no_run
    /// # use simple_dist_client::Client;
    /// let client = Client::from_env()?.connect()?;
    /// # Ok::<(), simple_dist_client::ConnectError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConnectError::Environment`], where a variable is of no use.
    pub fn from_env() -> Result<Builder, ConnectError> {
        Ok(Builder::of(Environment::read()?))
    }

    /// A client with other than the usual settings, and other defaults for its calls.
    ///
    /// ```no_run
    /// # use simple_dist_client::{Client, Fallback};
    /// let client = Client::builder("amqp://localhost").prefix("staging").local_slots(2).connect()?;
    /// let of_a_web_server = Client::builder("amqp://localhost").fallback(Fallback::Wait).connect()?;
    /// # Ok::<(), simple_dist_client::ConnectError>(())
    /// ```
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    /// A function to call: a [`Function`](simple_dist_protocol::Function) is run by workers alone, a
    /// [`PureFunction`](simple_dist_protocol::PureFunction) in this process too, when no worker can be
    /// had. See [`Handle::locally`] for a body of one's own.
    pub fn function<A: Argument, R: Argument, E: Failure>(
        &self,
        function: impl Callee<A, R, E>,
    ) -> Handle<A, R, E> {
        let declaration = function.declaration();
        declaration.warn_of_hidden_errors();
        let stub = match function.body() {
            Some(body) => {
                let isolated = self.isolates(&declaration.address());
                Stub::typed(declaration, body).isolated(isolated)
            }
            None => Stub::named(declaration.address().into()),
        };
        Handle::new(self.clone(), declaration, Arc::new(stub))
    }

    /// Why there is no connection, if there is none: for people, since a client goes on trying.
    pub fn problem(&self) -> Option<link::Reason> {
        self.inner.problem.borrow().clone()
    }

    /// Waits until the client is connected to the broker, however long that takes, or is closed; for ever
    /// if it is a [`local`](Self::local) one. Calls need not wait for it.
    pub async fn connected(&self) {
        let mut problem = self.inner.problem.clone();
        // What it says before the first change is not known yet.
        while problem.changed().await.is_ok() && problem.borrow_and_update().is_some() {}
    }

    /// The functions that live workers serve, as the distributor says every second. Waits for its
    /// first word, which without a connection never comes.
    pub async fn served(&self) -> Vec<Address> {
        let mut served = self.inner.served.clone();
        let told = served.wait_for(Option::is_some).await;
        // A client that was closed hears nothing any more.
        told.ok().and_then(|served| served.clone()).unwrap_or_default()
    }

    /// Ends the client, whoever else has a handle to it: calls in flight end as
    /// [`Closed`](crate::CallError::Closed), their jobs are cancelled, and the connection is
    /// closed. Takes two seconds at most.
    pub async fn close(self) {
        self.inner.shutdown.cancel();
        self.inner.ended.cancelled().await;
    }

    pub(crate) fn options(&self) -> &CallOptions {
        &self.inner.options
    }

    /// Whether this function runs in a child when it runs here.
    pub(crate) fn isolates(&self, function: &Address) -> bool {
        self.inner.isolation == Isolation::Process && isolation::runs(function)
    }

    pub(crate) fn begins(&self) -> &mpsc::Sender<NewCall> {
        &self.inner.begins
    }

    pub(crate) fn drop_call(&self, id: JobId) {
        self.inner.shared.dropped.push(id);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown.cancel();
        let Some(running) = self.thread.take() else { return };
        if running.id == thread::current().id() || !may_wait() {
            return;
        }
        let end = running.end.into_inner().unwrap_or_else(PoisonError::into_inner);
        if end.recv_timeout(LEAVE) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the client takes long to leave; its thread goes on with it");
        }
    }
}

/// Whether this thread may wait: not where it may be one of a runtime's.
fn may_wait() -> bool {
    tokio::runtime::Handle::try_current().is_err()
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Starts the thread, its runtime and the task in it.
fn start(
    id: ClientId,
    topology: Topology,
    options: CallOptions,
    (local_slots, isolation): (usize, Isolation),
    no_link: Option<mpsc::Sender<link::Event>>,
    connect: impl FnOnce() -> (Option<Link>, mpsc::Receiver<link::Event>) + Send + 'static,
) -> Result<Client, ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ConnectError::Thread)?;
    let began = Instant::now();
    let (begin, begins) = mpsc::channel(BEGINNING);
    let (tell_problem, problem) = watch::channel(None);
    let (tell_served, served) = watch::channel(None);
    let (at_end, end) = std::sync::mpsc::channel::<()>();
    let (shutdown, ended) = (CancellationToken::new(), CancellationToken::new());
    let shared = Arc::new(Shared::default());
    let end_guard = (at_end, ended.clone().drop_guard());
    let actor = {
        let (shared, shutdown) = (Arc::clone(&shared), shutdown.clone());
        async move {
            let (link, events) = connect();
            let (problem, served) = (tell_problem, tell_served);
            let actor =
                Actor { id, topology, shared, begins, events, problem, served, local_slots, began };
            actor.run(shutdown).await;
            if let Some(link) = link {
                link.close().await;
            }
        }
    };
    let thread = thread::Builder::new()
        .name("simple-dist-client".to_owned())
        .stack_size(STACK) // arguments and values may be dropped there
        .spawn(move || live(&runtime, actor, end_guard))
        .map_err(ConnectError::Thread)?;
    let running = Running { id: thread.thread().id(), end: Mutex::new(end) };
    let thread = Some(running);
    let inner = Inner {
        begins: begin,
        shared,
        problem,
        served,
        shutdown,
        ended,
        thread,
        options,
        isolation,
        _no_link: no_link,
    };
    Ok(Client { inner: Arc::new(inner) })
}

/// The life of the client's thread; the guards tell of its end, even by a panic.
fn live(
    runtime: &Runtime,
    actor: impl Future<Output = ()>,
    _tell_end: (std::sync::mpsc::Sender<()>, DropGuard),
) {
    runtime.block_on(actor);
}

#[cfg(test)]
impl Client {
    /// A client without a broker: the test plays the link.
    pub(crate) fn with_link(events: mpsc::Receiver<link::Event>, local_slots: usize) -> Self {
        start(
            ClientId::new(),
            Topology::default(),
            CallOptions::default(),
            (local_slots, Isolation::Thread),
            None,
            move || (None, events),
        )
        .unwrap()
    }

    /// A client without anything behind it: the test sees what begins and what is dropped.
    pub(crate) fn detached() -> (Self, mpsc::Receiver<NewCall>, Arc<Shared>) {
        let (begin, begins) = mpsc::channel(BEGINNING);
        let shared = Arc::new(Shared::default());
        let inner = Inner {
            begins: begin,
            shared: Arc::clone(&shared),
            problem: watch::channel(None).1,
            served: watch::channel(None).1,
            shutdown: CancellationToken::new(),
            ended: CancellationToken::new(),
            thread: None,
            options: CallOptions::default(),
            isolation: Isolation::Thread,
            _no_link: None,
        };
        (Self { inner: Arc::new(inner) }, begins, shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_runtimes_threads_are_not_kept_waiting() {
        assert!(!may_wait());
        assert!(!tokio::task::spawn_blocking(may_wait).await.unwrap());
        assert!(thread::spawn(may_wait).join().unwrap());
    }
}
