//! Calls through a distributor and a worker, each a process.

use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_bytes::ByteBuf;
use simple_dist_client::{Client, Fallback, Handle};
use simple_dist_demo::functions::{ECHO, SLEEP};
use tokio::process::Child;
use tokio::sync::mpsc;

use super::figure::{Costs, Sample};
use super::usage::Meter;
use super::workload::{Load, SMALL};
use super::{Error, PATIENCE, now, prefix, raw, role};

/// How long a call may wait for a million others.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Calls that are due and not begun. Beyond them the pacer waits, and what is due is begun late, which
/// counts.
const DUES: usize = 1024;

/// A distributor and a worker on a broker, and a client of theirs.
pub(crate) struct Cluster {
    url: String,
    prefix: String,
    distributor: Child,
    worker: Child,
    client: Client,
}

impl Cluster {
    /// With a worker of so many slots, or one for each core.
    pub(crate) async fn start(url: &str, slots: Option<usize>) -> Result<Self, Error> {
        let prefix = prefix();
        let slots = slots.map(|slots| slots.to_string());
        let mut worker = vec!["worker", "--isolation", "thread", "--prefix", &prefix];
        worker.extend(slots.iter().flat_map(|slots| ["--slots", slots]));
        let cluster = Self {
            distributor: role(url, &["distributor", "--prefix", &prefix, "--listen", "none"])?,
            worker: role(url, &worker)?,
            client: Client::builder(url).prefix(&prefix).connect()?,
            url: url.to_owned(),
            prefix,
        };
        wait_until_served(&cluster.client.function(ECHO)).await?;
        Ok(cluster)
    }

    /// Ends it and takes what it declared from the broker.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.client.close().await;
        drop((self.distributor, self.worker));
        raw::forget(&self.url, &self.prefix).await
    }

    /// Runs a load, after a tenth of it to warm up.
    pub(crate) async fn run(&self, load: Load) -> Result<(Sample, Costs), Error> {
        self.load(shortened(load)).await?;
        let meter = |process: Option<u32>| process.and_then(Meter::start);
        let meters = [Some(std::process::id()), self.distributor.id(), self.worker.id()].map(meter);
        let sample = self.load(load).await?;
        let [client, distributor, worker] =
            meters.map(|meter| meter.and_then(|meter| meter.read(sample.calls())));
        Ok((sample, Costs { client, distributor, worker }))
    }

    async fn load(&self, load: Load) -> Result<Sample, Error> {
        match load {
            Load::Closed { bytes, outstanding, calls } => {
                let echo = self.client.function(ECHO);
                closed(outstanding, calls, || call(&echo, ByteBuf::from(vec![7; bytes]))).await
            }
            Load::Open { rate, lasts } => {
                let echo = self.client.function(ECHO);
                open(rate, lasts, || call(&echo, ByteBuf::from([7; SMALL]))).await
            }
            Load::Jobs { takes, calls, .. } => {
                let sleep = self.client.function(SLEEP);
                let millis = u64::try_from(takes.as_millis()).unwrap_or(u64::MAX);
                closed(calls, calls, || call(&sleep, millis)).await
            }
        }
    }
}

/// A tenth of it.
fn shortened(load: Load) -> Load {
    match load {
        Load::Closed { bytes, outstanding, calls } => {
            Load::Closed { bytes, outstanding, calls: calls.div_ceil(10) }
        }
        Load::Open { rate, lasts } => Load::Open { rate, lasts: lasts / 10 },
        Load::Jobs { takes, slots, calls } => {
            Load::Jobs { takes, slots, calls: calls.div_ceil(10) }
        }
    }
}

async fn call<A, R>(function: &Handle<A, R>, argument: A) -> Result<(), Error>
where
    A: simple_dist_protocol::Argument + Clone,
    R: simple_dist_protocol::Argument,
{
    // Equal calls would share runs, and what a run costs is the question.
    function.call(argument).fresh().timeout(TIMEOUT).fallback(Fallback::Wait).await?;
    Ok(())
}

/// Each call begins when one of those outstanding has ended.
async fn closed<F: Future<Output = Result<(), Error>>>(
    outstanding: usize,
    calls: usize,
    call: impl Fn() -> F,
) -> Result<Sample, Error> {
    let mut sample = Sample::begin();
    let timed = (0..calls).map(|_| {
        let call = call();
        async {
            let begun = now();
            call.await.map(|()| begun.elapsed())
        }
    });
    let mut ended = stream::iter(timed).buffer_unordered(outstanding);
    while let Some(took) = ended.try_next().await? {
        sample.add(took);
    }
    Ok(sample.end())
}

/// Calls begin at a steady rate, whatever becomes of those before, each timed from when it was due.
async fn open<F: Future<Output = Result<(), Error>>>(
    rate: u32,
    lasts: Duration,
    call: impl Fn() -> F,
) -> Result<Sample, Error> {
    let (due, mut dues) = mpsc::channel(DUES);
    // A thread of its own wakes more exactly than the runtime's timer.
    let pacer = std::thread::Builder::new().name("pacer".to_owned());
    pacer.spawn(move || pace(rate, lasts, &due))?;
    let timed = |due: Instant| {
        let call = call();
        async move { call.await.map(|()| due.elapsed()) }
    };
    let mut sample = Sample::begin();
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            due = dues.recv(), if !dues.is_closed() || !dues.is_empty() => {
                if let Some(due) = due {
                    under_way.push(timed(due));
                }
            }
            Some(took) = under_way.next() => sample.add(took?),
            else => return Ok(sample.end()),
        }
    }
}

/// Says when each call is due, when it is.
fn pace(rate: u32, lasts: Duration, due: &mpsc::Sender<Instant>) {
    let (begun, step) = (now(), Duration::from_secs(1) / rate);
    for number in 0.. {
        let at = step * number;
        if at >= lasts {
            return;
        }
        std::thread::sleep(at.saturating_sub(begun.elapsed()));
        if due.blocking_send(begun + at).is_err() {
            return;
        }
    }
}

pub(crate) async fn wait_until_served(echo: &Handle<ByteBuf, ByteBuf>) -> Result<(), Error> {
    let begun = now();
    loop {
        match call(echo, ByteBuf::from([7; SMALL])).await {
            Ok(()) => return Ok(()),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
