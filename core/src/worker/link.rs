//! The link, what the distributor says, and the worker's beats.

use std::time::Duration;

use simple_dist_protocol::message::{Control, WorkerBeat, WorkerState};
use simple_dist_protocol::{Generation, limits};

use super::jobs::State;
use super::{Consumer, Effect, Executor, Intake, Publication, Stance, Turn};

impl Executor {
    pub(super) fn up(&mut self, generation: Generation, now: Duration) {
        self.link = Some(generation);
        // What runs may be worth a word now.
        (0..self.slots.len()).for_each(|slot| self.note_due(slot));
        self.beat(now);
    }

    /// What is unacked will be delivered again, here or elsewhere, and never run by whoever gets
    /// it; so what has not begun goes back, while what runs goes on and its value is kept.
    pub(super) fn down(&mut self, now: Duration) {
        self.link = None;
        self.pool = None;
        self.consuming.clear();
        // What runs keeps its slots, and no delivery of the next link stands for it.
        self.intake = if self.has_place() { Intake::Open } else { Intake::Overfull };
        self.looks_ahead = false;
        self.jobs.lose_deliveries();
        self.outbox.lose_sent(now);
        self.hand_back_unstarted(now);
    }

    pub(super) fn control(&mut self, control: Control, now: Duration) {
        match control {
            Control::Welcome { term: _, pool } => {
                self.pool = self.link.and(Some(pool));
                if self.intake == Intake::Refused {
                    self.intake = Intake::Open;
                }
            }
            Control::Cancel { keys, attempts } => self.cancel(keys, &attempts, now),
            Control::Drain => {
                if self.stance == Stance::Live {
                    self.stance = Stance::Draining;
                    self.drain(now);
                }
            }
            Control::Resume => {
                if self.stance == Stance::Draining {
                    self.stance = Stance::Live;
                    self.beat(now);
                }
            }
            // The service has said so.
            Control::Probe | Control::Refused { .. } => {}
        }
    }

    pub(super) fn drain(&mut self, now: Duration) {
        self.hand_back_unstarted(now);
        self.beat(now);
    }

    pub(super) fn beat(&mut self, now: Duration) {
        self.beat_at = now + limits::BEAT;
        if self.intake == Intake::Refused {
            self.intake = Intake::Open;
        }
        self.looks_ahead = std::mem::take(&mut self.ran) && self.is_short();
        self.send_beat(false, now);
    }

    /// The last word: whoever hears it neither waits for this worker nor calls it lost.
    pub(super) fn leave(&mut self, now: Duration) {
        self.send_beat(true, now);
    }

    pub(super) fn send_beat(&mut self, leaves: bool, now: Duration) {
        let Some(generation) = self.link else { return };
        self.seq += 1;
        (self.told, self.tell_at) = ((now, self.lent), None);
        let beat = WorkerBeat {
            worker: self.profile.worker,
            seq: self.seq,
            generation,
            host: self.profile.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            functions: self.profile.functions.clone(),
            slots: u32::try_from(self.profile.slots + self.lent).unwrap_or(u32::MAX),
            state: match self.stance {
                Stance::Live => WorkerState::Live,
                Stance::Draining | Stance::Leaving { .. } | Stance::Left { .. } => {
                    WorkerState::Draining
                }
            },
            held: self.jobs.iter().map(|job| job.held(now)).collect(),
            leaves,
        };
        self.effects.push(Effect::Publish(Publication::Beat(beat)));
    }

    /// Whether what ran of late was short, and what runs now is so far: beside a long job nothing
    /// is taken that would have to wait for it.
    fn is_short(&self) -> bool {
        let is_long = |turn: &Turn| {
            let front = turn.run.front().and_then(|number| self.jobs.state(*number));
            matches!(front, Some(State::Running { announced: true, .. } | State::Abandoned { .. }))
        };
        self.run_times.is_short() && !self.slots.iter().flatten().any(is_long)
    }

    /// Consumes what should be consumed and nothing else.
    pub(super) fn update_intake(&mut self) {
        let pool = self.pool.filter(|_| self.stance == Stance::Live && self.intake == Intake::Open);
        self.looks_ahead &= self.run_times.is_short();
        let ahead = pool.filter(|_| self.looks_ahead);
        for (consumer, wanted) in [(Consumer::Pool, pool), (Consumer::LookAhead, ahead)] {
            match wanted {
                Some(pool) if self.consuming.insert(consumer) => {
                    self.effects.push(Effect::Consume { consumer, pool });
                }
                None if self.consuming.remove(&consumer) => {
                    self.effects.push(Effect::Cancel(consumer));
                }
                Some(_) | None => {}
            }
        }
    }
}
