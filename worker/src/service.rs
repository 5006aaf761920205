//! The shell of a worker: the one task that owns the link, the slots and the executor, turns what
//! happens into events, and effects into deeds. It is woken by the link, the slots, the end of
//! `shutdown` and the executor's own time; it ends when the executor may leave.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use serde::de::DeserializeOwned;
use simple_dist_core::worker::{
    Consumer, DeliveryId, Effect, Event, Executor, Profile, Publication, Token,
};
use simple_dist_link as link;
use simple_dist_link::{BrokerUrl, Consume, Delivery, Link, Plan, Reason, Receipt, Session};
use simple_dist_protocol::message::{Bound, Control, Memo, VERSION};
use simple_dist_protocol::topology::{Declaration, QueueSpec, Topology};
use simple_dist_protocol::{Address, Outcome, PoolId, WorkerId, codec};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::broker_calls::{Asked, BrokerCall, BrokerCalls};
use crate::error::Error;
use crate::load::LoadMeter;
use crate::slots::{Bodies, Slots};
use crate::wire::{Source, Wire};

/// Jobs that slots have run and the service has not yet looked at.
const RAN: usize = 1024;
/// Control messages that may be unacked.
const CONTROL_PREFETCH: u16 = 100;
/// One will is held, and must not keep the next from coming.
const WILL_PREFETCH: u16 = 8;

/// What a worker needs to run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) url: BrokerUrl,
    pub(crate) topology: Topology,
    pub(crate) functions: Vec<Address>,
    /// Those of them that are.
    pub(crate) deterministic: Vec<Address>,
    pub(crate) memo: Vec<Memo>,
    pub(crate) bodies: Bodies,
    pub(crate) slots: usize,
    pub(crate) lends: usize,
    pub(crate) grace: Duration,
    pub(crate) exits_when_stuck: bool,
    pub(crate) host: String,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Service {
    worker: WorkerId,
    topology: Topology,
    /// The beginning of the executor's time.
    began: Instant,
    executor: Executor,
    slots: Slots,
    ran: mpsc::Receiver<Event>,
    wire: Wire,
    load: LoadMeter,
    link: Link,
    events: mpsc::Receiver<link::Event>,
    session: Option<Session>,
    /// Why the pool could not be consumed, so that each reason is logged once.
    refused: Option<Reason>,
    broker_calls: BrokerCalls,
    last_delivery: u64,
    receipts: HashMap<DeliveryId, Receipt>,
    /// The will of this link, which comes back to the distributor when the link ends.
    will: Option<Receipt>,
    undecodable: u64,
    /// The bounds for which the distributor refused it, as far as they were logged.
    told: HashSet<Bound>,
}

/// What wakes the service.
#[derive(Debug)]
enum Wake {
    Link(Option<link::Event>),
    Ran,
    Progresses,
    Asked(Asked),
    Shutdown,
    GraceEnds,
    Time,
}

impl Service {
    pub(crate) fn start(options: Options) -> io::Result<Self> {
        let worker = WorkerId::new();
        let (happened, ran) = mpsc::channel(RAN);
        let began = Instant::now();
        let isolated = matches!(options.bodies, Bodies::Isolated(_));
        let slots = Slots::start(options.slots, options.bodies, worker, began, happened)?;
        let topology = options.topology;
        let (user, names) = (options.url.user().clone(), topology.clone());
        let (link, events) = Link::start(link::Options {
            url: options.url,
            name: format!("simple-dist worker {worker}"),
            signed: true,
            plan: Box::new(move |generation| {
                let control = names.worker(&user, worker, generation);
                plan(control, names.will(&user, worker, generation))
            }),
        });
        let exits_when_stuck = options.exits_when_stuck;
        let Options {
            functions, deterministic, memo, host, slots: slot_count, lends, grace, ..
        } = options;
        info!(worker.id = %worker, ?functions, slots = slot_count, isolated, "serving");
        let profile = Profile {
            worker,
            host,
            functions,
            deterministic,
            memo,
            slots: slot_count,
            isolated,
            lends,
            grace,
            exits_when_stuck,
        };
        Ok(Self {
            worker,
            wire: Wire::new(&topology, worker),
            load: LoadMeter::default(),
            topology,
            began,
            executor: Executor::new(profile, Duration::ZERO),
            slots,
            ran,
            link,
            events,
            session: None,
            refused: None,
            broker_calls: BrokerCalls::default(),
            last_delivery: 0,
            receipts: HashMap::new(),
            will: None,
            undecodable: 0,
            told: HashSet::new(),
        })
    }

