//! Publisher confirms: gathered while a batch of frames is worked off, then written as few
//! frames. Also the faults that withhold or delay them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use amq_protocol::protocol::{
    AMQPClass,
    basic::{AMQPMethod, Ack, Nack},
};

use super::{Core, Place, channel::Outcome, timers::Timer};

/// What is done to confirms on purpose.
#[derive(Debug, Default)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    delayed: VecDeque<(Instant, Place, u64, Outcome)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FaultKind {
    #[default]
    Nothing,
    Drop,
    Delay(Duration),
}

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
    pub(super) fn write_confirms(&mut self, now: Instant) {
        for place in std::mem::take(&mut self.confirming) {
            let kind = self.confirm_fault.kind;
            let Some(confirms) = self.channel(place).and_then(|channel| channel.confirms.as_mut())
            else {
                continue;
            };
            let pending = std::mem::take(&mut confirms.pending);
            match kind {
                FaultKind::Nothing if confirms.one_by_one => {
                    for (tag, outcome) in pending {
                        self.write_confirm(place, tag, outcome, false);
                    }
                }
                FaultKind::Nothing => {
                    for run in pending.chunk_by(|one, other| one.1 == other.1) {
                        if let Some((tag, outcome)) = run.last() {
                            self.write_confirm(place, *tag, *outcome, run.len() > 1);
                        }
                    }
                }
                FaultKind::Drop => confirms.one_by_one = true,
                FaultKind::Delay(delay) => {
                    confirms.one_by_one = true;
                    let due = now + delay;
                    let delayed =
                        pending.into_iter().map(|(tag, outcome)| (due, place, tag, outcome));
                    self.confirm_fault.delayed.extend(delayed);
                    self.timers.insert((due, Timer::Confirms));
                }
            }
        }
    }

    /// Writes the delayed outcomes that are due.
    pub(super) fn release_confirms(&mut self, now: Instant) {
        while let Some(&(due, place, tag, outcome)) = self.confirm_fault.delayed.front()
            && due <= now
        {
            self.confirm_fault.delayed.pop_front();
            let is_known = self.channel(place).is_some_and(|channel| channel.confirms.is_some());
            if is_known {
                self.write_confirm(place, tag, outcome, false);
            }
        }
    }

    /// Drops the delayed outcomes of a channel that goes: its number may be given away again.
    pub(super) fn forget_confirms(&mut self, place: Place) {
        self.confirm_fault.delayed.retain(|(_, delayed, _, _)| *delayed != place);
    }

    pub(crate) fn set_confirm_fault(&mut self, kind: FaultKind) {
        self.confirm_fault.kind = kind;
    }

    fn write_confirm(&mut self, place: Place, delivery_tag: u64, outcome: Outcome, multiple: bool) {
        let method = match outcome {
            Outcome::Accepted => AMQPMethod::Ack(Ack { delivery_tag, multiple }),
            Outcome::Rejected => AMQPMethod::Nack(Nack { delivery_tag, multiple, requeue: false }),
        };
        self.send(place, AMQPClass::Basic(method));
    }
}
