//! What clients say: jobs to be let in, joined or refused; cancels, questions, receipts, reports.

use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::{ARGUMENT_BYTES, PRIORITY_MAX, REPORT, STRIKES, TIMEOUT_MAX};
use simple_dist_protocol::message::{
    Answer, Answered, Bound, Delivered, Ids, Marks, Noted, Report, Submission, Submit,
};
use simple_dist_protocol::{ClientId, Generation, JobId, Selector, UserName};

use super::ends::Caller;
use super::functions::{FUNCTIONS, FunctionRef};
use super::jobs::{Job, JobRef, Key, State};
use super::suspicion::Suspicion;
use super::users::UserRef;
use super::{Client, Ledger};

/// The most clients shown; more have their jobs done all the same.
const CALLERS: usize = 1000;
/// The longest `traceparent` that is passed on; the standard has 55 characters.
const TRACE_BYTES: usize = 128;
/// The most kinds of reason kept in the reports of one function.
const REASONS: usize = 16;
/// The longest name of a reason.
const REASON_BYTES: usize = 64;

/// A client's queue as a message of it says.
type Sender = (UserRef, ClientId, Generation);

impl Ledger {
    pub(super) fn submitted(&mut self, user: &UserName, submit: Submit) {
        if self.link.leading().is_none() {
            return;
        }
        let Some(user) = self.users.meet(user) else {
            self.books.crowded += submit.jobs.len() as u64;
            return;
        };
        let sender = self.greet((user, submit.client, submit.generation));
        for submission in submit.jobs {
            self.submission(sender, submission);
        }
    }

    pub(super) fn cancelled(&mut self, user: &UserName, ids: &Ids) {
        let Some(user) = self.known(user) else { return };
        for id in &ids.ids {
            let key = Key { user, id: *id };
            match self.jobs.find(key) {
                Some(job) => self.cancel(job, Caller::Cancelled),
                // The cancel was faster than its job.
                None => self.recent.keep(key, plain(Answer::Cancelled), false, self.now),
            }
        }
    }

    pub(super) fn asked(&mut self, user: &UserName, ids: &Ids) {
        let Some(user) = self.known(user) else { return };
        let sender = self.greet((user, ids.client, ids.generation));
        for id in &ids.ids {
            let key = Key { user, id: *id };
            if let Some(job) = self.jobs.find(key) {
                self.take_over(job, sender);
                if self.unnoted.contains(&job) {
                    self.tell_marks(job);
                }
            } else {
                let kept = self.recent.find(key).filter(|kept| !kept.unchecked);
                let news = kept
                    .map_or(Delivered::Unknown, |kept| Delivered::Answer(kept.answered.clone()));
                self.deliver_to(sender, *id, news);
            }
        }
    }

    pub(super) fn noted(&mut self, user: &UserName, noted: Noted) {
        let Some(user) = self.known(user) else { return };
        self.greet((user, noted.client, noted.generation));
        let Some(job) = self.jobs.find(Key { user, id: noted.id }) else { return };
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
        let Some(user) = self.users.meet(user) else {
            self.books.crowded += 1;
            return;
        };
        let mut all: u64 = 0;
        for (function, reasons) in report.local.into_iter().take(64) {
            let full = self.local.len() >= FUNCTIONS && !self.local.contains_key(&function);
            if full || function.parse::<Selector>().is_err() {
                self.books.crowded += 1;
                continue;
            }
            let runs = reasons.values().fold(0, |sum: u64, runs| sum.saturating_add(*runs));
            all = all.saturating_add(runs);
            self.ran_locally(&function, runs);
            let counts = self.local.entry(function).or_default();
            for (reason, runs) in reasons.into_iter().take(REASONS) {
                if reason.len() > REASON_BYTES {
                    self.books.crowded += 1;
                } else if counts.len() < REASONS || counts.contains_key(&reason) {
                    let count = counts.entry(reason).or_default();
                    *count = count.saturating_add(runs);
                }
            }
        }
        self.call_in((user, report.client), all);
    }

