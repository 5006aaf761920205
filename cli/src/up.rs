//! Everything on one machine: the embedded broker, alone or with a distributor and workers.

use std::convert::Infallible;
use std::time::Duration;

use clap::Args;
use simple_dist_broker as embedded;
use tokio::time::timeout;

use crate::exit::Failure;
use crate::isolation::Isolation;
use crate::output::{print, some};
use crate::roles::Memo;
use crate::{broker_args, children, http};
use simple_dist_worker::shutdown_signal;

/// Runs everything on this machine.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist up                            AMQP on 127.0.0.1:5672, the page on port 8080
  simple-dist up --workers 4 --listen 127.0.0.1:5673
  simple-dist up --workers 0                workers of your own: it prints what they need
  simple-dist call fib 30                   in another terminal

With AMQP_URL set, no broker is started and everything runs on that one. A process that is killed is
replaced.")]
pub(crate) struct Up {
    /// Workers of the demo's functions to start, each in its own process; 0 to 64
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(..=64))]
    workers: u8,
    #[command(flatten)]
    isolation: Isolation,
    /// Where the embedded broker listens
    #[arg(long, default_value = "127.0.0.1:5672", value_name = "ADDRESS")]
    listen: String,
    /// Where to serve the status page and the API; `none` for nowhere
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    page: http::Listen,
    #[command(flatten)]
    memo: Memo,
    #[command(flatten)]
    broker: broker_args::Broker,
}

/// Runs the embedded broker alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist broker                        on 127.0.0.1:5672, with the user guest
  SIMPLE_DIST_BROKER_PASSWORD_FILE=secret simple-dist broker --listen 0.0.0.0:5672 --user team

It is a real AMQP 0-9-1 broker, in memory: what it holds is gone when it stops. For more than one
machine, or to outlive a process, run RabbitMQ.")]
pub(crate) struct Broker {
    /// Where to listen; any address but loopback needs a password
    #[arg(long, default_value = "127.0.0.1:5672", value_name = "ADDRESS")]
    listen: String,
    /// The login, whose password is SIMPLE_DIST_BROKER_PASSWORD, or in the file named by
    /// SIMPLE_DIST_BROKER_PASSWORD_FILE
    #[arg(long)]
    user: Option<String>,
}

/// A role that ends sooner than this is not restarted: it would end again.
const MIN_UPTIME: Duration = Duration::from_secs(3);

const BANNER: &str = "an embedded broker: its messages are lost when this process stops";

/// Runs a broker, a distributor and workers until it is stopped.
pub(crate) async fn up(options: Up) -> Result<(), Failure> {
    let (url, files, own) = match options.broker.given()? {
        Some(url) => (url, options.broker.files, None),
        None => {
            let broker = embedded::Broker::builder().bind(&options.listen).start().await;
            let broker = broker.map_err(|error| not_started(&error))?;
            print(format_args!("{BANNER}\nAMQP on {}", broker.addr()))?;
            (broker.url().to_owned(), broker_args::Files::default(), Some(broker))
        }
    };
    options.page.is_free()?;
    let (prefix, page) = (["--prefix", &options.broker.prefix], options.page.to_string());
    let memo = options.memo.bytes.to_string();
    let distributor = ["distributor", "--listen", &page, "--memo", &memo];
    let mut roles = vec![Role::start(&url, &files, &distributor, prefix)?];
    let isolation = options.isolation.arguments();
    let worker: Vec<&str> =
        ["worker"].into_iter().chain(isolation.iter().map(String::as_str)).collect();
    for _ in 0..options.workers {
        roles.push(Role::start(&url, &files, &worker, prefix)?);
    }
    let workers = match options.workers {
        0 => "no workers".to_owned(),
        count => some(count.into(), "worker"),
    };
    print(format_args!("a distributor and {workers}; Ctrl-C stops everything"))?;
    if let http::Listen::At(page) = options.page {
        print(format_args!("status page on http://{page}"))?;
    }
    // The password of an external broker is not printed; the embedded one has none.
    let url = if own.is_some() { &url } else { "(the URL you gave)" };
    print(your_own(url, &options.broker.prefix))?;
    let ended = tokio::select! {
        () = shutdown_signal() => Ok(()),
        cannot_be_kept = keep(&mut roles) => Err(cannot_be_kept),
    };
    for role in roles.into_iter().rev() {
        children::stop(role.process).await;
    }
    if let Some(broker) = own {
        broker.stop().await;
    }
    ended
}

