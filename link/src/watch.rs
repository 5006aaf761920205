//! Watches the connections of a generation: whether they are alive, and whether the broker blocks
//! publishers.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lapin::{Connection, ConnectionStatus};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::connection::Broker;
use super::event::Event;
use super::reason::{Reason, reason};

/// How often the connections are checked even if they report nothing.
const LOOK: Duration = Duration::from_millis(500);

/// Watches both connections. Woken by their events, and by time; ends with the generation.
pub(super) struct Watch {
    watched: [ConnectionStatus; 2],
    said: Box<dyn Stream<Item = lapin::Event> + Send + Unpin>,
    blocked: watch::Sender<bool>,
    events: mpsc::Sender<Event>,
    error: Option<Reason>,
}

impl Watch {
    pub(super) fn new(
        broker: &Broker,
        blocked: watch::Sender<bool>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let status = |connection: &Connection| connection.status().clone();
        let said = futures_util::stream::select(
            broker.consuming.events_listener().boxed(),
            broker.publishing.events_listener().boxed(),
        );
        let watched = [status(&broker.consuming), status(&broker.publishing)];
        Self { watched, said: Box::new(said), blocked, events, error: None }
    }

    pub(super) async fn run(mut self, closing: CancellationToken) -> Result<(), Reason> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let said = tokio::select! {
                said = self.said.next() => said,
                _ = looks.tick() => None,
                () = closing.cancelled() => return Ok(()),
            };
            if let Some(lapin::Event::Error(error)) = said {
                self.error = Some(reason(&error));
            }
            if !self.watched.iter().all(ConnectionStatus::connected) {
                let unsaid = || Reason::Lost("the connection ended".to_owned());
                return Err(self.error.take().unwrap_or_else(unsaid));
            }
            let blocked = self.watched.iter().any(ConnectionStatus::blocked);
            if self.blocked.send_replace(blocked) != blocked {
                let event = if blocked { Event::Blocked } else { Event::Unblocked };
                if self.events.send(event).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}
