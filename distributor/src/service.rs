//! The one task that owns the scheduler: it turns the link's deliveries and the handle's requests
//! into events, and the scheduler's effects into messages and broker calls.

mod broker_calls;
mod http_calls;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use simple_dist_link as link;
use simple_dist_link::{Delivery, Session};
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::Presence;
use simple_dist_protocol::topology::Topology;
use simple_dist_protocol::{Generation, PoolId, Span, Term};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::counters;
use crate::handle::Request;
use crate::history::{History, HistoryFile};
use crate::view::{self, View, ViewBuilder};
use crate::wire::Wire;
use crate::wire::decode::{self, DecodeError, LeaderQueue, Source};
use simple_dist_core::scheduler::{Config, Effect, Event, QueueTime, Scheduler, TICK, Token};

use broker_calls::CallResult;
use http_calls::HttpCallers;

/// How often a standby looks whether the lock is free: one tiny message each time.
const CLAIM: Duration = Duration::from_millis(100);
/// How often the shared topology is declared again, so that whatever somebody deletes is soon back,
/// and the workers' beats within their limit.
const UPKEEP: Duration = Duration::from_millis(500);
/// How often the history is written to its file, which takes some milliseconds of a thread of its own.
const SAVE: Duration = Duration::from_secs(60);
/// How often, at most, a reached limit is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// The most deliveries handled before effects are published: answers then leave as lists.
const BATCH: usize = 256;

/// What the service is built from.
pub(crate) struct Parts {
    pub(crate) topology: Topology,
    pub(crate) config: Config,
    pub(crate) events: mpsc::Receiver<link::Event>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) view_builder: ViewBuilder,
    pub(crate) history: (History, HistoryFile),
    pub(crate) view: watch::Sender<Arc<View>>,
}

/// Owns the scheduler. Woken by the link, by requests, by finished broker calls, and by its timers;
/// ends at shutdown.
pub(crate) struct Service {
    topology: Topology,
    scheduler: Scheduler,
    wire: Wire,
    events: mpsc::Receiver<link::Event>,
    requests: mpsc::Receiver<Request>,
    callers: HttpCallers,
    view_builder: ViewBuilder,
    view: watch::Sender<Arc<View>>,
    history: History,
    history_file: HistoryFile,
    begun: Instant,
    session: Option<Session>,
    leading: bool,
    /// Whether a request for the lock is running.
    claiming: bool,
    /// When the next may begin.
    claim_at: Instant,
    /// Broker calls in progress, each with the generation it was started in.
    broker_calls: JoinSet<(Generation, CallResult)>,
    /// Pools being purged, and whether each has to be declared again afterwards: a job placed
    /// meanwhile would be purged too.
    purging: HashMap<PoolId, bool>,
    /// Kinds of undecodable messages that have been logged.
    logged_errors: HashSet<(Source, &'static str)>,
    /// The limits that have been logged: at which count, and when.
    logged_limits: HashMap<String, (u64, Duration)>,
    /// Events that effects gave rise to.
    pending: VecDeque<Event>,
    /// Reused between events to save allocations.
    effects: Vec<Effect>,
}

impl Service {
    pub(crate) fn new(parts: Parts) -> Self {
        let (history, history_file) = parts.history;
        Self {
            wire: Wire::new(parts.topology.clone()),
            scheduler: Scheduler::new(parts.config),
            topology: parts.topology,
            events: parts.events,
            requests: parts.requests,
            callers: HttpCallers::new(),
            view_builder: parts.view_builder,
            view: parts.view,
            history,
            history_file,
            begun: Instant::now(),
            session: None,
            leading: false,
            claiming: false,
            claim_at: Instant::now(),
            broker_calls: JoinSet::new(),
            purging: HashMap::new(),
            logged_errors: HashSet::new(),
            logged_limits: HashMap::new(),
            pending: VecDeque::new(),
            effects: Vec::new(),
        }
    }

