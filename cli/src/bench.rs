//! What a call costs, beside a bare round trip through the same broker in the same run.
//!
//! ```text
//!  raw:   bench --one message--> queue --> raw worker (process) --one message--> reply queue --> bench
//!  calls: bench (client) --> distributor (process) --> worker (process) --> distributor --> bench
//! ```
//!
//! And what the status page costs under a mountain of jobs: [`run_page`].
//!
//! Each workload has its bare round trips right before it: the machine is never still, so a figure
//! alone means little, and the ratio is what to quote.

mod calls;
mod figure;
mod fleet;
mod page;
mod raw;
mod relay;
mod usage;
mod workload;

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use self::calls::Cluster;
use self::figure::Figure;
pub(crate) use self::figure::tables;
pub(crate) use self::page::{page_table, run_page};
use self::raw::Raw;
pub(crate) use self::raw::serve as serve_raw;
pub(crate) use self::relay::Relay;
use self::workload::Load;
pub(crate) use self::workload::{Workload, all};
use crate::output::say;

/// How long a role may take to come up, or one answer to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A role could not be started.
    #[error("a process could not be started: {0}")]
    Process(#[from] std::io::Error),
    /// The raw round trip failed.
    #[error("the raw round trip failed: {0}")]
    Raw(#[from] lapin::Error),
    /// The URL of the broker is unusable.
    #[error("{0}")]
    Connect(#[from] simple_dist_client::ConnectError),
    /// It is not the URL of a broker.
    #[error("the URL has no host or port that a delay could be put before")]
    Url,
    /// A call failed.
    #[error("a call failed: {0}")]
    Call(#[from] simple_dist_client::CallError),
    /// The HTTP API failed.
    #[error("the status could not be read: {0}")]
    Http(#[from] ureq::Error),
    /// A page could not be loaded or followed.
    #[error("the page failed: {0}")]
    Page(String),
    /// Nothing answered in time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

/// Runs workloads on the broker at `url`, with roles started as processes of this program. Each
/// figure is told when it is there.
pub(crate) async fn run(
    url: &str,
    workloads: &[Workload],
    mut tell: impl FnMut(Figure),
) -> Result<(), Error> {
    let mut raw = Raw::start(url).await?;
    let cluster = Cluster::start(url, None).await?;
    for (number, workload) in (1..).zip(workloads) {
        say(format_args!(
            "{number}/{} {}: {}",
            workloads.len(),
            workload.name,
            workload.describe()
        ));
        let (bare, (sample, costs)) = match workload.load {
            Load::Closed { bytes, outstanding, calls } => {
                let bare = raw.measure(bytes, outstanding, calls).await?;
                (Some(bare), cluster.run(workload.load).await?)
            }
            Load::Open { .. } => (None, cluster.run(workload.load).await?),
            Load::Jobs { slots, .. } => {
                let cluster = Cluster::start(url, Some(slots)).await?;
                let ran = cluster.run(workload.load).await?;
                cluster.stop().await?;
                (None, ran)
            }
        };
        tell(Figure::new(*workload, &sample, bare, costs));
    }
    cluster.stop().await?;
    raw.stop().await
}

/// Starts an embedded broker as a process: it ends when it is dropped.
pub(crate) async fn start_broker() -> Result<(Child, String), Error> {
    let address = page::free_port().await?;
    let url = format!("amqp://{address}");
    let broker = role(&url, &["broker", "--listen", &address])?;
    let begun = now();
    while tokio::net::TcpStream::connect(&address).await.is_err() {
        if begun.elapsed() > PATIENCE {
            return Err(Error::Silent(PATIENCE));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((broker, url))
}

/// A prefix of this run's own.
fn prefix() -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    format!("bench-{}", &id[..14])
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Starts this program again in another role. It ends when it is dropped.
fn role(url: &str, arguments: &[&str]) -> Result<Child, Error> {
    let program = std::env::current_exe()?;
    let child = Command::new(program)
        .args(arguments)
        .env("AMQP_URL", url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}
