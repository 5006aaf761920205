//! From a queue to its consumers: those with room are served in turn. What expired or does not
//! fit leaves the queue here as well.

use std::time::{Duration, Instant};

use super::{
    Core,
    channel::Unacked,
    dead_letters::Death,
    queue::{Queue, QueueId},
};
use crate::wire::Delivery;

impl Core {
    /// Has the queue looked at before the next frame.
    pub(super) fn wake(&mut self, id: QueueId) {
        if let Some(queue) = self.queues.get_mut(&id)
            && !queue.is_awake
        {
            queue.is_awake = true;
            self.awake.push(id);
        }
    }

    pub(super) fn wake_all(&mut self, ids: impl IntoIterator<Item = QueueId>) {
        for id in ids {
            self.wake(id);
        }
    }

    /// Looks at all queues that were woken.
    pub(super) fn serve_awake(&mut self, now: Instant) {
        while let Some(id) = self.awake.pop() {
            self.serve(id, now);
        }
    }

    fn serve(&mut self, id: QueueId, now: Instant) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.is_awake = false;
        if queue.unused_until().is_some_and(|until| until <= now) {
            tracing::debug!(queue = %queue.name, "unused queue expires");
            self.delete_queue(id);
            return;
        }
        // A message without any time to live may still be delivered in the instant it came in.
        let before = now.checked_sub(Duration::from_nanos(1)).unwrap_or(now);
        self.drop_expired(id, before);
        while self.deliver_next(id) {
            self.drop_expired(id, before);
        }
        self.drop_expired(id, now);
        while let Some(entry) = self.queues.get_mut(&id).and_then(Queue::pop_overflow) {
            self.dead_letter(id, &entry, Death::Overflown, now);
        }
        self.set_timer(id);
    }

    pub(super) fn drop_expired(&mut self, id: QueueId, now: Instant) {
        while let Some(entry) = self.queues.get_mut(&id).and_then(|queue| queue.pop_expired(now)) {
            self.dead_letter(id, &entry, Death::Expired, now);
        }
    }

    /// Delivers one message; false if there is none, or nobody with room for it.
    fn deliver_next(&mut self, id: QueueId) -> bool {
        let Some(queue) = self.queues.get_mut(&id) else { return false };
        if queue.ready() == 0 {
            return false;
        }
        let taker = queue.subscribers.iter().position(|subscriber| {
            self.connections.get(&subscriber.connection).is_some_and(|connection| {
                connection.takes_deliveries()
                    && connection
                        .channels
                        .get(&subscriber.channel)
                        .is_some_and(|channel| channel.can_take(subscriber.consumer))
            })
        });
        let Some(taker) = taker else { return false };
        let subscriber = queue.subscribers[taker];
        queue.rotate(taker);
        let Some(entry) = queue.pop() else { return false };

        let Some(connection) = self.connections.get_mut(&subscriber.connection) else {
            return false;
        };
        let Some(channel) = connection.channels.get_mut(&subscriber.channel) else {
            return false;
        };
        let delivery_tag = channel.next_delivery();
        let Some(consumer) = channel.consumers.get_mut(&subscriber.consumer) else {
            return false;
        };
        let delivery = Delivery {
            consumer_tag: consumer.tag.as_str(),
            delivery_tag,
            redelivered: entry.redelivered,
            exchange: entry.message.exchange.as_str(),
            routing_key: entry.message.routing_key.as_str(),
        };
        let frame_max = connection.frame_max;
        connection.queued += connection.output.deliver(subscriber.channel, delivery);
        connection.queued += connection.output.content(
            subscriber.channel,
            &entry.message.properties,
            &entry.message.body,
            frame_max,
        );
        if !consumer.no_ack {
            consumer.unacked += 1;
            queue.unacked += 1;
            let unacked = Unacked { queue: id, consumer: Some(subscriber.consumer), entry };
            channel.unacked.insert(delivery_tag, unacked);
        }
        self.counters.delivered += 1;
        self.touch(subscriber.connection);
        true
    }
}
