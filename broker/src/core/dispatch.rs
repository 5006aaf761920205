//! Dispatches each frame to the code that handles it, and handles refusals.

use std::time::Instant;

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection, exchange, queue};

use super::{
    ConnectionId, Core, Effect, Place,
    channel::{Channel, Confirms, Publishing},
    connection::Phase,
    timers::{CLOSE_PATIENCE, Timer},
};
use crate::wire::{Code, Incoming, PROTOCOL_HEADER, Refusal};

impl Core {
    pub(super) fn frame(&mut self, id: ConnectionId, frame: Incoming, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_blocked {
            connection.held.push_back(frame);
            return;
        }
        let phase = connection.phase;
        let about = match &frame {
            Incoming::Method(channel, class) => {
                (*channel, class.get_amqp_class_id(), class.get_amqp_method_id())
            }
            Incoming::Header(channel, _) | Incoming::Body(channel, _) => (*channel, 0, 0),
            Incoming::Hello
            | Incoming::WrongProtocol
            | Incoming::Heartbeat
            | Incoming::Malformed(_) => (0, 0, 0),
        };
        let (channel, class_id, method_id) = about;
        if let Err(refusal) = self.understand(id, phase, frame, now) {
            let place = Place { connection: id, channel };
            self.refuse(place, refusal.about(class_id, method_id), now);
        }
        self.serve_awake(now);
    }

