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
use simple_dist_protocol::message::{Bound, Control, VERSION};
use simple_dist_protocol::topology::{Declaration, Topology};
use simple_dist_protocol::{Address, Outcome, PoolId, WorkerId, codec};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::broker_calls::{Asked, BrokerCall, BrokerCalls};
use crate::slots::{Bodies, Slots};
use crate::wire::{Source, Wire};

/// Jobs that slots have run and the service has not yet looked at.
const RAN: usize = 1024;
/// Control messages that may be unacked.
const CONTROL_PREFETCH: u16 = 100;

/// What a worker needs to run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) url: BrokerUrl,
    pub(crate) topology: Topology,
    pub(crate) functions: Vec<Address>,
    pub(crate) bodies: Bodies,
    pub(crate) slots: usize,
    pub(crate) lends: usize,
    pub(crate) grace: Duration,
    pub(crate) host: String,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Service {
    worker: WorkerId,
    topology: Topology,
    prefetch: u16,
    /// The beginning of the executor's time.
    began: Instant,
    executor: Executor,
    slots: Slots,
    ran: mpsc::Receiver<Event>,
    wire: Wire,
    link: Link,
    events: mpsc::Receiver<link::Event>,
    session: Option<Session>,
    /// Why the pool could not be consumed, so that each reason is logged once.
    refused: Option<Reason>,
    broker_calls: BrokerCalls,
    last_delivery: u64,
    receipts: HashMap<DeliveryId, Receipt>,
    undecodable: u64,
    /// The bounds for which the distributor refused it, as far as they were logged.
    told: HashSet<Bound>,
}

/// What wakes the service.
#[derive(Debug)]
enum Wake {
    Link(Option<link::Event>),
    Ran,
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
        let slots = Slots::start(options.slots, options.bodies, began, happened)?;
        let topology = options.topology;
        let (user, names) = (options.url.user().clone(), topology.clone());
        let (link, events) = Link::start(link::Options {
            url: options.url,
            name: format!("simple-dist worker {worker}"),
            signed: true,
            plan: Box::new(move |generation| control(names.worker(&user, worker, generation))),
        });
        let Options { functions, host, slots: slot_count, lends, grace, .. } = options;
        info!(worker.id = %worker, ?functions, slots = slot_count, "serving");
        let profile = Profile { worker, host, functions, slots: slot_count, lends, grace };
        Ok(Self {
            worker,
            wire: Wire::new(&topology, worker),
            topology,
            prefetch: u16::try_from(slot_count).unwrap_or(u16::MAX),
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
            undecodable: 0,
            told: HashSet::new(),
        })
    }

    pub(crate) async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
        grace_ends: impl Future<Output = ()>,
    ) {
        let (mut shutdown, mut grace_ends) = (pin!(shutdown.fuse()), pin!(grace_ends.fuse()));
        let mut ran = Vec::with_capacity(RAN);
        while !self.may_leave() {
            let due = self.executor.next_wake().map(|due| self.began + due);
            let wake = tokio::select! {
                event = self.events.recv() => Wake::Link(event),
                _count = self.ran.recv_many(&mut ran, RAN) => Wake::Ran,
                asked = self.broker_calls.next() => Wake::Asked(asked),
                () = &mut shutdown => Wake::Shutdown,
                () = &mut grace_ends => Wake::GraceEnds,
                () = sleep_until(due) => Wake::Time,
            };
            match wake {
                Wake::Link(Some(event)) => self.on_link(event),
                Wake::Link(None) => {
                    error!(worker.id = %self.worker, "the link has ended, which it never should");
                    return;
                }
                Wake::Ran => ran.drain(..).for_each(|event| self.apply(event)),
                Wake::Asked(asked) => self.on_asked(asked),
                Wake::Shutdown => {
                    info!(worker.id = %self.worker, "leaving");
                    self.apply(Event::Shutdown);
                }
                Wake::GraceEnds => self.apply(Event::GraceEnds),
                Wake::Time => self.apply(Event::Tick),
            }
        }
        self.apply(Event::Leaves);
        self.leave().await;
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
                Effect::Lend { slot, lent } => {
                    self.slots.lend(slot, lent);
                    None
                }
                Effect::Recall { slot } => {
                    let begun = self.slots.recall(slot);
                    Some(Event::Recalled { slot, begun })
                }
                Effect::Publish(publication) => self.publish(publication),
                Effect::Ack(delivery) => {
                    if let Some(receipt) = self.receipts.remove(&delivery) {
                        receipt.ack();
                    }
                    None
                }
                Effect::Consume { consumer, pool } => {
                    self.ask(BrokerCall::Consume { consumer, queue: self.consume(consumer, pool) });
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
    fn publish(&self, publication: Publication) -> Option<Event> {
        let token = publication.token();
        let message = self.wire.message(publication);
        let taken = self.session.as_ref().is_some_and(|session| session.publish(message).is_ok());
        let token = token.filter(|_| !taken)?;
        Some(Event::Settled { token, outcome: Outcome::Refused })
    }

    fn consume(&self, consumer: Consumer, pool: PoolId) -> Consume {
        let queue = self.topology.pool(pool).name;
        Consume {
            tag: Source::Pool(consumer).tag(),
            queue,
            prefetch: self.prefetch,
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

fn control(queue: simple_dist_protocol::topology::QueueSpec) -> Plan {
    let consume = Consume {
        tag: Source::Control.tag(),
        queue: queue.name.clone(),
        prefetch: CONTROL_PREFETCH,
        exclusive: true,
    };
    Plan { declare: vec![Declaration::Queue(queue)], consume: vec![consume] }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
