//! The one task that owns the scheduler: it turns what the link brings into events, and the scheduler's
//! effects into what the link does. Whoever is not on the broker comes to it through the desk.

mod broker_calls;
mod http_calls;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use simple_dist_link as link;
use simple_dist_link::Delivery;
use simple_dist_protocol::Outcome;
use simple_dist_protocol::topology::Topology;
use simple_dist_protocol::{Generation, PoolId, Term};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::desk::Request;
use crate::intake::{self, Intake, Source, Unfit};
use crate::view::{self, Maker, View};
use crate::wire::Wire;
use simple_dist_core::scheduler::{Config, Effect, Event, Scheduler, TICK, Token};

use broker_calls::Done;
use http_calls::HttpCallers;

/// How often a standby asks whether the lock is free.
const CLAIM: Duration = Duration::from_secs(1);
/// How often all that is shared is declared again: whatever somebody deletes is soon back, and the
/// workers' beats within their time.
const UPKEEP: Duration = Duration::from_millis(500);
/// How often a bound that is reached is logged.
const TELL: Duration = Duration::from_secs(60);
/// Deliveries taken in one go, before effects are published: answers then leave as lists.
const BATCH: usize = 256;

/// What a service is made of.
pub(crate) struct Parts {
    pub(crate) topology: Topology,
    pub(crate) config: Config,
    pub(crate) events: mpsc::Receiver<link::Event<Source>>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) maker: Maker,
    pub(crate) view: watch::Sender<Arc<View>>,
}

type Session = link::Session<Source>;

