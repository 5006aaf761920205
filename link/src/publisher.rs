//! A publisher: the only task on its confirm channel. It sends what waits without waiting for the
//! confirms of what it has sent, within bounds, and reports the outcome of each message.
//!
//! A return arrives before its confirm, so once a message is confirmed it is known whether it was
//! returned: by its `message_id`. The client library never sees returns, since it pairs them with the
//! wrong publishes.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{MaybeDone, maybe_done};
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::answer::{AnswerTimeout, LOOK};
use super::bell::Bell;
use super::connection::Broker;
use super::declare::short;
use super::event::{Event, Settled};
use super::frame_filter::{Returns, VERSION_HEADER};
use super::kit::silent;
use super::lists::{Lists, Message};
use super::outgoing::{Outgoing, Waiting};
use super::reason::{Reason, reason};
use simple_dist_protocol::limits::LEADER_QUEUE_PREFETCH;
use simple_dist_protocol::{Outcome, UserName, message};

/// The most items taken at a time to be formed into lists.
const HELD: usize = 16_384;
/// The most unconfirmed messages.
const UNCONFIRMED_MESSAGES: usize = 1024;
/// The most bytes of them, unless a single one is larger.
const UNCONFIRMED_BYTES: usize = 8 * 1024 * 1024;
/// While messages are unconfirmed, the next leave this long after the last: a near broker confirms
/// sooner, and until then items gather into longer lists; a far one is not waited for.
const PACE: Duration = Duration::from_millis(1);
/// From a far broker a reader gets only its prefetch in each round trip: no more messages leave in
/// that time either, and they are as much longer. This is the longest wait for it.
const PACE_FAR: Duration = Duration::from_millis(10);
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

/// Publishes on one channel. Woken by items and confirms; ends with the generation, or on closing once
/// nothing waits and all is confirmed.
pub(super) struct Publisher {
    channel: Channel,
    waiting: Waiting,
    lists: Lists,
    properties: BasicProperties,
    published: u64,
    unconfirmed: Unconfirmed,
    events: mpsc::Sender<Event>,
    answer_timeout: AnswerTimeout,
    returns: Returns,
    bell: Bell,
    largest: Largest,
}

/// What is sent and not confirmed, in the order of sending.
#[derive(Default)]
struct Unconfirmed {
    messages: VecDeque<Sent>,
    bytes: usize,
    /// When the last of them was written.
    last: Option<Instant>,
    /// How long confirms take.
    confirms: Shortest,
    /// Polls without a confirm.
    looks: u32,
}

struct Sent {
    id: u64,
    bytes: usize,
    weight: usize,
    tokens: Vec<u64>,
    written: Instant,
    confirm: PublisherConfirm,
}

impl Unconfirmed {
    /// Whether more may be sent beside this many messages and bytes.
    fn has_room(&self, messages: usize, bytes: usize) -> bool {
        self.messages.len() + messages < UNCONFIRMED_MESSAGES
            && self.bytes + bytes < UNCONFIRMED_BYTES
    }

    /// Waits for the confirm of the oldest. Cancel-safe.
    async fn confirmed(&mut self) -> Result<Confirmation, lapin::Error> {
        match self.messages.front_mut() {
            Some(oldest) => (&mut oldest.confirm).await,
            None => pending().await,
        }
    }

    /// Removes the oldest.
    fn pop(&mut self) -> Option<Sent> {
        let oldest = self.messages.pop_front()?;
        self.bytes -= oldest.bytes;
        self.confirms.add(oldest.written.elapsed(), oldest.written);
        Some(oldest)
    }

    /// When the next may be sent: none for at once.
    fn pace(&self) -> Option<Instant> {
        let pace = self.confirms.shortest() / u32::from(LEADER_QUEUE_PREFETCH);
        let last = self.last.filter(|_| !self.messages.is_empty());
        last.map(|last| last + pace.clamp(PACE, PACE_FAR))
    }
}

/// The shortest of the last times, since a longer one may have waited for something else than its way.
#[derive(Default)]
struct Shortest {
    /// Of this span and of the one before.
    spans: [Option<Duration>; 2],
    began: Option<Instant>,
}

impl Shortest {
    /// How long a span is: enough for a moment without load, or without a shorter way.
    const SPAN: Duration = Duration::from_secs(5);

    fn add(&mut self, took: Duration, at: Instant) {
        let began = *self.began.get_or_insert(at);
        if at.saturating_duration_since(began) >= Self::SPAN {
            (self.spans, self.began) = ([None, self.spans[0]], Some(at));
        }
        let shortest = self.spans[0].get_or_insert(took);
        *shortest = took.min(*shortest);
    }

