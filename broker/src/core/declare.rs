//! Declaring and deleting exchanges and queues, and the names they may have.

use std::time::Instant;

use amq_protocol::{
    protocol::{
        AMQPClass,
        basic::{self, Cancel},
        exchange, queue,
    },
    types::ShortString,
};

use super::{
    ConnectionId, Core, Place,
    arguments::{self, Arguments},
    exchange::{Exchange, Kind},
    queue::{Queue, QueueId},
    timers::Timer,
};
use crate::wire::{Code, Refusal};

impl Core {
    pub(super) fn declare_exchange(
        &mut self,
        place: Place,
        declare: exchange::Declare,
    ) -> Result<(), Refusal> {
        let name = declare.exchange.clone();
        if declare.passive {
            if !name.as_str().is_empty() && !self.exchanges.contains_key(&name) {
                return Err(no_exchange(&name));
            }
        } else {
            self.create_exchange(declare.clone())?;
        }
        if !declare.nowait {
            let declare_ok = exchange::AMQPMethod::DeclareOk(exchange::DeclareOk {});
            self.send(place, AMQPClass::Exchange(declare_ok));
        }
        Ok(())
    }

    fn create_exchange(&mut self, declare: exchange::Declare) -> Result<(), Refusal> {
        let name = declare.exchange;
        if name.as_str().is_empty() {
            let text = "operation not permitted on the default exchange";
            return Err(Refusal::new(Code::AccessRefused, text));
        }
        let refused = |what| Err(Refusal::new(Code::NotImplemented, what));
        let Some(kind) = Kind::named(declare.kind.as_str()) else {
            return refused(format!("exchanges of type '{}'", declare.kind));
        };
        if declare.auto_delete || declare.internal {
            return refused("auto-delete and internal exchanges".to_owned());
        }
        if let Some((argument, _)) = declare.arguments.into_iter().next() {
            return refused(format!("exchange argument '{argument}'"));
        }
        let wanted = Exchange::new(kind, declare.durable);
        if let Some(existing) = self.exchanges.get(&name) {
            return match wanted.difference(existing) {
                None => Ok(()),
                Some(what) => {
                    let text = format!("inequivalent arg '{what}' for exchange '{name}'");
                    Err(Refusal::new(Code::PreconditionFailed, text))
                }
            };
        }
        check_reserved("exchange", &name)?;
        if self.exchanges.len() >= self.settings.max_exchanges {
            return Err(Refusal::new(Code::PreconditionFailed, "limit of exchanges reached"));
        }
        self.exchanges.insert(name, wanted);
        Ok(())
    }

    pub(super) fn delete_exchange(
        &mut self,
        place: Place,
        delete: &exchange::Delete,
    ) -> Result<(), Refusal> {
        let name = &delete.exchange;
        if name.as_str().is_empty() {
            let text = "operation not permitted on the default exchange";
            return Err(Refusal::new(Code::AccessRefused, text));
        }
        check_reserved("exchange", name)?;
        if delete.if_unused && self.exchanges.get(name).is_some_and(Exchange::is_bound) {
            let text = format!("exchange '{name}' in vhost '/' in use");
            return Err(Refusal::new(Code::PreconditionFailed, text));
        }
        self.exchanges.remove(name);
        if !delete.nowait {
            let delete_ok = exchange::AMQPMethod::DeleteOk(exchange::DeleteOk {});
            self.send(place, AMQPClass::Exchange(delete_ok));
        }
        Ok(())
    }

    pub(super) fn declare_queue(
        &mut self,
        place: Place,
        declare: queue::Declare,
        now: Instant,
    ) -> Result<(), Refusal> {
        let nowait = declare.nowait;
        let id = if declare.passive {
            self.usable_queue(place, &declare.queue)?
        } else {
            self.create_queue(place.connection, declare, now)?
        };
        self.drop_expired(id, now);
        let Some(queue) = self.queues.get_mut(&id) else { return Ok(()) };
        queue.last_used = now;
        let declare_ok = queue::DeclareOk {
            queue: queue.name.clone(),
            message_count: u32::try_from(queue.ready()).unwrap_or(u32::MAX),
            consumer_count: u32::try_from(queue.subscribers.len()).unwrap_or(u32::MAX),
        };
        self.set_timer(id);
        if !nowait {
            let method = queue::AMQPMethod::DeclareOk(declare_ok);
            self.send(place, AMQPClass::Queue(method));
        }
        Ok(())
    }

    /// The queue of that name, made if it is not there, or an error if it is another one.
    fn create_queue(
        &mut self,
        connection: ConnectionId,
        declare: queue::Declare,
        now: Instant,
    ) -> Result<QueueId, Refusal> {
        let id = QueueId(self.next_id());
        let name = declare.queue;
        if name.as_str().is_empty() {
            return Err(Refusal::new(Code::NotImplemented, "queues named by the broker"));
        }
        check_reserved("queue", &name)?;
        if declare.auto_delete {
            return Err(Refusal::new(Code::NotImplemented, "auto-delete queues"));
        }
        let arguments = Arguments::parse(&declare.arguments)?;
        if arguments.kind == arguments::Kind::Quorum && (!declare.durable || declare.exclusive) {
            let text = "a quorum queue is durable, not exclusive";
            return Err(Refusal::new(Code::PreconditionFailed, text));
        }
        let owner = declare.exclusive.then_some(connection);
        let mut wanted = Queue::new(name.clone(), arguments, now);
        wanted.durable = declare.durable;
        wanted.owner = owner;
        if let Some(existing) = self.queue_names.get(&name) {
            if let Some(queue) = self.queues.get(existing) {
                check_equivalence(queue, &wanted)?;
            }
            return Ok(*existing);
        }
        if self.queues.len() >= self.settings.max_queues {
            let text = "limit of queues in vhost '/' reached";
            return Err(Refusal::new(Code::PreconditionFailed, text));
        }
        self.queues.insert(id, wanted);
        self.queue_names.insert(name, id);
        Ok(id)
    }

