//! How jobs end: answered by a worker or by us, expired, cancelled, or gone with their client.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::message::{Answer, Answered, Delivered};
use simple_dist_protocol::{ClientId, Generation, JobKey};

use super::backlog::queue::QueueClass;
use super::fact::{Caller, Completed, Fact, Shared};
use super::ids::{FunctionRef, JobRef, Key, UserRef};
use super::jobs::{Job, State};
use super::{Core, ENDED_PER_TICK, Effect, QueueTime};

/// How long past its deadline a job is kept: its answer may be on its way, and its client ends the
/// call by itself.
const GRACE: Duration = Duration::from_millis(500);

impl Core {
    /// Ends a job. The only place where jobs end.
    pub(super) fn end(&mut self, job: JobRef, answered: Answered, caller: Caller) {
        let leader = self.jobs.get(job).and_then(|job| job.followed());
        let in_flight = self.detach(job);
        let Some(gone) = self.jobs.remove(job) else { return };
        self.end_run(job, &gone, &answered);
        self.keep_answer(&gone, &answered);
        self.cross_check(&gone, &answered);
        self.shadow(&gone, &answered);
        let (answered, caller) = match gone.left {
            Some(left) => (cancelled(gone.runs), left),
            None => (answered, caller),
        };
        let user = self.backlog.users.name(gone.key.user).clone();
        self.fleet.orphan((gone.key, &user), gone.function, in_flight.as_deref(), self.now);
        let client = (gone.key.user, gone.client);
        let function = self.fleet.functions.get_mut(gone.function);
        function.jobs -= 1;
        let name = Arc::clone(&function.name);
        for worker in gone.strikes.iter().flat_map(|strikes| strikes.lost_workers()) {
            if let Some(struck) = self.jobs.struck_by.get_mut(&worker) {
                struck.remove(&job);
            }
        }
        if let Some(trace) = gone.trace {
            let to = gone.began.unwrap_or(self.now);
            let failure = answered.worker.is_none().then(|| answered.answer.kind());
            let (id, function, from) = (gone.key.id, Arc::clone(&name), gone.since);
            let queued = QueueTime { trace, id, function, from, to, failure };
            self.outbox.push(Effect::Trace(Box::new(queued)));
        }
        let took = Duration::from_micros(answered.took_us);
        let ran = answered.worker.map(|worker| (worker, took));
        self.outbox.emit(Fact::Completed(Box::new(Completed {
            job,
            id: gone.key.id,
            user,
            client: gone.client,
            function: gone.function,
            name,
            args: gone.args,
            runs: gone.runs,
            since: gone.since,
            deadline: gone.deadline,
            began: gone.began,
            ran: ran.filter(|_| !answered.is_shared()),
            run: answered.attempt,
            answer: answered.answer.clone(),
            shared: Shared::of(&answered),
            caller,
        })));
        self.backlog.users.job_ended(gone.key.user);
        // `NotServed` says nothing about the job: sent again, it is tried again.
        if let (Answer::NotServed, Some(strikes)) = (&answered.answer, gone.strikes) {
            self.jobs.recent.keep_spared(gone.key, strikes.spared, self.now);
        }
        if caller != Caller::Gone && answered.answer != Answer::NotServed {
            self.jobs.recent.keep(gone.key, answered.clone(), false, self.now);
        }
        if caller == Caller::Waits {
            self.deliver(client, gone.key.id, Delivered::Answer(answered));
        }
        self.jobs.clients.remove_job(client, job);
        leader.into_iter().for_each(|leader| self.end_if_left(leader));
    }

    /// A job has ended: those that share its run end with the same answer, unless that says nothing
    /// about them.
    fn end_run(&mut self, job: JobRef, gone: &Job, answered: &Answered) {
        let followers = self.jobs.runs.take_followers(job);
        if followers.is_empty() {
            return;
        }
        let declared = |worker| self.fleet.is_deterministic(gone.function, worker);
        let is_theirs = match answered.answer {
            _ if !answered.worker.is_none_or(declared) => false,
            Answer::Value(_)
            | Answer::Failed { .. }
            | Answer::Panicked { .. }
            | Answer::Poisoned { .. }
            | Answer::BadArguments { .. }
            | Answer::TooLarge { .. } => true,
            Answer::NotServed | Answer::Busy | Answer::Cancelled | Answer::Expired => false,
        };
        if is_theirs {
            for follower in followers {
                self.end_follower(follower, gone.began, answered.clone());
            }
        } else if gone.is_marked() {
            self.pass_lead_on(job, &followers);
        } else {
            for follower in followers {
                self.detach(follower);
                self.jobs.runs.released.push(follower);
            }
        }
    }

    /// Ends a job with the kept answer of an equal one, if there is one. Returns whether.
    pub(super) fn end_by_memo(&mut self, job: JobRef) -> bool {
        let kept = self.kept_answer(job);
        kept.map(|answered| self.end(job, answered, Caller::Waits)).is_some()
    }

    fn end_follower(&mut self, job: JobRef, began: Option<Duration>, mut answered: Answered) {
        let now = self.now;
        let Some(found) = self.jobs.get_mut(job) else { return };
        let began = began.unwrap_or(now).max(found.since);
        found.began = Some(began);
        answered.waited_ms = millis(began - found.since);
        answered.coalesced = answered.worker.is_some();
        self.end(job, answered, Caller::Waits);
    }

