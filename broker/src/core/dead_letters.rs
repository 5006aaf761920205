//! Dead letters: what a queue drops, because its time is over, it does not fit, or its consumer
//! rejects it, goes to the exchange that the queue names.

use std::time::Instant;

use super::{
    Core,
    message::{Entry, Message, Parts},
    queue::QueueId,
};

/// Why a message is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    Expired,
    Overflown,
    Rejected,
}

impl Core {
    /// Passes on what the queue has just dropped. A queue that the message has died in before gets
    /// it only if somebody rejected it since: otherwise it would go round for ever.
    pub(super) fn dead_letter(&mut self, id: QueueId, entry: &Entry, death: Death, now: Instant) {
        let Some(queue) = self.queues.get(&id) else { return };
        let Some(dead_letters) = &queue.arguments.dead_letters else { return };
        let message = &entry.message;
        let exchange = dead_letters.exchange.clone();
        let routing_key = dead_letters.key.as_ref().unwrap_or(&message.routing_key).clone();
        let Ok(mut queues) = self.route(&exchange, &routing_key) else { return };
        let mut died_in = if death == Death::Rejected { vec![] } else { message.died_in.clone() };
        if death != Death::Rejected {
            died_in.push(id);
        }
        queues.retain(|queue| !died_in.contains(queue));
        let parts = Parts {
            exchange,
            routing_key,
            properties: message.properties.clone(),
            body: message.body.clone(),
            expiration: None,
            died_in,
        };
        let letter = Message::new(parts, &self.memory);
        for queue in queues {
            self.enqueue(queue, &letter, now);
        }
    }
}
