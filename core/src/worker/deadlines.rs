//! What the passing of time changes: patience ends, jobs turn out long, news is due.

use std::time::Duration;

use simple_dist_protocol::limits;
use simple_dist_protocol::message::Started;

use super::jobs::State;
use super::{Consumer, Effect, Executor, Intake, LAST_CONFIRMS, Publication, Stance, Token, Turn};

impl Executor {
    pub(super) fn pass_time(&mut self, now: Duration) {
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
            self.say(false, now);
        }
        self.hand_back_late_lists(now);
        if self.turns_due.is_some_and(|due| due <= now) {
            self.hand_back_late_turns(now);
            self.stop_late(now);
            if self.link.is_some() {
                self.announce(now);
            }
            let turns = self.slots.iter().flatten();
            self.turns_due = turns.filter_map(|turn| self.turn_due(turn)).min();
        }
        if self.link.is_some() {
            for (number, ended) in self.outbox.send_due(now) {
                let token = Token::Ended(number);
                self.effects.push(Effect::Publish(Publication::Ended { ended, token }));
            }
        }
    }

    /// When a turn is late, or the job it runs is, or is worth a word.
    fn turn_due(&self, turn: &Turn) -> Option<Duration> {
        let front = turn.run.front().and_then(|number| self.jobs.get(*number))?;
        let late = turn.is_patient().then(|| turn.began + limits::LIST_PATIENCE);
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
        late.into_iter().chain(word).chain(runs.then_some(front.deadline)).min()
    }

    /// Something about a slot's turn has changed.
    pub(super) fn note_due(&mut self, slot: usize) {
        let due = self.slots[slot].as_ref().and_then(|turn| self.turn_due(turn));
        self.turns_due = self.turns_due.into_iter().chain(due).min();
    }

    /// Says of jobs that run for long, or are known to, that they run.
    fn announce(&mut self, now: Duration) {
        let mut started = vec![];
        for number in self.slots.iter().flatten().filter_map(|turn| turn.run.front()) {
            let Some(job) = self.jobs.get_mut(*number) else { continue };
            let State::Running { slot, announced: false } = job.state else { continue };
            if job.since + limits::SHORT_JOB <= now || self.run_times.is_long(&job.function) {
                job.state = State::Running { slot, announced: true };
                started.push(job.started());
            }
        }
        if !started.is_empty() {
            self.looks_ahead = false;
            let started = Started { worker: self.profile.worker, seq: self.seq, jobs: started };
            self.effects.push(Effect::Publish(Publication::Running(started)));
        }
    }

    fn hand_back_late_lists(&mut self, now: Duration) {
        while let Some(list) = self.waiting.pop_front_if(|list| is_late(list.came, now)) {
            self.looks_ahead = false;
            if list.consumer == Consumer::Pool && self.intake == Intake::Open {
                self.intake = Intake::Overfull;
            }
            self.hand_back(list.jobs, now);
        }
    }

    fn hand_back_late_turns(&mut self, now: Duration) {
        for slot in 0..self.slots.len() {
            let turn = self.slots[slot].as_ref();
            if turn.is_some_and(|turn| turn.is_patient() && is_late(turn.began, now)) {
                self.recall(slot, now);
            }
        }
    }
}

/// Whether what waits since then has waited too long.
fn is_late(since: Duration, now: Duration) -> bool {
    since + limits::LIST_PATIENCE <= now
}
