//! `simple-dist healthcheck`: a container's health check.
//!
//! A distributor is asked over HTTP. A worker does not listen anywhere, so it touches a file while
//! its runtime runs, and the file must be recent. Neither checks the broker: restarting this
//! container would not fix that, and the workers' beats tell the distributor whether they serve.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use crate::exit::Failure;

/// Reports by its exit code whether a service is alive.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist healthcheck                     asks the distributor on this machine
  simple-dist healthcheck --file /tmp/alive   a worker started with --health-file /tmp/alive

Exit code 0: alive; 1: not.")]
pub(crate) struct Options {
    /// The URL to check; it must answer 2xx
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/healthz")]
    url: Url,
    /// Check a file instead, which the service touches every few seconds
    #[arg(long, value_name = "PATH", env = "SIMPLE_DIST_HEALTH_FILE")]
    file: Option<PathBuf>,
}

/// How often a service touches its file.
const TOUCH: Duration = Duration::from_secs(2);
/// The age from which the file means that the service is not running.
const OLD: Duration = Duration::from_secs(10);
/// How long the whole check may take.
const ANSWER: Duration = Duration::from_secs(3);

/// Runs the check.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    match options.file {
        Some(file) => young(&file, SystemTime::now()),
        None => match timeout(ANSWER, status(&options.url)).await {
            Ok(Ok(200..=299)) => Ok(()),
            Ok(Ok(other)) => {
                Err(Failure::function(format_args!("{} answered {other}", options.url)))
            }
            Ok(Err(error)) => Err(Failure::function(format_args!("{}: {error}", options.url))),
            Err(_) => {
                Err(Failure::function(format_args!("{} did not answer in time", options.url)))
            }
        },
    }
}

/// Touches a file as long as the runtime runs; never returns. Once dropped, it lets the file grow
/// old.
pub(crate) async fn touch(file: PathBuf) -> Failure {
    let mut ticks = tokio::time::interval(TOUCH);
    loop {
        ticks.tick().await;
        if let Err(error) = fs::write(&file, []) {
            return Failure::configuration(format_args!("{}: {error}", file.display()));
        }
    }
}

fn young(file: &Path, now: SystemTime) -> Result<(), Failure> {
    let touched = fs::metadata(file).and_then(|metadata| metadata.modified());
    let touched =
        touched.map_err(|error| Failure::function(format_args!("{}: {error}", file.display())))?;
    match now.duration_since(touched) {
        Ok(age) if age > OLD => Err(Failure::function(format_args!(
            "{} was last touched {age:.0?} ago: the service is not running",
            file.display()
        ))),
        // The clock was set back: the age is unknown.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The status code of a GET. Only the first line is read.
async fn status(url: &Url) -> std::io::Result<u16> {
    let host = url.host_str().unwrap_or("127.0.0.1");
    let port = url.port_or_known_default().unwrap_or(80);
    let mut stream = TcpStream::connect((host, port)).await?;
    let path = url.path();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut line = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut line).await?;
    let code = std::str::from_utf8(&line).ok().and_then(|line| line.strip_prefix("HTTP/1."));
    code.and_then(|code| code.get(2..)?.parse().ok())
        .ok_or_else(|| std::io::Error::other("the response is not HTTP/1"))
}