    /// The job that led a run is gone, and there is evidence against it: the next one leads those that
    /// stay with it, if possible one whose client knows the evidence.
    fn pass_lead_on(&mut self, gone: JobRef, followers: &BTreeSet<JobRef>) {
        let rank = |job: &JobRef| {
            let job = self.jobs.get(*job)?;
            let is_noted = job.strikes.as_ref().is_some_and(|strikes| strikes.is_noted());
            Some((!is_noted, job.age))
        };
        let Some(leader) = followers.iter().copied().min_by_key(rank) else { return };
        self.detach(leader);
        for follower in followers.iter().filter(|job| **job != leader) {
            self.join(*follower, leader);
        }
        self.jobs.pass_strikes_on(gone, leader);
        self.jobs.runs.released.push(leader);
    }

    /// Ends a job that ran on only for others, once there are none.
    fn end_if_left(&mut self, job: JobRef) {
        if let Some(found) = self.jobs.get(job)
            && let Some(left) = found.left
            && !self.jobs.runs.leads(job)
        {
            self.cancel(job, left);
        }
    }

    /// Ends a job with an answer of our own.
    pub(super) fn end_with(&mut self, job: JobRef, answer: Answer) {
        let Some(found) = self.jobs.get(job) else { return };
        let waited = found.began.unwrap_or(self.now).saturating_sub(found.since);
        let (attempt, waited_ms) = (found.runs, millis(waited));
        let answered = Answered {
            answer,
            worker: None,
            attempt,
            waited_ms,
            took_us: 0,
            bound: None,
            coalesced: false,
            memo_age_ms: None,
        };
        self.end(job, answered, Caller::Waits);
    }

    /// Cancels a job. If others share its run it runs on for them, unless an operator wants it ended.
    pub(super) fn cancel(&mut self, job: JobRef, caller: Caller) {
        let leads = self.jobs.runs.leads(job);
        let Some(found) = self.jobs.get_mut(job) else { return };
        if leads && found.in_flight().is_some() && caller != Caller::Waits {
            found.left.get_or_insert(caller);
            return;
        }
        let answered = cancelled(found.runs);
        self.end(job, answered, caller);
    }

    /// Cancels a job for an operator.
    pub(super) fn cancel_by_operator(&mut self, key: &JobKey) {
        if let Some(job) = self.jobs.find(Key::of(key)) {
            self.cancel(job, Caller::Waits);
        }
    }

    /// Ends jobs past their deadline.
    pub(super) fn expire(&mut self) {
        let Some(before) = self.now.checked_sub(GRACE) else { return };
        for _ in 0..ENDED_PER_TICK {
            let Some(job) = self.jobs.overdue(before) else { return };
            self.end_with(job, Answer::Expired);
        }
    }

    /// A message to the client's newest queue was returned: the client is gone, with all its calls.
    pub(super) fn client_gone(&mut self, user: UserRef, client: ClientId, generation: Generation) {
        let gone = self.jobs.clients.get(&(user, client));
        let Some(gone) = gone.filter(|known| known.generation == generation) else { return };
        for job in gone.jobs() {
            self.cancel(job, Caller::Gone);
        }
    }

    /// Answers `NotServed` to jobs of functions that no worker serves any more. Marked jobs wait:
    /// their client might run them locally at once. The cost is bounded by what a second of beats
    /// names.
    pub(super) fn fail_unserved(&mut self) {
        if self.leadership.leading().is_none() {
            return;
        }
        let unserved_functions = self.fleet.functions.iter().filter(|(id, function)| {
            !function.is_live()
                && self.backlog.unmarked(*id).next().is_some()
                && self.now >= self.unserved_from(Some(*id))
        });
        let unserved = unserved_functions.flat_map(|(id, _)| self.backlog.unmarked(id));
        let unserved: Vec<JobRef> = unserved.take(ENDED_PER_TICK).collect();
        for job in unserved {
            self.end_with(job, Answer::NotServed);
        }
    }

    /// Answers `NotServed` at once to jobs of functions out of reach whose callers have a fallback.
    pub(super) fn turn_away_stranded(&mut self) {
        for function in std::mem::take(&mut self.fleet.newly_out_of_reach) {
            let Some(known) = self.fleet.functions.known(function) else { continue };
            let any = self.fleet.functions.unresolved(known.selector.name());
            let waiting =
                any.into_iter().chain([function]).flat_map(|it| self.backlog.unmarked(it));
            self.jobs.stranded.extend(waiting);
        }
        let mut ended = 0;
        while ended < ENDED_PER_TICK
            && let Some(job) = self.jobs.stranded.pop_front()
        {
            if self.is_stranded(job) {
                self.end_with(job, Answer::NotServed);
                ended += 1;
            }
        }
    }

    /// Whether a job waits for a worker that is out of reach, and need not. Marked jobs do: their
    /// client might run them locally at once.
    fn is_stranded(&self, job: JobRef) -> bool {
        self.jobs.get(job).is_some_and(|job| {
            job.has_fallback
                && match job.state {
                    State::Queued(QueueClass::Unmarked | QueueClass::Resent) => true,
                    State::Queued(QueueClass::Marked)
                    | State::Nowhere
                    | State::Unnoted { .. }
                    | State::Following { .. }
                    | State::InFlight(_) => false,
                }
                && self.fleet.is_out_of_reach(job.function)
        })
    }

    /// From when on the function counts as not served.
    pub(super) fn unserved_from(&self, function: Option<FunctionRef>) -> Duration {
        let served = function.and_then(|function| self.fleet.served(function));
        let expected = function.is_some_and(|function| self.fleet.is_expected(function));
        self.leadership.unserved_from(served, expected)
    }
}

fn cancelled(attempt: u32) -> Answered {
    Answered {
        answer: Answer::Cancelled,
        worker: None,
        attempt,
        waited_ms: 0,
        took_us: 0,
        bound: None,
        coalesced: false,
        memo_age_ms: None,
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
