//! The one task of a client: everything that happens becomes an event of the [`Caller`], and what
//! follows from it is carried out here.

use std::collections::{HashMap, HashSet};
use std::mem::replace;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_core::caller::{self, Begin, CallEnd, Caller, Effect, Ended, Event};
use simple_dist_link as link;
use simple_dist_protocol::message::{Deliveries, Presence};
use simple_dist_protocol::topology::Topology;
use simple_dist_protocol::{Address, ClientId, JobId, codec};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::answer::{Failed, Value};
use crate::dropped::Shared;
use crate::erased_value::ErasedValue;
use crate::local::{Host, LocalEnd, Pool, Work};
use crate::new_call::{Arguments, NewCall, Outcome};
use crate::progress_sender::ProgressSender;
use crate::stub::{Input, Stub};
use crate::wire::{Source, Wire};
use crate::{Answer, Reason};

/// How often it is looked whether the distributor's beats come.
const LOOK: Duration = Duration::from_millis(500);
/// A beat that is this late may have nowhere to go: somebody may have deleted the exchange, or our
/// binding to it with it.
const MISSED: Duration = Duration::from_millis(1250);
/// The longest pause between two looks whether somebody has: mostly there is no distributor.
const RARE: Duration = Duration::from_secs(8);
/// What is taken in before its consequences are carried out.
const BATCH: usize = 1024;

/// Owns the caller, the link's events and the local threads. Woken by calls, drops, the broker,
/// ends of local runs and time; ends with `shutdown`, or when the link or all handles are gone.
pub(crate) struct Actor {
    pub(crate) id: ClientId,
    pub(crate) topology: Topology,
    pub(crate) shared: Arc<Shared>,
    pub(crate) begins: mpsc::Receiver<NewCall>,
    pub(crate) events: mpsc::Receiver<link::Event>,
    /// Why there is no connection, for whoever asks.
    pub(crate) problem: watch::Sender<Option<link::Reason>>,
    /// What workers serve, once a distributor was heard, for whoever asks.
    pub(crate) served: watch::Sender<Option<Vec<Address>>>,
    pub(crate) local_slots: usize,
    /// What times are counted from.
    pub(crate) began: Instant,
}

impl Actor {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let Self { id, topology, shared, mut begins, mut events, problem, served, .. } = self;
        let (pool, mut ended) = Pool::new(self.local_slots);
        let caller = Caller::new(self.local_slots, self.began.elapsed());
        let mut table = CallTable {
            id,
            topology,
            problem,
            served,
            began: self.began,
            caller,
            calls: HashMap::new(),
            pool,
            wire: None,
            unreadable: HashSet::new(),
            left_behind: false,
            redeclare_timer: RedeclareTimer::default(),
        };
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut begun, mut happened) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        loop {
            let wake = table.began + table.caller.wake(table.now());
            tokio::select! {
                () = shutdown.cancelled() => break,
                count = begins.recv_many(&mut begun, BATCH) => if count == 0 { break },
                count = events.recv_many(&mut happened, BATCH) => if count == 0 { break },
                () = shared.dropped.changed() => {}
                Some(end) = ended.recv() => table.ran(end),
                _ = looks.tick() => table.redeclare(),
                () = sleep_until(wake) => {}
            }
            // What came from the other side goes first: new calls are judged by it.
            while happened.len() < BATCH
                && let Ok(event) = events.try_recv()
            {
                happened.push(event);
            }
            let now = table.now();
            happened.drain(..).for_each(|event| table.happened(event, now));
            table.look(events.is_empty(), now);
            begun.drain(..).for_each(|call| table.begin(call, now));
            shared.dropped.take().into_iter().for_each(|id| table.dropped(id, now));
            table.carry_out(now);
            // The link is on this thread: however many calls begin, it comes to publish and to hear.
            yield_now().await;
        }
        let now = table.now();
        table.caller.apply(Event::Close, now);
        table.carry_out(now);
    }
}

/// The caller with what carries its effects out.
struct CallTable {
    id: ClientId,
    topology: Topology,
    problem: watch::Sender<Option<link::Reason>>,
    served: watch::Sender<Option<Vec<Address>>>,
    began: Instant,
    caller: Caller,
    /// What the caller does not know of its jobs.
    calls: HashMap<JobId, InFlight>,
    pool: Pool,
    /// The present generation's publishing side.
    wire: Option<Wire>,
    /// Where messages came from that could not be read and were logged.
    unreadable: HashSet<Source>,
    /// Whether a run was left behind at a deadline, and that was logged.
    left_behind: bool,
    redeclare_timer: RedeclareTimer,
}

/// When to declare again what somebody may have deleted: soon after the first beat that is missed,
/// then ever more rarely.
#[derive(Debug, Default)]
struct RedeclareTimer {
    /// The next time, and the pause after it.
    next: Option<(Duration, Duration)>,
}

