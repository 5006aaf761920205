//! Settles deliveries: acknowledged, rejected or requeued; and everything that a closing channel or
//! connection held.

use std::time::Instant;

use super::{
    ConnectionId, Core, Place,
    channel::{Publishing, Unacked},
    dead_letters::Death,
    queue::QueueId,
};
use crate::wire::{Code, Refusal};

impl Core {
    pub(super) fn ack(&mut self, place: Place, tag: u64, multiple: bool) -> Result<(), Refusal> {
        for unacked in self.settled(place, tag, multiple)? {
            self.counters.acked += 1;
            if let Some(queue) = self.queues.get_mut(&unacked.queue) {
                queue.unacked -= 1;
            }
        }
        Ok(())
    }

    /// `basic.nack` and `basic.reject`.
    pub(super) fn give_back(
        &mut self,
        place: Place,
        tag: u64,
        multiple: bool,
        requeue: bool,
        now: Instant,
    ) -> Result<(), Refusal> {
        for unacked in self.settled(place, tag, multiple)? {
            if requeue {
                self.requeue(unacked);
            } else if let Some(queue) = self.queues.get_mut(&unacked.queue) {
                queue.unacked -= 1;
                self.dead_letter(unacked.queue, &unacked.entry, Death::Rejected, now);
            }
        }
        Ok(())
    }

    /// Takes the deliveries that a tag means off the channel's books, in their order.
    fn settled(&mut self, place: Place, tag: u64, multiple: bool) -> Result<Vec<Unacked>, Refusal> {
        let Some(channel) = self.channel(place) else { return Ok(Vec::new()) };
        let unknown = || {
            let text = format!("unknown delivery tag {tag}");
            Err(Refusal::new(Code::PreconditionFailed, text))
        };
        let mut freed = Vec::new();
        let settled = if multiple {
            let last = if tag == 0 { u64::MAX } else { tag };
            let tags: Vec<u64> = channel.unacked.range(..=last).map(|(tag, _)| *tag).collect();
            if tag != 0 && (tags.is_empty() || !channel.has_delivered(tag)) {
                return unknown();
            }
            tags.into_iter().filter_map(|tag| channel.settle(tag, &mut freed)).collect()
        } else {
            let Some(unacked) = channel.settle(tag, &mut freed) else { return unknown() };
            vec![unacked]
        };
        self.wake_all(freed);
        Ok(settled)
    }

    /// Puts a delivery back to its place, unless it came back too often.
    fn requeue(&mut self, unacked: Unacked) {
        let Unacked { queue: id, mut entry, .. } = unacked;
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.unacked -= 1;
        entry.redelivered = true;
        entry.returns += 1;
        if queue.arguments.limit_of_returns().is_none_or(|limit| entry.returns <= limit) {
            queue.put_back(entry);
        }
        self.wake(id);
    }

    fn requeue_all(&mut self, place: Place) {
        let mut freed = Vec::new();
        let Some(channel) = self.channel(place) else { return };
        let tags: Vec<u64> = channel.unacked.keys().copied().collect();
        let all: Vec<Unacked> =
            tags.into_iter().filter_map(|tag| channel.settle(tag, &mut freed)).collect();
        for unacked in all {
            self.requeue(unacked);
        }
        self.wake_all(freed);
    }

    /// Takes everything from a channel that is about to go.
    pub(super) fn clear_channel(&mut self, place: Place, now: Instant) {
        let Some(channel) = self.channel(place) else { return };
        channel.publishing = Publishing::Nothing;
        channel.confirms = None;
        let consumers = std::mem::take(&mut channel.consumers);
        for (id, consumer) in &consumers {
            if let Some(queue) = self.queues.get_mut(&consumer.queue) {
                queue.unsubscribe(*id);
                queue.last_used = now;
            }
        }
        self.requeue_all(place);
        self.wake_all(consumers.values().map(|consumer| consumer.queue));
    }

    /// Takes everything from a connection that is about to go: its channels and the queues that
    /// were its own.
    pub(super) fn clear_connection(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.is_blocked = false;
        connection.held.clear();
        let channels: Vec<u16> = connection.channels.keys().copied().collect();
        let own: Vec<QueueId> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.owner == Some(id))
            .map(|(queue, _)| *queue)
            .collect();
        for channel in channels {
            self.clear_channel(Place { connection: id, channel }, now);
        }
        for queue in own {
            self.delete_queue(queue);
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.channels.clear();
        }
        self.touch(id);
    }
}
