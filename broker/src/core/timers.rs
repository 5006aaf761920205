//! Timers: expiring messages and queues, unanswered closes.

use std::time::{Duration, Instant};

use super::{ConnectionId, Core, queue::QueueId};

/// How long a client may take to answer `connection.close`.
pub(super) const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Queue(QueueId),
    Closing(ConnectionId),
}

impl Core {
    /// When [`Core::tick`] has to be called next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Handles what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        while let Some(&(at, timer)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            match timer {
                Timer::Queue(id) => {
                    if let Some(queue) = self.queues.get_mut(&id) {
                        queue.timer = None;
                    }
                    self.wake(id);
                    self.serve_awake(now);
                }
                Timer::Closing(id) => self.finish(id),
            }
        }
        self.write_confirms();
        self.check_memory(now);
    }

    /// Schedules the queue's next deadline.
    pub(super) fn set_timer(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let Some(deadline) = queue.next_deadline() else { return };
        match queue.timer {
            Some(at) if at <= deadline => {}
            earlier => {
                if let Some(at) = earlier {
                    self.timers.remove(&(at, Timer::Queue(id)));
                }
                queue.timer = Some(deadline);
                self.timers.insert((deadline, Timer::Queue(id)));
            }
        }
    }
}