    pub(super) fn purge(&mut self, place: Place, purge: &queue::Purge) -> Result<(), Refusal> {
        let id = self.usable_queue(place, &purge.queue)?;
        let purged = self.queues.get_mut(&id).map_or(0, Queue::purge);
        if !purge.nowait {
            let message_count = u32::try_from(purged).unwrap_or(u32::MAX);
            let purge_ok = queue::AMQPMethod::PurgeOk(queue::PurgeOk { message_count });
            self.send(place, AMQPClass::Queue(purge_ok));
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, place: Place, delete: &queue::Delete) -> Result<(), Refusal> {
        let found = self.usable_queue(place, &delete.queue);
        let ready = match found {
            // To delete what is not there is no mistake.
            Err(refusal) if refusal.code == Code::NotFound => 0,
            Err(refusal) => return Err(refusal),
            Ok(id) => {
                let Some(queue) = self.queues.get(&id) else { return Ok(()) };
                let (ready, name) = (queue.ready(), &queue.name);
                let refused = |text| Err(Refusal::new(Code::PreconditionFailed, text));
                if delete.if_unused && !queue.subscribers.is_empty() {
                    return refused(format!("queue '{name}' in vhost '/' in use"));
                }
                if delete.if_empty && ready > 0 {
                    return refused(format!("queue '{name}' in vhost '/' is not empty"));
                }
                self.delete_queue(id);
                ready
            }
        };
        if !delete.nowait {
            let message_count = u32::try_from(ready).unwrap_or(u32::MAX);
            let delete_ok = queue::AMQPMethod::DeleteOk(queue::DeleteOk { message_count });
            self.send(place, AMQPClass::Queue(delete_ok));
        }
        Ok(())
    }

    /// Removes a queue with all that waits in it, and tells its consumers.
    pub(super) fn delete_queue(&mut self, id: QueueId) {
        let Some(queue) = self.queues.remove(&id) else { return };
        self.queue_names.remove(&queue.name);
        if let Some(at) = queue.timer {
            self.timers.remove(&(at, Timer::Queue(id)));
        }
        self.exchanges.values_mut().for_each(|exchange| exchange.forget(id));
        for subscriber in &queue.subscribers {
            let place = Place { connection: subscriber.connection, channel: subscriber.channel };
            let Some(connection) = self.connections.get_mut(&place.connection) else { continue };
            let is_told = connection.capabilities.consumer_cancel_notify;
            let consumer = connection
                .channels
                .get_mut(&place.channel)
                .and_then(|channel| channel.consumers.remove(&subscriber.consumer));
            if let Some(consumer) = consumer.filter(|_| is_told) {
                let cancel = Cancel { consumer_tag: consumer.tag, nowait: true };
                self.send(place, AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)));
            }
        }
    }

    /// The queue of that name; refused if another connection owns it.
    pub(super) fn usable_queue(
        &self,
        place: Place,
        name: &ShortString,
    ) -> Result<QueueId, Refusal> {
        let id = self.queue_names.get(name).copied();
        let Some((id, queue)) = id.and_then(|id| Some((id, self.queues.get(&id)?))) else {
            return Err(Refusal::new(Code::NotFound, format!("no queue '{name}' in vhost '/'")));
        };
        if queue.owner.is_some_and(|owner| owner != place.connection) {
            return Err(locked(name));
        }
        Ok(id)
    }
}

fn check_equivalence(existing: &Queue, wanted: &Queue) -> Result<(), Refusal> {
    let name = &existing.name;
    if existing.owner != wanted.owner {
        return Err(locked(name));
    }
    let different = if existing.durable != wanted.durable {
        "durable"
    } else if existing.arguments != wanted.arguments {
        "arguments"
    } else {
        return Ok(());
    };
    let text = format!("inequivalent arg '{different}' for queue '{name}' in vhost '/'");
    Err(Refusal::new(Code::PreconditionFailed, text))
}

fn locked(name: &ShortString) -> Refusal {
    let text = format!("cannot obtain exclusive access to locked queue '{name}' in vhost '/'");
    Refusal::new(Code::ResourceLocked, text)
}

pub(super) fn no_exchange(name: &ShortString) -> Refusal {
    Refusal::new(Code::NotFound, format!("no exchange '{name}' in vhost '/'"))
}

fn check_reserved(what: &str, name: &ShortString) -> Result<(), Refusal> {
    if name.as_str().starts_with("amq.") {
        let text = format!("{what} name '{name}' contains reserved prefix 'amq.*'");
        return Err(Refusal::new(Code::AccessRefused, text));
    }
    Ok(())
}
