//! How attempts and jobs end: answers, hand-backs, deadlines, cancels; and what becomes of what
//! was published.

use std::time::Duration;

use simple_dist_protocol::Outcome;
use simple_dist_protocol::limits::{LIST_PATIENCE, TIMEOUT_MAX};
use simple_dist_protocol::message::{
    Answer, Answered, Answers, Bound, Delivered, Delivery, End, Ended,
};
use simple_dist_protocol::{
    Attempt, ClientId, Generation, JobId, JobKey, PoolId, UserName, WorkerId,
};

use crate::view::{By, What};

use super::books::Ending;
use super::jobs::{Job, JobRef, Key, Out};
use super::pools::PoolQueue;
use super::users::UserRef;
use super::{ENDED_PER_TICK, Effect, Origin, Scheduler, Sent, outgoing};

/// How long past its deadline a job is kept: its answer may be on its way, and its client has
/// ended the call by itself.
const GRACE: Duration = Duration::from_millis(500);

/// A caller whose time has passed cancels its job at about the moment when it passes here: what
/// comes this near to it, or within this share of the whole time, has run out of time.
const ABOUT_OVER: (Duration, u32) = (Duration::from_millis(500), 4);

/// Who hears of a job's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// It gets the answer, and again if it sends the job again.
    Waits,
    /// It wants no answer; if a copy of the job is still on its way here, that one has ended too.
    Cancelled,
    /// Its queue is gone. If it lives after all, it sends the job again, and we begin anew.
    Gone,
}

impl Caller {
    /// Who it was, if the job was cancelled.
    fn by(self) -> By {
        match self {
            Self::Waits => By::Operator,
            Self::Cancelled => By::Caller,
            Self::Gone => By::ClientGone,
        }
    }
}

impl Scheduler {
    pub(super) fn answers(&mut self, user: &UserName, answers: Answers) {
        let worker = answers.worker;
        match self.workers.get(worker) {
            Some(known) if known.user != *user => {
                self.books.forged += answers.jobs.len() as u64;
            }
            Some(known) if known.is_heard() => {
                for ended in answers.jobs {
                    self.ended(worker, ended);
                }
            }
            Some(_) | None => {
                for ended in answers.jobs {
                    if !self.recent.keep_unproven(user, worker, ended, self.now) {
                        self.turn_away(Bound::Unclaimed);
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
                    Some(_) => self.books.forged += 1,
                    None => self.books.outdated += 1,
                }
            }
            End::Answer(Answer::Poisoned { .. } | Answer::Busy) => self.books.forged += 1,
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
                    None if self.recent.find(key).is_some() => self.books.late += 1,
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
            self.books.forged += 1;
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

    /// The attempt under way was handed back.
    fn returned(&mut self, job: JobRef, willing: bool) {
        self.books.returned += 1;
        let now = self.now;
        let Some(found) = self.jobs.get_mut(job) else { return };
        let attempt = found.out().map_or(0, |out| out.run);
        found.timeline.push(now, What::Returned { attempt, willing });
        if willing {
            found.uncount_run();
            self.books.willing += 1;
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
            self.came_back(job);
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
            self.books.marks += 1;
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
        let Some(mut gone) = self.jobs.remove(job) else { return };
        self.orphan(&gone, out.as_deref());
        let client = (gone.key.user, gone.client);
        let ending = ending(&gone, &answered.answer, caller, self.now);
        self.books.end(&answered.answer, ending);
        let function = self.functions.get_mut(gone.function);
        function.jobs -= 1;
        function.ended.count(ending);
        for worker in gone.suspicion.iter().flat_map(|suspicion| suspicion.strikers()) {
            if let Some(struck) = self.strikers.get_mut(&worker) {
                struck.remove(&job);
            }
        }
        self.chronicle(&mut gone, &answered, ending);
        self.users.ends(gone.key.user);
        if caller != Caller::Gone {
            self.recent.keep(gone.key, answered.clone(), false, self.now);
        }
        if caller == Caller::Waits {
            self.deliver(client, gone.key.id, Delivered::Answer(answered));
        }
        self.disown(client, job);
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
            return self.turned.count(Bound::Deliveries, self.now);
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

/// How a job that ends now is counted.
fn ending(gone: &Job, answer: &Answer, caller: Caller, now: Duration) -> Ending {
    let (longest, share) = ABOUT_OVER;
    let near = (gone.deadline.saturating_sub(gone.since) / share).min(longest);
    match Ending::of(answer, caller.by()) {
        Ending::Cancelled(By::Caller) if gone.deadline.saturating_sub(now) <= near => {
            Ending::TimedOut
        }
        ending => ending,
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
