//! Everything on one machine: the embedded broker, alone or with a distributor and workers.

use clap::Args;
use simple_dist_broker as embedded;

use crate::exit::Failure;
use crate::roles::told_to_stop;
use crate::{at, children, http};

/// Runs everything on this machine.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist up                            AMQP on 127.0.0.1:5672, the page on port 8080
  simple-dist up --workers 4 --listen 127.0.0.1:5673
  simple-dist call fib 30                   in another terminal

With AMQP_URL set no broker is started, and everything runs on that one.")]
pub(crate) struct Up {
    /// Workers, each a process of its own
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: u8,
    /// Where the embedded broker listens
    #[arg(long, default_value = "127.0.0.1:5672", value_name = "ADDRESS")]
    listen: String,
    /// Where the status page and the API are; `none` for nowhere
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    page: http::Listen,
    #[command(flatten)]
    broker: at::Broker,
}

/// Runs the embedded broker alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist broker                        on 127.0.0.1:5672, with the user guest
  SIMPLE_DIST_BROKER_PASSWORD_FILE=secret simple-dist broker --listen 0.0.0.0:5672 --user team

It is a real AMQP 0-9-1 broker, in memory: what it holds ends with it. For more than one machine,
or for what must outlive a process, run RabbitMQ.")]
pub(crate) struct Broker {
    /// Where it listens; other than loopback only with a password
    #[arg(long, default_value = "127.0.0.1:5672", value_name = "ADDRESS")]
    listen: String,
    /// The login, whose password is SIMPLE_DIST_BROKER_PASSWORD, or in the file named by
    /// SIMPLE_DIST_BROKER_PASSWORD_FILE
    #[arg(long)]
    user: Option<String>,
}

const BANNER: &str = "an embedded broker: what it holds ends with this process";

/// Runs a broker, a distributor and workers until it is told to stop.
pub(crate) async fn up(options: Up) -> Result<(), Failure> {
    let (url, files, own) = match options.broker.given()? {
        Some(url) => (url, options.broker.files, None),
        None => {
            let broker = embedded::Broker::builder().bind(&options.listen).start().await;
            let broker = broker.map_err(|error| not_started(&error))?;
            println!("{BANNER}\nAMQP on {}", broker.addr());
            (broker.url().to_owned(), at::Files::default(), Some(broker))
        }
    };
    options.page.is_free()?;
    let (prefix, page) = (["--prefix", &options.broker.prefix], options.page.to_string());
    let distributor = ["distributor", prefix[0], prefix[1], "--listen", &page];
    let mut roles = vec![children::start(&url, &files, &distributor)?];
    for _ in 0..options.workers {
        roles.push(children::start(&url, &files, &["worker", prefix[0], prefix[1]])?);
    }
    println!("a distributor and {} workers; Ctrl-C ends it all", options.workers);
    if let http::Listen::At(page) = options.page {
        println!("status page on http://{page}");
    }
    let ended = tokio::select! {
        () = told_to_stop() => Ok(()),
        ended = any_ends(&mut roles) => Err(ended),
    };
    for role in roles.into_iter().rev() {
        children::stop(role).await;
    }
    if let Some(broker) = own {
        broker.stop().await;
    }
    ended
}

/// Runs a broker until it is told to stop.
pub(crate) async fn broker(options: Broker) -> Result<(), Failure> {
    let mut builder = embedded::Broker::builder().bind(options.listen);
    if let Some(user) = options.user {
        builder = builder.user(user, password()?);
    }
    let broker = builder.start().await.map_err(|error| not_started(&error))?;
    println!("{BANNER}\nAMQP on {}; Ctrl-C ends it", broker.addr());
    told_to_stop().await;
    broker.stop().await;
    Ok(())
}

/// Says why, and what to do when somebody else listens there.
fn not_started(error: &embedded::Error) -> Failure {
    match error {
        embedded::Error::Bind { address, source } => Failure::configuration(format_args!(
            "cannot listen on {address}: {source}; if a broker runs there, name it by AMQP_URL, or \
             give another address with --listen"
        )),
        other => Failure::configuration(other),
    }
}

fn password() -> Result<String, Failure> {
    const VARIABLE: &str = "SIMPLE_DIST_BROKER_PASSWORD";
    at::secret(VARIABLE)?.ok_or_else(|| {
        Failure::configuration(format_args!("--user needs {VARIABLE} or {VARIABLE}_FILE"))
    })
}

/// A role that ends by itself: none should.
async fn any_ends(roles: &mut [tokio::process::Child]) -> Failure {
    let waits = roles.iter_mut().map(|role| Box::pin(role.wait()));
    let (ended, _, _) = futures_util::future::select_all(waits).await;
    match ended {
        Ok(status) => Failure::unavailable(format_args!("a role has ended: {status}")),
        Err(error) => Failure::unavailable(error),
    }
}