    fn shortest(&self) -> Duration {
        self.spans.into_iter().flatten().min().unwrap_or_default()
    }
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
        broker: &Broker,
        largest: Largest,
    ) -> Self {
        Self {
            channel,
            waiting,
            lists: Lists::default(),
            properties: properties(signed_by),
            published: 0,
            unconfirmed: Unconfirmed::default(),
            events,
            answer_timeout,
            returns: broker.returns.clone(),
            bell: broker.publishing_bell().clone(),
            largest,
        }
    }

    pub(super) async fn run(mut self, closing: CancellationToken) -> Result<(), Reason> {
        let published = self.publish(closing).await;
        published.inspect_err(|reason| self.largest.learn(reason))
    }

    async fn publish(&mut self, closing: CancellationToken) -> Result<(), Reason> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ending = self.waiting.items.is_closed();
            let drained = ending && self.waiting.items.is_empty() && self.lists.held() == 0;
            let idle = self.unconfirmed.messages.is_empty();
            if drained && idle {
                return Ok(());
            }
            let may_send = !drained && self.unconfirmed.has_room(0, 0);
            let pace = self.unconfirmed.pace();
            tokio::select! {
                biased;
                confirmed = self.unconfirmed.confirmed() => self.settle(confirmed).await?,
                () = gather(&mut self.waiting.items, &mut self.lists, pace), if may_send => {
                    if idle {
                        looks.reset();
                    }
                    self.send().await?;
                }
                _ = looks.tick(), if !idle => {
                    self.answer_timeout.unconfirmed_still(&mut self.unconfirmed.looks)?;
                }
                () = closing.cancelled(), if !ending => self.waiting.items.close(),
            }
        }
    }

    /// Sends what there is room for, then waits until it is written.
    async fn send(&mut self) -> Result<(), Reason> {
        let largest = self.largest.0.load(Ordering::Relaxed);
        let (mut messages, mut too_large, mut bytes) = (Vec::new(), Vec::new(), 0);
        while self.unconfirmed.has_room(messages.len(), bytes)
            && let Some(message) = self.lists.next()
        {
            if message.body.len() > largest {
                self.waiting.room.add_permits(message.weight);
                too_large.push((message.tokens, Outcome::Refused));
            } else {
                bytes += message.body.len();
                messages.push(message);
            }
        }
        self.tell(too_large).await;
        let first = self.published;
        self.published += messages.len() as u64;
        let mut sending = Vec::with_capacity(messages.len());
        for (id, message) in (first..).zip(&messages) {
            let mut publish: Publish<'_> =
                Box::pin(maybe_done(publish(&self.channel, &self.properties, id, message)));
            // The first poll hands over the frames, so polling in order keeps the order of the
            // messages and of the confirms' numbers.
            let _written_or_not_yet = futures_util::poll!(publish.as_mut());
            sending.push(publish);
        }
        self.bell.ring();
        let mut confirms = Vec::with_capacity(messages.len());
        for mut publish in sending {
            let written = async {
                publish.as_mut().await;
                publish.as_mut().take_output().expect("it is done and was not taken")
            };
            confirms.push(self.answer_timeout.wait(written).await?);
        }
        self.unconfirmed.bytes += bytes;
        let written = Instant::now();
        self.unconfirmed.last = Some(written);
        let sent = (first..).zip(messages).zip(confirms).map(|((id, message), confirm)| Sent {
            id,
            bytes: message.body.len(),
            weight: message.weight,
            tokens: message.tokens,
            written,
            confirm,
        });
        self.unconfirmed.messages.extend(sent);
        Ok(())
    }

    /// The oldest message is confirmed; perhaps further ones are as well.
    async fn settle(
        &mut self,
        confirmed: Result<Confirmation, lapin::Error>,
    ) -> Result<(), Reason> {
        self.answer_timeout.confirmed(&mut self.unconfirmed.looks);
        let (mut outcomes, mut next) = (Vec::new(), Some(confirmed));
        while let Some(confirmed) = next {
            let confirmation = confirmed.map_err(|error| reason(&error))?;
            let Some(sent) = self.unconfirmed.pop() else { break };
            let outcome = match (self.returns.take(self.channel.id(), sent.id), confirmation) {
                (true, Confirmation::Ack(_) | Confirmation::Nack(_)) => Outcome::Returned,
                (false, Confirmation::Nack(_)) => Outcome::Refused,
                (false, Confirmation::Ack(_)) => Outcome::Confirmed,
                (_, Confirmation::NotRequested) => {
                    return Err(Reason::Lost("the channel does not confirm".to_owned()));
                }
            };
            self.waiting.room.add_permits(sent.weight);
            outcomes.push((sent.tokens, outcome));
            next = self.unconfirmed.confirmed().now_or_never();
        }
        self.tell(outcomes).await;
        Ok(())
    }

    async fn tell(&self, outcomes: Vec<(Vec<u64>, Outcome)>) {
        let mut settled: Vec<Settled> = Vec::new();
        for (tokens, outcome) in outcomes.into_iter().filter(|(tokens, _)| !tokens.is_empty()) {
            match settled.iter_mut().find(|settled| settled.outcome == outcome) {
                Some(same) => same.tokens.extend(tokens),
                None => settled.push(Settled { tokens, outcome }),
            }
        }
        for settled in settled {
            // Without an owner nobody listens, and the supervisor ends the link.
            let _told_or_unasked = self.events.send(Event::Settled(settled)).await;
        }
    }
}

/// Waits until something waits, and not before this time; then takes all that does. Cancel-safe.
async fn gather(items: &mut mpsc::Receiver<Outgoing>, lists: &mut Lists, pace: Option<Instant>) {
    if lists.held() == 0 {
        let mut taken = Vec::new();
        items.recv_many(&mut taken, HELD).await;
        taken.into_iter().for_each(|item| lists.push(item));
    }
    if let Some(at) = pace {
        sleep_until(at).await;
    }
    while lists.held() < HELD
        && let Ok(item) = items.try_recv()
    {
        lists.push(item);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_short_way_is_remembered_for_five_to_ten_seconds() {
        let (mut shortest, start) = (Shortest::default(), Instant::now());
        let mut add = |seconds, millis| {
            shortest.add(Duration::from_millis(millis), start + Duration::from_secs(seconds));
            shortest.shortest().as_millis()
        };
        let told = [add(0, 80), add(1, 300), add(2, 70), add(6, 300), add(9, 200), add(11, 250)];
        assert_eq!(told, [80, 80, 70, 70, 70, 200]);
    }
}
