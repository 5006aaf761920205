//! How jobs end: answered, by our own decision, at their deadline, cancelled, or with their client.

use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::message::{Answer, Answered, Delivered};
use simple_dist_protocol::{ClientId, Generation, JobKey};

use super::backlog::users::UserRef;
use super::fact::{Caller, Completed, Fact};
use super::fleet::functions::FunctionRef;
use super::jobs::{JobRef, Key};
use super::{ENDED_PER_TICK, Rooms};

/// How long past its deadline a job is kept: its answer may be on its way, and its client has
/// ended the call by itself.
const GRACE: Duration = Duration::from_millis(500);

impl Rooms {
    /// A job ends. Only here.
    pub(super) fn end(&mut self, job: JobRef, answered: Answered, caller: Caller) {
        let out = self.detach(job);
        let Some(gone) = self.jobs.remove(job) else { return };
        let user = self.backlog.users.name(gone.key.user).clone();
        self.fleet.orphan((gone.key, &user), gone.function, out.as_deref(), self.now);
        let client = (gone.key.user, gone.client);
        let function = self.fleet.functions.get_mut(gone.function);
        function.jobs -= 1;
        let name = Arc::clone(&function.name);
        for worker in gone.suspicion.iter().flat_map(|suspicion| suspicion.strikers()) {
            if let Some(struck) = self.jobs.strikers.get_mut(&worker) {
                struck.remove(&job);
            }
        }
        self.outbox.tell(Fact::Completed(Box::new(Completed {
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
        self.backlog.users.ends(gone.key.user);
        // That nobody served it says nothing of the job: sent again, it is tried again.
        if caller != Caller::Gone && answered.answer != Answer::NotServed {
            self.jobs.recent.keep(gone.key, answered.clone(), false, self.now);
        }
        if caller == Caller::Waits {
            self.deliver(client, gone.key.id, Delivered::Answer(answered));
        }
        self.jobs.clients.disown(client, job);
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

    /// An answer came back from the newest queue of a client: it is gone, with all its calls.
    pub(super) fn client_gone(&mut self, user: UserRef, client: ClientId, generation: Generation) {
        let gone = self.jobs.clients.get(&(user, client));
        let Some(gone) = gone.filter(|known| known.generation == generation) else { return };
        for job in gone.jobs.clone() {
            self.cancel(job, Caller::Gone);
        }
    }

    /// Answers jobs of functions that nobody serves any more. Marked ones wait: their client
    /// might run them at once. Who is not live is looked up in its pools: all of that is named by
    /// the beats of a second, so it costs no more than they do.
    pub(super) fn give_up_unserved(&mut self) {
        if self.leadership.leading().is_none() {
            return;
        }
        let hopeless = self.fleet.functions.iter().filter(|(id, function)| {
            !function.is_live()
                && self.backlog.calm(*id).next().is_some()
                && self.now >= self.hopeless_at(Some(*id))
        });
        let unserved = hopeless.flat_map(|(id, _)| self.backlog.calm(id));
        let unserved: Vec<JobRef> = unserved.take(ENDED_PER_TICK).collect();
        for job in unserved {
            self.end_by_us(job, Answer::NotServed);
        }
    }

    /// From when on nobody is expected to serve the function any more.
    pub(super) fn hopeless_at(&self, function: Option<FunctionRef>) -> Duration {
        let served = function.and_then(|function| self.fleet.served(function));
        let expected = function.is_some_and(|function| self.fleet.is_expected(function));
        self.leadership.hopeless_at(served, expected)
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
