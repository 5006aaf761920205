//! What a worker hands back unstarted: late in a list, draining, leaving, or without a thread.

use std::collections::VecDeque;
use std::mem::take;
use std::time::Duration;

use super::execution::WILLING;
use super::jobs::{Number, State};
use super::{Effect, Executor, Intake};

impl Executor {
    /// Everything that has not begun.
    pub(super) fn hand_back_unstarted(&mut self, now: Duration) {
        for list in take(&mut self.waiting) {
            self.hand_back(list.jobs, now);
        }
        for slot in 0..self.slots.len() {
            self.recall(slot, now);
            let front = self.slots[slot].as_ref().and_then(|batch| batch.run.front().copied());
            if let Some(number) = front
                && matches!(self.jobs.state(number), Some(State::Confirming { .. }))
            {
                self.end(number, WILLING, Duration::ZERO, now);
                self.next_run(slot, now);
            }
        }
    }

    /// What waits for its turn in a slot, as far as the slot has not begun it.
    pub(super) fn recall(&mut self, slot: usize, now: Duration) {
        let Some(batch) = &mut self.slots[slot] else { return };
        let list = take(&mut batch.list);
        if batch.run.len() > 1 && !batch.recalled {
            self.effects.push(Effect::Recall { slot });
        }
        batch.recalled = true;
        self.hand_back(list, now);
    }

    /// Others may run it. Until the next beat the slot gets nothing more; if that was the last, or one
    /// beyond those that the worker has, no more is taken.
    pub(super) fn cannot_run(&mut self, slot: usize, now: Duration) {
        let Some(batch) = self.vacate(slot) else { return };
        if slot < self.profile.slots {
            self.free.remove(&slot);
            self.resting.insert(slot);
        }
        if slot >= self.profile.slots || self.resting.len() == self.profile.slots {
            self.intake = Intake::Refused;
        }
        self.take_from_slot(batch.run, now);
        self.hand_back(batch.list, now);
    }

    pub(super) fn recalled(&mut self, slot: usize, begun: usize, now: Duration) {
        let Some(batch) = self.slots.get_mut(slot).and_then(Option::as_mut) else { return };
        let kept = begun.saturating_sub(batch.ended).min(batch.run.len());
        let back = batch.run.split_off(kept);
        // Cancelled behind another, and begun before that was known here.
        let abandoned =
            |number: &&Number| matches!(self.jobs.state(**number), Some(State::Abandoned { .. }));
        let begun: Vec<Number> = batch.run.iter().skip(1).filter(abandoned).copied().collect();
        let is_recalled = batch.recalled;
        begun.into_iter().for_each(|number| self.stop(slot, number, now));
        if is_recalled {
            self.take_from_slot(back, now);
        } else {
            self.regroup(slot, back);
            self.give_up_list(slot, now);
            self.note_due(slot);
        }
        if kept == 0 {
            self.next_run(slot, now);
        }
    }

    /// What a slot has not begun waits in its list again, but for what was cancelled.
    fn regroup(&mut self, slot: usize, back: VecDeque<Number>) {
        for number in back.into_iter().rev() {
            let Some(job) = self.jobs.get_mut(number) else { continue };
            match job.state {
                State::Given { .. } | State::Running { .. } => {
                    job.state = State::Waiting;
                    if let Some(batch) = &mut self.slots[slot] {
                        batch.list.push_front(number);
                    }
                }
                State::Abandoned { .. } => self.leave_slot(number),
                State::Waiting | State::Confirming { .. } | State::Over => {}
            }
        }
    }

    /// What still runs when the grace time is over: its value will be nobody's.
    pub(super) fn hand_back_running(&mut self, now: Duration) {
        for slot in 0..self.slots.len() {
            if let Some(batch) = self.vacate(slot) {
                self.take_from_slot(batch.run, now);
            }
        }
    }

    fn take_from_slot(&mut self, numbers: VecDeque<Number>, now: Duration) {
        for number in numbers {
            match self.jobs.state(number) {
                Some(State::Abandoned { .. }) => self.leave_slot(number),
                Some(State::Given { .. } | State::Running { .. } | State::Confirming { .. }) => {
                    self.end(number, WILLING, Duration::ZERO, now);
                }
                Some(State::Waiting | State::Over) | None => {}
            }
        }
    }

    pub(super) fn hand_back(&mut self, numbers: VecDeque<Number>, now: Duration) {
        for number in numbers {
            if self.jobs.state(number) == Some(State::Waiting) {
                self.end(number, WILLING, Duration::ZERO, now);
            }
        }
    }
}
