//! The way of a job over the executor: taken in, given to a slot, ended, settled. What goes back
//! unstarted is in [`super::returns`].

use std::collections::{BTreeSet, VecDeque};
use std::mem::take;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{Answer, End, Ended, Place, Started};
use simple_dist_protocol::{Attempt, JobKey};

use super::jobs::{DeliveryId, Job, Number, State};
use super::{
    Batch, Consumer, Effect, Executor, Intake, KILL_AFTER, List, Publication, Stance, Token, Work,
};

pub(super) const WILLING: End = End::Returned { willing: true };
const UNWILLING: End = End::Returned { willing: false };

// Taking in.
impl Executor {
    pub(super) fn placed(
        &mut self,
        delivery: DeliveryId,
        consumer: Consumer,
        redelivered: bool,
        place: Place,
        now: Duration,
    ) {
        self.look_ahead.came(&place);
        let mut jobs = VecDeque::new();
        self.jobs.open(delivery);
        for placement in place.jobs {
            let job = Job::new(placement, place.term, now);
            let refused = self.refuses(&job, redelivered);
            let Some(number) = self.jobs.add(job, delivery) else { continue };
            match refused {
                Some(end) => self.end(number, end, Duration::ZERO, now),
                None => jobs.push_back(number),
            }
        }
        if let Some(delivery) = self.jobs.close(delivery) {
            self.effects.push(Effect::Ack(delivery));
        }
        if !jobs.is_empty() {
            self.waiting.push_back(List { jobs, consumer, came: now });
        }
    }

    /// The end of a job that is not even to wait for its turn. A message handed out before may
    /// have been run by whoever had it, so it is for the distributor to judge.
    fn refuses(&self, job: &Job, redelivered: bool) -> Option<End> {
        if self.cancelled.contains(&(job.key.clone(), job.attempt)) {
            Some(End::Answer(Answer::Cancelled))
        } else if redelivered {
            Some(UNWILLING)
        } else if self.profile.functions.binary_search(&job.function).is_err() {
            Some(End::Answer(Answer::NotServed))
        } else if self.stance != Stance::Live {
            Some(WILLING)
        } else {
            None
        }
    }

    pub(super) fn fill_slots(&mut self, now: Duration) {
        while self.has_place()
            && let Some(list) = self.waiting.pop_front()
        {
            let slot = self.free.pop_first().unwrap_or_else(|| {
                self.slots.push(None);
                self.slots.len() - 1
            });
            self.slots[slot] = Some(Batch {
                list: list.jobs,
                run: VecDeque::new(),
                ended: 0,
                began: now,
                recalled: false,
                lent: false,
                due: None,
            });
            self.next_run(slot, now);
        }
    }

    /// Whether one more may run.
    pub(super) fn has_place(&self) -> bool {
        self.slots.len() - self.free.len() - self.lent < self.profile.slots
    }

    /// A slot is free.
    pub(super) fn vacate(&mut self, slot: usize) -> Option<Batch> {
        let batch = self.slots[slot].take()?;
        self.free.insert(slot);
        self.lent -= usize::from(batch.lent);
        batch.due.into_iter().for_each(|due| _ = self.slots_due.remove(&(due, slot)));
        if self.intake == Intake::Overfull && self.has_place() {
            self.intake = Intake::Open;
        }
        Some(batch)
    }

    /// Gives a slot what is next of its list: all up to a marked job, which goes alone and only
    /// once its `Started` is confirmed. Nothing left: the slot is free.
    pub(super) fn next_run(&mut self, slot: usize, now: Duration) {
        let Some(mut list) = self.slots[slot].as_mut().map(|batch| take(&mut batch.list)) else {
            return;
        };
        let mut run = VecDeque::new();
        let mut marked = None;
        while marked.is_none()
            && let Some(number) = list.pop_front()
        {
            let Some(job) = self.jobs.get_mut(number) else { continue };
            if job.state != State::Waiting {
                continue;
            }
            if job.deadline <= now {
                self.end(number, End::Answer(Answer::Expired), Duration::ZERO, now);
            } else if !job.start_confirmed {
                job.state = State::Given { slot };
                run.push_back(number);
            } else if run.is_empty() {
                job.state = State::Confirming { slot };
                run.push_back(number);
                marked = Some(job.started());
            } else {
                list.push_front(number);
                break;
            }
        }
        let front = run.front().copied();
        let Some((batch, number)) = self.slots[slot].as_mut().zip(front) else {
            self.vacate(slot);
            return;
        };
        (batch.list, batch.run) = (list, run);
        self.note_due(slot);
        match marked {
            None => self.give(slot, now),
            Some(job) => {
                let started =
                    Started { worker: self.profile.worker, seq: self.seq, jobs: vec![job] };
                let token = Token::Begins(number);
                self.effects.push(Effect::Publish(Publication::Begins { started, token }));
            }
        }
    }

