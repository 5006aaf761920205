//! What clients say: jobs to be let in, joined or refused; cancels, questions, receipts, reports.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::{ARGUMENT_BYTES, PRIORITY_MAX, STRIKES, TIMEOUT_MAX};
use simple_dist_protocol::message::{
    Answer, Answered, Bound, Delivered, Ids, Marks, Noted, Report, Submission, Submit,
};
use simple_dist_protocol::{ClientId, Generation, JobId, Selector, UserName};

use super::fact::{Caller, Fact, Step, Why};
use super::functions::FunctionRef;
use super::jobs::{Job, JobRef, Key, State};
use super::suspicion::Suspicion;
use super::users::UserRef;
use super::{Client, Rooms};

/// The longest `traceparent` that is passed on; the standard has 55 characters.
const TRACE_BYTES: usize = 128;
/// The most functions read in one report.
const REPORTED: usize = 64;

/// A client's queue as a message of it says.
type Sender = (UserRef, ClientId, Generation);

impl Rooms {
    pub(super) fn submitted(&mut self, user: &UserName, submit: Submit) {
        if self.link.leading().is_none() {
            return;
        }
        let sender = (UserRef::of(user), submit.client, submit.generation);
        if self.users.meet(user, self.now).is_none() {
            for submission in submit.jobs {
                self.refuse(user, sender, submission.id, busy(Bound::Logins));
            }
            return;
        }
        let sender = self.greet(user, sender);
        for submission in submit.jobs {
            self.submission(user, sender, submission);
        }
    }

    pub(super) fn cancelled(&mut self, user: &UserName, ids: &Ids) {
        if self.link.leading().is_none() {
            return;
        }
        self.greet(user, (UserRef::of(user), ids.client, ids.generation));
        for id in &ids.ids {
            let key = Key { user: UserRef::of(user), id: *id };
            match self.jobs.find(key) {
                Some(job) => self.cancel(job, Caller::Cancelled),
                // The cancel was faster than its job.
                None => self.recent.keep(key, plain(Answer::Cancelled), false, self.now),
            }
        }
    }

    pub(super) fn asked(&mut self, user: &UserName, ids: &Ids) {
        if self.link.leading().is_none() {
            return;
        }
        let sender = self.greet(user, (UserRef::of(user), ids.client, ids.generation));
        // Each once: what is asked for often is not said more often.
        for id in &ids.ids.iter().collect::<BTreeSet<_>>() {
            let key = Key { user: sender.0, id: **id };
            if let Some(job) = self.jobs.find(key) {
                self.take_over(job, sender);
                if self.unnoted.contains(&job) {
                    self.tell_marks(job);
                }
            } else {
                let kept = self.recent.find(key).filter(|kept| !kept.unchecked);
                let news = kept
                    .map_or(Delivered::Unknown, |kept| Delivered::Answer(kept.answered.clone()));
                self.deliver_to(user, sender, key.id, news);
            }
        }
    }

    pub(super) fn noted(&mut self, user: &UserName, noted: Noted) {
        if self.link.leading().is_none() {
            return;
        }
        let sender = self.greet(user, (UserRef::of(user), noted.client, noted.generation));
        let Some(job) = self.jobs.find(Key { user: sender.0, id: noted.id }) else { return };
        let Some(suspicion) = self.jobs.get_mut(job).and_then(|job| job.suspicion.as_mut()) else {
            return;
        };
        suspicion.note(noted.marks);
        if suspicion.is_noted() && self.unnoted.contains(&job) {
            self.detach(job);
            self.weigh(job);
        }
    }

    pub(super) fn reported(&mut self, user: &UserName, report: Report) {
        let client = (UserRef::of(user), report.client);
        self.call_in(user, client);
        for (function, reasons) in report.local.into_iter().take(REPORTED) {
            let selector: Option<Selector> = function.parse().ok();
            let known = selector.and_then(|selector| self.functions.ask(&selector, self.now));
            self.facts.push(match known {
                Some(function) => {
                    let name = Arc::clone(&self.functions.get(function).name);
                    Fact::RanLocally { client, function, name, reasons }
                }
                None => Fact::TurnedAway(Bound::Functions),
            });
        }
    }

