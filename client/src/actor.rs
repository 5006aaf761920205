//! The one task of a client: everything that happens becomes an event of the [`Table`], and what
//! follows from it is carried out here.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::message::{Deliveries, Presence};
use simple_dist_protocol::topology::Topology;
use simple_dist_protocol::{Address, ClientId, codec, link};
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::client::Shared;
use crate::local::{LocalEnd, Pool, Work};
use crate::table::{Begin, Effect, Event, Table};
use crate::wire::Wire;

/// How often it is looked whether the distributor's beats come.
const LOOK: Duration = Duration::from_millis(500);
/// A beat that is this late may have nowhere to go: somebody may have deleted the exchange, or our
/// binding to it with it.
const MISSED: Duration = Duration::from_millis(1250);
/// What is taken in before its consequences are carried out.
const BATCH: usize = 1024;

/// Owns the table, the link's events and the local threads. Woken by calls, drops, the broker,
/// ends of local runs and time; ends with `shutdown`, or when the link or all handles are gone.
pub(crate) struct Actor {
    pub(crate) id: ClientId,
    pub(crate) topology: Topology,
    pub(crate) shared: Arc<Shared>,
    pub(crate) begins: mpsc::Receiver<Begin>,
    pub(crate) events: mpsc::Receiver<link::Event>,
    /// Why there is no connection, for whoever asks.
    pub(crate) problem: watch::Sender<Option<link::Reason>>,
    /// What workers serve, once a distributor was heard, for whoever asks.
    pub(crate) served: watch::Sender<Option<Vec<Address>>>,
    pub(crate) local_slots: usize,
}

impl Actor {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let Self { id, topology, shared, mut begins, mut events, problem, served, local_slots } =
            self;
        let (pool, mut ended) = Pool::new(local_slots);
        let table = Table::new(local_slots, Instant::now());
        let mut desk = Desk {
            id,
            topology,
            problem,
            served,
            table,
            pool,
            wire: None,
            unreadable: HashSet::new(),
        };
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut begun, mut happened) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        loop {
            let wake = desk.table.wake(Instant::now());
            tokio::select! {
                () = shutdown.cancelled() => break,
                count = begins.recv_many(&mut begun, BATCH) => if count == 0 { break },
                count = events.recv_many(&mut happened, BATCH) => if count == 0 { break },
                () = shared.dropped.changed() => {}
                Some(end) = ended.recv() => desk.ran(end),
                _ = looks.tick() => desk.keep_up(),
                () = sleep_until(wake) => {}
            }
            // What came from the other side goes first: new calls are judged by it.
            while happened.len() < BATCH
                && let Ok(event) = events.try_recv()
            {
                happened.push(event);
            }
            let now = Instant::now();
            happened.drain(..).for_each(|event| desk.happened(event, now));
            desk.look(events.is_empty(), now);
            begun.drain(..).for_each(|begin| desk.table.apply(Event::Begin(begin), now));
            shared.dropped.take().into_iter().for_each(|id| {
                desk.table.apply(Event::Dropped(id), now);
            });
            desk.carry_out(now);
            // The link is on this thread: however many calls begin, it comes to publish and to hear.
            yield_now().await;
        }
        let now = Instant::now();
        desk.table.apply(Event::Close, now);
        desk.carry_out(now);
    }
}

/// The table with what carries its effects out.
struct Desk {
    id: ClientId,
    topology: Topology,
    problem: watch::Sender<Option<link::Reason>>,
    served: watch::Sender<Option<Vec<Address>>>,
    table: Table,
    pool: Pool,
    /// The present generation's publishing side.
    wire: Option<Wire>,
    /// Where messages came from that could not be read and were logged.
    unreadable: HashSet<link::Source>,
}

impl Desk {
    fn keep_up(&self) {
        if self.table.unheard(Instant::now()) >= MISSED {
            self.wire.iter().for_each(Wire::declare_again);
        }
    }

    fn ran(&mut self, end: LocalEnd) {
        let LocalEnd { id, end, took } = end;
        self.table.apply(Event::Ran { id, end, took }, Instant::now());
    }

