//! The one task that owns the core. It wakes on events from sockets, on orders from the handle
//! and on the core's timers, and ends when it is told to stop or nobody can reach it any more.

use std::{collections::BTreeMap, time::Instant};

use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant as TokioInstant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::line::Line;
use crate::{
    core::{ConnectionId, Core, Effect, Input},
    error::Error,
    settings::Settings,
    stats::Stats,
};

/// Events worked off before output is handed to the sockets: enough to make writes large, few
/// enough that nobody waits.
const BATCH: usize = 64;

/// What reaches the engine.
#[derive(Debug)]
pub(crate) enum Event {
    Accepted(ConnectionId, Line),
    Input(Input),
    Order(Order),
}

/// An order from the handle. Each is answered when it has been carried out.
#[derive(Debug)]
pub(crate) enum Order {
    Stats(oneshot::Sender<Stats>),
    /// Close all connections properly; answered when the last one is gone.
    Close(oneshot::Sender<()>),
    Fault(Fault),
}

/// Faults, see [`crate::Faults`].
#[derive(Debug)]
pub(crate) enum Fault {
    Block(bool, oneshot::Sender<()>),
    Restart(oneshot::Sender<()>),
    DeleteQueue(String, oneshot::Sender<bool>),
}

/// Sends an order and awaits that it was carried out.
pub(crate) async fn order<T>(
    orders: &mpsc::Sender<Event>,
    order: impl FnOnce(oneshot::Sender<T>) -> Order,
) -> Result<T, Error> {
    let (answer, answered) = oneshot::channel();
    orders.send(Event::Order(order(answer))).await.map_err(|_| Error::Stopped)?;
    answered.await.map_err(|_| Error::Stopped)
}

#[derive(Debug)]
pub(crate) struct Engine {
    core: Core,
    lines: BTreeMap<ConnectionId, Line>,
    mailbox: mpsc::Receiver<Event>,
    /// The callers that await the end of all connections.
    closing: Vec<oneshot::Sender<()>>,
}

impl Engine {
    pub(crate) fn new(settings: Settings, mailbox: mpsc::Receiver<Event>) -> Self {
        let core = Core::new(settings);
        Self { core, lines: BTreeMap::new(), mailbox, closing: Vec::new() }
    }

    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let deadline = self.core.next_deadline();
            let timer = async {
                match deadline {
                    Some(deadline) => sleep_until(TokioInstant::from_std(deadline)).await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                event = self.mailbox.recv() => match event {
                    Some(event) => Some(event),
                    None => break,
                },
                () = timer => None,
            };
            // Other senders go first: one round handles many frames.
            yield_now().await;
            self.work(event);
        }
        for line in self.lines.values() {
            line.cut.cancel();
        }
    }

    fn work(&mut self, event: Option<Event>) {
        let now = now();
        let mut next = event;
        for _ in 0..BATCH {
            let Some(event) = next.take().or_else(|| self.mailbox.try_recv().ok()) else { break };
            self.handle(event, now);
        }
        self.core.tick(now);
        self.flush();
        if self.lines.is_empty() {
            for waiting in self.closing.drain(..) {
                reply(waiting, ());
            }
        }
    }

    fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Accepted(id, line) => {
                self.lines.insert(id, line);
                self.core.apply(Input::Connected(id), now);
            }
            Event::Input(input) => {
                if let Input::Gone(id) = input {
                    self.lines.remove(&id);
                }
                self.core.apply(input, now);
            }
            Event::Order(Order::Stats(answer)) => reply(answer, self.core.stats()),
            Event::Order(Order::Close(answer)) => {
                self.closing.push(answer);
                self.core.close_all(now);
            }
            Event::Order(Order::Fault(fault)) => self.strike(fault, now),
        }
    }

    fn strike(&mut self, fault: Fault, now: Instant) {
        match fault {
            Fault::Block(on, answer) => {
                self.core.force_alarm(on, now);
                reply(answer, ());
            }
            Fault::Restart(answer) => {
                self.core.restart(now);
                self.flush();
                reply(answer, ());
            }
            Fault::DeleteQueue(name, answer) => {
                reply(answer, self.core.delete_named(&name, now));
            }
        }
    }

    fn flush(&mut self) {
        for effect in self.core.effects() {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Write(id, chunks) => {
                if let Some(line) = self.lines.get(&id) {
                    line.outbox.add(chunks);
                }
            }
            Effect::Read(id, is_read) => {
                self.control(id, |control| control.is_read = is_read);
            }
            Effect::Opened { connection, frame_max, heartbeat } => {
                self.control(connection, |control| {
                    control.is_open = true;
                    control.frame_max = frame_max;
                    control.heartbeat = heartbeat;
                });
            }
            Effect::Cut(id) => {
                if let Some(line) = self.lines.remove(&id) {
                    line.cut.cancel();
                }
            }
            Effect::Finish(id) => self.control(id, |control| control.is_finishing = true),
        }
    }

    fn control(&self, id: ConnectionId, change: impl FnOnce(&mut super::line::Control)) {
        if let Some(line) = self.lines.get(&id) {
            line.control.send_modify(change);
        }
    }
}

/// Answers the caller, which may have stopped waiting.
fn reply<T>(answer: oneshot::Sender<T>, value: T) {
    drop(answer.send(value));
}

/// The clock of the runtime, which tests may pause.
fn now() -> Instant {
    TokioInstant::now().into_std()
}
