//! The supervisor: connects, watches, tears down, and starts again, forever.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Broker, Connector, confirming};
use super::consumer::Granted;
use super::generation::{FaultSender, Live, in_time};
use super::plan::Progress;
use super::publisher::{Largest, Publisher, Queue, Waiting};
use super::session::{Inner, Session};
use super::watch::Watch;
use super::{Event, Options, Reason, Source};
use simple_dist_protocol::Generation;

/// The first wait before another attempt.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// The longest wait; jitter adds at most as much again.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// The wait for declarations by others.
const WAIT_MISSING: Duration = Duration::from_millis(250);
/// A generation that lived this long was good: the waits start over.
const GOOD: Duration = Duration::from_secs(5);
/// The most reasons remembered as logged: several addresses fail in several ways.
const SAID: usize = 16;
/// How long waiting items may take to leave when the link closes; closing the connections comes on
/// top.
const FLUSH: Duration = Duration::from_millis(1400);

/// Owns the connections of a link. Woken by faults; ends when the link closes or nobody listens.
pub(super) struct Supervisor<S> {
    options: Options<S>,
    events: mpsc::Sender<Event<S>>,
    generation: Generation,
    waits: ExponentialBackoff,
    /// The reasons logged since the last connection, so that each is logged once.
    said: Vec<Reason>,
    largest: Largest,
    /// Tasks that close the connections of old generations.
    goodbyes: JoinSet<()>,
}

/// The publishers' queues, for the session and its publishers.
struct Lanes {
    senders: [Queue; 2],
    receivers: [(Waiting, lapin::Channel); 2],
}

impl<S: Source> Supervisor<S> {
    pub(super) fn new(options: Options<S>, events: mpsc::Sender<Event<S>>) -> Self {
        Self {
            options,
            events,
            generation: Generation(0),
            waits: waits(),
            said: Vec::new(),
            largest: Largest::default(),
            goodbyes: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self, closing: CancellationToken) {
        let mut connector = Connector::new(&self.options);
        while let Some(connected) = unless(&closing, Box::pin(connector.connect())).await {
            let over = match connected {
                Ok(broker) => self.live(broker, &closing).await,
                Err(reason) => Some(reason),
            };
            let Some(reason) = over else { break };
            let wait = self.waits.next().unwrap_or(WAIT_MAX);
            let gone_on = unless(&closing, async {
                let heard = self.down(reason).await;
                sleep(wait).await;
                heard
            });
            if gone_on.await != Some(true) {
                break;
            }
            while self.goodbyes.try_join_next().is_some() {}
        }
        while self.goodbyes.join_next().await.is_some() {}
    }

    /// Runs a generation from its first declaration to its end: returns why it ended, or `None` if
    /// the link is closing.
    async fn live(&mut self, broker: Broker, closing: &CancellationToken) -> Option<Reason> {
        self.generation = self.generation.next();
        let (faults, mut faulty) = FaultSender::new();
        let (blocking, blocked) = watch::channel(false);
        let watch = Watch::new(&broker, blocking, self.events.clone(), faults.clone());
        let live = Arc::new(Live::new(broker, self.events.clone(), faults, blocked));
        let began = Instant::now();
        let prepared = unless(closing, self.prepare(&live)).await;
        let over = match prepared {
            None => None,
            Some(Err(reason)) => Some(reason),
            Some(Ok((lanes, granted))) => {
                self.begin(&live, watch, lanes, granted).await;
                tokio::select! {
                    reason = faulty.recv() => reason,
                    () = closing.cancelled() => None,
                    () = self.events.closed() => None,
                }
            }
        };
        if began.elapsed() >= GOOD {
            self.waits = waits();
        }
        if over.is_none() && timeout(FLUSH, live.finish()).await.is_err() {
            tracing::warn!("what waited for the broker could not be published before the end");
        }
        live.abort().await;
        self.goodbyes.spawn(goodbye(live));
        over
    }

    /// Everything before `Up`. Waits for declarations by others.
    async fn prepare(&mut self, live: &Live<S>) -> Result<(Lanes, Vec<Granted<S>>), Reason> {
        let mut progress = Progress::new((self.options.plan)(self.generation));
        loop {
            match progress.advance(live).await {
                Ok(()) => break,
                Err(reason @ Reason::Missing(_)) => self.down(reason).await,
                Err(reason) => return Err(reason),
            };
            sleep(WAIT_MISSING).await;
        }
        let publishing = &live.broker.publishing;
        let jobs = in_time(confirming(publishing)).await?;
        let control = in_time(confirming(publishing)).await?;
        let (declared, granted) = progress.done();
        live.upkeep.begin(declared);
        Ok((Lanes::new(jobs, control), granted))
    }

    /// Tells the owner, then starts all tasks.
    async fn begin(
        &mut self,
        live: &Arc<Live<S>>,
        watch: Watch<S>,
        lanes: Lanes,
        granted: Vec<Granted<S>>,
    ) {
        let [jobs, control] = lanes.senders;
        let user = self.options.url.user().clone();
        let generation = self.generation;
        let session =
            Session::new(Inner { generation, user, jobs, control, live: Arc::downgrade(live) });
        self.said.clear();
        tracing::info!(broker = %live.broker.at, %generation, "connected");
        // Without an owner there is nothing to do; the supervisor notices next.
        let _told_or_unheard = self.events.send(Event::Up(session)).await;
        live.spawn(watch.run(live.closing.clone()));
        for (waiting, channel) in lanes.receivers {
            let signed_by = self.options.signed.then(|| self.options.url.user());
            let mut channels = live.channels.lock().unwrap_or_else(PoisonError::into_inner);
            channels.push(channel.clone());
            let largest = self.largest.clone();
            let publisher = Publisher::new(live, channel, waiting, signed_by, largest);
            live.spawn(publisher.run(live.closing.clone()));
        }
        let mut intakes = live.intakes.lock().unwrap_or_else(PoisonError::into_inner);
        granted.into_iter().for_each(|granted| granted.begin(live, &mut intakes));
    }

    /// Tells the owner, and logs it if it is new; false if nobody listens.
    async fn down(&mut self, reason: Reason) -> bool {
        if !self.said.contains(&reason) {
            match reason {
                // Roles started before the distributor wait for it.
                Reason::Missing(_) => {
                    tracing::info!(broker = %self.options.url, %reason, "waiting");
                }
                _ => {
                    tracing::warn!(broker = %self.options.url, %reason, "no connection; retrying")
                }
            }
            self.said.truncate(SAID - 1);
            self.said.insert(0, reason.clone());
        }
        self.events.send(Event::Down(reason)).await.is_ok()
    }
}

impl Lanes {
    fn new(jobs: lapin::Channel, control: lapin::Channel) -> Self {
        let (jobs_sender, jobs_receiver) = Queue::new();
        let (control_sender, control_receiver) = Queue::new();
        Self {
            senders: [jobs_sender, control_sender],
            receivers: [(jobs_receiver, jobs), (control_receiver, control)],
        }
    }
}

/// Closes the connections of an old generation, and the channels that the owner's questions still
/// hold.
async fn goodbye<S: Source>(live: Arc<Live<S>>) {
    live.broker.close().await;
}

async fn unless<T>(closing: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = closing.cancelled() => None,
    }
}

fn waits() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(WAIT_MIN)
        .with_max_delay(WAIT_MAX)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(rand::random())
        .build()
}