    /// A client was heard.
    fn call_in(&mut self, user: &UserName, client: (UserRef, ClientId)) {
        if let Some(known) = self.clients.get_mut(&client) {
            known.heard = self.now;
        }
        let user = self.users.find(client.0).unwrap_or(user).clone();
        self.facts.push(Fact::ClientHeard { client, user });
    }

    /// A client's newest generation, from whatever it says.
    fn greet(&mut self, name: &UserName, (user, client, generation): Sender) -> Sender {
        self.call_in(name, (user, client));
        match self.clients.get_mut(&(user, client)) {
            Some(known) => {
                known.generation = known.generation.max(generation);
                (user, client, known.generation)
            }
            None => (user, client, generation),
        }
    }

    fn submission(&mut self, user: &UserName, sender: Sender, submission: Submission) {
        let key = Key { user: sender.0, id: submission.id };
        if let Some(job) = self.jobs.find(key) {
            self.facts.push(Fact::Resent);
            self.take_over(job, sender);
            return self.resent(job, submission);
        }
        if let Some(answered) = self.answered_recently(key, &submission.function) {
            self.facts.push(Fact::Resent);
            return self.deliver_to(user, sender, key.id, Delivered::Answer(answered));
        }
        let id = submission.id;
        match self.admit(sender, submission) {
            Ok(job) => self.settle_in(job),
            Err(answered) => self.refuse(user, sender, id, answered),
        }
    }

    fn refuse(&mut self, user: &UserName, sender: Sender, id: JobId, answered: Answered) {
        let (kind, bound) = (answered.answer.kind(), answered.bound);
        self.facts.push(Fact::Refused { kind, bound });
        self.deliver_to(user, sender, id, Delivered::Answer(answered));
    }

    /// The recent answer to a job that is sent again. One that came while its job was unknown
    /// counts only now, and only if its worker serves the function.
    fn answered_recently(&mut self, key: Key, function: &str) -> Option<Answered> {
        let kept = self.recent.find(key)?;
        if kept.unchecked {
            let worker = kept.answered.worker.and_then(|worker| self.workers.get(worker));
            let serves = function
                .parse()
                .is_ok_and(|selector| worker.is_some_and(|worker| worker.serves(&selector)));
            if !serves {
                self.facts.push(Fact::Ignored(Why::Unproven));
                self.recent.forget(key);
                return None;
            }
            self.recent.believe(key);
        }
        self.recent.find(key).map(|kept| kept.answered.clone())
    }

    /// The job's answer goes to whoever sent it last.
    fn take_over(&mut self, job: JobRef, (user, client, generation): Sender) {
        let Some(before) = self.jobs.get(job).map(|job| job.client) else { return };
        if before != client {
            // Its place in the queue is by client.
            let waits = matches!(self.jobs.get(job).map(|job| &job.state), Some(State::Queued(_)));
            if waits {
                self.detach(job);
            }
            if let Some(found) = self.jobs.get_mut(job) {
                found.client = client;
            }
            if waits {
                self.enqueue(job);
            }
            self.disown((user, before), job);
            self.owns((user, client, generation), job);
        }
    }

    fn owns(&mut self, (user, client, generation): Sender, job: JobRef) {
        let (id, now) = ((user, client), self.now);
        let new = || Client { generation, heard: now, due: now, jobs: Default::default() };
        let known = self.clients.entry(id).or_insert_with(new);
        let is_new = known.jobs.is_empty();
        known.jobs.insert(job);
        if is_new {
            self.mind(id);
        }
    }

    /// A job that we know is sent again.
    fn resent(&mut self, job: JobRef, submission: Submission) {
        self.jobs.hurry(job, self.now.saturating_add(budget(submission.budget_ms)));
        let Some(found) = self.jobs.get_mut(job) else { return };
        if found.suspicion.is_none() && submission.marks.count() == 0 {
            return;
        }
        let suspicion = found.suspicion_mut();
        let alive = |worker: &_| self.workers.is_alive(*worker);
        suspicion.bring(&submission.marks, alive);
        suspicion.note(submission.marks);
        let (noted, out) = (suspicion.is_noted(), found.out().is_some());
        self.remember_strikers(job);
        if !out {
            self.detach(job);
            self.weigh(job);
        } else if !noted {
            self.tell_marks(job);
        }
    }