/// How the user's own worker and client connect.
fn your_own(url: &str, prefix: &str) -> impl std::fmt::Display {
    let prefix = match prefix {
        "sd" => String::new(),
        other => format!(" SIMPLE_DIST_PREFIX={other}"),
    };
    format!(
        "\nyour own worker or client: AMQP_URL={url}{prefix} cargo run\n  \
         Worker::from_env()?.serve(F, f).run(shutdown_signal()).await\n  \
         Client::from_env()?.connect()?.function(F).call(argument).await"
    )
}

/// Runs a broker until it is stopped.
pub(crate) async fn broker(options: Broker) -> Result<(), Failure> {
    let mut builder = embedded::Broker::builder().bind(options.listen);
    if let Some(user) = options.user {
        builder = builder.user(user, password()?);
    }
    let broker = builder.start().await.map_err(|error| not_started(&error))?;
    print(format_args!("{BANNER}\nAMQP on {}; Ctrl-C stops it", broker.addr()))?;
    shutdown_signal().await;
    broker.stop().await;
    Ok(())
}

/// The failure, with what to do if the address is taken.
fn not_started(error: &embedded::Error) -> Failure {
    match error {
        embedded::Error::Bind { address, source } => Failure::configuration(format_args!(
            "cannot listen on {address}: {source}; if a broker is running there, set AMQP_URL, or \
             give another address with --listen"
        )),
        other => Failure::configuration(other),
    }
}

fn password() -> Result<String, Failure> {
    const VARIABLE: &str = "SIMPLE_DIST_BROKER_PASSWORD";
    broker_args::secret(VARIABLE)?.ok_or_else(|| {
        Failure::configuration(format_args!("--user needs {VARIABLE} or {VARIABLE}_FILE"))
    })
}

/// A child process, and how to start another one like it.
struct Role<'a> {
    url: &'a str,
    files: &'a broker_args::Files,
    arguments: Vec<&'a str>,
    process: tokio::process::Child,
}

impl<'a> Role<'a> {
    fn start(
        url: &'a str,
        files: &'a broker_args::Files,
        arguments: &[&'a str],
        prefix: [&'a str; 2],
    ) -> Result<Self, Failure> {
        let arguments = [arguments, &prefix].concat();
        let process = children::start(url, files, &arguments)?;
        Ok(Self { url, files, arguments, process })
    }

    /// Restarts the process whenever it ends, unless it has just been started.
    async fn keep(&mut self) -> Result<Infallible, Failure> {
        loop {
            let young = timeout(MIN_UPTIME, self.process.wait()).await;
            let name = self.arguments[0];
            if let Ok(ended) = young {
                let status = ended.map_err(Failure::unavailable)?;
                return Err(Failure::unavailable(format_args!("a {name} has ended: {status}")));
            }
            let status = self.process.wait().await.map_err(Failure::unavailable)?;
            // The service continues even if nobody reads its output.
            let _unread = print(format_args!("a {name} has ended: {status}; starting another one"));
            self.process = children::start(self.url, self.files, &self.arguments)?;
        }
    }
}

/// Keeps all of them running, until one cannot be restarted.
async fn keep(roles: &mut [Role<'_>]) -> Failure {
    let kept = roles.iter_mut().map(|role| Box::pin(role.keep()));
    match futures_util::future::select_all(kept).await.0 {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}
