//! `basic.qos`, `consume`, `cancel` and `get`: who reads which queue.

use std::{sync::Arc, time::Instant};

use amq_protocol::{
    protocol::{
        AMQPClass,
        basic::{
            AMQPMethod, Cancel, CancelOk, Consume, ConsumeOk, Get, GetEmpty, GetOk, Qos, QosOk,
        },
    },
    types::ShortString,
};

use super::{
    Core, Place,
    channel::{Consumer, ConsumerId, Unacked},
    queue::{QueueId, Subscriber},
};
use crate::wire::{Code, Refusal, short};

impl Core {
    pub(super) fn set_prefetch(&mut self, place: Place, qos: &Qos) -> Result<(), Refusal> {
        if qos.global {
            return Err(Refusal::new(Code::NotImplemented, "basic.qos with global=true"));
        }
        if let Some(channel) = self.channel(place) {
            channel.prefetch = qos.prefetch_count;
        }
        self.send(place, AMQPClass::Basic(AMQPMethod::QosOk(QosOk {})));
        Ok(())
    }

    pub(super) fn consume(
        &mut self,
        place: Place,
        consume: Consume,
        now: Instant,
    ) -> Result<(), Refusal> {
        if consume.no_local {
            return Err(Refusal::new(Code::NotImplemented, "no_local=true"));
        }
        if let Some((argument, _)) = consume.arguments.into_iter().next() {
            let text = format!("consumer argument '{argument}'");
            return Err(Refusal::new(Code::NotImplemented, text));
        }
        let id = self.usable_queue(place, &consume.queue)?;
        let consumer_id = ConsumerId(self.next_id());
        let tag = match consume.consumer_tag.as_str() {
            "" => short(format!("amq.ctag-{}", consumer_id.0)),
            _ => consume.consumer_tag,
        };
        self.check_consumer(place, id, &tag, consume.exclusive)?;
        let Some(queue) = self.queues.get_mut(&id) else { return Ok(()) };
        queue.taken |= consume.exclusive;
        queue.last_used = now;
        queue.subscribe(Subscriber {
            connection: place.connection,
            channel: place.channel,
            consumer: consumer_id,
        });
        if let Some(channel) = self.channel(place) {
            let prefetch = channel.prefetch;
            let consumer = Consumer {
                tag: tag.clone(),
                queue: id,
                no_ack: consume.no_ack,
                prefetch,
                unacked: 0,
            };
            channel.consumers.insert(consumer_id, consumer);
        }
        if !consume.nowait {
            let consume_ok = ConsumeOk { consumer_tag: tag };
            self.send(place, AMQPClass::Basic(AMQPMethod::ConsumeOk(consume_ok)));
        }
        self.wake(id);
        Ok(())
    }

    fn check_consumer(
        &mut self,
        place: Place,
        id: QueueId,
        tag: &ShortString,
        exclusive: bool,
    ) -> Result<(), Refusal> {
        let most = self.settings.max_consumers;
        let Some(channel) = self.channel(place) else { return Ok(()) };
        if channel.consumer_tagged(tag.as_str()).is_some() {
            let text = format!("attempt to reuse consumer tag '{tag}'");
            return Err(Refusal::new(Code::NotAllowed, text));
        }
        if channel.consumers.len() >= most {
            return Err(Refusal::new(Code::ResourceError, "too many consumers on the channel"));
        }
        let Some(queue) = self.queues.get(&id) else { return Ok(()) };
        if queue.taken || (exclusive && !queue.subscribers.is_empty()) {
            let text = format!("queue '{}' in vhost '/' in exclusive use", queue.name);
            return Err(Refusal::new(Code::AccessRefused, text));
        }
        Ok(())
    }

    pub(super) fn cancel(
        &mut self,
        place: Place,
        cancel: Cancel,
        now: Instant,
    ) -> Result<(), Refusal> {
        let consumer = self.channel(place).and_then(|channel| {
            let id = channel.consumer_tagged(cancel.consumer_tag.as_str())?;
            channel.consumers.remove(&id).map(|consumer| (id, consumer.queue))
        });
        if !cancel.nowait {
            let cancel_ok = CancelOk { consumer_tag: cancel.consumer_tag };
            self.send(place, AMQPClass::Basic(AMQPMethod::CancelOk(cancel_ok)));
        }
        if let Some((id, queue)) = consumer {
            self.unsubscribe(queue, id, now);
        }
        Ok(())
    }

    /// Takes a consumer out of its queue's turn.
    pub(super) fn unsubscribe(&mut self, id: QueueId, consumer: ConsumerId, now: Instant) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if !queue.unsubscribe(consumer) {
            return;
        }
        queue.last_used = now;
        self.wake(id);
    }

    pub(super) fn get(&mut self, place: Place, get: &Get, now: Instant) -> Result<(), Refusal> {
        let id = self.usable_queue(place, &get.queue)?;
        self.drop_expired(id, now);
        let Some(queue) = self.queues.get_mut(&id) else { return Ok(()) };
        queue.last_used = now;
        let Some(entry) = queue.pop() else {
            self.send(place, AMQPClass::Basic(AMQPMethod::GetEmpty(GetEmpty {})));
            return Ok(());
        };
        let message_count = u32::try_from(queue.ready()).unwrap_or(u32::MAX);
        queue.unacked += usize::from(!get.no_ack);
        let Some(channel) = self.channel(place) else { return Ok(()) };
        let get_ok = GetOk {
            delivery_tag: channel.next_delivery(),
            redelivered: entry.redelivered,
            exchange: entry.message.exchange.clone(),
            routing_key: entry.message.routing_key.clone(),
            message_count,
        };
        let message = Arc::clone(&entry.message);
        if !get.no_ack {
            let unacked = Unacked { queue: id, consumer: None, entry };
            channel.unacked.insert(get_ok.delivery_tag, unacked);
        }
        self.counters.delivered += 1;
        self.send(place, AMQPClass::Basic(AMQPMethod::GetOk(get_ok)));
        self.send_content(place, &message.properties, &message.body);
        self.wake(id);
        Ok(())
    }
}
