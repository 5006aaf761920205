//! Consumers: each passes the deliveries of one queue to the owner.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::message::Delivery as Received;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::acks::{Acker, Receipts};
use super::connection::reason;
use super::generation::{FaultSender, Live};
use super::plan::short;
use super::publisher::VERSION_HEADER;
use super::{Consume, Delivery, Event, Reason, Source};
use simple_dist_protocol::{UserName, UserNameError};

/// A channel that consumes, or did consume, a queue. It stays open for unacked deliveries, and is
/// reused for the same source.
pub(super) struct Intake<S> {
    pub(super) source: S,
    pub(super) channel: Channel,
    receipts: Arc<Receipts>,
    /// What it consumes now.
    pub(super) consumed: Option<Consumed>,
}

/// A consumer at the broker.
pub(super) struct Consumed {
    pub(super) tag: ShortString,
    /// Cancelled when we end it, so that its end is no fault.
    pub(super) leaving: CancellationToken,
    /// Lives as long as its connection, as channels do: see [`Live`].
    _consumer: lapin::Consumer,
}

/// A consumer granted by the broker; its deliveries wait until it begins.
pub(super) struct Granted<S> {
    consume: Consume<S>,
    channel: Channel,
    consumer: lapin::Consumer,
}

/// Requests a consumer, after setting its prefetch.
pub(super) async fn consume<S>(
    channel: Channel,
    consume: Consume<S>,
) -> Result<Granted<S>, lapin::Error> {
    // 0 would mean no limit at all.
    let prefetch = consume.prefetch.max(1);
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions { exclusive: consume.exclusive, ..Default::default() };
    let (queue, tag) = (short(&consume.queue), ShortString::default());
    let consumer = channel.basic_consume(queue, tag, options, FieldTable::default()).await?;
    Ok(Granted { consume, channel, consumer })
}

/// A channel for a consumer of this source: an idle one, or a new one.
pub(super) async fn channel(
    idle: Option<Channel>,
    connection: &Connection,
) -> Result<Channel, lapin::Error> {
    match idle {
        Some(channel) => Ok(channel),
        None => connection.create_channel().await,
    }
}

impl<S: Source> Granted<S> {
    /// Starts to pass on deliveries.
    pub(super) fn begin(self, live: &Live<S>, intakes: &mut Vec<Intake<S>>) {
        let Self { consume, channel, consumer } = self;
        let leaving = CancellationToken::new();
        let (tag, kept) = (consumer.tag(), consumer.clone());
        let consumed = Consumed { tag, leaving: leaving.clone(), _consumer: kept };
        // Channels are compared by number, and the number of a dead one is reused.
        intakes.retain(|intake| intake.channel.status().connected());
        let receipts = match intakes.iter_mut().find(|intake| intake.channel == channel) {
            Some(intake) => {
                intake.consumed = Some(consumed);
                intake.receipts.clone()
            }
            None => {
                let (source, receipts) = (consume.source, acked(live, channel.clone()));
                let consumed = Some(consumed);
                intakes.push(Intake { source, channel, receipts: receipts.clone(), consumed });
                receipts
            }
        };
        let forwarder = Forwarder {
            consume,
            consumer,
            receipts,
            leaving,
            unfit: false,
            events: live.events.clone(),
            faults: live.faults.clone(),
        };
        live.spawn(forwarder.run(live.closing.clone()));
    }
}

fn acked<S: Source>(live: &Live<S>, channel: Channel) -> Arc<Receipts> {
    let (desk, receipts) = Receipts::new(live.faults.clone());
    let (answer_timeout, faults) = (live.answer_timeout.clone(), live.faults.clone());
    live.spawn(Acker { channel, receipts, answer_timeout, faults }.run(live.closing.clone()));
    desk
}

/// Passes deliveries to the owner as fast as it takes them. Ends when the consumer does.
struct Forwarder<S> {
    consume: Consume<S>,
    consumer: lapin::Consumer,
    receipts: Arc<Receipts>,
    leaving: CancellationToken,
    /// Whether a delivery named a login that is not a valid user name.
    unfit: bool,
    events: mpsc::Sender<Event<S>>,
    faults: FaultSender,
}

impl<S: Source> Forwarder<S> {
    async fn run(mut self, closing: CancellationToken) {
        loop {
            let next = tokio::select! {
                next = self.consumer.next() => next,
                () = closing.cancelled() => return,
            };
            let received = match next {
                Some(Ok(received)) => received,
                Some(Err(error)) => return self.faults.tell(reason(&error)),
                None if self.leaving.is_cancelled() => return,
                None => {
                    let text = format!("the broker ended the consumer of {}", self.consume.queue);
                    return self.faults.tell(Reason::Lost(text));
                }
            };
            let event = Event::Delivery(self.delivery(received));
            tokio::select! {
                sent = self.events.send(event) => if sent.is_err() { return },
                () = closing.cancelled() => return,
            }
        }
    }

    fn delivery(&mut self, received: Received) -> Delivery<S> {
        let properties = &received.properties;
        let user_id = properties.user_id().as_ref().map(ShortString::as_str);
        let user: Option<UserName> = user_id.and_then(|user| user.parse().ok());
        if let (Some(login), None, false) = (user_id, &user, self.unfit) {
            self.unfit = true;
            tracing::warn!(
                queue = %self.consume.queue,
                login,
                problem = %UserNameError,
                "what this login sends counts as nobody's; further such logins are not named"
            );
        }
        Delivery {
            source: self.consume.source,
            user,
            version: properties.headers().as_ref().and_then(version),
            redelivered: received.redelivered,
            receipt: self.receipts.receipt(received.delivery_tag),
            body: Bytes::from(received.data),
        }
    }
}

/// The version header, as the sieve writes it.
fn version(headers: &FieldTable) -> Option<u8> {
    match *headers.inner().get(VERSION_HEADER)? {
        AMQPValue::ShortShortUInt(version) => Some(version),
        _ => None,
    }
}
