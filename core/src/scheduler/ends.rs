//! How attempts and jobs end: answers, hand-backs, deadlines, cancels; and what becomes of what
//! was published.

use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::Outcome;
use simple_dist_protocol::limits::{LIST_PATIENCE, TIMEOUT_MAX};
use simple_dist_protocol::message::{
    Answer, Answered, Answers, Bound, Delivered, Delivery, End, Ended,
};
use simple_dist_protocol::{
    Attempt, ClientId, Generation, JobId, JobKey, PoolId, UserName, WorkerId,
};

use super::fact::{Caller, Completed, Fact, Run, RunEnd, Step, Why};
use super::jobs::{JobRef, Key, Out};
use super::pools::PoolQueue;
use super::users::UserRef;
use super::{ENDED_PER_TICK, Effect, Origin, Rooms, Sent, outgoing};

/// How long past its deadline a job is kept: its answer may be on its way, and its client has
/// ended the call by itself.
const GRACE: Duration = Duration::from_millis(500);

impl Rooms {
    pub(super) fn answers(&mut self, user: &UserName, answers: Answers) {
        let worker = answers.worker;
        match self.workers.get(worker) {
            Some(known) if known.user != *user => {
                let count = answers.jobs.len() as u64;
                self.ignore(Why::Forged(count));
            }
            Some(known) if known.is_heard() => {
                for ended in answers.jobs {
                    self.ended(worker, ended);
                }
            }
            Some(_) | None => {
                for ended in answers.jobs {
                    if !self.recent.keep_unproven(user, worker, ended, self.now) {
                        self.facts.push(Fact::TurnedAway(Bound::Unclaimed));
                    }
                }
            }
        }
    }

    /// An attempt ended, says a worker that we have heard.
    pub(super) fn ended(&mut self, worker: WorkerId, ended: Ended) {
        let key = Key::of(&ended.key);
        let job = self.jobs.find(key);
        let took = Duration::from_micros(ended.took_us).min(TIMEOUT_MAX);
        self.orphan_ended(worker, &(key, ended.attempt), &ended.end);
        match ended.end {
            End::Returned { willing } => {
                let out = job.and_then(|job| Some((job, self.jobs.get(job)?.out()?)));
                match out.filter(|(_, out)| out.attempt == ended.attempt) {
                    Some((job, out)) if self.may_have(worker, job, out) => {
                        if willing && self.workers.get(worker).is_some_and(|it| !it.drains()) {
                            self.turned_out_long(job);
                        }
                        self.returned(job, willing);
                    }
                    Some(_) => self.ignore(Why::Forged(1)),
                    None => self.ignore(Why::Outdated),
                }
            }
            End::Answer(Answer::Poisoned { .. } | Answer::Busy) => self.ignore(Why::Forged(1)),
            End::Answer(answer) => {
                let answered = Answered {
                    answer,
                    worker: Some(worker),
                    attempt: ended.attempt.number,
                    waited_ms: 0,
                    took_us: ended.took_us,
                    bound: None,
                };
                match job {
                    Some(job) => self.answered(job, (worker, ended.attempt), answered, took),
                    None if self.recent.find(key).is_some() => self.ignore(Why::Late),
                    // That attempt was cancelled, by an earlier term: whether its job was, only its
                    // client knows.
                    None if answered.answer == Answer::Cancelled => self.ignore(Why::Late),
                    None => self.recent.keep(key, answered, true, self.now),
                }
            }
        }
    }

    fn answered(
        &mut self,
        job: JobRef,
        (worker, attempt): (WorkerId, Attempt),
        mut answered: Answered,
        took: Duration,
    ) {
        let Some(found) = self.jobs.get(job) else { return };
        let function = found.function;
        if !self.workers.get(worker).is_some_and(|worker| self.serves(worker, function)) {
            self.ignore(Why::Forged(1));
            return;
        }
        let current = found.out().filter(|out| out.attempt == attempt);
        if matches!(answered.answer, Answer::Cancelled) {
            // Nobody cancelled this job, or it would not be here: its worker was told so for an
            // earlier caller of the same job.
            if current.is_some_and(|out| self.may_have(worker, job, out)) {
                self.returned(job, true);
            }
            return;
        }
        let by_holder = |out: &Out| out.holder.is_none_or(|holder| holder.worker == worker);
        let is_over = current.is_some_and(by_holder);
        let began = found.began.unwrap_or(self.now.saturating_sub(took)).max(found.since);
        answered.waited_ms = millis(began - found.since);
        answered.attempt = found.runs.max(1);
        let pool = found.out().and_then(|out| out.pool);
        self.ran(job, worker, took, &answered.answer);
        if matches!(answered.answer, Answer::Value(_) | Answer::Panicked { .. }) {
            if let Some(pool) = pool.and_then(|pool| self.pools.get_mut(&pool)) {
                pool.work.measure(took);
            }
            self.functions.get_mut(function).work.measure(took);
        }
        if is_over {
            self.detach(job);
        }
        self.end(job, answered, Caller::Waits);
    }

