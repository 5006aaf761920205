//! How jobs end: answered by a worker or by us, expired, cancelled, or gone with their client.

use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::message::{Answer, Answered, Delivered};
use simple_dist_protocol::{ClientId, Generation, JobKey};

use super::fact::{Caller, Completed, Fact};
use super::ids::{FunctionRef, JobRef, Key, UserRef};
use super::{Core, ENDED_PER_TICK};

/// How long past its deadline a job is kept: its answer may be on its way, and its client ends the
/// call by itself.
const GRACE: Duration = Duration::from_millis(500);

impl Core {
    /// Ends a job. The only place where jobs end.
    pub(super) fn end(&mut self, job: JobRef, answered: Answered, caller: Caller) {
        let in_flight = self.detach(job);
        let Some(gone) = self.jobs.remove(job) else { return };
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
            ran: answered.worker.zip(Some(Duration::from_micros(answered.took_us))),
            answer: answered.answer.clone(),
            caller,
        })));
        self.backlog.users.job_ended(gone.key.user);
        // `NotServed` says nothing about the job: sent again, it is tried again.
        if caller != Caller::Gone && answered.answer != Answer::NotServed {
            self.jobs.recent.keep(gone.key, answered.clone(), false, self.now);
        }
        if caller == Caller::Waits {
            self.deliver(client, gone.key.id, Delivered::Answer(answered));
        }
        self.jobs.clients.remove_job(client, job);
    }

    /// Ends a job with an answer of our own.
    pub(super) fn end_with(&mut self, job: JobRef, answer: Answer) {
        let Some(found) = self.jobs.get(job) else { return };
        let waited = found.began.unwrap_or(self.now).saturating_sub(found.since);
        let (attempt, waited_ms) = (found.runs, millis(waited));
        let answered =
            Answered { answer, worker: None, attempt, waited_ms, took_us: 0, bound: None };
        self.end(job, answered, Caller::Waits);
    }

    /// Cancels a job.
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
        for job in gone.jobs.clone() {
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

    /// From when on the function counts as not served.
    pub(super) fn unserved_from(&self, function: Option<FunctionRef>) -> Duration {
        let served = function.and_then(|function| self.fleet.served(function));
        let expected = function.is_some_and(|function| self.fleet.is_expected(function));
        self.leadership.unserved_from(served, expected)
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
