//! A publisher: the only task on its confirming channel. It sends whatever waits, in windows, and
//! tells what became of it.
//!
//! The client library pairs returned messages with the wrong publishes when they are pipelined.
//! A return comes before its confirm, and each confirm takes the oldest return along; so when all
//! confirms of a window are there, all its returns are, and each is known by its `message_id`.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;

use futures_util::future::{MaybeDone, maybe_done};
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::generation::{Faults, Patience};
use super::lists::{Lists, Message};
use super::{Event, Outcome, Outgoing, Reason, Settled};
use crate::{UserName, message};

/// The header that bears the version of the wire.
pub(super) const VERSION_HEADER: &str = "sd-v";
/// Items that may wait for one publisher.
pub(super) const WAITING: usize = 1_048_576;
/// Items taken from there at a time, to be formed into lists.
const HELD: usize = 16_384;
/// Messages whose confirms are awaited together: enough that the way to the broker and back
/// costs little, few enough that the first of them is soon told.
const WINDOW_MESSAGES: usize = 64;
/// Bytes of such messages, unless one is larger.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// Gone from the broker when lost from the link: the sender keeps what matters.
const TRANSIENT: u8 = 1;

/// Publishes on one channel. Woken by items; ends when the generation does, or on closing as soon
/// as nothing waits.
pub(super) struct Publisher {
    channel: Channel,
    waiting: mpsc::Receiver<Outgoing>,
    lists: Lists,
    properties: BasicProperties,
    published: u64,
    events: mpsc::Sender<Event>,
    patience: Patience,
    faults: Faults,
}

type Publish<'a> = Pin<Box<MaybeDone<PublishFuture<'a>>>>;
type PublishFuture<'a> =
    Pin<Box<dyn Future<Output = Result<PublisherConfirm, lapin::Error>> + Send + 'a>>;

impl Publisher {
    pub(super) fn new(
        channel: Channel,
        waiting: mpsc::Receiver<Outgoing>,
        signed_by: Option<&UserName>,
        events: mpsc::Sender<Event>,
        patience: Patience,
        faults: Faults,
    ) -> Self {
        let properties = properties(signed_by);
        let lists = Lists::default();
        Self { channel, waiting, lists, properties, published: 0, events, patience, faults }
    }

    pub(super) async fn run(mut self, closing: CancellationToken) {
        while self.gather(&closing).await {
            if let Err(reason) = self.publish_window().await {
                return self.faults.tell(reason);
            }
        }
    }

    /// Takes what waits; false when nothing does and nothing will.
    async fn gather(&mut self, closing: &CancellationToken) -> bool {
        let mut taken = Vec::new();
        while self.lists.held() == 0 {
            let count = tokio::select! {
                count = self.waiting.recv_many(&mut taken, HELD) => count,
                () = closing.cancelled(), if !self.waiting.is_closed() => {
                    self.waiting.close();
                    continue;
                }
            };
            if count == 0 {
                return false;
            }
            taken.drain(..).for_each(|item| self.lists.push(item));
        }
        while self.lists.held() < HELD {
            let Ok(item) = self.waiting.try_recv() else { break };
            self.lists.push(item);
        }
        true
    }

    async fn publish_window(&mut self) -> Result<(), Reason> {
        let window = self.next_window();
        let first = self.published;
        self.published += window.len() as u64;
        let confirms = self.send(&window, first).await?;
        let (mut refused, mut returned) = (HashSet::new(), HashSet::new());
        for (id, confirm) in (first..).zip(confirms) {
            let comes_back = match self.patience.wait(confirm).await? {
                Confirmation::Ack(comes_back) => comes_back,
                Confirmation::Nack(comes_back) => {
                    refused.insert(id);
                    comes_back
                }
                Confirmation::NotRequested => {
                    return Err(Reason::Lost("the channel does not confirm".to_owned()));
                }
            };
            if let Some(message) = comes_back {
                returned.insert(id_of(&message.delivery.properties)?);
            }
        }
        let outcomes = (first..).map(|id| match (returned.contains(&id), refused.contains(&id)) {
            (true, _) => Outcome::Returned,
            (false, true) => Outcome::Refused,
            (false, false) => Outcome::Confirmed,
        });
        self.tell(window.into_iter().zip(outcomes)).await;
        Ok(())
    }

    fn next_window(&mut self) -> Vec<Message> {
        let (mut window, mut bytes) = (Vec::new(), 0);
        while window.len() < WINDOW_MESSAGES && bytes < WINDOW_BYTES {
            let Some(message) = self.lists.next() else { break };
            bytes += message.body.len();
            window.push(message);
        }
        window
    }

    /// Sends all messages of a window, then waits until they are on their way.
    async fn send(
        &mut self,
        window: &[Message],
        first: u64,
    ) -> Result<Vec<PublisherConfirm>, Reason> {
        let mut sending = Vec::with_capacity(window.len());
        for (id, message) in (first..).zip(window) {
            let mut publish: Publish<'_> =
                Box::pin(maybe_done(publish(&self.channel, &self.properties, id, message)));
            // The first poll hands over the frames, so the order of polls is the order of the
            // messages, and of the confirms' numbers.
            let _written_or_not_yet = futures_util::poll!(publish.as_mut());
            sending.push(publish);
        }
        let mut confirms = Vec::with_capacity(window.len());
        for mut publish in sending {
            let written = async {
                publish.as_mut().await;
                publish.as_mut().take_output().expect("it is done and was not taken")
            };
            confirms.push(self.patience.wait(written).await?);
        }
        Ok(confirms)
    }

    async fn tell(&self, outcomes: impl Iterator<Item = (Message, Outcome)>) {
        let mut settled: Vec<Settled> = Vec::new();
        for (message, outcome) in outcomes.filter(|(message, _)| !message.tokens.is_empty()) {
            match settled.iter_mut().find(|settled| settled.outcome == outcome) {
                Some(same) => same.tokens.extend(message.tokens),
                None => settled.push(Settled { tokens: message.tokens, outcome }),
            }
        }
        for settled in settled {
            // Without an owner nobody asks, and the supervisor sees to the end.
            let _told_or_unasked = self.events.send(Event::Settled(settled)).await;
        }
    }
}

fn publish<'a>(
    channel: &'a Channel,
    properties: &BasicProperties,
    id: u64,
    message: &'a Message,
) -> PublishFuture<'a> {
    let route = &message.route;
    let options = BasicPublishOptions { mandatory: route.mandatory, ..Default::default() };
    let properties = properties.clone().with_message_id(message_id(id));
    let (exchange, key) = (route.exchange.short(), route.key.short());
    Box::pin(channel.basic_publish(exchange, key, options, &message.body, properties))
}

/// What every message bears.
pub(super) fn properties(signed_by: Option<&UserName>) -> BasicProperties {
    let mut headers = FieldTable::default();
    let name = ShortString::try_new(VERSION_HEADER).expect("four letters");
    headers.insert(name, AMQPValue::LongInt(message::VERSION.into()));
    let properties = BasicProperties::default().with_delivery_mode(TRANSIENT).with_headers(headers);
    match signed_by {
        Some(user) => {
            let user = ShortString::try_new(user.as_str()).expect("a user name is short");
            properties.with_user_id(user)
        }
        None => properties,
    }
}

fn message_id(id: u64) -> ShortString {
    ShortString::try_new(id.to_string()).expect("at most 20 digits")
}

fn id_of(properties: &BasicProperties) -> Result<u64, Reason> {
    let id = properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
    id.ok_or_else(|| Reason::Lost("a message came back that was not ours".to_owned()))
}