    /// A new job is let in, or refused.
    fn admit(&mut self, sender: Sender, submission: Submission) -> Result<JobRef, Answered> {
        let selector: Selector = submission
            .function
            .parse()
            .map_err(|error| plain(Answer::BadArguments { message: format!("{error}") }))?;
        let bytes = submission.args.len();
        if bytes > ARGUMENT_BYTES {
            let (bytes, limit) = (bytes as u64, ARGUMENT_BYTES as u64);
            return Err(plain(Answer::TooLarge { bytes, limit }));
        }
        let suspicion = self.brought(submission.marks);
        if let Some(suspicion) = suspicion.as_ref().filter(|suspicion| suspicion.is_fatal()) {
            return Err(plain(suspicion.poisoned()));
        }
        if let Some(bound) = self.full_for(bytes) {
            return Err(busy(bound));
        }
        let priority = submission.priority.min(PRIORITY_MAX);
        let time = budget(submission.budget_ms);
        let (resolved, live) = self.resolve(&selector);
        // A marked job is not told so: its client might run it at once.
        if suspicion.is_none() && !live && self.now >= self.hopeless_at(resolved) {
            return Err(plain(Answer::NotServed));
        }
        let function = match resolved {
            Some(function) => function,
            None => self.functions.ask(&selector, self.now).ok_or(busy(Bound::Functions))?,
        };
        let known = self.functions.get_mut(function);
        (known.jobs, known.used) = (known.jobs + 1, self.now);
        self.users.begins(sender.0);
        self.ages += 1;
        let key = Key { user: sender.0, id: submission.id };
        let attempts = self.term().map_or(0, |term| self.orphans.last_attempt(key, term));
        let job = self.jobs.insert(Job {
            key,
            client: sender.1,
            function,
            args: submission.args,
            trace: submission.trace.filter(|trace| trace.len() <= TRACE_BYTES),
            priority,
            age: self.ages,
            since: self.now,
            deadline: self.now.saturating_add(time),
            began: None,
            attempts,
            runs: 0,
            state: State::Nowhere,
            suspicion,
        });
        self.facts.push(Fact::Job(job, Step::Admitted));
        self.owns(sender, job);
        self.remember_strikers(job);
        Ok(job)
    }

    /// What a client brings along, without strikes by workers that live.
    fn brought(&self, marks: Marks) -> Option<Box<Suspicion>> {
        if marks.count() == 0 {
            return None;
        }
        let mut suspicion = Suspicion::default();
        suspicion.bring(&marks, |worker| self.workers.is_alive(*worker));
        suspicion.note(marks);
        (suspicion.count() > 0).then(|| Box::new(suspicion))
    }

    /// What leaves no room for one more job of so many bytes, if anything does.
    pub(super) fn full_for(&self, bytes: usize) -> Option<Bound> {
        let (jobs, most) = self.config.capacity;
        if self.jobs.len() >= jobs {
            return Some(Bound::Jobs);
        }
        (self.jobs.bytes() + bytes > most).then_some(Bound::Arguments)
    }

    /// The function that a selector means, and whether it is live. Without a version: the highest
    /// live one, else whichever comes first.
    pub(super) fn resolve(&self, selector: &Selector) -> (Option<FunctionRef>, bool) {
        match selector.address() {
            Some(address) => {
                let function = self.functions.find(&address);
                (function, function.is_some_and(|known| self.functions.get(known).is_live()))
            }
            None => match self.functions.live_version(selector.name()) {
                Some(function) => (Some(function), true),
                None => (self.functions.unresolved(selector.name()), false),
            },
        }
    }
}

/// An answer that no worker gave.
fn plain(answer: Answer) -> Answered {
    Answered { answer, worker: None, attempt: 0, waited_ms: 0, took_us: 0, bound: None }
}

fn busy(bound: Bound) -> Answered {
    Answered { bound: Some(bound), ..plain(Answer::Busy) }
}

fn budget(budget_ms: u64) -> Duration {
    Duration::from_millis(budget_ms).min(TIMEOUT_MAX)
}

const _: () = assert!(STRIKES == 3, "promise 4 says three");
