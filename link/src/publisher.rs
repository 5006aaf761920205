//! A publisher: the only task on its confirm channel. It sends waiting items in windows, and
//! reports their outcomes.
//!
//! A return arrives before its confirm, so once all confirms of a window are there, so are all its
//! returns, each identified by its `message_id`. The client library never sees them, since it pairs
//! them with the wrong publishes.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{MaybeDone, maybe_done};
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::answer::AnswerTimeout;
use super::declare::short;
use super::event::{Event, Settled};
use super::frame_filter::{Returns, VERSION_HEADER};
use super::kit::silent;
use super::lists::{Lists, Message};
use super::outgoing::Waiting;
use super::reason::Reason;
use simple_dist_protocol::{Outcome, UserName, message};

/// The most items taken at a time to be formed into lists.
const HELD: usize = 16_384;
/// The most messages whose confirms are awaited together: enough to make the round trip cheap, few
/// enough to report the first one soon.
const WINDOW_MESSAGES: usize = 64;
/// The most bytes of such messages, unless a single one is larger.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// Transient: senders keep what matters, so the broker need not store it.
const TRANSIENT: u8 = 1;

/// The largest message that the link's broker accepts, as far as it has said so. A larger one would
/// end every connection that it is published on.
#[derive(Debug, Clone)]
pub(super) struct Largest(Arc<AtomicUsize>);

impl Default for Largest {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }
}

impl Largest {
    /// Reads the limit from such a refusal: it is the last number in the text.
    fn learn(&self, reason: &Reason) {
        let Reason::Refused(text) = reason else { return };
        if !text.contains(" larger than ") {
            return;
        }
        let mut numbers = text.split(|letter: char| !letter.is_ascii_digit());
        if let Some(bytes) = numbers.rfind(|digits| !digits.is_empty()).and_then(|n| n.parse().ok())
        {
            tracing::warn!(bytes, "the broker takes no larger message: such are not sent any more");
            self.0.store(bytes, Ordering::Relaxed);
        }
    }
}

/// Publishes on one channel. Woken by items; ends with the generation, or on closing once nothing
/// waits.
pub(super) struct Publisher {
    channel: Channel,
    waiting: Waiting,
    lists: Lists,
    properties: BasicProperties,
    published: u64,
    events: mpsc::Sender<Event>,
    answer_timeout: AnswerTimeout,
    returns: Returns,
    largest: Largest,
}

type Publish<'a> = Pin<Box<MaybeDone<PublishFuture<'a>>>>;
type PublishFuture<'a> =
    Pin<Box<dyn Future<Output = Result<PublisherConfirm, lapin::Error>> + Send + 'a>>;

impl Publisher {
    pub(super) fn new(
        channel: Channel,
        waiting: Waiting,
        signed_by: Option<&UserName>,
        events: mpsc::Sender<Event>,
        answer_timeout: AnswerTimeout,
        returns: Returns,
        largest: Largest,
    ) -> Self {
        Self {
            channel,
            waiting,
            lists: Lists::default(),
            properties: properties(signed_by),
            published: 0,
            events,
            answer_timeout,
            returns,
            largest,
        }
    }

    pub(super) async fn run(mut self, closing: CancellationToken) -> Result<(), Reason> {
        while self.gather(&closing).await {
            let published = self.publish_window().await;
            published.inspect_err(|reason| self.largest.learn(reason))?;
        }
        Ok(())
    }

    /// Takes waiting items; false if nothing waits and nothing will.
    async fn gather(&mut self, closing: &CancellationToken) -> bool {
        let mut taken = Vec::new();
        while self.lists.held() == 0 {
            let count = tokio::select! {
                count = self.waiting.items.recv_many(&mut taken, HELD) => count,
                () = closing.cancelled(), if !self.waiting.items.is_closed() => {
                    self.waiting.items.close();
                    continue;
                }
            };
            if count == 0 {
                return false;
            }
            taken.drain(..).for_each(|item| self.lists.push(item));
        }
        while self.lists.held() < HELD {
            let Ok(item) = self.waiting.items.try_recv() else { break };
            self.lists.push(item);
        }
        true
    }

    async fn publish_window(&mut self) -> Result<(), Reason> {
        let largest = self.largest.0.load(Ordering::Relaxed);
        let fits = |message: &Message| message.body.len() <= largest;
        let (window, too_large): (Vec<_>, Vec<_>) = self.next_window().into_iter().partition(fits);
        self.waiting.room.add_permits(too_large.iter().map(|message| message.weight).sum());
        self.tell(too_large.into_iter().map(|message| (message, Outcome::Refused))).await;
        let first = self.published;
        self.published += window.len() as u64;
        let confirms = self.send(&window, first).await?;
        let mut refused = HashSet::new();
        for (id, confirm) in (first..).zip(confirms) {
            match self.answer_timeout.confirmed(confirm).await? {
                Confirmation::Ack(_) => {}
                Confirmation::Nack(_) => {
                    refused.insert(id);
                }
                Confirmation::NotRequested => {
                    return Err(Reason::Lost("the channel does not confirm".to_owned()));
                }
            }
        }
        self.waiting.room.add_permits(window.iter().map(|message| message.weight).sum());
        let returned = self.returns.take(self.channel.id());
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

    /// Sends all messages of a window, then waits until they are written.
    async fn send(
        &mut self,
        window: &[Message],
        first: u64,
    ) -> Result<Vec<PublisherConfirm>, Reason> {
        let mut sending = Vec::with_capacity(window.len());
        for (id, message) in (first..).zip(window) {
            let mut publish: Publish<'_> =
                Box::pin(maybe_done(publish(&self.channel, &self.properties, id, message)));
            // The first poll hands over the frames, so polling in order keeps the order of the
            // messages and of the confirms' numbers.
            let _written_or_not_yet = futures_util::poll!(publish.as_mut());
            sending.push(publish);
        }
        let mut confirms = Vec::with_capacity(window.len());
        for mut publish in sending {
            let written = async {
                publish.as_mut().await;
                publish.as_mut().take_output().expect("it is done and was not taken")
            };
            confirms.push(self.answer_timeout.wait(written).await?);
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
            // Without an owner nobody listens, and the supervisor ends the link.
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
    let (exchange, key) = (short(&route.exchange), short(&route.key));
    Box::pin(silent(channel.basic_publish(exchange, key, options, &message.body, properties)))
}

/// The properties of every message.
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
