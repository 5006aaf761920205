//! What a call costs, beside a bare round trip through the same broker in the same run.
//!
//! ```text
//!  raw:   bench --one message--> queue --> raw worker (process) --one message--> reply queue --> bench
//!  calls: bench (client) --> distributor (process) --> worker (process) --> distributor --> bench
//! ```
//!
//! And what the status page costs under a mountain of jobs: [`run_page`].
//!
//! The machine is never still, so a figure alone means little: the ratio is what to quote.

mod calls;
mod figure;
mod page;
mod raw;

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use self::figure::Figure;
pub(crate) use self::figure::table;
pub(crate) use self::page::{page_table, run_page};
pub(crate) use self::raw::serve as serve_raw;

/// The bytes of each argument.
const PAYLOAD: usize = 100;
/// Calls of the one-at-a-time workload.
const LONE: usize = 2_000;
/// Calls of the outstanding workload.
const MANY: usize = 200_000;
/// How many of those are outstanding at once.
const OUTSTANDING: usize = 10_000;

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

/// Runs all workloads on the broker at `url`, with roles started as processes of this program.
pub(crate) async fn run(url: &str) -> Result<Vec<Figure>, Error> {
    let raw = raw::measure(url).await?;
    let calls = calls::measure(url).await?;
    Ok(figure::beside(raw, calls))
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
