//! Places lent: a job that waits for a call of its own does nothing meanwhile, and what it waits
//! for may need its place. So another job runs beside it, and the scheduler is told of one slot
//! more. The job goes on as soon as it can, also while the other still runs.

use std::collections::VecDeque;
use std::mem::take;
use std::time::Duration;

use super::jobs::{Number, State};
use super::{Consumer, Effect, Executor, Intake, List, Stance};

/// The pause between two beats that tell of more places: without them what is waited for cannot
/// come, yet each names all that is held, for which it waits longer.
const MORE: Duration = Duration::from_millis(5);
/// So much longer for each job that is held.
const MORE_FOR_EACH: Duration = Duration::from_micros(20);
/// And of fewer: jobs that call others lend and take back all the time.
const FEWER: Duration = Duration::from_millis(200);

impl Executor {
    pub(super) fn waits(&mut self, slot: usize, number: Number, now: Duration) {
        let may = self.stance == Stance::Live && self.lent < self.profile.lends;
        let batch = self.slots.get_mut(slot).and_then(Option::as_mut);
        let batch = batch.filter(|batch| may && !batch.lent && batch.run.front() == Some(&number));
        let lent = batch.is_some();
        self.effects.push(Effect::Lend { slot, number, lent });
        let Some(batch) = batch else { return };
        batch.lent = true;
        self.lent += 1;
        if batch.run.len() > 1 {
            self.effects.push(Effect::Recall { slot });
        }
        self.give_up_list(slot, now);
        // The broker may send one more. Should this worker be lost, the beats tell of the job.
        if let Some(delivery) = self.jobs.let_go(number) {
            self.effects.push(Effect::Ack(delivery));
        }
        if self.intake == Intake::Overfull && self.has_place() {
            self.intake = Intake::Open;
        }
        self.tell_of_places();
    }

    pub(super) fn resumes(&mut self, slot: usize, number: Number) {
        let batch = self.slots.get_mut(slot).and_then(Option::as_mut);
        let batch = batch.filter(|batch| batch.lent && batch.run.front() == Some(&number));
        let Some(batch) = batch else { return };
        batch.lent = false;
        self.lent -= 1;
        self.tell_of_places();
    }

    /// What waits for its turn behind a job that waits has it now.
    pub(super) fn give_up_list(&mut self, slot: usize, now: Duration) {
        let Some(batch) = self.slots[slot].as_mut().filter(|batch| batch.lent) else { return };
        let mut jobs: VecDeque<Number> = take(&mut batch.list);
        jobs.retain(|number| self.jobs.state(*number) == Some(State::Waiting));
        if !jobs.is_empty() {
            self.waiting.push_front(List { jobs, consumer: Consumer::Pool, came: now });
        }
    }

    fn tell_of_places(&mut self) {
        let (at, told) = self.told;
        if self.lent != told {
            let held = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
            let pause = if self.lent > told { MORE + MORE_FOR_EACH * held } else { FEWER };
            self.tell_at = self.tell_at.into_iter().chain([at + pause]).min();
        }
    }
}
