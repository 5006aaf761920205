//! The link, what the distributor says, and the worker's beats.

use std::time::Duration;

use simple_dist_protocol::message::{Control, WorkerBeat, WorkerState};
use simple_dist_protocol::{Generation, limits};

use super::{Consumer, Effect, Executor, Intake, Publication, Stance};

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
        (self.pool, self.term) = (None, None);
        self.consuming.clear();
        // What runs keeps its slots, and no delivery of the next link stands for it.
        self.intake = if self.has_place() { Intake::Open } else { Intake::Overfull };
        self.look_ahead.lose_link();
        self.jobs.lose_deliveries();
        self.outbox.lose_sent(now);
        self.hand_back_unstarted(now);
    }

    pub(super) fn control(&mut self, control: Control, now: Duration) {
        match control {
            Control::Welcome { term, pool } => {
                self.pool = self.link.and(Some(pool));
                // A new term waits to hear what is held here.
                if self.link.is_some() && self.term.replace(term) != Some(term) {
                    self.send_beat(false, now);
                }
                self.free.append(&mut self.resting);
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
        self.free.append(&mut self.resting);
        self.fill_slots(now);
        self.look_ahead(now);
        if self.link.is_some() {
            self.look_ahead.sent(self.seq + 1, now);
        }
        self.send_beat(false, now);
    }

    /// The last word: whoever hears it neither waits for this worker nor calls it lost.
    pub(super) fn leave(&mut self, now: Duration) {
        self.send_beat(true, now);
    }

    pub(super) fn send_beat(&mut self, leaves: bool, now: Duration) {
        let Some(generation) = self.link else { return };
        self.seq += 1;
        let round_trip = self.look_ahead.round_trip();
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
            isolated: self.profile.isolated,
            term: self.term,
            leaves,
            deterministic: self.profile.deterministic.clone(),
            load: None,
            memo: self.profile.memo.clone(),
            round_trip_us: round_trip.and_then(|it| u32::try_from(it.as_micros()).ok()),
            printed: vec![],
        };
        self.effects.push(Effect::Publish(Publication::Beat(Box::new(beat))));
    }

    /// Consumes what should be consumed and nothing else.
    pub(super) fn update_intake(&mut self) {
        let pool = self.pool.filter(|_| self.stance == Stance::Live && self.intake == Intake::Open);
        if !self.may_look_ahead() {
            self.look_ahead.messages = 0;
        }
        let wanted =
            [(Consumer::Pool, self.profile.slots), (Consumer::LookAhead, self.look_ahead.messages)];
        for (consumer, messages) in wanted {
            let pool = pool.filter(|_| messages > 0);
            let now = self.consuming.get(&consumer).copied();
            if let Some(now) = now
                && (pool.is_none() || now * 2 < messages || messages * 4 < now)
            {
                self.consuming.remove(&consumer);
                self.effects.push(Effect::Cancel(consumer));
            }
            if let Some(pool) = pool
                && !self.consuming.contains_key(&consumer)
            {
                self.consuming.insert(consumer, messages);
                self.effects.push(Effect::Consume { consumer, pool, messages });
            }
        }
    }
}
