//! `basic.publish`: its three kinds of frames in, a message in queues, or back to its sender.

use std::{sync::Arc, time::Instant};

use amq_protocol::{
    protocol::{
        AMQPClass,
        basic::{AMQPMethod, Publish, Return},
    },
    types::ShortString,
};
use bytes::Bytes;

use super::{
    Core, Place,
    channel::{Body, Outcome, Partial, Publishing},
    declare::no_exchange,
    message::{Held, Message, Parts},
    queue::QueueId,
};
use crate::wire::{Code, ContentHeader, Refusal};

const BASIC_CLASS: u16 = 60;
/// The longest expiration: 2^32 - 1 ms, as on RabbitMQ.
const EXPIRATION_LIMIT: u64 = u32::MAX as u64;

impl Core {
    pub(super) fn begin_publish(&mut self, place: Place, publish: Publish) -> Result<(), Refusal> {
        if publish.immediate {
            return Err(Refusal::new(Code::NotImplemented, "immediate=true"));
        }
        if let Some(channel) = self.channel(place) {
            channel.publishing = Publishing::AwaitingHeader(publish);
        }
        Ok(())
    }

    pub(super) fn content_header(
        &mut self,
        place: Place,
        header: Box<ContentHeader>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let most = self.settings.max_message_size;
        let held = Held::none(&self.memory);
        let Some(channel) = self.channel(place) else {
            return Err(Refusal::new(Code::ChannelError, "content on a channel not open"));
        };
        if channel.is_closing {
            return Ok(());
        }
        let Publishing::AwaitingHeader(publish) = std::mem::take(&mut channel.publishing) else {
            return Err(Refusal::new(Code::UnexpectedFrame, "content header without a publish"));
        };
        if header.class_id != BASIC_CLASS {
            return Err(Refusal::new(Code::UnexpectedFrame, "content header of another class"));
        }
        let Some(left) = usize::try_from(header.body_size).ok().filter(|size| *size <= most) else {
            let text = format!("message size {} larger than max size {most}", header.body_size);
            return Err(Refusal::new(Code::PreconditionFailed, text).about(60, 40));
        };
        let body = Body::Whole(Bytes::new());
        if left == 0 {
            return self.publish(place, publish, *header, body.finish(), now);
        }
        let partial = Partial { publish, header, body, left, held };
        channel.publishing = Publishing::AwaitingBody(Box::new(partial));
        Ok(())
    }

    pub(super) fn content_body(
        &mut self,
        place: Place,
        part: Bytes,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(channel) = self.channel(place) else {
            return Err(Refusal::new(Code::ChannelError, "content on a channel not open"));
        };
        if channel.is_closing {
            return Ok(());
        }
        let Publishing::AwaitingBody(mut partial) = std::mem::take(&mut channel.publishing) else {
            return Err(Refusal::new(Code::UnexpectedFrame, "content body without a header"));
        };
        let Some(left) = partial.left.checked_sub(part.len()) else {
            let text = "content body is longer than its header said";
            return Err(Refusal::new(Code::FrameError, text));
        };
        partial.left = left;
        partial.held.grow(part.len());
        partial.body.append(part);
        if left > 0 {
            channel.publishing = Publishing::AwaitingBody(partial);
            self.block_publisher(place.connection);
            return Ok(());
        }
        let Partial { publish, header, body, .. } = *partial;
        self.publish(place, publish, *header, body.finish(), now)
    }

    /// A whole message.
    fn publish(
        &mut self,
        place: Place,
        publish: Publish,
        header: ContentHeader,
        body: Bytes,
        now: Instant,
    ) -> Result<(), Refusal> {
        let refusal = |refusal: Refusal| refusal.about(60, 40);
        let expiration = self.check_header(place, &header).map_err(refusal)?;
        let queues = self.route(&publish.exchange, &publish.routing_key).map_err(refusal)?;
        let message = Message::new(
            Parts {
                exchange: publish.exchange,
                routing_key: publish.routing_key,
                properties: header.properties,
                body,
                expiration,
                died_in: vec![],
            },
            &self.memory,
        );
        self.counters.published += 1;
        if queues.is_empty() && publish.mandatory {
            // Its confirm must follow the return, and the one before must not: a client that
            // pairs the two by their order is right then.
            self.write_confirms();
            self.return_message(place, &message);
        }
        let mut outcome = Outcome::Accepted;
        for queue in queues {
            if !self.enqueue(queue, &message, now) {
                outcome = Outcome::Rejected;
            }
        }
        self.confirm(place, outcome);
        self.block_publisher(place.connection);
        Ok(())
    }

    /// What a client may claim in a header and may not ask for, and the time to live it asks for.
    fn check_header(&self, place: Place, header: &ContentHeader) -> Result<Option<u64>, Refusal> {
        if let Some(name) = header.unserved {
            return Err(Refusal::new(Code::NotImplemented, format!("header '{name}'")));
        }
        let refused = |text| Err(Refusal::new(Code::PreconditionFailed, text));
        if let Some(claimed) = &header.user_id {
            let user = self.connections.get(&place.connection).map(|connection| &connection.user);
            if user != Some(claimed) {
                return refused(format!("user_id property set to '{claimed}' by another user"));
            }
        }
        if header.reply_to.as_ref().is_some_and(|to| to.as_str() == "amq.rabbitmq.reply-to") {
            return refused("fast reply consumer does not exist".to_owned());
        }
        let Some(text) = &header.expiration else { return Ok(None) };
        match text.as_str().parse::<u64>() {
            Ok(expiration) if expiration <= EXPIRATION_LIMIT => Ok(Some(expiration)),
            Ok(_) | Err(_) => refused(format!("invalid expiration '{text}'")),
        }
    }

    /// The queues that a message goes to.
    pub(super) fn route(
        &self,
        exchange: &ShortString,
        key: &ShortString,
    ) -> Result<Vec<QueueId>, Refusal> {
        if exchange.as_str().is_empty() {
            return Ok(self.queue_names.get(key).copied().into_iter().collect());
        }
        match self.exchanges.get(exchange) {
            Some(source) => Ok(source.route(key)),
            None => Err(no_exchange(exchange)),
        }
    }

    /// Puts the message into one queue; false if the queue is full and refuses.
    pub(super) fn enqueue(&mut self, id: QueueId, message: &Arc<Message>, now: Instant) -> bool {
        let Some(queue) = self.queues.get_mut(&id) else { return true };
        if queue.refuses(message.body.len()) {
            return false;
        }
        queue.push(Arc::clone(message), now);
        self.wake(id);
        true
    }

    fn return_message(&mut self, place: Place, message: &Message) {
        let returned = Return {
            reply_code: 312,
            reply_text: "NO_ROUTE".into(),
            exchange: message.exchange.clone(),
            routing_key: message.routing_key.clone(),
        };
        self.counters.returned += 1;
        self.send(place, AMQPClass::Basic(AMQPMethod::Return(returned)));
        self.send_content(place, &message.properties, &message.body);
    }

    /// The header and body frames that follow a `return`, `deliver` or `get-ok`.
    pub(super) fn send_content(&mut self, place: Place, properties: &[u8], body: &Bytes) {
        if let Some(connection) = self.connections.get_mut(&place.connection) {
            let frame_max = connection.frame_max;
            connection.queued +=
                connection.output.content(place.channel, properties, body, frame_max);
        }
    }
}
