//! How a distributor is set up and run.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use simple_dist_link::{
    BrokerUrl, Certificates, Consume, Link, Options, Plan, UrlError, own_thread,
};
use simple_dist_protocol::topology::{Declaration, PrefixError, QueueKind, QueueSpec, Topology};
use simple_dist_protocol::{DistributorId, Generation, limits};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::handle::Handle;
use crate::history::{self, HistoryFile};
use crate::service::{Parts, Service, unix_now};
use crate::view::ViewBuilder;
use crate::web;
use crate::wire::decode::Source;
use simple_dist_core::scheduler::{Config, Hedging};
pub use simple_dist_core::scheduler::{
    MEMO, Percent, Promotion, Rollout, RolloutError, Shadow, Sharing,
};

/// Why a distributor cannot start. Once started, it runs until its shutdown future completes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker's URL is unusable.
    #[error("the broker's URL cannot be used")]
    Url(#[from] UrlError),
    /// The prefix is unusable.
    #[error("the prefix cannot be used")]
    Prefix(#[from] PrefixError),
    /// The settings of the page and the API are invalid.
    #[error(transparent)]
    Http(#[from] web::SettingsError),
    /// The page and the API cannot listen at this address.
    #[error("cannot listen on {address} ({reason}): use another address, or `none`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        reason: io::Error,
    },
    /// The thread that talks to the broker cannot be started, or has panicked.
    #[error("the distributor's thread failed")]
    Thread(#[source] io::Error),
}

/// A distributor: one is active, any number stand by.
#[derive(Debug)]
pub struct Distributor;

impl Distributor {
    /// A distributor on the broker at `url`.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder {
            url: url.into(),
            certificates: Certificates::new(),
            prefix: "sd".to_owned(),
            queues: QueueKind::Classic,
            preview: false,
            hedging: Hedging::default(),
            relief: true,
            sharing: Sharing::All,
            memo: MEMO,
            rollout: Rollout::default(),
            cross_check: 0,
            history: None,
            http: None,
        }
    }
}

/// A distributor's settings; [`run`](Self::run) starts it.
#[derive(Clone)]
pub struct Builder {
    url: String,
    certificates: Certificates,
    prefix: String,
    queues: QueueKind,
    preview: bool,
    hedging: Hedging,
    relief: bool,
    sharing: Sharing,
    memo: usize,
    rollout: Rollout,
    cross_check: u16,
    history: Option<PathBuf>,
    http: Option<web::Settings>,
}