    /// A worker ran a job to its end.
    fn ran(&mut self, job: JobRef, worker: WorkerId, took: Duration, answer: &Answer) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let (attempt, slot) = found.out().map_or((found.runs, None), |out| {
            let holder = out.holder.filter(|holder| holder.worker == worker);
            (out.run, holder.and_then(|holder| holder.running?.slot))
        });
        let from = self.now.saturating_sub(took).max(found.since);
        found.began.get_or_insert(from);
        let name = Arc::clone(&self.functions.get(found.function).name);
        let Some(slots) = self.workers.get(worker).map(|worker| worker.slots) else { return };
        let end = RunEnd::Answered { took, is_value: matches!(answer, Answer::Value(_)) };
        let run = Run { job, attempt, name, worker, slots, slot, from, to: self.now, end };
        self.facts.push(Fact::Ran(Box::new(run)));
    }

    /// What a worker had run of the attempt under way when it was heard last: its message came
    /// back, or it is lost.
    pub(super) fn ran_in_vain(&mut self, job: JobRef, out: &Out, end: RunEnd) {
        let Some((holder, found)) = out.holder.zip(self.jobs.get(job)) else { return };
        let Some((running, worker)) = holder.running.zip(self.workers.get(holder.worker)) else {
            return;
        };
        let to = worker.heard.unwrap_or(self.now);
        let run = Run {
            job,
            attempt: out.run,
            name: Arc::clone(&self.functions.get(found.function).name),
            worker: holder.worker,
            slots: worker.slots,
            slot: running.slot,
            from: running.since.min(to),
            to,
            end,
        };
        self.facts.push(Fact::Ran(Box::new(run)));
    }

    /// Something that was said does not count.
    pub(super) fn ignore(&mut self, why: Why) {
        self.facts.push(Fact::Ignored(why));
    }

    /// The attempt under way was handed back.
    fn returned(&mut self, job: JobRef, willing: bool) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let attempt = found.out().map_or(0, |out| out.run);
        self.facts.push(Fact::Job(job, Step::Returned { attempt, willing }));
        if willing {
            found.uncount_run();
            self.detach(job);
            self.weigh(job);
            return;
        }
        let Some(out) = found.out_mut() else { return };
        if out.holder.is_some_and(|holder| holder.evidence) {
            // Its worker has begun it. Lost, it strikes the job; heard and not holding it, the
            // sweep finds that out; heard and holding it, its answer comes.
            out.came_back = true;
        } else {
            let out = out.clone();
            self.ran_in_vain(job, &out, RunEnd::CameBack);
            self.place_again_marked(job);
        }
    }

    /// A worker that takes jobs hands one back since its turn did not come: what goes before it
    /// takes long, whatever was measured so far. So no more of them lie behind it.
    fn turned_out_long(&mut self, job: JobRef) {
        let Some(found) = self.jobs.get(job) else { return };
        self.functions.get_mut(found.function).work.at_least(LIST_PATIENCE);
        let pool = found.out().and_then(|out| out.pool);
        if let Some(pool) = pool.and_then(|pool| self.pools.get_mut(&pool)) {
            pool.work.at_least(LIST_PATIENCE);
        }
    }

    /// The attempt under way is gone without having been started, as far as we know.
    pub(super) fn place_again_marked(&mut self, job: JobRef) {
        let Some(out) = self.detach(job) else { return };
        let Some(found) = self.jobs.get_mut(job) else { return };
        if found.suspicion_mut().mark(out.attempt) {
            self.facts.push(Fact::Job(job, Step::Marked));
        }
        self.weigh(job);
    }

    /// A job ends by our own decision.
    pub(super) fn end_by_us(&mut self, job: JobRef, answer: Answer) {
        let Some(found) = self.jobs.get(job) else { return };
        let waited = found.began.unwrap_or(self.now).saturating_sub(found.since);
        let (attempt, waited_ms) = (found.runs, millis(waited));
        let answered =
            Answered { answer, worker: None, attempt, waited_ms, took_us: 0, bound: None };
        self.end(job, answered, Caller::Waits);
    }

    /// A job ends. Only here.
    pub(super) fn end(&mut self, job: JobRef, answered: Answered, caller: Caller) {
        let out = self.detach(job);
        let Some(gone) = self.jobs.remove(job) else { return };
        self.orphan(&gone, out.as_deref());
        let client = (gone.key.user, gone.client);
        let function = self.functions.get_mut(gone.function);
        function.jobs -= 1;
        let name = Arc::clone(&function.name);
        let user = self.users.name(gone.key.user).clone();
        for worker in gone.suspicion.iter().flat_map(|suspicion| suspicion.strikers()) {
            if let Some(struck) = self.strikers.get_mut(&worker) {
                struck.remove(&job);
            }
        }
        self.users.ends(gone.key.user);
        if caller != Caller::Gone {
            self.recent.keep(gone.key, answered.clone(), false, self.now);
        }
        if caller == Caller::Waits {
            self.deliver(client, gone.key.id, Delivered::Answer(answered.clone()));
        }
        self.disown(client, job);
        let completed = Completed { job, gone, user, name, answered, caller };
        self.facts.push(Fact::Completed(Box::new(completed)));
    }

    /// News to a client that has jobs here.
    pub(super) fn deliver(&mut self, client: (UserRef, ClientId), id: JobId, body: Delivered) {
        let Some(generation) = self.clients.get(&client).map(|client| client.generation) else {
            return;
        };
        let user = self.users.name(client.0).clone();
        self.deliver_to(&user, (client.0, client.1, generation), id, body);
    }

    /// News to a client's queue. What finds no room is not lost: answers of jobs are kept with the
    /// recent ones, and the client asks again.
    pub(super) fn deliver_to(
        &mut self,
        name: &UserName,
        (user, client, generation): (UserRef, ClientId, Generation),
        id: JobId,
        body: Delivered,
    ) {
        let Some(term) = self.term() else { return };
        let to = Origin { user: name.clone(), client, generation };
        // A caller by HTTP waits for it here, and cannot ask again.
        let bytes = if name.is_http() { 0 } else { outgoing::weight(&body) };
        if !self.outgoing.take((user, client), bytes) {
            return self.facts.push(Fact::Undelivered);
        }
        let token = self.token(Sent::Delivery { user, client, generation, bytes });
        let delivery = Delivery { id, body };
        self.effects.push(Effect::Deliver { to, term, delivery, token });
    }

    /// Nobody waits for the job any more.
    pub(super) fn cancel(&mut self, job: JobRef, caller: Caller) {
        let Some(found) = self.jobs.get(job) else { return };
        let answered = Answered {
            answer: Answer::Cancelled,
            worker: None,
            attempt: found.runs,
            waited_ms: 0,
            took_us: 0,
            bound: None,
        };
        self.end(job, answered, caller);
    }

    /// A person cancels a job.
    pub(super) fn cancel_by_hand(&mut self, key: &JobKey) {
        if let Some(job) = self.jobs.find(Key::of(key)) {
            self.cancel(job, Caller::Waits);
        }
    }

    /// Ends what is past its deadline.
    pub(super) fn expire(&mut self) {
        let Some(before) = self.now.checked_sub(GRACE) else { return };
        for _ in 0..ENDED_PER_TICK {
            let Some(job) = self.jobs.overdue(before) else { return };
            self.end_by_us(job, Answer::Expired);
        }
    }

    pub(super) fn settled(&mut self, tokens: &[super::Token], outcome: Outcome) {
        for token in tokens {
            let Some(sent) = self.sent.remove(token) else { continue };
            if let Sent::Delivery { user, client, bytes, .. } = sent {
                self.outgoing.give_back((user, client), bytes);
            }
            match (sent, outcome) {
                (Sent::Placement { job, key, attempt, pool }, outcome) => {
                    self.orphan_settled(&(key, attempt), outcome == Outcome::Confirmed);
                    self.placement_settled(job, attempt, pool, outcome);
                }
                (Sent::Delivery { user, client, generation, .. }, Outcome::Returned) => {
                    self.client_gone(user, client, generation);
                }
                (Sent::Control { worker, generation }, Outcome::Returned | Outcome::Refused) => {
                    self.worker_unreachable(worker, generation);
                }
                (Sent::Delivery { .. }, Outcome::Confirmed | Outcome::Refused)
                | (Sent::Control { .. }, Outcome::Confirmed) => {}
            }
        }
    }

    fn placement_settled(&mut self, job: JobRef, attempt: Attempt, pool: PoolId, outcome: Outcome) {
        let now = self.now;
        let out = self.jobs.get_mut(job).and_then(|job| job.out_mut());
        let out = out.filter(|out| out.attempt == attempt);
        if outcome == Outcome::Confirmed {
            if let Some(out) = out {
                out.confirmed.get_or_insert(now);
            }
            return;
        }
        let unplaced = out.is_some_and(|out| out.holder.is_none());
        if let Some(pool) = self.pools.get_mut(&pool) {
            match outcome {
                Outcome::Returned if pool.queue == PoolQueue::Declared => {
                    pool.queue = PoolQueue::Unknown;
                }
                Outcome::Returned | Outcome::Confirmed => {}
                Outcome::Refused => pool.paused = true,
            }
        }
        self.want_declared(pool);
        if unplaced {
            if let Some(found) = self.jobs.get_mut(job) {
                found.uncount_run();
            }
            self.detach(job);
            self.weigh(job);
        }
    }

    /// An answer came back from the newest queue of a client: it is gone, with all its calls.
    fn client_gone(&mut self, user: UserRef, client: ClientId, generation: Generation) {
        let gone = self.clients.get(&(user, client));
        let Some(gone) = gone.filter(|known| known.generation == generation) else { return };
        for job in gone.jobs.clone() {
            self.cancel(job, Caller::Gone);
        }
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