impl RedeclareTimer {
    fn is_due(&mut self, unheard: Duration, now: Duration) -> bool {
        if unheard < MISSED {
            self.next = None;
            return false;
        }
        let (at, pause) = self.next.unwrap_or((now, LOOK));
        if now < at {
            return false;
        }
        self.next = Some((now + pause, (pause * 2).min(RARE)));
        true
    }
}

/// What is held of a call until it has ended.
struct InFlight {
    stub: Arc<Stub>,
    reply: oneshot::Sender<Outcome>,
    local: Local,
    deadline: Option<Instant>,
    progress: ProgressSender,
    /// The call's `traceparent`, for a run here.
    trace: Option<Box<str>>,
    /// Tells a run here when the call has ended.
    ends: Option<DropGuard>,
}

/// What is with us of a run here.
enum Local {
    Nothing,
    /// Its argument, which cannot travel.
    Argument(ErasedValue),
    /// What it gave: its value or its error.
    Given(Value),
}

impl CallTable {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn begin(&mut self, call: NewCall, now: Duration) {
        let NewCall { id, stub, arguments, options, at, progress, reply } = call;
        if reply.is_closed() {
            return; // dropped before it was seen here
        }
        let target = Arc::clone(&stub.target);
        let (args, local) = match arguments {
            Arguments::Encoded(args) => (Ok(args), Local::Nothing),
            Arguments::Erased(argument, obstacle) => (Err(obstacle), Local::Argument(argument)),
        };
        let deadline = options.deadline.and_then(|deadline| at.checked_add(deadline));
        let trace = options.trace.clone();
        self.calls
            .insert(id, InFlight { stub, reply, local, deadline, progress, trace, ends: None });
        let at = at.saturating_duration_since(self.began);
        self.caller.apply(Event::Begin(Begin { id, target, args, options, at }), now);
    }

    fn dropped(&mut self, id: JobId, now: Duration) {
        self.calls.remove(&id);
        self.caller.apply(Event::Dropped(id), now);
    }

    fn redeclare(&mut self) {
        let now = self.now();
        if self.redeclare_timer.is_due(self.caller.unheard(now), now) {
            self.wire.iter().for_each(Wire::declare_again);
        }
    }

    fn ran(&mut self, end: LocalEnd) {
        let LocalEnd { id, end, took } = end;
        let mut given = |given| {
            if let Some(call) = self.calls.get_mut(&id) {
                call.local = Local::Given(given);
            }
        };
        let end = end.map(&mut given).map_err(|error| {
            error.map(|Failed { text, error }| {
                given(error);
                caller::Failed { text, error: None }
            })
        });
        self.caller.apply(Event::Ran { id, end, took }, self.now());
    }

