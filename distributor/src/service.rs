//! The one task that owns the ledger: it turns what the link brings into events, and the ledger's
//! effects into what the link does.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use simple_dist_protocol::link::{
    self, BrokerUrl, Consume, Delivery, Link, Options, Outcome, Plan, Reason, Session, Source,
    Taken, UrlError,
};
use simple_dist_protocol::message::Place;
use simple_dist_protocol::topology::{Declaration, PrefixError, QueueKind, Topology};
use simple_dist_protocol::{
    Attempt, DistributorId, Generation, JobKey, PoolId, Term, codec, limits,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::intake::{self, Unfit};
use crate::ledger::{Config, Effect, Event, Ledger, TICK, Token};
use crate::outbox::Outbox;

/// How often a standby asks whether the leader queue is free.
const CLAIM: Duration = Duration::from_secs(1);
/// How soon a refused consumer is tried again: the last leader's may not be gone yet.
const RETRY: Duration = Duration::from_millis(250);
/// Deliveries taken in one go, before effects are published: answers then leave as lists.
const BATCH: usize = 256;

/// Why a distributor cannot start. Once started it goes on until it is told to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker's URL is unusable.
    #[error("the broker's URL: {0}")]
    Url(#[from] UrlError),
    /// The prefix is unusable.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
}

/// A distributor: one is active, any number stand by.
#[derive(Debug)]
pub struct Distributor;

impl Distributor {
    /// A distributor on the broker at `url`.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder { url: url.into(), prefix: "sd".to_owned(), queues: QueueKind::Classic }
    }
}

/// Settings of a distributor.
#[derive(Clone)]
pub struct Builder {
    url: String,
    prefix: String,
    queues: QueueKind,
}

// By hand: the URL holds a password.
impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("prefix", &self.prefix)
            .field("queues", &self.queues)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// The prefix of all names at the broker; `sd` by default.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// How the broker keeps the shared queues; classic by default.
    #[must_use]
    pub fn queues(mut self, queues: QueueKind) -> Self {
        self.queues = queues;
        self
    }

    /// Runs it until `shutdown` ends; then closes its link, within two seconds. Jobs under way are
    /// taken over by the next active distributor.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let url: BrokerUrl = self.url.parse()?;
        let topology = Topology::new(&self.prefix, self.queues)?;
        let id = DistributorId::new();
        tracing::info!(distributor.id = %id, broker = %url, "starting");
        let (link, events) = Link::start(Options {
            url,
            name: format!("simple-dist distributor {id}"),
            signed: false,
            plan: plan(topology.clone(), id),
        });
        let service = Service::new(topology, id, events);
        service.run(shutdown).await;
        link.close().await;
        tracing::info!(distributor.id = %id, "stopped");
        Ok(())
    }
}

/// Everybody hears beats and presence; only the leader consumes the intakes.
fn plan(topology: Topology, id: DistributorId) -> Box<dyn Fn(Generation) -> Plan + Send + Sync> {
    Box::new(move |generation| {
        let (heard, seen) = (topology.heard(id, generation), topology.seen(id, generation));
        let consume = |source, queue: &simple_dist_protocol::topology::QueueSpec| Consume {
            source,
            queue: queue.name.clone(),
            prefetch: limits::INTAKE_PREFETCH,
            exclusive: true,
        };
        let consumed = vec![consume(Source::Beats, &heard), consume(Source::Presence, &seen)];
        let mut declare = topology.shared();
        declare.push(Declaration::Queue(heard.clone()));
        declare.push(Declaration::Queue(seen.clone()));
        declare.push(topology.bound_to_beats(&heard));
        declare.push(topology.bound_to_presence(&seen));
        Plan { declare, consume: consumed }
    })
}

/// What an errand on the link came to.
#[derive(Debug)]
enum Done {
    /// The leader queue was asked for.
    Claimed(Result<bool, Reason>),
    /// An intake is consumed, or not yet.
    Consumed(Source, Result<(), Reason>),
    /// A pool's queue was declared.
    Declared(PoolId, Result<(), Reason>),
    /// Queues were looked at.
    Looked { asked_at: Duration, depths: Result<Depths, Reason> },
    /// A pool's queue was emptied.
    Purged(PoolId, Result<Vec<Taken>, Reason>),
}

#[derive(Debug)]
struct Depths {
    pools: Vec<(PoolId, Option<u32>)>,
    answers: u32,
}