    fn give(&mut self, slot: usize, now: Duration) {
        let Some(batch) = &mut self.slots[slot] else { return };
        batch.ended = 0;
        let jobs = batch.run.iter().filter_map(|number| {
            let job = self.jobs.get(*number)?;
            Some(Work {
                number: *number,
                key: job.key.clone(),
                attempt: job.attempt,
                function: job.function.clone(),
                args: job.args.clone(),
                deadline: job.deadline,
                trace: job.trace.clone(),
            })
        });
        self.effects.push(Effect::Run { slot, jobs: jobs.collect() });
        self.begin_front(slot, now);
    }

    fn begin_front(&mut self, slot: usize, now: Duration) {
        let front = self.slots[slot].as_ref().and_then(|batch| batch.run.front().copied());
        if let Some(job) = front.and_then(|number| self.jobs.get_mut(number)) {
            job.since = now;
            if matches!(job.state, State::Given { .. }) {
                job.state = State::Running { slot, announced: job.start_confirmed };
                if job.start_confirmed {
                    self.look_ahead.messages = 0;
                }
            }
        }
        self.note_due(slot);
    }
}

// Ending.
impl Executor {
    pub(super) fn ran(
        &mut self,
        slot: usize,
        number: Number,
        end: End,
        took: Duration,
        now: Duration,
    ) {
        let Some(batch) = self.slots.get_mut(slot).and_then(Option::as_mut) else { return };
        // Otherwise it was handed back at the end of the grace time.
        if batch.run.pop_front_if(|front| *front == number).is_none() {
            return;
        }
        batch.ended += 1;
        self.lent -= usize::from(take(&mut batch.lent));
        self.ran = true;
        let more = !batch.run.is_empty();
        match self.jobs.state(number) {
            Some(State::Running { .. }) => {
                if let (End::Answer(_), Some(job)) = (&end, self.jobs.get(number)) {
                    self.run_times.ran(&job.function, took);
                }
                self.end(number, end, took, now);
            }
            Some(State::Abandoned { .. }) => self.leave_slot(number),
            Some(State::Waiting | State::Confirming { .. } | State::Given { .. } | State::Over)
            | None => {}
        }
        if more { self.begin_front(slot, now) } else { self.next_run(slot, now) }
    }

    /// Nobody waits for these any more: those that are held end, the others are not to be begun.
    pub(super) fn cancel(&mut self, keys: Vec<JobKey>, attempts: &[Attempt], now: Duration) {
        let whole = keys.iter().skip(attempts.len()).cloned().collect();
        let mut held = self.jobs.of(&whole);
        for attempt in keys.into_iter().zip(attempts.iter().copied()) {
            match self.jobs.find(&attempt) {
                Some(number) => held.push(number),
                None => self.cancelled.remember(attempt),
            }
        }
        let mut regroup = BTreeSet::new();
        for number in held {
            let cancelled = End::Answer(Answer::Cancelled);
            match self.jobs.state(number) {
                Some(State::Waiting) => self.end(number, cancelled, Duration::ZERO, now),
                Some(State::Confirming { slot }) => {
                    self.end(number, cancelled, Duration::ZERO, now);
                    self.next_run(slot, now);
                }
                Some(State::Given { slot }) => {
                    self.abandon(slot, number, cancelled, now);
                    regroup.insert(slot);
                }
                Some(State::Running { slot, .. }) => {
                    self.abandon(slot, number, cancelled, now);
                    self.stop(slot, number, now);
                }
                Some(State::Abandoned { .. } | State::Over) | None => {}
            }
        }
        // What a slot was given behind others it would begin: all that waits there is taken from
        // it, and the rest given to it anew.
        self.effects.extend(regroup.into_iter().map(|slot| Effect::Recall { slot }));
    }