    fn happened(&mut self, event: link::Event, now: Duration) {
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
                let event = Event::Down(why_down(&reason));
                self.problem.send_replace(Some(reason));
                event
            }
            link::Event::Settled(link::Settled { tokens, outcome }) => {
                Event::Settled { tokens, outcome }
            }
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
        self.caller.apply(event, now);
    }

    fn look(&mut self, caught_up: bool, now: Duration) {
        let unconfirmed = self.wire.as_ref().map_or(Duration::ZERO, Wire::unconfirmed);
        self.caller.apply(Event::Look { unconfirmed, caught_up }, now);
    }

    fn carry_out(&mut self, now: Duration) {
        for effect in self.caller.effects(now) {
            self.carry_out_one(effect, now);
        }
        if self.calls.is_empty() {
            self.calls.shrink_to(BATCH);
        }
    }

    fn carry_out_one(&mut self, effect: Effect, now: Duration) {
        let wire = self.wire.as_ref();
        match effect {
            Effect::Submit { submission, token } => {
                if wire.is_none_or(|wire| wire.submit(&submission, token).is_err()) {
                    self.caller.apply(Event::NotTaken { token }, now);
                }
            }
            Effect::Run { id, args, reason } => self.run(id, args, reason),
            Effect::End { id, end } => self.end(id, end),
            Effect::Progress { id, progress } => {
                if let Some(call) = self.calls.get(&id) {
                    call.progress.send(progress);
                }
            }
            Effect::Retry(id) => {
                metrics::counter!("simple_dist_client_retries_total").increment(1);
                tracing::debug!(job.id = %id, "a call failed and will be tried again");
            }
            Effect::LeftBehind(id) => self.left_behind(id, now),
            Effect::NoRoom(bound) => {
                tracing::warn!(bound = bound.kind(), "there is no room for a call: {bound}");
            }
            Effect::Cancel(ids) => wire.into_iter().for_each(|wire| wire.cancel(ids.clone())),
            Effect::Ask(ids) => wire.into_iter().for_each(|wire| wire.ask(ids.clone())),
            Effect::Noted { id, marks } => {
                wire.into_iter().for_each(|wire| wire.noted(id, marks.clone()));
            }
            Effect::Report(runs) => wire.into_iter().for_each(|wire| wire.report(runs.clone())),
        }
    }

    /// A run here goes on without its call, which cannot stop it: counted, and logged the first time
    /// that it takes too long.
    fn left_behind(&mut self, id: JobId, now: Duration) {
        metrics::counter!("simple_dist_client_left_behind_total").increment(1);
        let Some(InFlight { stub, deadline, .. }) = self.calls.get(&id) else { return };
        let is_late = deadline.is_some_and(|deadline| deadline <= self.began + now);
        if is_late && !replace(&mut self.left_behind, true) {
            tracing::warn!(
                job.id = %id,
                function = ?stub,
                "its deadline has passed while it runs here: it goes on, as will any further one, \
                 and keeps a local slot until it returns"
            );
        }
    }

    fn run(&mut self, id: JobId, args: Bytes, reason: Reason) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let stub = Arc::clone(&call.stub);
        let input = match replace(&mut call.local, Local::Nothing) {
            Local::Argument(argument) => Input::Erased(argument),
            Local::Nothing | Local::Given(_) => Input::Encoded(args),
        };
        tracing::debug!(job.id = %id, function = ?stub, %reason, "runs here");
        metrics::counter!("simple_dist_client_local_runs_total", "reason" => reason.kind())
            .increment(1);
        let (host, ends) = Host::new(call.deadline, call.progress.clone());
        call.ends = Some(ends);
        let trace = call.trace.clone();
        if let Some(end) = self.pool.run(Work { id, stub, input, reason, host, trace }) {
            self.ran(end);
        }
    }

    fn end(&mut self, id: JobId, end: CallEnd) {
        let Some(InFlight { reply, local, .. }) = self.calls.remove(&id) else { return };
        if let Err(error) = &end {
            tracing::debug!(job.id = %id, %error, "a call has no value");
        }
        let given = |written: Option<Bytes>| match (written, local) {
            (Some(bytes), _) => Value::Encoded(bytes),
            (None, Local::Given(given)) => given,
            (None, Local::Nothing | Local::Argument(_)) => {
                unreachable!("a run here that ended by itself gave something")
            }
        };
        let outcome =
            match end {
                Ok(Ended { value, ran, waited, took }) => {
                    Ok(Answer { value: given(value), ran, waited, took })
                }
                Err(error) => Err(error
                    .map(|caller::Failed { text, error }| Failed { text, error: given(error) })),
            };
        // A caller that has gone meanwhile wants no answer.
        let _gone = reply.send(outcome);
    }

    /// The event in a message. One that cannot be read is gone, counted, and logged the first time:
    /// its job is asked after.
    fn read(&mut self, delivery: link::Delivery) -> Option<Event> {
        let source = delivery.tag.whose(&Source::ALL);
        let event = match source {
            Source::Deliveries => {
                codec::decode::<Deliveries>(&delivery.body).map(Event::Deliveries)
            }
            Source::Presence => codec::decode::<Presence>(&delivery.body).map(Event::Presence),
        };
        delivery.receipt.ack();
        event
            .inspect_err(|error| {
                metrics::counter!("simple_dist_client_unreadable_total").increment(1);
                if self.unreadable.insert(source) {
                    tracing::warn!(%error, ?source, "unreadable, dropped as any further one");
                }
            })
            .ok()
    }
}

/// Why calls do not go to workers while the link is down.
fn why_down(reason: &link::Reason) -> Reason {
    match reason {
        link::Reason::Missing(_) => Reason::NoDistributor,
        link::Reason::Refused(_) => Reason::Refused,
        link::Reason::Tls { .. } => Reason::Tls,
        link::Reason::Mismatch(_) => Reason::Mismatch,
        link::Reason::Unreachable { .. } | link::Reason::Lost(_) => Reason::NoConnection,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_missing_is_declared_soon_and_then_ever_more_rarely() {
        let mut redeclare_timer = RedeclareTimer::default();
        // So long after the last beat, at each look.
        let mut declared = |seconds: std::ops::Range<u32>| -> Vec<Duration> {
            let looks = seconds.start * 2..seconds.end * 2;
            let silences = looks.map(|look| LOOK * look);
            silences.filter(|silence| redeclare_timer.is_due(*silence, *silence)).collect()
        };
        let tenths = |tenths: u64| Duration::from_millis(tenths * 100);
        let first = declared(0..60);
        assert_eq!(first[..6], [15, 20, 30, 50, 90, 170].map(tenths));
        assert_eq!(first.len(), 11, "{first:?}");
        // A beat came, and none after it.
        assert_eq!(declared(0..3), [15, 20].map(tenths));
    }
}
