//! The settings of a client.

use std::time::Duration;

use simple_dist_core::caller::CallOptions;
use simple_dist_isolation::Isolation;
use simple_dist_link::environment::Environment;
use simple_dist_link::{BrokerUrl, Certificates, Link};
use simple_dist_protocol::ClientId;
use simple_dist_protocol::topology::{QueueKind, Topology};

use super::{Client, cores, start};
use crate::options::options;
use crate::{ConnectError, Fallback, isolation, wire};

/// Settings of a [`Client`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct Builder {
    url: String,
    certificates: Certificates,
    prefix: Option<String>,
    name: String,
    local_slots: usize,
    isolation: Isolation,
    options: CallOptions,
}

impl Builder {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            certificates: Certificates::new(),
            prefix: None,
            name: "client".to_owned(),
            local_slots: cores(),
            isolation: Isolation::default(),
            options: CallOptions::default(),
        }
    }

    /// As the environment says.
    pub(super) fn of(said: Environment) -> Self {
        let isolation = if said.isolated_locally.unwrap_or_default() {
            Isolation::Process
        } else {
            Isolation::default()
        };
        let Environment { url, certificates, prefix, .. } = said;
        Self { certificates, prefix, isolation, ..Self::new(url) }
    }

    /// The installation's prefix, if it is not `sd`: `[a-z0-9_-]{1,32}`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Whom to trust and what to show over TLS, with an `amqps://` URL and the feature `tls`.
    pub fn certificates(mut self, certificates: Certificates) -> Self {
        self.certificates = certificates;
        self
    }

    /// What the client is called at the broker, for people: `client` by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    options!(options);

    /// How many functions run in this process at once: its cores by default. With 0 none ever
    /// does, as with [`Fallback::Never`](crate::Fallback::Never) at every call.
    pub fn local_slots(mut self, slots: usize) -> Self {
        self.local_slots = slots;
        self
    }

    /// In what functions run here: on threads by default, or in [processes](Isolation::Process) of
    /// their own, which [`Entrance`](crate::Entrance) lets into the program, for the functions named
    /// there.
    ///
    /// In a process of its own a function is killed when its call has ended: at its deadline, when it is
    /// dropped, when a worker answered first. One that ends its process costs that alone, and its call
    /// ends as [`Crashed`](crate::CallError::Crashed); so does what may have ended a worker before,
    /// which does not run on a thread: see [`Suspects`](crate::Suspects). Argument and value are
    /// written as on the way to a worker; an argument that cannot travel runs on a thread all the same.
    ///
    /// ```no_run
    /// use simple_dist_client::{Client, Entrance, Isolation};
    /// use simple_dist_protocol::{Function, PureFunction};
    ///
    /// const SQUARE: PureFunction<u64, u64> = Function::pure("square", 1, |n| n * n);
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     Entrance::new().serve_pure(SQUARE).enter(); // first of all
    ///     let client = Client::builder("amqp://localhost")
    ///         .local_isolation(Isolation::Process)
    ///         .connect()?;
    ///     println!("{}", client.function(SQUARE).call(4).blocking()?);
    ///     Ok(())
    /// }
    /// ```
    pub fn local_isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Begins to connect: see [`Client::connect`].
    ///
    /// # Errors
    /// [`ConnectError`], when the URL or the prefix is invalid, or the system starts no more threads.
    pub fn connect(self) -> Result<Client, ConnectError> {
        let Self { url, certificates, prefix, name, local_slots, isolation, options: defaults } =
            self;
        if isolation == Isolation::Process && !isolation::is_entered() {
            return Err(ConnectError::NoEntrance);
        }
        let url = BrokerUrl::new(&url, &certificates)?;
        let topology = match prefix {
            Some(prefix) => Topology::new(&prefix, QueueKind::Classic)?,
            None => Topology::default(),
        };
        let id = ClientId::new();
        let options = wire::options(url, id, topology.clone(), &name);
        start(id, topology, defaults, (local_slots, isolation), None, move || {
            let (link, events) = Link::start(options);
            (Some(link), events)
        })
    }
}
