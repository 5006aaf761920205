//! Fault injection: what a broker, its host or its network do to clients now and then.

use std::time::Instant;

use super::{
    ConnectionId, Core, Effect,
    exchange::Exchange,
    queue::{Queue, QueueId},
};
use crate::faults::{Connections, Keep};

impl Core {
    /// Cuts connections without closing them properly.
    pub(crate) fn cut(&mut self, which: &Connections, now: Instant) -> usize {
        let chosen = self.choose(which);
        for id in &chosen {
            self.gone(*id, now);
            self.effects.push(Effect::Cut(*id));
        }
        chosen.len()
    }

    /// Stalls connections, or resumes them.
    pub(crate) fn stall(&mut self, which: &Connections, is_stalled: bool) -> usize {
        let chosen = self.choose(which);
        for id in &chosen {
            self.effects.push(Effect::Stall(*id, is_stalled));
        }
        chosen.len()
    }

    /// Loses what a restart loses. The flag `redelivered` is set on all that stays, as after a
    /// crash.
    pub(crate) fn restart(&mut self, keep: Keep, now: Instant) {
        self.cut(&Connections::All, now);
        let lost: Vec<QueueId> = self
            .queues
            .iter()
            .filter(|(_, queue)| keep == Keep::Nothing || !queue.durable)
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.delete_queue(id);
        }
        self.exchanges
            .retain(|_, exchange: &mut Exchange| keep != Keep::Nothing && exchange.durable);
        for queue in self.queues.values_mut() {
            match keep {
                Keep::Messages => {}
                Keep::PersistentMessages => queue.retain(|entry| entry.message.persistent),
                Keep::Queues | Keep::Nothing => queue.retain(|_| false),
            }
            queue.mark_redelivered();
            queue.last_used = now;
        }
    }

    /// Deletes a queue whoever owns it; false if there is none of that name.
    pub(crate) fn delete_named(&mut self, name: &str, now: Instant) -> bool {
        let Some(id) = self.queue_names.get(name).copied() else { return false };
        self.delete_queue(id);
        self.serve_awake(now);
        true
    }

    /// Drops all waiting messages of a queue; returns how many.
    pub(crate) fn purge_named(&mut self, name: &str) -> usize {
        let id = self.queue_names.get(name);
        let queue = id.and_then(|id| self.queues.get_mut(id));
        queue.map_or(0, Queue::purge)
    }

    fn choose(&self, which: &Connections) -> Vec<ConnectionId> {
        let all = self.connections.iter();
        match which {
            Connections::All => all.map(|(id, _)| *id).collect(),
            Connections::Nth(place) => all.map(|(id, _)| *id).skip(*place).take(1).collect(),
            Connections::OfUser(user) => all
                .filter(|(_, connection)| connection.user.as_str() == user)
                .map(|(id, _)| *id)
                .collect(),
        }
    }
}