    pub(crate) async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut tick = interval(TICK);
        let (mut claim, mut views) = (interval(CLAIM), interval(view::EVERY));
        let mut upkeep = interval(UPKEEP);
        let mut saves = interval_at(Instant::now() + SAVE, SAVE);
        for clock in [&mut tick, &mut claim, &mut views, &mut upkeep] {
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
                _ = views.tick() => self.publish_view(),
                _ = saves.tick() => self.history_file.save(&self.history),
            }
        }
        self.broker_calls.shutdown().await;
        self.history_file.finish(&self.history).await;
    }

    /// Publishes a new view.
    fn publish_view(&mut self) {
        let view = self.view_builder.build(&self.scheduler, self.begun.elapsed(), unix_now());
        if let Some(term) = self.scheduler.term() {
            self.history.see(&view, term);
        }
        self.log_reached_limits(&view);
        self.view.send_replace(Arc::new(view));
    }

    /// Logs each reached limit, at most once a minute.
    fn log_reached_limits(&mut self, view: &View) {
        let now = self.begun.elapsed();
        for turned in &view.turned_away {
            let (logged, at) = self.logged_limits.entry(turned.bound.clone()).or_default();
            let due = *logged == 0 || now.saturating_sub(*at) >= LOG_INTERVAL;
            if turned.count > *logged && due {
                (*logged, *at) = (turned.count, now);
                let (bound, count) = (&turned.bound, turned.count);
                tracing::warn!(bound, count, "a limit is reached: {}", turned.reason);
            }
        }
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
                    tracing::warn!("the broker link is down: this term has ended");
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

    /// Acks on receipt: the sender sends again whatever is lost from here on.
    fn delivery(&mut self, delivery: Delivery) {
        match decode::event(&delivery, &self.wire.wills) {
            Ok(None) => {}
            Ok(Some(mut event)) => {
                if decode::enforce_limits(&mut event) > 0 {
                    self.count_undecodable(&delivery, DecodeError::Oversized);
                }
                self.hear_of_the_past(&mut event);
                self.feed(event);
            }
            Err(error) => self.park(&delivery, error),
        }
        delivery.receipt.ack();
    }

    /// On standby the history is what the active distributor says.
    fn hear_of_the_past(&mut self, event: &mut Event) {
        let Event::PresenceSeen(presence) = event else { return };
        if let Some(past) = presence.past.take()
            && self.scheduler.term().is_none()
        {
            self.history.hear(past, presence.term, unix_now());
        }
    }

    /// Counts each undecodable message, but logs only the first of a kind: garbage comes in floods.
    fn count_undecodable(&mut self, delivery: &Delivery, error: DecodeError) {
        counters::UNFIT[error as usize].add();
        let source = delivery.tag.whose(&Source::ALL);
        if self.logged_errors.insert((source, error.label())) {
            tracing::warn!(
                ?source,
                reason = error.label(),
                user = delivery.user.as_ref().map(tracing::field::display),
                bytes = delivery.body.len(),
                "{error}; further messages like this one are only counted"
            );
        }
    }

    fn park(&mut self, delivery: &Delivery, error: DecodeError) {
        self.count_undecodable(delivery, error);
        if let (Some(session), false) = (&self.session, error == DecodeError::Anonymous) {
            // A full publisher drops it; it has been counted, and only an operator would have read
            // it.
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
        let effect = match self.callers.route(effect) {
            http_calls::Routed::ForHttp(then) => return self.pending.extend(then),
            http_calls::Routed::ForBroker(effect) => effect,
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
            Effect::Will { user, worker, generation } => {
                (self.wire.will(&user, worker, generation), None)
            }
            Effect::Presence(presence) => {
                let past = self.history.past(unix_now());
                (self.wire.presence(&Presence { past, ..presence }), None)
            }
            Effect::DeclarePool(pool) => return self.declare(session, pool),
            Effect::Purge(pool) => return self.purge(session, pool),
            Effect::AskDepths { asked_at, pools } => {
                return self.ask_depths(session, asked_at, pools);
            }
            Effect::StepDown => return session.give_up("another distributor is active now"),
            Effect::Trace(queued) => return self.trace(&queued),
        };
        if let (Err(_), Some(token)) = (session.publish(message), token) {
            let settled = Event::Settled { tokens: vec![token], outcome: Outcome::Refused };
            self.pending.push_back(settled);
        }
    }

    fn trace(&self, queued: &QueueTime) {
        let began = SystemTime::now() - self.begun.elapsed();
        let span = (began + queued.from, began + queued.to);
        Span::queue(&queued.function, queued.id, &queued.trace, span, queued.failure);
    }

    fn start_term(&mut self, session: Session) {
        let term = Term::random();
        tracing::info!(%term, "this distributor is now active");
        self.leading = true;
        self.feed(Event::Leading { term });
        for queue in [LeaderQueue::Answers, LeaderQueue::Submissions, LeaderQueue::ClientControl] {
            self.consume(session.clone(), queue, Duration::ZERO);
        }
    }
}

pub(crate) fn unix_now() -> Duration {
    // A clock before 1970 only shows wrong times.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
