//! What the status page costs with a large fleet under a mountain of jobs: many workers and functions,
//! many jobs queued behind one busy slot, some pages open, and how long status and page then take.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use futures_util::{StreamExt, stream};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use simple_dist_client::{Client, Fallback, Handle};
use simple_dist_demo::functions::{ECHO, SLEEP};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use ureq::Agent;

use super::calls::wait_until_served;
use super::figure::{histogram, micros, millis};
use super::fleet::{self, Fleet};
use super::usage::{processor_time, resident_mib};
use super::{Error, now, prefix, raw, role};

/// Jobs behind the busy slot.
const JOBS: usize = 100_000;
/// Pages that follow the events; each is loaded anew every few seconds.
const PAGES: usize = 10;
/// Requests of the status that are timed.
const REQUESTS: usize = 2_000;
/// The pause between two of them, so that they meet many views.
const PAUSE: Duration = Duration::from_millis(5);
/// How often an open page is loaded anew.
const RELOAD: Duration = Duration::from_secs(2);
/// How long each job sleeps, and may wait: longer than the bench.
const LONG: Duration = Duration::from_secs(3600);
/// How long anything may take to come about.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PageFigure {
    /// What was run.
    pub(crate) workload: &'static str,
    /// How many requests of the status.
    pub(crate) n: usize,
    /// Half of them took at most this long, in microseconds.
    pub(crate) p50_us: u64,
    /// All but one in a hundred took at most this long, in microseconds.
    pub(crate) p99_us: u64,
    /// The longest, in microseconds.
    pub(crate) max_us: u64,
    /// Half of the loads of the front page took at most this long, in microseconds.
    pub(crate) load_p50_us: u64,
    /// All but one in a hundred took at most this long, in microseconds.
    pub(crate) load_p99_us: u64,
    /// Workers that were there.
    pub(crate) workers: usize,
    /// Functions that they served.
    pub(crate) functions: usize,
    /// Jobs that waited all the while, here or with the pool.
    pub(crate) queued: u64,
    /// Pages that were open.
    pub(crate) pages: usize,
    /// Bytes of events that they got.
    pub(crate) event_bytes: u64,
    /// How often one of them was loaded anew.
    pub(crate) loads: u64,
    /// The distributor's processor time while it was asked, as a share of one processor's.
    pub(crate) busy: Option<f64>,
    /// The distributor's memory with nothing to do, in MiB; none where it cannot be told.
    pub(crate) idle_mib: Option<f64>,
    /// The same with the jobs and the pages.
    pub(crate) busy_mib: Option<f64>,
}