    fn happened(&mut self, event: link::Event, now: Instant) {
        let event = match event {
            link::Event::Up(session) => {
                self.wire = Some(Wire::new(session, self.id, &self.topology));
                self.problem.send_replace(None);
                Event::Up
            }
            link::Event::Blocked => {
                tracing::warn!("the broker takes no messages for now, calls run here");
                Event::Blocked
            }
            link::Event::Unblocked => {
                tracing::info!("the broker takes messages again");
                Event::Unblocked
            }
            link::Event::Down(reason) => {
                self.wire = None;
                self.problem.send_replace(Some(reason.clone()));
                Event::Down(reason)
            }
            link::Event::Settled(settled) => Event::Settled(settled),
            link::Event::Delivery(delivery) => match self.read(delivery) {
                Some(event) => event,
                None => return,
            },
        };
        if let Event::Presence(presence) = &event {
            self.served.send_if_modified(|served| {
                let news = served.as_ref() != Some(&presence.functions);
                if news {
                    *served = Some(presence.functions.clone());
                }
                news
            });
        }
        self.table.apply(event, now);
    }

    fn look(&mut self, caught_up: bool, now: Instant) {
        let unconfirmed = self.wire.as_ref().map_or(Duration::ZERO, Wire::unconfirmed);
        self.table.apply(Event::Look { unconfirmed, caught_up }, now);
    }

    fn carry_out(&mut self, now: Instant) {
        for effect in self.table.effects(now) {
            self.carry_out_one(effect, now);
        }
    }

    fn carry_out_one(&mut self, effect: Effect, now: Instant) {
        let wire = self.wire.as_ref();
        match effect {
            Effect::Submit { submission, token } => {
                if wire.is_none_or(|wire| wire.submit(&submission, token).is_err()) {
                    self.table.apply(Event::NotTaken { token }, now);
                }
            }
            Effect::Run { id, callee, args, reason } => {
                tracing::debug!(job.id = %id, function = %callee.name, %reason, "runs here");
                metrics::counter!("simple_dist_client_local_runs_total", "reason" => reason.kind())
                    .increment(1);
                if let Some(end) = self.pool.run(Work { id, callee, args, reason }) {
                    self.ran(end);
                }
            }
            Effect::End { id, reply, outcome } => {
                if let Err(error) = &outcome {
                    tracing::debug!(job.id = %id, %error, "a call has no value");
                }
                // A caller that has gone meanwhile wants no answer.
                let _gone = reply.send(outcome);
            }
            Effect::Cancel(ids) => wire.into_iter().for_each(|wire| wire.cancel(ids.clone())),
            Effect::Ask(ids) => wire.into_iter().for_each(|wire| wire.ask(ids.clone())),
            Effect::Noted { id, marks } => {
                wire.into_iter().for_each(|wire| wire.noted(id, marks.clone()));
            }
            Effect::Report(runs) => wire.into_iter().for_each(|wire| wire.report(runs.clone())),
        }
    }

    /// The event in a message. One that cannot be read is gone, counted, and logged the first time:
    /// its job is asked after.
    fn read(&mut self, delivery: link::Delivery) -> Option<Event> {
        let event = match delivery.source {
            link::Source::Deliveries => {
                codec::decode::<Deliveries>(&delivery.body).map(Event::Deliveries)
            }
            link::Source::Presence => {
                codec::decode::<Presence>(&delivery.body).map(Event::Presence)
            }
            link::Source::Submissions
            | link::Source::ClientControl
            | link::Source::Answers
            | link::Source::Beats
            | link::Source::Pool
            | link::Source::LookAhead
            | link::Source::WorkerControl => return None, // not in a client's plan
        };
        delivery.receipt.ack();
        event
            .inspect_err(|error| {
                metrics::counter!("simple_dist_client_unreadable_total").increment(1);
                if self.unreadable.insert(delivery.source) {
                    let source = delivery.source;
                    tracing::warn!(%error, ?source, "unreadable, dropped as any further one");
                }
            })
            .ok()
    }
}