    /// Nobody waits any more for what a slot has, which may take long.
    fn abandon(&mut self, slot: usize, number: Number, end: End, now: Duration) {
        if let Some(job) = self.jobs.get_mut(number) {
            job.state = State::Abandoned { slot };
            self.stuck.lost += 1;
        }
        self.look_ahead.messages = 0;
        self.post(number, end, Duration::ZERO, now);
    }

    /// Stops what a slot runs, if its time has passed.
    pub(super) fn stop_if_late(&mut self, slot: usize, now: Duration) {
        let front = self.slots[slot].as_ref().and_then(|batch| batch.run.front().copied());
        let Some((number, job)) = front.and_then(|it| Some((it, self.jobs.get(it)?))) else {
            return;
        };
        if matches!(job.state, State::Running { .. }) && job.deadline <= now {
            self.abandon(slot, number, End::Answer(Answer::Expired), now);
            self.stop(slot, number, now);
        }
    }

    /// Tells what runs that nobody waits for it; what runs in a process is killed a little later.
    pub(super) fn stop(&mut self, slot: usize, number: Number, now: Duration) {
        self.effects.push(Effect::Stop { slot, number });
        if self.profile.isolated
            && let Some(job) = self.jobs.get_mut(number)
        {
            job.kill_at = Some(now + KILL_AFTER);
            self.note_due(slot);
        }
    }

    /// Kills what was told to stop and still runs.
    pub(super) fn kill_if_due(&mut self, slot: usize, now: Duration) {
        let front = self.slots[slot].as_ref().and_then(|batch| batch.run.front().copied());
        if let Some((number, job)) = front.and_then(|it| Some((it, self.jobs.get_mut(it)?)))
            && job.kill_at.take_if(|at| *at <= now).is_some()
        {
            self.effects.push(Effect::Kill { slot, number });
        }
    }

    pub(super) fn settled(&mut self, token: Token, outcome: Outcome, now: Duration) {
        match (token, outcome) {
            (Token::Begins(number), outcome) => {
                let Some(State::Confirming { slot }) = self.jobs.state(number) else { return };
                if outcome != Outcome::Confirmed {
                    self.end(number, WILLING, Duration::ZERO, now);
                    self.next_run(slot, now);
                } else if let Some(job) = self.jobs.get_mut(number) {
                    job.state = State::Given { slot };
                    self.give(slot, now);
                }
            }
            (Token::Beat(seq), outcome) => {
                self.look_ahead.settled(seq, outcome == Outcome::Confirmed, now);
            }
            (Token::Ended(number), Outcome::Confirmed) => self.forget(number),
            (Token::Ended(number), Outcome::Returned | Outcome::Refused) => {
                if !self.outbox.refused(number, now) {
                    self.forget(number);
                }
            }
        }
    }

    /// The attempt ends thus, as far as this worker is concerned.
    pub(super) fn end(&mut self, number: Number, end: End, took: Duration, now: Duration) {
        if let Some(job) = self.jobs.get_mut(number) {
            job.state = State::Over;
            job.args = Bytes::new();
            self.post(number, end, took, now);
        }
    }

    fn post(&mut self, number: Number, end: End, took: Duration, now: Duration) {
        let Some(job) = self.jobs.get(number) else { return };
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let ended = Ended { key: job.key.clone(), attempt: job.attempt, end, took_us };
        if self.link.is_some() {
            self.outbox.add(number, ended.clone(), None);
            let token = Token::Ended(number);
            self.effects.push(Effect::Publish(Publication::Ended { ended, token }));
        } else {
            self.outbox.add(number, ended, Some(now));
        }
        while let Some(oldest) = self.outbox.excess() {
            self.forget(oldest);
        }
    }

    /// Nothing more is to be said of the job.
    fn forget(&mut self, number: Number) {
        self.outbox.remove(number);
        self.release(number);
    }

    /// A cancelled job is in its slot no longer.
    pub(super) fn leave_slot(&mut self, number: Number) {
        if let Some(job) = self.jobs.get_mut(number) {
            job.state = State::Over;
            self.stuck.lost -= 1;
        }
        self.release(number);
    }

    /// A job is held until its end is settled and its slot has left it: till then its delivery
    /// stays unacked, so that the broker counts the slot as taken.
    fn release(&mut self, number: Number) {
        if self.jobs.state(number) == Some(State::Over)
            && !self.outbox.holds(number)
            && let Some(delivery) = self.jobs.remove(number)
        {
            self.effects.push(Effect::Ack(delivery));
        }
    }
}