struct Service {
    topology: Topology,
    ledger: Ledger,
    outbox: Outbox,
    events: mpsc::Receiver<link::Event>,
    begun: Instant,
    session: Option<Session>,
    leading: bool,
    /// Errands under way, each with the generation it was begun in.
    errands: JoinSet<(Generation, Done)>,
    /// Pools being emptied, and whether each is to be declared again after that: what is placed
    /// meanwhile would be taken out too.
    purging: HashMap<PoolId, bool>,
    /// Kinds of messages that could not be understood and were logged.
    unfit: HashSet<(Source, &'static str)>,
    /// Events that effects gave rise to.
    pending: VecDeque<Event>,
    /// Its room is used again and again.
    effects: Vec<Effect>,
}

impl Service {
    fn new(topology: Topology, id: DistributorId, events: mpsc::Receiver<link::Event>) -> Self {
        Self {
            outbox: Outbox::new(topology.clone()),
            ledger: Ledger::new(Config::new(id)),
            topology,
            events,
            begun: Instant::now(),
            session: None,
            leading: false,
            errands: JoinSet::new(),
            purging: HashMap::new(),
            unfit: HashSet::new(),
            pending: VecDeque::new(),
            effects: Vec::new(),
        }
    }

    async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let (mut tick, mut claim) = (interval(TICK), interval(CLAIM));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        claim.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                count = self.events.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    batch.drain(..).for_each(|event| self.link(event));
                }
                Some(Ok((generation, done))) = self.errands.join_next() => {
                    self.done(generation, done);
                }
                _ = tick.tick() => self.feed(Event::Tick),
                _ = claim.tick() => self.claim(),
            }
        }
        self.errands.shutdown().await;
    }

    fn link(&mut self, event: link::Event) {
        match event {
            link::Event::Up(session) => {
                self.session = Some(session);
                self.feed(Event::LinkUp);
                self.claim();
            }
            link::Event::Blocked => self.feed(Event::Blocked),
            link::Event::Unblocked => self.feed(Event::Unblocked),
            link::Event::Down(_) => {
                if self.leading {
                    tracing::warn!("the link is down: this term is over");
                }
                self.session = None;
                self.leading = false;
                self.purging.clear();
                self.feed(Event::LinkDown);
            }
            link::Event::Delivery(delivery) => self.delivery(delivery),
            link::Event::Settled(settled) => {
                let tokens = settled.tokens.into_iter().map(Token).collect();
                self.feed(Event::Settled { tokens, outcome: settled.outcome });
            }
        }
    }

    /// Acked on receipt: what is lost from here on, its sender sends again.
    fn delivery(&mut self, delivery: Delivery) {
        match intake::event(&delivery) {
            Ok(event) => self.feed(event),
            Err(unfit) => self.refuse(&delivery, unfit),
        }
        delivery.receipt.ack();
    }

    /// Counted each time, logged the first: garbage comes in floods.
    fn refuse(&mut self, delivery: &Delivery, unfit: Unfit) {
        metrics::counter!("simple_dist_unfit_total", "reason" => unfit.label()).increment(1);
        if self.unfit.insert((delivery.source, unfit.label())) {
            tracing::warn!(
                source = ?delivery.source,
                reason = unfit.label(),
                bytes = delivery.body.len(),
                "a message cannot be understood; further ones like it are only counted"
            );
        }
        if let (Some(session), false) = (&self.session, unfit == Unfit::Anonymous) {
            // A full publisher loses it; it is counted, and was of use to nobody but a person.
            let _full = session.publish(self.outbox.park(delivery.body.clone()));
        }
    }

    /// Applies an event, and every event that its effects give rise to.
    fn feed(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next {
            let mut effects = std::mem::take(&mut self.effects);
            effects.extend(self.ledger.apply(event, self.begun.elapsed()));
            effects.drain(..).for_each(|effect| self.perform(effect));
            self.effects = effects;
            next = self.pending.pop_front();
        }
    }

    fn perform(&mut self, effect: Effect) {
        let Some(session) = self.session.clone() else { return };
        let (message, token) = match effect {
            Effect::Place { pool, term, placement, work, token } => {
                (self.outbox.place(pool, term, &placement, work, token), Some(token))
            }
            Effect::Deliver { to, term, delivery, token } => {
                (self.outbox.deliver(to, term, &delivery, token), Some(token))
            }
            Effect::Control { user, worker, generation, control, token } => {
                let message = self.outbox.control(&user, worker, generation, &control, token);
                (message, Some(token))
            }
            Effect::Presence(presence) => (self.outbox.presence(&presence), None),
            Effect::DeclarePool(pool) => return self.declare(session, pool),
            Effect::Purge(pool) => return self.purge(session, pool),
            Effect::AskDepths { asked_at, pools } => return self.look(session, asked_at, pools),
        };
        if let (Err(_), Some(token)) = (session.publish(message), token) {
            let settled = Event::Settled { tokens: vec![token], outcome: Outcome::Refused };
            self.pending.push_back(settled);
        }
    }

    fn errand(&mut self, session: &Session, errand: impl Future<Output = Done> + Send + 'static) {
        let generation = session.generation();
        self.errands.spawn(async move { (generation, errand.await) });
    }

    fn claim(&mut self) {
        let Some(session) = self.session.clone() else { return };
        if !self.leading {
            let leader = self.topology.leader();
            let asking = session.clone();
            self.errand(&session, async move { Done::Claimed(asking.claim(leader).await) });
        }
    }

    fn consume(&mut self, session: Session, source: Source, delay: Duration) {
        let queue = match source {
            Source::Answers => self.topology.answers(),
            Source::Submissions => self.topology.submissions(),
            Source::ClientControl => self.topology.control(),
            other => unreachable!("{other:?} is no intake"),
        };
        let prefetch = limits::INTAKE_PREFETCH;
        let asking = session.clone();
        self.errand(&session, async move {
            tokio::time::sleep(delay).await;
            let consume = Consume { source, queue, prefetch, exclusive: false };
            Done::Consumed(source, asking.consume(consume).await)
        });
    }

    fn declare(&mut self, session: Session, pool: PoolId) {
        if let Some(declare) = self.purging.get_mut(&pool) {
            *declare = true;
            return;
        }
        let queue = Declaration::Queue(self.topology.pool(pool));
        let asking = session.clone();
        self.errand(&session, async move { Done::Declared(pool, asking.declare(queue).await) });
    }

    fn purge(&mut self, session: Session, pool: PoolId) {
        self.purging.insert(pool, false);
        let queue = self.topology.pool(pool).name;
        let asking = session.clone();
        self.errand(&session, async move { Done::Purged(pool, asking.empty(queue).await) });
    }

    fn look(&mut self, session: Session, asked_at: Duration, pools: Vec<PoolId>) {
        let topology = self.topology.clone();
        let asking = session.clone();
        self.errand(&session, async move {
            Done::Looked { asked_at, depths: depths(&asking, &topology, pools).await }
        });
    }

    fn done(&mut self, generation: Generation, done: Done) {
        let Some(session) = self.session.clone() else { return };
        if session.generation() != generation {
            return;
        }
        match done {
            Done::Claimed(Ok(true)) => self.lead(session),
            Done::Claimed(Ok(false)) => tracing::debug!("another distributor is active"),
            Done::Claimed(Err(error)) => tracing::warn!(%error, "the leader queue is not ours"),
            Done::Consumed(source, Ok(())) => tracing::debug!(?source, "consuming"),
            Done::Consumed(source, Err(error)) => {
                tracing::warn!(%error, ?source, "an intake cannot be consumed yet");
                self.consume(session, source, RETRY);
            }
            Done::Declared(pool, result) => {
                if let Err(error) = &result {
                    tracing::warn!(%error, %pool, "a pool's queue is not there");
                }
                self.feed(Event::PoolDeclared { pool, declared: result.is_ok() });
            }
            Done::Looked { asked_at, depths: Ok(Depths { pools, answers }) } => {
                self.feed(Event::Depths { asked_at, pools, answers });
            }
            Done::Looked { depths: Err(error), .. } => tracing::warn!(%error, "queues unseen"),
            Done::Purged(pool, taken) => {
                match taken {
                    Ok(taken) => self.feed(Event::Purged { untouched: untouched(&taken) }),
                    Err(error) => tracing::warn!(%error, %pool, "not purged"),
                }
                if self.purging.remove(&pool) == Some(true) {
                    self.declare(session, pool);
                }
            }
        }
    }

    fn lead(&mut self, session: Session) {
        let term = Term::random();
        tracing::info!(%term, "active from now on");
        self.leading = true;
        self.feed(Event::Leading { term });
        for source in [Source::Answers, Source::Submissions, Source::ClientControl] {
            self.consume(session.clone(), source, Duration::ZERO);
        }
    }
}

/// The attempts in messages that nobody ever had.
fn untouched(taken: &[Taken]) -> Vec<(JobKey, Attempt)> {
    let places = taken.iter().filter(|message| !message.redelivered);
    // Anybody with the right to write there may have put something else: it is nobody's attempt.
    let places = places.filter_map(|message| codec::decode::<Place>(&message.body).ok());
    let attempts = places.flat_map(|Place { term, jobs }| {
        jobs.into_iter().map(move |job| (job.key, Attempt { term, number: job.attempt }))
    });
    attempts.collect()
}

/// How many messages wait in the pools' queues and then in the answers.
async fn depths(
    session: &Session,
    topology: &Topology,
    pools: Vec<PoolId>,
) -> Result<Depths, Reason> {
    let mut seen = Vec::with_capacity(pools.len());
    for pool in pools {
        let depth = session.depth(topology.pool(pool).name).await?;
        seen.push((pool, depth.map(|depth| depth.messages)));
    }
    let answers = session.depth(topology.answers()).await?.map_or(0, |depth| depth.messages);
    Ok(Depths { pools: seen, answers })
}