/// The part of the status that is read.
#[derive(Debug, Deserialize)]
struct Status {
    books: Books,
    counts: Counts,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Counts {
    workers: usize,
    functions: usize,
}

#[derive(Debug, Deserialize)]
struct Books {
    queued: u64,
    placed: u64,
    running: u64,
}

/// Measures the page on the broker at `url`, with roles started as processes of this program.
pub(crate) async fn run_page(url: &str, fleet: usize) -> Result<PageFigure, Error> {
    let prefix = &prefix();
    let site = free_port().await?;
    let distributor = role(url, &["distributor", "--prefix", prefix, "--listen", &site])?;
    let worker =
        role(url, &["worker", "--isolation", "thread", "--prefix", prefix, "--slots", "1"])?;
    let client = Client::builder(url).prefix(prefix).connect()?;
    wait_until_served(&client.function(ECHO)).await?;
    let idle_mib = distributor.id().and_then(resident_mib);

    let mut background = JoinSet::new();
    background.spawn(Fleet::start(url, prefix, fleet).await?.run());
    background.spawn(mountain(client.function(SLEEP)));
    let status = format!("http://{site}/api/v1/status");
    let (queued, (workers, functions)) = wait_until_queued(&status, fleet).await?;
    let got = Arc::new(Got { bytes: AtomicU64::new(0), loads: Mutex::new(histogram()) });
    for _ in 0..PAGES {
        background.spawn(follow(site.clone(), Arc::clone(&got)));
        background.spawn(reload(site.clone(), Arc::clone(&got)));
    }

    let used = || distributor.id().and_then(processor_time);
    let (asked, begun, before) = (status.clone(), now(), used());
    let times = tokio::task::spawn_blocking(move || time(&asked));
    let times = times.await.map_err(std::io::Error::other)??;
    let busy =
        used().zip(before).map(|(used, before)| (used - before).div_duration_f64(begun.elapsed()));
    let busy_mib = distributor.id().and_then(resident_mib);
    let bytes = got.bytes.load(Relaxed);
    let loads = got.loads.lock().map_err(|_| Error::Page("a page failed".to_owned()))?.clone();
    // None of them ends by itself, unless it fails.
    if let Some(ended) = background.try_join_next() {
        ended.map_err(std::io::Error::other)??;
    }
    background.shutdown().await;
    drop((distributor, worker, client));
    raw::forget(url, prefix).await?;
    Ok(PageFigure {
        workload: "status; 100,000 jobs queued, 10 pages open",
        workers,
        functions,
        load_p50_us: loads.value_at_quantile(0.5),
        load_p99_us: loads.value_at_quantile(0.99),
        n: usize::try_from(times.len()).unwrap_or(usize::MAX),
        p50_us: times.value_at_quantile(0.5),
        p99_us: times.value_at_quantile(0.99),
        max_us: times.max(),
        queued,
        pages: PAGES,
        event_bytes: bytes,
        loads: loads.len(),
        busy,
        idle_mib,
        busy_mib,
    })
}

/// What all pages got.
#[derive(Debug)]
struct Got {
    bytes: AtomicU64,
    loads: Mutex<Histogram<u64>>,
}

/// Puts all the jobs there, and waits for answers that do not come.
async fn mountain(function: Handle<u64, u64>) -> Result<(), Error> {
    let millis = u64::try_from(LONG.as_millis()).unwrap_or(u64::MAX);
    let calls = (0..=JOBS).map(|_| function.call(millis).timeout(LONG).fallback(Fallback::Never));
    let mut ended = stream::iter(calls).buffer_unordered(JOBS + 1);
    match ended.next().await {
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// Asks until all workers are there, and all jobs but the running one are queued; gives how many jobs,
/// and how many workers and functions.
async fn wait_until_queued(status: &str, fleet: usize) -> Result<(u64, (usize, usize)), Error> {
    let begun = now();
    loop {
        let asked = status.to_owned();
        let asking = tokio::task::spawn_blocking(move || {
            let told = agent().get(asked).call()?.body_mut().read_json::<Status>()?;
            Ok::<_, Error>((told.books, told.counts))
        });
        match asking.await.map_err(std::io::Error::other)? {
            Ok((books, counts))
                if books.running == 1
                    && books.queued + books.placed >= JOBS as u64
                    && counts.workers > fleet
                    && counts.functions > fleet::FUNCTIONS =>
            {
                let waiting = books.queued + books.placed;
                return Ok((waiting, (counts.workers, counts.functions)));
            }
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Ok(_) if begun.elapsed() > PATIENCE => return Err(Error::Silent(PATIENCE)),
            Ok(_) | Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Times the requests, one after the other on one connection, their whole bodies read.
fn time(status: &str) -> Result<Histogram<u64>, Error> {
    let agent = agent();
    let mut times = histogram();
    for _ in 0..REQUESTS {
        let begun = now();
        let told = agent.get(status).call()?.body_mut().read_to_vec()?;
        times.saturating_record(micros(begun.elapsed()));
        std::hint::black_box(told);
        std::thread::sleep(PAUSE);
    }
    Ok(times)
}

fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(ANSWER)).proxy(None).build().into()
}

/// Follows the events of a page as a browser does.
async fn follow(site: String, got: Arc<Got>) -> Result<(), Error> {
    let mut stream = open(&site, "/page/events", "text/event-stream").await?;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        // Something comes at least as often as the server says that it is there.
        let read = timeout(PATIENCE, stream.read(&mut chunk)).await;
        match read.map_err(|_| Error::Silent(PATIENCE))?? {
            0 => return Err(Error::Page("the events ended".to_owned())),
            bytes => got.bytes.fetch_add(bytes as u64, Relaxed),
        };
    }
}

/// Loads the page again and again.
async fn reload(site: String, got: Arc<Got>) -> Result<(), Error> {
    loop {
        let begun = now();
        let mut stream = open(&site, "/", "text/html").await?;
        let mut page = Vec::new();
        let read = timeout(ANSWER, stream.read_to_end(&mut page)).await;
        read.map_err(|_| Error::Silent(ANSWER))??;
        if let Ok(mut loads) = got.loads.lock() {
            loads.saturating_record(micros(begun.elapsed()));
        }
        sleep(RELOAD).await;
    }
}

/// A connection on which something was asked for and granted.
async fn open(site: &str, path: &str, kind: &str) -> Result<TcpStream, Error> {
    const OK: &[u8] = b"HTTP/1.1 200";
    let asking = async {
        let mut stream = TcpStream::connect(site).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {site}\r\naccept: {kind}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; OK.len()];
        stream.read_exact(&mut head).await?;
        if head != OK {
            let said = String::from_utf8_lossy(&head).into_owned();
            return Err(Error::Page(format!("{path}: {said}")));
        }
        Ok(stream)
    };
    timeout(ANSWER, asking).await.map_err(|_| Error::Silent(ANSWER))?
}

/// A port that was free a moment ago.
pub(super) async fn free_port() -> Result<String, Error> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}

/// The figure as a table for people.
pub(crate) fn page_table(figure: &PageFigure) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "workload",
        "workers",
        "functions",
        "n",
        "p50",
        "p99",
        "max",
        "loads",
        "p50",
        "p99",
        "events",
        "processor",
        "idle",
        "busy",
    ]);
    let mib = |mib: Option<f64>| mib.map_or_else(String::new, |mib| format!("{mib:.0} MiB"));
    table.add_row([
        figure.workload.to_owned(),
        figure.workers.to_string(),
        figure.functions.to_string(),
        figure.n.to_string(),
        millis(figure.p50_us),
        millis(figure.p99_us),
        millis(figure.max_us),
        figure.loads.to_string(),
        millis(figure.load_p50_us),
        millis(figure.load_p99_us),
        format!("{:.1} MB", figure.event_bytes as f64 / 1e6),
        figure.busy.map_or_else(String::new, |busy| format!("{:.0} %", busy * 100.0)),
        mib(figure.idle_mib),
        mib(figure.busy_mib),
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