/// Owns the scheduler. Woken by the link, by the desk, by broker_calls that end, and by its clocks; ends
/// when it is told to.
pub(crate) struct Service {
    topology: Topology,
    scheduler: Scheduler,
    wire: Wire,
    events: mpsc::Receiver<link::Event<Source>>,
    requests: mpsc::Receiver<Request>,
    callers: HttpCallers,
    maker: Maker,
    view: watch::Sender<Arc<View>>,
    begun: Instant,
    session: Option<Session>,
    leading: bool,
    /// The lock is being asked for.
    claiming: bool,
    /// Errands under way, each with the generation it was begun in.
    broker_calls: JoinSet<(Generation, Done)>,
    /// Pools being emptied, and whether each is to be declared again after that: what is placed
    /// meanwhile would be taken out too.
    purging: HashMap<PoolId, bool>,
    /// Kinds of messages that could not be understood and were logged.
    unfit: HashSet<(Source, &'static str)>,
    /// The bounds that were logged: at which count, and when.
    told: HashMap<String, (u64, Duration)>,
    /// Events that effects gave rise to.
    pending: VecDeque<Event>,
    /// Its room is used again and again.
    effects: Vec<Effect>,
}

impl Service {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            wire: Wire::new(parts.topology.clone()),
            scheduler: Scheduler::new(parts.config),
            topology: parts.topology,
            events: parts.events,
            requests: parts.requests,
            callers: HttpCallers::new(),
            maker: parts.maker,
            view: parts.view,
            begun: Instant::now(),
            session: None,
            leading: false,
            claiming: false,
            broker_calls: JoinSet::new(),
            purging: HashMap::new(),
            unfit: HashSet::new(),
            told: HashMap::new(),
            pending: VecDeque::new(),
            effects: Vec::new(),
        }
    }

    pub(crate) async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut tick = interval(TICK);
        let (mut claim, mut look) = (interval(CLAIM), interval(view::EVERY));
        let mut upkeep = interval(UPKEEP);
        for clock in [&mut tick, &mut claim, &mut look, &mut upkeep] {
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
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
                Some(Ok((generation, done))) = self.broker_calls.join_next() => {
                    self.done(generation, done);
                }
                Some(request) = self.requests.recv() => self.request(request),
                _ = tick.tick() => self.feed(Event::Tick),
                _ = claim.tick() => self.claim(),
                _ = upkeep.tick() => self.session.iter().for_each(Session::declare_again),
                _ = look.tick() => self.show(),
            }
        }
        self.broker_calls.shutdown().await;
    }

    /// Lets everybody see how things are.
    fn show(&mut self) {
        let view = self.maker.make(&self.scheduler, self.begun.elapsed(), unix_now());
        self.warn_of_turned_away(&view);
        self.view.send_replace(Arc::new(view));
    }

    /// Each bound that is reached is logged, at most once a minute.
    fn warn_of_turned_away(&mut self, view: &View) {
        let now = self.begun.elapsed();
        for turned in &view.turned_away {
            let (told, at) = self.told.entry(turned.bound.clone()).or_default();
            let due = *told == 0 || now.saturating_sub(*at) >= TELL;
            if turned.count > *told && due {
                (*told, *at) = (turned.count, now);
                let (bound, count) = (&turned.bound, turned.count);
                tracing::warn!(bound, count, "somebody was turned away: {}", turned.reason);
            }
        }
    }

    fn link(&mut self, event: link::Event<Source>) {
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
                (self.leading, self.claiming) = (false, false);
                self.purging.clear();
                self.feed(Event::LinkDown);
                self.callers.end_term();
            }
            link::Event::Delivery(delivery) => self.delivery(delivery),
            link::Event::Settled(settled) => {
                let tokens = settled.tokens.into_iter().map(Token).collect();
                self.feed(Event::Settled { tokens, outcome: settled.outcome });
            }
        }
    }

    /// Acked on receipt: what is lost from here on, its sender sends again.
    fn delivery(&mut self, delivery: Delivery<Source>) {
        match intake::event(&delivery) {
            Ok(mut event) => {
                if intake::curb(&mut event) > 0 {
                    self.complain(&delivery, Unfit::Oversized);
                }
                self.feed(event);
            }
            Err(unfit) => self.refuse(&delivery, unfit),
        }
        delivery.receipt.ack();
    }

    /// Counted each time, logged the first: garbage comes in floods.
    fn complain(&mut self, delivery: &Delivery<Source>, unfit: Unfit) {
        metrics::counter!("simple_dist_unfit_total", "reason" => unfit.label()).increment(1);
        if self.unfit.insert((delivery.source, unfit.label())) {
            tracing::warn!(
                source = ?delivery.source,
                reason = unfit.label(),
                user = delivery.user.as_ref().map(tracing::field::display),
                bytes = delivery.body.len(),
                "{unfit}; further messages like this one are only counted"
            );
        }
    }

    fn refuse(&mut self, delivery: &Delivery<Source>, unfit: Unfit) {
        self.complain(delivery, unfit);
        if let (Some(session), false) = (&self.session, unfit == Unfit::Anonymous) {
            // A full publisher loses it; it is counted, and was of use to nobody but a person.
            let _full = session.publish(self.wire.park(delivery.body.clone()));
        }
    }

    /// Applies an event, and every event that its effects give rise to.
    fn feed(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next {
            let mut effects = std::mem::take(&mut self.effects);
            effects.extend(self.scheduler.apply(event, self.begun.elapsed()));
            effects.drain(..).for_each(|effect| self.perform(effect));
            self.effects = effects;
            next = self.pending.pop_front();
        }
    }

    fn perform(&mut self, effect: Effect) {
        let effect = match self.callers.take(effect) {
            http_calls::Taken::ForHttp(then) => return self.pending.extend(then),
            http_calls::Taken::ForBroker(effect) => effect,
        };
        let Some(session) = self.session.clone() else { return };
        let (message, token) = match effect {
            Effect::Place { pool, term, placement, work, token } => {
                (self.wire.place(pool, term, &placement, work, token), Some(token))
            }
            Effect::Deliver { to, term, delivery, token } => {
                (self.wire.deliver(to, term, &delivery, token), Some(token))
            }
            Effect::ProbeClient { to, term, token } => {
                (self.wire.probe_client(&to, term, token), Some(token))
            }
            Effect::Control { user, worker, generation, control, token } => {
                let message = self.wire.control(&user, worker, generation, &control, token);
                (message, Some(token))
            }
            Effect::Presence(presence) => (self.wire.presence(&presence), None),
            Effect::DeclarePool(pool) => return self.declare(session, pool),
            Effect::Purge(pool) => return self.purge(session, pool),
            Effect::AskDepths { asked_at, pools } => return self.look(session, asked_at, pools),
            Effect::StepDown => return session.give_up("another distributor leads now"),
        };
        if let (Err(_), Some(token)) = (session.publish(message), token) {
            let settled = Event::Settled { tokens: vec![token], outcome: Outcome::Refused };
            self.pending.push_back(settled);
        }
    }

    fn lead(&mut self, session: Session) {
        let term = Term::random();
        tracing::info!(%term, "active from now on");
        self.leading = true;
        self.feed(Event::Leading { term });
        for intake in [Intake::Answers, Intake::Submissions, Intake::ClientControl] {
            self.consume(session.clone(), intake, Duration::ZERO);
        }
    }
}

fn unix_now() -> Duration {
    // A clock before 1970 shows wrong times, and nothing else.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
