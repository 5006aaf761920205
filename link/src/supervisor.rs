//! The supervisor: connects, watches, tears down, and starts again, forever.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::in_time;
use super::connection::{Broker, Connector, confirming};
use super::consumer::{Granted, consume};
use super::declare::declare;
use super::event::Event;
use super::generation::{Context, LiveGeneration, Prepared};
use super::plan::{Options, Plan};
use super::publisher::Largest;
use super::reason::Reason;
use super::watch::Watch;
use simple_dist_protocol::Generation;

/// The first wait before another attempt.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// The longest wait; jitter adds at most as much again.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// The waits for declarations by others: the first, doubled up to the longest. Who declares has often
/// begun at the same moment.
const WAIT_MISSING: (Duration, Duration) = (Duration::from_millis(8), Duration::from_millis(256));
/// A generation that lived this long was good: the waits start over.
const GOOD: Duration = Duration::from_secs(5);
/// The most reasons remembered as logged: several addresses fail in several ways.
const SAID: usize = 16;
/// How long waiting items may take to leave when the link closes; closing the connections comes on
/// top.
const FLUSH: Duration = Duration::from_millis(1400);

/// Owns the connections of a link. Woken by faults; ends when the link closes or nobody listens.
pub(super) struct Supervisor {
    options: Options,
    events: mpsc::Sender<Event>,
    generation: Generation,
    waits: ExponentialBackoff,
    /// The reasons logged since the last connection, so that each is logged once.
    said: Vec<Reason>,
    largest: Largest,
    /// Tasks that close the connections of old generations.
    goodbyes: JoinSet<()>,
}

impl Supervisor {
    pub(super) fn new(options: Options, events: mpsc::Sender<Event>) -> Self {
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
        let (blocking, blocked) = watch::channel(false);
        let watch = Watch::new(&broker, blocking, self.events.clone());
        let (broker, began) = (Arc::new(broker), Instant::now());
        let prepared = unless(closing, broker.asking(self.prepare(&broker))).await;
        let (mut live, mut over) = (None, None);
        match prepared {
            None => {}
            Some(Err(reason)) => over = Some(reason),
            Some(Ok(prepared)) => {
                self.said.clear();
                tracing::info!(broker = %broker.at, generation = %self.generation, "connected");
                let live = live
                    .insert(LiveGeneration::begin(prepared, self.context(), watch, blocked).await);
                over = tokio::select! {
                    reason = live.run() => Some(reason),
                    () = closing.cancelled() => None,
                    () = self.events.closed() => None,
                };
                if over.is_none() && timeout(FLUSH, live.finish()).await.is_err() {
                    tracing::warn!(
                        "what waited for the broker could not be published before the end"
                    );
                }
                live.end().await;
            }
        }
        if began.elapsed() >= GOOD {
            self.waits = waits();
        }
        self.goodbyes.spawn(async move {
            broker.close().await;
            drop(live);
        });
        over
    }

    fn context(&self) -> Context<'_> {
        Context {
            generation: self.generation,
            user: self.options.url.user(),
            signed: self.options.signed,
            largest: &self.largest,
            events: self.events.clone(),
        }
    }

    /// Everything before `Up`. Waits for declarations by others.
    async fn prepare(&mut self, broker: &Arc<Broker>) -> Result<Prepared, Reason> {
        let plan = (self.options.plan)(self.generation);
        let mut progress = Progress { plan, declared: 0, granted: Vec::new() };
        let (mut wait, longest) = WAIT_MISSING;
        loop {
            match progress.advance(broker).await {
                Ok(()) => break,
                Err(reason @ Reason::Missing(_)) => self.down(reason).await,
                Err(reason) => return Err(reason),
            };
            sleep(wait).await;
            wait = (wait * 2).min(longest);
        }
        let jobs = in_time(confirming(&broker.publishing)).await?;
        let control = in_time(confirming(&broker.publishing)).await?;
        Ok(Prepared {
            broker: broker.clone(),
            declared: progress.plan.declare,
            granted: progress.granted,
            channels: [jobs, control],
        })
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

/// The progress of a plan. If something is not declared yet by others, the plan is resumed from
/// there.
struct Progress {
    plan: Plan,
    declared: usize,
    granted: Vec<Granted>,
}

impl Progress {
    /// Continues to the end, or to the first failure.
    async fn advance(&mut self, broker: &Broker) -> Result<(), Reason> {
        let declaring = in_time(broker.consuming.create_channel()).await?;
        while let Some(declaration) = self.plan.declare.get(self.declared) {
            in_time(declare(&declaring, declaration)).await?;
            self.declared += 1;
        }
        while let Some(next) = self.plan.consume.get(self.granted.len()) {
            let channel = in_time(broker.consuming.create_channel()).await?;
            self.granted.push(in_time(consume(channel, next.clone())).await?);
        }
        Ok(())
    }
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