    pub(crate) async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
        grace_ends: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let mut no_child = pin!(self.slots.take_no_child());
        let (mut shutdown, mut grace_ends) = (pin!(shutdown.fuse()), pin!(grace_ends.fuse()));
        let mut ran = Vec::with_capacity(RAN);
        while !self.may_leave() {
            let due = self.executor.next_wake().map(|due| self.began + due);
            let wake = tokio::select! {
                event = self.events.recv() => Wake::Link(event),
                _count = self.ran.recv_many(&mut ran, RAN) => Wake::Ran,
                () = self.slots.progresses() => Wake::Progresses,
                asked = self.broker_calls.next() => Wake::Asked(asked),
                () = &mut shutdown => Wake::Shutdown,
                () = &mut grace_ends => Wake::GraceEnds,
                problem = &mut no_child => return Err(Error::NoChild(problem)),
                () = sleep_until(due) => Wake::Time,
            };
            match wake {
                Wake::Link(Some(event)) => self.on_link(event),
                Wake::Link(None) => {
                    error!(worker.id = %self.worker, "the link has ended, which it never should");
                    return Ok(());
                }
                Wake::Ran => ran.drain(..).for_each(|event| self.apply(event)),
                Wake::Progresses => self.apply(Event::Progresses),
                Wake::Asked(asked) => self.on_asked(asked),
                Wake::Shutdown => {
                    info!(worker.id = %self.worker, "leaving");
                    self.apply(Event::Shutdown);
                }
                Wake::GraceEnds => self.apply(Event::GraceEnds),
                Wake::Time => self.apply(Event::Tick),
            }
        }
        let is_stuck = self.executor.is_stuck();
        if is_stuck {
            error!(worker.id = %self.worker, "leaving: half of the slots or more run on for nobody");
        }
        self.apply(Event::Leaves);
        self.leave().await;
        if is_stuck { Err(Error::Stuck) } else { Ok(()) }
    }

    /// Nothing is held, nothing is asked, and nothing waits to be looked at.
    fn may_leave(&self) -> bool {
        let quiet = self.broker_calls.is_empty() && self.events.is_empty();
        self.executor.may_leave(self.now()) && (quiet || self.session.is_none())
    }

    async fn leave(self) {
        let Self { link, mut events, worker, .. } = self;
        let drained = async {
            while events.recv().await.is_some() {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = link.close() => {}
            () = drained => {}
        }
        info!(worker.id = %worker, "left");
    }

    fn on_link(&mut self, event: link::Event) {
        match event {
            link::Event::Up(session) => {
                let generation = session.generation();
                debug!(worker.id = %self.worker, %generation, "up");
                self.session = Some(session);
                self.refused = None;
                self.apply(Event::Up(generation));
            }
            link::Event::Down(reason) => {
                self.session = None;
                self.broker_calls.clear();
                self.receipts.clear();
                self.will = None;
                // The link has logged it.
                debug!(worker.id = %self.worker, %reason, "down");
                self.apply(Event::Down);
            }
            link::Event::Blocked => warn!(worker.id = %self.worker, "the broker takes nothing"),
            link::Event::Unblocked => info!(worker.id = %self.worker, "the broker takes messages"),
            link::Event::Delivery(delivery) => self.on_delivery(delivery),
            link::Event::Settled(settled) => {
                for token in settled.tokens.into_iter().map(Token::from) {
                    self.apply(Event::Settled { token, outcome: settled.outcome });
                }
            }
        }
    }

    fn on_delivery(&mut self, delivery: Delivery) {
        let Delivery { tag, body, version, redelivered, receipt, user: _ } = delivery;
        match tag.whose(&Source::ALL) {
            Source::Pool(consumer) => {
                let Some(place) = self.decode(&body, version) else { return receipt.ack() };
                self.last_delivery += 1;
                let delivery = DeliveryId(self.last_delivery);
                self.receipts.insert(delivery, receipt);
                self.apply(Event::Placed { delivery, consumer, redelivered, place });
            }
            Source::Will => {
                // A newer one takes its place.
                self.will.replace(receipt).into_iter().for_each(Receipt::ack);
            }
            Source::Control => {
                receipt.ack();
                if let Some(control) = self.decode(&body, version) {
                    self.warn_if_refused(&control);
                    self.apply(Event::Control(control));
                }
            }
        }
    }

    /// A worker that gets no jobs says why, once for each reason.
    fn warn_if_refused(&mut self, control: &Control) {
        if let Control::Refused { bound } = control
            && self.told.insert(*bound)
        {
            let kind = bound.kind();
            warn!(worker.id = %self.worker, bound = kind, "the distributor refuses this worker: {bound}");
        }
    }

    /// A message, or none if it is not one of ours: it is counted, and logged the first time.
    fn decode<T: DeserializeOwned>(&mut self, body: &Bytes, version: Option<u8>) -> Option<T> {
        let problem = match codec::decode(body) {
            Ok(message) if version == Some(VERSION) => return Some(message),
            Ok(_) => format!("it is of version {version:?}"),
            Err(error) => error.to_string(),
        };
        metrics::counter!("simple_dist_worker_undecodable_total").increment(1);
        if self.undecodable == 0 {
            warn!(worker.id = %self.worker, problem, "a message cannot be read; dropped, as any further");
        }
        self.undecodable += 1;
        None
    }

    fn on_asked(&mut self, Asked { request, result }: Asked) {
        let Err(reason) = result else { return };
        match request {
            BrokerCall::Consume { consumer, queue } => {
                if self.refused.as_ref() != Some(&reason) {
                    warn!(worker.id = %self.worker, queue = %queue.queue, %reason, "cannot consume yet");
                    self.refused = Some(reason);
                }
                self.apply(Event::NotConsuming(consumer));
            }
            // A cancel fails with its channel, and that ends the generation.
            BrokerCall::Cancel(consumer) => debug!(?consumer, %reason, "cannot cancel"),
        }
    }

    fn apply(&mut self, event: Event) {
        let now = self.now();
        let mut effects = VecDeque::from(self.executor.apply(event, now));
        while let Some(effect) = effects.pop_front() {
            let event = match effect {
                Effect::Run { slot, jobs } => {
                    let refused = self.slots.run(slot, jobs).err();
                    refused.map(|error| {
                        warn!(worker.id = %self.worker, %error, "a thread cannot be started");
                        Event::CannotRun { slot }
                    })
                }
                Effect::Stop { slot, number } => {
                    self.slots.stop(slot, number);
                    None
                }
                Effect::Kill { slot, number } => {
                    self.slots.kill(slot, number);
                    None
                }
                Effect::Lend { slot, number, lent } => {
                    self.slots.lend(slot, number, lent);
                    None
                }
                Effect::Recall { slot } => {
                    let begun = self.slots.recall(slot);
                    Some(Event::Recalled { slot, begun })
                }
                Effect::CollectProgress => Some(Event::Progressed(self.slots.progress())),
                Effect::Publish(publication) => self.publish(publication),
                Effect::Ack(delivery) => {
                    if let Some(receipt) = self.receipts.remove(&delivery) {
                        receipt.ack();
                    }
                    None
                }
                Effect::Consume { consumer, pool, messages } => {
                    let queue = self.consume(consumer, pool, messages);
                    self.ask(BrokerCall::Consume { consumer, queue });
                    None
                }
                Effect::Cancel(consumer) => {
                    self.ask(BrokerCall::Cancel(consumer));
                    None
                }
            };
            if let Some(event) = event {
                effects.extend(self.executor.apply(event, now));
            }
        }
    }

    /// Publishes; what the publisher does not take is as if the broker had refused it.
    fn publish(&mut self, mut publication: Publication) -> Option<Event> {
        if let Publication::Beat(beat) = &mut publication {
            beat.load = self.load.read();
            beat.printed = self.slots.printed(beat.term);
        }
        let token = publication.token();
        let message = self.wire.message(publication);
        let taken = self.session.as_ref().is_some_and(|session| session.publish(message).is_ok());
        let token = token.filter(|_| !taken)?;
        Some(Event::Settled { token, outcome: Outcome::Refused })
    }

    fn consume(&self, consumer: Consumer, pool: PoolId, messages: usize) -> Consume {
        let queue = self.topology.pool(pool).name;
        Consume {
            tag: Source::Pool(consumer).tag(),
            queue,
            prefetch: u16::try_from(messages).unwrap_or(u16::MAX),
            exclusive: false,
        }
    }

    /// The executor's time.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn ask(&mut self, request: BrokerCall) {
        if let Some(session) = &self.session {
            self.broker_calls.push(session.clone(), request);
        }
    }
}

fn plan(control: QueueSpec, will: QueueSpec) -> Plan {
    let consume = |source: Source, queue: &QueueSpec, prefetch| Consume {
        tag: source.tag(),
        queue: queue.name.clone(),
        prefetch,
        exclusive: true,
    };
    let consumed = vec![
        consume(Source::Will, &will, WILL_PREFETCH),
        consume(Source::Control, &control, CONTROL_PREFETCH),
    ];
    Plan { declare: [control, will].map(Declaration::Queue).to_vec(), consume: consumed }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
