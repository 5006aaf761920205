//! What the passing of time changes: time runs out, jobs turn out long, a beat is due.

use std::time::Duration;

use simple_dist_protocol::limits;
use simple_dist_protocol::message::Started;

use super::jobs::State;
use super::{Batch, Consumer, Effect, Executor, Intake, LAST_CONFIRMS, Publication, Stance, Token};

impl Executor {
    pub(super) fn pass_time(&mut self, now: Duration) {
        self.leave_if_stuck(now);
        // What runs on for nobody is left behind.
        if let Stance::Leaving { by } = &mut self.stance
            && self.stuck.lost > 0
            && self.jobs.len() <= self.stuck.lost
        {
            *by = now.min(*by);
        }
        if let Stance::Leaving { by } = self.stance
            && by <= now
        {
            self.stance = Stance::Left { until: now + LAST_CONFIRMS };
            self.hand_back_running(now);
        }
        if matches!(self.stance, Stance::Leaving { .. })
            && self.jobs.is_empty()
            && self.link.is_none()
        {
            self.stance = Stance::Left { until: now + LAST_CONFIRMS };
        }
        if self.link.is_some() && self.beat_at <= now {
            self.beat(now);
        } else if self.tell_at.is_some_and(|at| at <= now) {
            self.send_beat(false, now);
        }
        self.hand_back_late_lists(now);
        self.pass_turns(now);
        self.collect_progress(now);
        if self.link.is_some() {
            for (number, ended) in self.outbox.send_due(now) {
                let token = Token::Ended(number);
                self.effects.push(Effect::Publish(Publication::Ended { ended, token }));
            }
        }
    }

    /// When a batch is late, or the job it runs is, or is worth a word.
    fn batch_due(&self, batch: &Batch) -> Option<Duration> {
        let front = batch.run.front().and_then(|number| self.jobs.get(*number))?;
        let late = batch.is_patient().then(|| batch.began + limits::LIST_TIMEOUT);
        let word = match front.state {
            State::Running { announced: false, .. } if self.link.is_some() => {
                let is_long = self.run_times.is_long(&front.function);
                Some(front.since + if is_long { Duration::ZERO } else { limits::SHORT_JOB })
            }
            State::Running { .. }
            | State::Waiting
            | State::Confirming { .. }
            | State::Given { .. }
            | State::Abandoned { .. }
            | State::Over => None,
        };
        let runs = matches!(front.state, State::Running { .. });
        let ends = runs.then_some(front.deadline).or(front.kill_at);
        late.into_iter().chain(word).chain(ends).min()
    }

    /// Something about a slot's batch has changed.
    pub(super) fn note_due(&mut self, slot: usize) {
        let due = self.slots[slot].as_ref().and_then(|batch| self.batch_due(batch));
        let Some(batch) = &mut self.slots[slot] else { return };
        if let Some(before) = std::mem::replace(&mut batch.due, due) {
            self.slots_due.remove(&(before, slot));
        }
        self.slots_due.extend(due.map(|due| (due, slot)));
    }

    /// Looks at the batches that are due.
    fn pass_turns(&mut self, now: Duration) {
        let due = self.slots_due.range(..=(now, usize::MAX));
        let mut due: Vec<usize> = due.map(|(_, slot)| *slot).collect();
        due.sort_unstable();
        for slot in &due {
            if self.slots[*slot].as_ref().is_some_and(|batch| batch.is_late(now)) {
                self.recall(*slot, now);
            }
            self.kill_if_due(*slot, now);
            self.stop_if_late(*slot, now);
        }
        if self.link.is_some() {
            self.announce(&due, now);
        }
        due.into_iter().for_each(|slot| self.note_due(slot));
    }

    /// Says of jobs that run for long, or are known to, that they run.
    fn announce(&mut self, slots: &[usize], now: Duration) {
        let mut started = vec![];
        let batches = slots.iter().filter_map(|slot| self.slots[*slot].as_ref());
        for number in batches.filter_map(|batch| batch.run.front()) {
            let Some(job) = self.jobs.get_mut(*number) else { continue };
            let State::Running { slot, announced: false } = job.state else { continue };
            if job.since + limits::SHORT_JOB <= now || self.run_times.is_long(&job.function) {
                job.state = State::Running { slot, announced: true };
                started.push(job.started());
            }
        }
        if !started.is_empty() {
            let mut batches = slots.iter().filter_map(|slot| self.slots[*slot].as_ref());
            if batches.any(|batch| self.is_long(batch, now)) {
                self.look_ahead.messages = 0;
            }
            let started = Started { worker: self.profile.worker, seq: self.seq, jobs: started };
            self.effects.push(Effect::Publish(Publication::Running(started)));
        }
    }

    fn hand_back_late_lists(&mut self, now: Duration) {
        let patience = self.patience();
        while let Some(list) = self.waiting.pop_front_if(|list| list.came + patience <= now) {
            self.look_ahead.messages = 0;
            if list.consumer == Consumer::Pool && self.intake == Intake::Open {
                self.intake = Intake::Overfull;
            }
            self.hand_back(list.jobs, now);
        }
    }
}

impl Batch {
    /// Whether something in it has waited too long.
    fn is_late(&self, now: Duration) -> bool {
        self.is_patient() && self.began + limits::LIST_TIMEOUT <= now
    }
}