// Written by hand: the URL contains a password.
impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("prefix", &self.prefix)
            .field("queues", &self.queues)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// The prefix of all names at the broker; `sd` by default.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The type of the shared queues; classic by default.
    #[must_use]
    pub fn queues(mut self, queues: QueueKind) -> Self {
        self.queues = queues;
        self
    }

    /// Whether the page shows the beginning of each job's arguments. Off by default: arguments may
    /// be confidential.
    #[must_use]
    pub fn preview_arguments(mut self, preview: bool) -> Self {
        self.preview = preview;
        self
    }

    /// The most extra runs of slow jobs, in percent of a function's runs: 5 by default, 0 for none. A
    /// job that runs for half as long again as 95 in 100 of the last runs of its function is placed a
    /// second time where a slot is idle; the first answer counts.
    #[must_use]
    pub fn hedge(mut self, percent: u8) -> Self {
        self.hedging.share = f64::from(percent.min(100)) / 100.0;
        self
    }

    /// Whether a draining worker ends what it runs. By default, what it has just begun is placed
    /// elsewhere at once, where a slot is idle and more of the run is left than is done.
    #[must_use]
    pub fn keep_drained(mut self, keep: bool) -> Self {
        self.relief = !keep;
        self
    }

    /// Whose equal calls of deterministic functions share runs and answers; everybody's by default.
    #[must_use]
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// The most bytes of kept answers, of functions whose workers have them kept
    /// (`Function::memo`): 64 MiB by default, 0 for none.
    #[must_use]
    pub fn memo(mut self, bytes: usize) -> Self {
        self.memo = bytes;
        self
    }

    /// How calls move to new versions of their functions; by default those without a version go to the
    /// highest one served. Distributors that stand by for each other have the same.
    #[must_use]
    pub fn rollout(mut self, rollout: Rollout) -> Self {
        self.rollout = rollout;
        self
    }

    /// How many in 1,000 calls of deterministic functions are run once more, where a slot is idle, to
    /// compare the answers: none by default. A worker whose answers differ from those of all others
    /// gets no more jobs, until an operator resumes it.
    #[must_use]
    pub fn cross_check(mut self, per_mille: u16) -> Self {
        self.cross_check = per_mille.min(1000);
        self
    }

    /// The certificates to trust and to present over TLS, for an `amqps://` URL and the feature
    /// `tls`.
    #[must_use]
    pub fn certificates(mut self, certificates: Certificates) -> Self {
        self.certificates = certificates;
        self
    }

    /// The file that keeps the history of the last week over a restart: written every five minutes and
    /// at the end, at most about 5 MB. Without one, the history begins with the process.
    #[must_use]
    pub fn history(mut self, file: impl Into<PathBuf>) -> Self {
        self.history = Some(file.into());
        self
    }

    /// Serves the page, the API and the metrics; off by default.
    #[must_use]
    pub fn http(mut self, settings: web::Settings) -> Self {
        self.http = Some(settings);
        self
    }

    /// Runs until `shutdown` completes, then closes the link, within two seconds. The next active
    /// distributor takes over unfinished jobs.
    ///
    /// # Errors
    ///
    /// Fails if the URL, the prefix or the HTTP settings are invalid, or if the HTTP address cannot
    /// be bound. A broker that cannot be reached is not an error: the link retries forever.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let url = BrokerUrl::new(&self.url, &self.certificates)?;
        let topology = Topology::new(&self.prefix, self.queues)?;
        let http = listen(self.http)?;
        let id = DistributorId::new();
        tracing::info!(distributor.id = %id, broker = %url, "starting");
        let view_builder = ViewBuilder::new(id, &self.prefix, &url);
        let options = Options {
            url,
            name: format!("simple-dist distributor {id}"),
            signed: false,
            plan: plan(topology.clone(), id),
        };
        let (view, views) = watch::channel(Arc::default());
        let (handle, requests) = Handle::open(views);
        let config = Config {
            preview: self.preview,
            hedging: self.hedging,
            relief: self.relief,
            sharing: self.sharing,
            memo: self.memo,
            rollout: self.rollout,
            cross_check: self.cross_check,
            unix: unix_now(),
            ..Config::new(id)
        };
        let history = history::read(self.history.as_deref(), unix_now());
        let history = (history, HistoryFile::at(self.history));
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        if let Some((listener, settings)) = http {
            tasks.spawn(web::serve(listener, settings, handle, stop.clone()));
        }
        let serves = own_thread("distributor", shutdown, move |shutdown| async move {
            let (link, events) = Link::start(options);
            let parts = Parts { topology, config, events, requests, view_builder, history, view };
            Box::pin(Service::new(parts).run(shutdown.cancelled())).await;
            // HTTP callers that were still waiting have just been answered.
            stop.cancel();
            link.close().await;
        });
        serves.await.map_err(Error::Thread)?;
        while tasks.join_next().await.is_some() {}
        tracing::info!(distributor.id = %id, "stopped");
        Ok(())
    }
}

fn listen(settings: Option<web::Settings>) -> Result<Option<(TcpListener, web::Settings)>, Error> {
    let Some(settings) = settings else { return Ok(None) };
    settings.check()?;
    let address = settings.listen;
    let listener = web::listen(&settings);
    let listener = listener.map_err(|reason| Error::Listen { address, reason })?;
    Ok(listener.map(|listener| (listener, settings)))
}

/// Every distributor consumes beats, presence and wills; only the active one consumes the rest.
fn plan(topology: Topology, id: DistributorId) -> Box<dyn Fn(Generation) -> Plan + Send + Sync> {
    Box::new(move |generation| {
        let (heard, seen) = (topology.heard(id, generation), topology.seen(id, generation));
        let wills = topology.wills(id, generation);
        let consume = |source: Source, queue: &QueueSpec| Consume {
            tag: source.tag(),
            queue: queue.name.clone(),
            prefetch: limits::LEADER_QUEUE_PREFETCH,
            exclusive: true,
        };
        let consumed = vec![
            consume(Source::Beats, &heard),
            consume(Source::Presence, &seen),
            consume(Source::Wills, &wills),
        ];
        let queues = [&heard, &seen, &wills].map(|queue| Declaration::Queue(queue.clone()));
        let mut declare = [queues.to_vec(), topology.shared()].concat();
        declare.push(topology.bound_to_beats(&heard));
        declare.push(topology.bound_to_presence(&seen));
        declare.push(topology.bound_to_wills(&wills));
        Plan { declare, consume: consumed }
    })
}