    /// Clients ran a function themselves, since the report before this one.
    fn ran_locally(&mut self, function: &str, runs: u64) {
        self.measures.local(runs);
        self.history.local = self.history.local.saturating_add(runs);
        let selector: Result<Selector, _> = function.parse();
        let known = selector.ok().and_then(|selector| self.functions.meet(&selector));
        let Some(known) = known.map(|known| self.functions.get_mut(known)) else { return };
        known.measures.get_or_insert_default().local(runs);
        let from = self.now.saturating_sub(REPORT);
        self.stream.ran_locally(Arc::clone(&known.name), from, self.now, runs);
    }

    /// A client was heard, and has run so many jobs itself.
    fn call_in(&mut self, client: (UserRef, ClientId), local: u64) {
        if self.callers.len() >= CALLERS && !self.callers.contains_key(&client) {
            return;
        }
        let new = super::Caller { heard: self.now, local: 0 };
        let caller = self.callers.entry(client).or_insert(new);
        caller.heard = self.now;
        caller.local = caller.local.saturating_add(local);
    }

    /// The user, if we lead: whoever does not lead knows no jobs.
    fn known(&mut self, user: &UserName) -> Option<UserRef> {
        self.link.leading()?;
        self.users.meet(user)
    }

    /// A client's newest generation, from whatever it says.
    fn greet(&mut self, (user, client, generation): Sender) -> Sender {
        self.call_in((user, client), 0);
        match self.clients.get_mut(&(user, client)) {
            Some(known) => {
                known.generation = known.generation.max(generation);
                (user, client, known.generation)
            }
            None => (user, client, generation),
        }
    }

    fn submission(&mut self, sender: Sender, submission: Submission) {
        let key = Key { user: sender.0, id: submission.id };
        if let Some(job) = self.jobs.find(key) {
            self.books.resent += 1;
            self.take_over(job, sender);
            return self.resent(job, submission);
        }
        if let Some(answered) = self.answered_recently(key, &submission.function) {
            self.books.resent += 1;
            return self.deliver_to(sender, key.id, Delivered::Answer(answered));
        }
        let id = submission.id;
        match self.admit(sender, submission) {
            Ok(job) => self.settle_in(job),
            Err(answered) => self.refuse(sender, id, answered),
        }
    }

    fn refuse(&mut self, sender: Sender, id: JobId, answered: Answered) {
        self.books.refuse(&answered.answer);
        self.deliver_to(sender, id, Delivered::Answer(answered));
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
                self.books.unproven += 1;
                self.recent.forget(key);
                return None;
            }
            self.recent.believe(key);
        }
        self.recent.find(key).map(|kept| kept.answered.clone())
    }

    /// The job's answer goes to whoever sent it last.
    fn take_over(&mut self, job: JobRef, (user, client, generation): Sender) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        let before = std::mem::replace(&mut found.client, client);
        if before != client {
            if let Some(known) = self.clients.get_mut(&(user, before)) {
                known.jobs.remove(&job);
                if known.jobs.is_empty() {
                    self.clients.remove(&(user, before));
                }
            }
            self.owns((user, client, generation), job);
        }
    }

    fn owns(&mut self, (user, client, generation): Sender, job: JobRef) {
        let known = self
            .clients
            .entry((user, client))
            .or_insert_with(|| Client { generation, jobs: Default::default() });
        known.jobs.insert(job);
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
            None => self.functions.meet(&selector).ok_or(busy(Bound::Functions))?,
        };
        self.functions.get_mut(function).jobs += 1;
        self.books.accepted += 1;
        self.ages += 1;
        let job = self.jobs.insert(Job {
            key: Key { user: sender.0, id: submission.id },
            client: sender.1,
            function,
            args: submission.args,
            trace: submission.trace.filter(|trace| trace.len() <= TRACE_BYTES),
            priority,
            age: self.ages,
            since: self.now,
            deadline: self.now.saturating_add(time),
            began: None,
            attempts: 0,
            runs: 0,
            state: State::Nowhere,
            suspicion,
            timeline: Default::default(),
        });
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