    fn understand(
        &mut self,
        id: ConnectionId,
        phase: Phase,
        frame: Incoming,
        now: Instant,
    ) -> Result<(), Refusal> {
        match (phase, frame) {
            (Phase::AwaitingHello, Incoming::Hello) => self.start(id),
            (_, Incoming::WrongProtocol) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.queued += connection.output.raw(PROTOCOL_HEADER);
                }
                self.finish(id);
            }
            (Phase::Closing, Incoming::Method(0, AMQPClass::Connection(method))) => match method {
                connection::AMQPMethod::CloseOk(_) => self.finish(id),
                connection::AMQPMethod::Close(_) => self.close_at_request(id, now),
                _ => {}
            },
            // Its framing is lost, so no answer to our close will be understood.
            (Phase::Closing, Incoming::Malformed(_)) => self.finish(id),
            (Phase::Closing, _) | (_, Incoming::Heartbeat) => {}
            (_, Incoming::Malformed(refusal)) => {
                self.refuse(Place { connection: id, channel: 0 }, refusal, now);
                self.finish(id);
            }
            (Phase::Open, Incoming::Method(0, class)) => return self.zero(id, class, now),
            (Phase::Open, Incoming::Method(channel, class)) => {
                return self.method(Place { connection: id, channel }, class, now);
            }
            (Phase::Open, Incoming::Header(channel, header)) => {
                return self.content_header(Place { connection: id, channel }, header, now);
            }
            (Phase::Open, Incoming::Body(channel, part)) => {
                return self.content_body(Place { connection: id, channel }, part, now);
            }
            (phase, Incoming::Method(0, AMQPClass::Connection(method))) => {
                if let connection::AMQPMethod::Close(_) = method {
                    self.close_at_request(id, now);
                    return Ok(());
                }
                return self.shake_hands(id, phase, method);
            }
            (_, _) => return Err(Refusal::new(Code::CommandInvalid, "frame out of turn")),
        }
        Ok(())
    }

    /// A method on channel 0.
    fn zero(&mut self, id: ConnectionId, class: AMQPClass, now: Instant) -> Result<(), Refusal> {
        match class {
            AMQPClass::Connection(connection::AMQPMethod::Close(_)) => {
                self.close_at_request(id, now);
                Ok(())
            }
            AMQPClass::Connection(connection::AMQPMethod::UpdateSecret(_)) => {
                Err(Refusal::new(Code::NotImplemented, "connection.update-secret"))
            }
            _ => Err(Refusal::new(Code::CommandInvalid, "no method for channel 0")),
        }
    }

    /// A method on a channel.
    fn method(&mut self, place: Place, class: AMQPClass, now: Instant) -> Result<(), Refusal> {
        if let AMQPClass::Channel(channel::AMQPMethod::Open(_)) = class {
            return self.open_channel(place);
        }
        let Some(channel) = self.channel(place) else {
            return Err(Refusal::new(Code::ChannelError, "expected 'channel.open'"));
        };
        if channel.is_closing {
            match class {
                AMQPClass::Channel(channel::AMQPMethod::CloseOk(_)) => self.remove_channel(place),
                AMQPClass::Channel(channel::AMQPMethod::Close(_)) => {
                    self.remove_channel(place);
                    let close_ok = channel::AMQPMethod::CloseOk(channel::CloseOk {});
                    self.send(place, AMQPClass::Channel(close_ok));
                }
                _ => {}
            }
            return Ok(());
        }
        if !matches!(channel.publishing, Publishing::Nothing) {
            let text = "expected the content of a publish, got a method";
            return Err(Refusal::new(Code::UnexpectedFrame, text));
        }
        match class {
            AMQPClass::Basic(method) => self.basic(place, method, now),
            AMQPClass::Channel(method) => self.channel_method(place, method, now),
            AMQPClass::Exchange(method) => self.exchange_method(place, method),
            AMQPClass::Queue(method) => self.queue_method(place, method, now),
            AMQPClass::Confirm(confirm::AMQPMethod::Select(select)) => {
                self.select_confirms(place, &select);
                Ok(())
            }
            AMQPClass::Tx(_) => Err(Refusal::new(Code::NotImplemented, "transactions")),
            AMQPClass::Access(_) => Err(Refusal::new(Code::NotImplemented, "access.request")),
            AMQPClass::Connection(_) | AMQPClass::Confirm(_) => {
                Err(Refusal::new(Code::CommandInvalid, "method not for a client's channel"))
            }
        }
    }

    fn basic(
        &mut self,
        place: Place,
        method: basic::AMQPMethod,
        now: Instant,
    ) -> Result<(), Refusal> {
        match method {
            basic::AMQPMethod::Publish(publish) => self.begin_publish(place, publish),
            basic::AMQPMethod::Ack(ack) => self.ack(place, ack.delivery_tag, ack.multiple),
            basic::AMQPMethod::Nack(nack) => {
                self.give_back(place, nack.delivery_tag, nack.multiple, nack.requeue, now)
            }
            basic::AMQPMethod::Reject(reject) => {
                self.give_back(place, reject.delivery_tag, false, reject.requeue, now)
            }
            basic::AMQPMethod::Qos(qos) => self.set_prefetch(place, &qos),
            basic::AMQPMethod::Consume(consume) => self.consume(place, consume, now),
            basic::AMQPMethod::Cancel(cancel) => self.cancel(place, cancel, now),
            basic::AMQPMethod::Get(get) => self.get(place, &get, now),
            basic::AMQPMethod::Recover(_) | basic::AMQPMethod::RecoverAsync(_) => {
                Err(Refusal::new(Code::NotImplemented, "basic.recover"))
            }
            basic::AMQPMethod::QosOk(_)
            | basic::AMQPMethod::ConsumeOk(_)
            | basic::AMQPMethod::CancelOk(_)
            | basic::AMQPMethod::Return(_)
            | basic::AMQPMethod::Deliver(_)
            | basic::AMQPMethod::GetOk(_)
            | basic::AMQPMethod::GetEmpty(_)
            | basic::AMQPMethod::RecoverOk(_) => {
                Err(Refusal::new(Code::CommandInvalid, "method of a server"))
            }
        }
    }

    fn exchange_method(
        &mut self,
        place: Place,
        method: exchange::AMQPMethod,
    ) -> Result<(), Refusal> {
        match method {
            exchange::AMQPMethod::Declare(declare) => self.declare_exchange(place, declare),
            exchange::AMQPMethod::Delete(delete) => self.delete_exchange(place, &delete),
            exchange::AMQPMethod::Bind(_) | exchange::AMQPMethod::Unbind(_) => {
                Err(Refusal::new(Code::NotImplemented, "bindings between exchanges"))
            }
            exchange::AMQPMethod::DeclareOk(_)
            | exchange::AMQPMethod::DeleteOk(_)
            | exchange::AMQPMethod::BindOk(_)
            | exchange::AMQPMethod::UnbindOk(_) => {
                Err(Refusal::new(Code::CommandInvalid, "method of a server"))
            }
        }
    }

    fn queue_method(
        &mut self,
        place: Place,
        method: queue::AMQPMethod,
        now: Instant,
    ) -> Result<(), Refusal> {
        match method {
            queue::AMQPMethod::Declare(declare) => self.declare_queue(place, declare, now),
            queue::AMQPMethod::Bind(bind) => self.bind(place, bind),
            queue::AMQPMethod::Unbind(_) => Err(Refusal::new(Code::NotImplemented, "queue.unbind")),
            queue::AMQPMethod::Purge(purge) => self.purge(place, &purge),
            queue::AMQPMethod::Delete(delete) => self.delete(place, &delete),
            queue::AMQPMethod::DeclareOk(_)
            | queue::AMQPMethod::BindOk(_)
            | queue::AMQPMethod::UnbindOk(_)
            | queue::AMQPMethod::PurgeOk(_)
            | queue::AMQPMethod::DeleteOk(_) => {
                Err(Refusal::new(Code::CommandInvalid, "method of a server"))
            }
        }
    }

    fn channel_method(
        &mut self,
        place: Place,
        method: channel::AMQPMethod,
        now: Instant,
    ) -> Result<(), Refusal> {
        match method {
            channel::AMQPMethod::Close(_) => {
                self.write_confirms();
                self.clear_channel(place, now);
                self.remove_channel(place);
                let close_ok = channel::AMQPMethod::CloseOk(channel::CloseOk {});
                self.send(place, AMQPClass::Channel(close_ok));
                Ok(())
            }
            channel::AMQPMethod::Flow(channel::Flow { active: true }) => {
                let flow_ok = channel::AMQPMethod::FlowOk(channel::FlowOk { active: true });
                self.send(place, AMQPClass::Channel(flow_ok));
                Ok(())
            }
            channel::AMQPMethod::Flow(_) => {
                Err(Refusal::new(Code::NotImplemented, "channel.flow with active=false"))
            }
            channel::AMQPMethod::Open(_)
            | channel::AMQPMethod::OpenOk(_)
            | channel::AMQPMethod::FlowOk(_)
            | channel::AMQPMethod::CloseOk(_) => {
                Err(Refusal::new(Code::CommandInvalid, "method out of turn on a channel"))
            }
        }
    }

    fn open_channel(&mut self, place: Place) -> Result<(), Refusal> {
        let Some(connection) = self.connections.get_mut(&place.connection) else {
            return Ok(());
        };
        if connection.channels.contains_key(&place.channel) {
            return Err(Refusal::new(Code::ChannelError, "second 'channel.open' seen"));
        }
        if place.channel > connection.channel_max {
            let text = format!("channel {} is above channel_max", place.channel);
            return Err(Refusal::new(Code::NotAllowed, text));
        }
        connection.channels.insert(place.channel, Channel::new());
        let open_ok = channel::AMQPMethod::OpenOk(channel::OpenOk {});
        self.send(place, AMQPClass::Channel(open_ok));
        Ok(())
    }

    fn select_confirms(&mut self, place: Place, select: &confirm::Select) {
        if let Some(channel) = self.channel(place)
            && channel.confirms.is_none()
        {
            channel.confirms = Some(Confirms { next: 1, pending: Vec::new() });
        }
        if !select.nowait {
            let select_ok = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
            self.send(place, AMQPClass::Confirm(select_ok));
        }
    }

    /// Closes the channel or the connection, as the code demands.
    pub(super) fn refuse(&mut self, place: Place, refusal: Refusal, now: Instant) {
        self.write_confirms();
        let id = place.connection;
        let phase = self.connections.get(&id).map(|connection| connection.phase);
        if refusal.code.is_hard() || place.channel == 0 || phase != Some(Phase::Open) {
            self.close_connection(id, &refusal, now);
            return;
        }
        self.clear_channel(place, now);
        if let Some(channel) = self.channel(place) {
            channel.is_closing = true;
        }
        let close = channel::Close {
            reply_code: refusal.code.number(),
            reply_text: refusal.reply_text(),
            class_id: refusal.class_id,
            method_id: refusal.method_id,
        };
        self.send(place, AMQPClass::Channel(channel::AMQPMethod::Close(close)));
    }

    /// Says why and awaits the client's `close-ok` for a while.
    pub(super) fn close_connection(&mut self, id: ConnectionId, refusal: &Refusal, now: Instant) {
        tracing::debug!(connection = id.0, reason = %refusal.reply_text(), "closing connection");
        self.clear_connection(id, now);
        self.set_phase(id, Phase::Closing);
        let close = connection::Close {
            reply_code: refusal.code.number(),
            reply_text: refusal.reply_text(),
            class_id: refusal.class_id,
            method_id: refusal.method_id,
        };
        self.send_connection(id, connection::AMQPMethod::Close(close));
        self.timers.insert((now + CLOSE_PATIENCE, Timer::Closing(id)));
    }

    /// Closes all connections.
    pub(crate) fn close_all(&mut self, now: Instant) {
        let all: Vec<ConnectionId> = self.connections.keys().copied().collect();
        let text = "broker forced connection closure with reason 'shutdown'";
        for id in all {
            self.close_connection(id, &Refusal::new(Code::ConnectionForced, text), now);
        }
    }

    fn close_at_request(&mut self, id: ConnectionId, now: Instant) {
        self.write_confirms();
        self.clear_connection(id, now);
        self.send_connection(id, connection::AMQPMethod::CloseOk(connection::CloseOk {}));
        self.finish(id);
    }

    /// Writes what is left and closes the socket. Everything it held has been given back.
    pub(super) fn finish(&mut self, id: ConnectionId) {
        if let Some(mut connection) = self.connections.remove(&id) {
            if !connection.output.is_empty() {
                self.effects.push(Effect::Write(id, connection.output.take()));
            }
            self.effects.push(Effect::Finish(id));
        }
    }

    /// The socket is gone.
    pub(super) fn gone(&mut self, id: ConnectionId, now: Instant) {
        self.clear_connection(id, now);
        self.connections.remove(&id);
        self.serve_awake(now);
    }

    fn remove_channel(&mut self, place: Place) {
        if let Some(connection) = self.connections.get_mut(&place.connection) {
            connection.channels.remove(&place.channel);
        }
    }
}
