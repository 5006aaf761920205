//! Publisher confirms: gathered while a batch of frames is worked off, then written as few
//! frames.

use amq_protocol::protocol::{
    AMQPClass,
    basic::{AMQPMethod, Ack, Nack},
};

use super::{Core, Place, channel::Outcome};

impl Core {
    /// Notes the outcome of the channel's next publish.
    pub(super) fn confirm(&mut self, place: Place, outcome: Outcome) {
        let Some(confirms) = self.channel(place).and_then(|channel| channel.confirms.as_mut())
        else {
            return;
        };
        if confirms.pending.is_empty() {
            confirms.pending.push((confirms.next, outcome));
            confirms.next += 1;
            self.confirming.push(place);
        } else {
            confirms.pending.push((confirms.next, outcome));
            confirms.next += 1;
        }
    }

    /// Writes all outcomes noted so far.
    pub(super) fn write_confirms(&mut self) {
        for place in std::mem::take(&mut self.confirming) {
            let Some(confirms) = self.channel(place).and_then(|channel| channel.confirms.as_mut())
            else {
                continue;
            };
            let pending = std::mem::take(&mut confirms.pending);
            for run in pending.chunk_by(|one, other| one.1 == other.1) {
                if let Some((tag, outcome)) = run.last() {
                    self.write_confirm(place, *tag, *outcome, run.len() > 1);
                }
            }
        }
    }

    fn write_confirm(&mut self, place: Place, delivery_tag: u64, outcome: Outcome, multiple: bool) {
        let method = match outcome {
            Outcome::Accepted => AMQPMethod::Ack(Ack { delivery_tag, multiple }),
            Outcome::Rejected => AMQPMethod::Nack(Nack { delivery_tag, multiple, requeue: false }),
        };
        self.send(place, AMQPClass::Basic(method));
    }
}
