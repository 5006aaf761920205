//! The consumers of a generation: each passes the deliveries of one queue to the owner.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll};
use lapin::Channel;
use lapin::message::Delivery as Received;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use tokio::sync::mpsc;

use super::acks::Receipts;
use super::declare::short;
use super::event::{Delivery, Event};
use super::frame_filter::VERSION_HEADER;
use super::plan::{Consume, ConsumerTag};
use super::reason::{Reason, reason};
use simple_dist_protocol::{UserName, UserNameError};

/// A consumer granted by the broker; its deliveries wait until it begins.
pub(super) struct Granted {
    consume: Consume,
    pub(super) channel: Channel,
    consumer: lapin::Consumer,
}

/// Requests a consumer, after setting its prefetch.
pub(super) async fn consume(channel: Channel, consume: Consume) -> Result<Granted, lapin::Error> {
    // 0 would mean no limit at all.
    let prefetch = consume.prefetch.max(1);
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions { exclusive: consume.exclusive, ..Default::default() };
    let (queue, tag) = (short(&consume.queue), ShortString::default());
    let consumer = channel.basic_consume(queue, tag, options, FieldTable::default()).await?;
    Ok(Granted { consume, channel, consumer })
}

/// All consumers of a generation.
#[derive(Default)]
pub(super) struct Consumers {
    intakes: Vec<Intake>,
    /// What each consumer yields; `None` at its end.
    streams: SelectAll<BoxStream<'static, Next>>,
    /// Consumers whose deliveries named a login that is not a valid user name.
    unfit: Vec<ConsumerTag>,
}

type Next = (Arc<Begun>, Option<lapin::Result<Received>>);

/// A channel that consumes, or did consume, a queue. It stays open for unacked deliveries, and is
/// reused for the same tag.
struct Intake {
    tag: ConsumerTag,
    channel: Channel,
    receipts: Arc<Receipts>,
    /// What it consumes now.
    consumer: Option<(Arc<Begun>, lapin::Consumer)>,
}

struct Begun {
    consume: Consume,
    receipts: Arc<Receipts>,
}

impl Consumers {
    /// The channel of a consumer of this tag that was cancelled.
    pub(super) fn idle(&self, tag: ConsumerTag) -> Option<Channel> {
        let mut intakes = self.intakes.iter();
        let idle = intakes.find(|intake| {
            intake.tag == tag && intake.consumer.is_none() && intake.channel.status().connected()
        });
        idle.map(|intake| intake.channel.clone())
    }

    /// Starts to pass on deliveries. A channel that is new here gets receipts.
    pub(super) fn begin(&mut self, granted: Granted, receipts: impl FnOnce() -> Arc<Receipts>) {
        let Granted { consume, channel, consumer } = granted;
        // Channels are compared by number, and the number of a dead one is reused.
        self.intakes.retain(|intake| intake.channel.status().connected());
        let at = self.intakes.iter().position(|intake| intake.channel == channel);
        let at = at.unwrap_or_else(|| {
            let (tag, receipts) = (consume.tag, receipts());
            self.intakes.push(Intake { tag, channel, receipts, consumer: None });
            self.intakes.len() - 1
        });
        let intake = &mut self.intakes[at];
        let begun = Arc::new(Begun { consume, receipts: intake.receipts.clone() });
        intake.consumer = Some((begun.clone(), consumer.clone()));
        let end = futures_util::stream::iter([None]);
        let stream = consumer.map(Some).chain(end).map(move |next| (begun.clone(), next));
        self.streams.push(stream.boxed());
    }

    /// Takes the consumers of this tag to cancel them: their end is no fault from now on.
    pub(super) fn leave(&mut self, tag: ConsumerTag) -> Vec<(Channel, lapin::Consumer)> {
        let of_tag = self.intakes.iter_mut().filter(|intake| intake.tag == tag);
        let leaving = of_tag.filter_map(|intake| {
            let (_, consumer) = intake.consumer.take()?;
            Some((intake.channel.clone(), consumer))
        });
        leaving.collect()
    }

    /// Passes on the next delivery, once the owner has room for it. Cancel-safe.
    pub(super) async fn forward(&mut self, events: &mpsc::Sender<Event>) -> Result<(), Reason> {
        // Without an owner there is nothing to do; the supervisor notices next.
        let (Ok(room), false) = (events.reserve().await, self.streams.is_empty()) else {
            return std::future::pending().await;
        };
        let Some((begun, next)) = self.streams.next().await else { return Ok(()) };
        match next {
            Some(Ok(received)) => room.send(Event::Delivery(self.delivery(&begun, received))),
            Some(Err(error)) => return Err(reason(&error)),
            None => {
                let mut now = self.intakes.iter().filter_map(|intake| intake.consumer.as_ref());
                if now.any(|(consumer, _)| Arc::ptr_eq(consumer, &begun)) {
                    let queue = &begun.consume.queue;
                    return Err(Reason::Lost(format!("the broker ended the consumer of {queue}")));
                }
            }
        }
        Ok(())
    }

    fn delivery(&mut self, begun: &Begun, received: Received) -> Delivery {
        let Consume { tag, queue, .. } = &begun.consume;
        let properties = &received.properties;
        let user_id = properties.user_id().as_ref().map(ShortString::as_str);
        let user: Option<UserName> = user_id.and_then(|user| user.parse().ok());
        if let (Some(login), None, false) = (user_id, &user, self.unfit.contains(tag)) {
            self.unfit.push(*tag);
            tracing::warn!(
                %queue,
                login,
                problem = %UserNameError,
                "messages of this login are ignored, and those of others like it, which are not logged"
            );
        }
        Delivery {
            tag: *tag,
            user,
            version: properties.headers().as_ref().and_then(version),
            redelivered: received.redelivered,
            receipt: begun.receipts.receipt(received.delivery_tag),
            body: Bytes::from(received.data),
        }
    }
}

/// The version header, as the frame filter writes it.
fn version(headers: &FieldTable) -> Option<u8> {
    match *headers.inner().get(VERSION_HEADER)? {
        AMQPValue::ShortShortUInt(version) => Some(version),
        _ => None,
    }
}
