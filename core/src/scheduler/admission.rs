//! Messages from clients: submissions to admit, join or refuse; cancels, questions, receipts,
//! reports.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::limits::{ARGUMENT_BYTES, PRIORITY_MAX, STRIKES, TIMEOUT_MAX};
use simple_dist_protocol::message::{
    Answer, Answered, Bound, Delivered, Ids, Marks, Noted, Report, Submission, Submit,
};
use simple_dist_protocol::{ClientId, Generation, JobId, Selector, UserName};

use super::Core;
use super::fact::{Caller, Fact, IgnoreReason, Step};
use super::ids::{JobRef, Key, UserRef};
use super::jobs::strikes::Strikes;
use super::jobs::{Job, State};

/// The longest `traceparent` passed on, in bytes; the standard has 55.
const TRACE_BYTES: usize = 128;
/// The most functions read in one report.
const REPORTED: usize = 64;

/// A client's queue, as a message names it.
type Sender = (UserRef, ClientId, Generation);

impl Core {
    pub(super) fn submitted(&mut self, user: &UserName, submit: Submit) {
        if self.leadership.leading().is_none() {
            return;
        }
        let sender = (UserRef::of(user), submit.client, submit.generation);
        if self.backlog.users.get_or_insert(user, self.now).is_none() {
            for submission in submit.jobs {
                self.refuse(user, sender, submission.id, busy(Bound::Logins));
            }
            return;
        }
        let sender = self.touch_client(user, sender);
        for submission in submit.jobs {
            self.submission(user, sender, submission);
        }
    }

    pub(super) fn cancelled(&mut self, user: &UserName, ids: &Ids) {
        if self.leadership.leading().is_none() {
            return;
        }
        self.touch_client(user, (UserRef::of(user), ids.client, ids.generation));
        for id in &ids.ids {
            let key = Key { user: UserRef::of(user), id: *id };
            match self.jobs.find(key) {
                Some(job) => self.cancel(job, Caller::Cancelled),
                // The cancel overtook its job.
                None => self.jobs.recent.keep(key, plain(Answer::Cancelled), false, self.now),
            }
        }
    }

    pub(super) fn asked(&mut self, user: &UserName, ids: &Ids) {
        if self.leadership.leading().is_none() {
            return;
        }
        let sender = self.touch_client(user, (UserRef::of(user), ids.client, ids.generation));
        // Each id once: asking repeatedly must not multiply the replies.
        for id in &ids.ids.iter().collect::<BTreeSet<_>>() {
            let key = Key { user: sender.0, id: **id };
            if let Some(job) = self.jobs.find(key) {
                self.take_over(job, sender);
                let found = self.jobs.get(job).filter(|job| job.followed().is_some());
                let strikes = found.and_then(|job| job.strikes.as_ref());
                if self.jobs.unnoted.contains(&job) || strikes.is_some_and(|it| !it.is_noted()) {
                    self.tell_marks(job);
                }
            } else {
                let kept = self.jobs.recent.find(key).filter(|kept| !kept.unchecked);
                let body = kept
                    .map_or(Delivered::Unknown, |kept| Delivered::Answer(kept.answered.clone()));
                self.deliver_to(user, sender, key.id, body);
            }
        }
    }

    pub(super) fn noted(&mut self, user: &UserName, noted: Noted) {
        if self.leadership.leading().is_none() {
            return;
        }
        let sender = self.touch_client(user, (UserRef::of(user), noted.client, noted.generation));
        let Some(job) = self.jobs.find(Key { user: sender.0, id: noted.id }) else { return };
        let Some(strikes) = self.jobs.get_mut(job).and_then(|job| job.strikes.as_mut()) else {
            return;
        };
        strikes.note(noted.marks);
        if strikes.is_noted() {
            self.marks_noted(job);
        }
    }

    /// The client knows what there is against its job: it, or the run that it shares, may go on.
    fn marks_noted(&mut self, job: JobRef) {
        if self.jobs.unnoted.contains(&job) {
            self.detach(job);
            self.requeue(job);
        } else if let Some(leader) = self.jobs.get(job).and_then(|job| job.followed())
            && self.jobs.unnoted.contains(&leader)
        {
            self.lead_instead(job, leader);
        }
    }

    pub(super) fn reported(&mut self, user: &UserName, report: Report) {
        let client = (UserRef::of(user), report.client);
        self.record_client(user, client);
        self.jobs.clients.heard(&client, Generation(0), self.now);
        for (function, reasons) in report.local.into_iter().take(REPORTED) {
            let selector: Option<Selector> = function.parse().ok();
            let known = selector
                .and_then(|selector| self.fleet.functions.intern_called(&selector, self.now));
            self.outbox.emit(match known {
                Some(function) => {
                    let name = Arc::clone(&self.fleet.functions.get(function).name);
                    Fact::RanLocally { client, function, name, reasons }
                }
                None => Fact::LimitReached(Bound::Functions),
            });
        }
    }

    /// Records that a client was heard.
    fn record_client(&mut self, user: &UserName, client: (UserRef, ClientId)) {
        let user = self.backlog.users.find(client.0).unwrap_or(user).clone();
        self.outbox.emit(Fact::ClientHeard { client, user });
    }

    /// Notes a client's message and returns its newest generation.
    fn touch_client(&mut self, name: &UserName, (user, client, generation): Sender) -> Sender {
        self.record_client(name, (user, client));
        let newest = self.jobs.clients.heard(&(user, client), generation, self.now);
        (user, client, newest)
    }

    /// Assigns a job to a client. HTTP callers have no queue: their connection stands for it.
    fn add_client_job(&mut self, (user, client, generation): Sender, job: JobRef) {
        let has_queue = !self.backlog.users.name(user).is_http();
        let client = ((user, client), generation);
        self.jobs.clients.add_job(client, job, has_queue, self.now);
    }

    fn submission(&mut self, user: &UserName, sender: Sender, submission: Submission) {
        let key = Key { user: sender.0, id: submission.id };
        if let Some(job) = self.jobs.find(key) {
            self.outbox.emit(Fact::Resent);
            self.take_over(job, sender);
            return self.resent(job, submission);
        }
        if let Some(answered) = self.recent_answer(key, &submission.function) {
            self.outbox.emit(Fact::Resent);
            return self.deliver_to(user, sender, key.id, Delivered::Answer(answered));
        }
        let id = submission.id;
        match self.admit(sender, submission) {
            Ok(job) => self.adopt_or_queue(job),
            Err(answered) => self.refuse(user, sender, id, answered),
        }
    }

    fn refuse(&mut self, user: &UserName, sender: Sender, id: JobId, answered: Answered) {
        let (kind, bound) = (answered.answer.kind(), answered.bound);
        self.outbox.emit(Fact::Refused { kind, bound });
        self.deliver_to(user, sender, id, Delivered::Answer(answered));
    }

    /// The recent answer to a resubmitted job. An answer that arrived while its job was unknown
    /// counts only now, and only if its worker serves the function.
    fn recent_answer(&mut self, key: Key, function: &str) -> Option<Answered> {
        let kept = self.jobs.recent.find(key)?;
        if kept.unchecked {
            let worker = kept.answered.worker.and_then(|worker| self.fleet.workers.get(worker));
            let serves = function
                .parse()
                .is_ok_and(|selector| worker.is_some_and(|worker| worker.serves(&selector)));
            if !serves {
                self.outbox.emit(Fact::Ignored(IgnoreReason::Unproven));
                self.jobs.recent.forget(key);
                return None;
            }
            self.jobs.recent.mark_checked(key);
        }
        self.jobs.recent.find(key).map(|kept| kept.answered.clone())
    }

    /// Makes the sender the owner of the job: the answer goes to the client that sent it last.
    fn take_over(&mut self, job: JobRef, (user, client, generation): Sender) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        found.left = None;
        let before = found.client;
        if before != client {
            // The job's position in the queue depends on its client.
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
            self.jobs.clients.remove_job((user, before), job);
            self.add_client_job((user, client, generation), job);
        }
    }

    /// Handles a known job that is sent again.
    fn resent(&mut self, job: JobRef, submission: Submission) {
        self.jobs.shorten_deadline(job, self.now.saturating_add(budget(submission.budget_ms)));
        let Some(found) = self.jobs.get_mut(job) else { return };
        found.progress |= submission.progress;
        found.has_fallback = submission.has_fallback;
        if found.strikes.is_none() && submission.marks.count() == 0 {
            return;
        }
        if found.followed().is_some() && found.strikes_mut().marks().covers(&submission.marks) {
            found.strikes_mut().note(submission.marks);
            if found.strikes_mut().is_noted() {
                self.marks_noted(job);
            }
            return;
        }
        let strikes = found.strikes_mut();
        let alive = |worker: &_| self.fleet.workers.is_alive(*worker);
        strikes.merge_reported(&submission.marks, alive);
        strikes.note(submission.marks);
        let (noted, in_flight) = (strikes.is_noted(), found.in_flight().is_some());
        self.jobs.index_lost_workers(job);
        if !in_flight {
            self.detach(job);
            self.requeue(job);
        } else if !noted {
            self.send_marks(job);
        }
    }

    /// Admits a new job, or says why not.
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
        let mut strikes = self.reported_strikes(submission.marks);
        if let Some(strikes) = strikes.as_ref().filter(|strikes| strikes.is_fatal()) {
            return Err(plain(strikes.poisoned()));
        }
        if let Some(bound) = self.jobs.full_for(bytes, self.config.capacity) {
            return Err(busy(bound));
        }
        let priority = submission.priority.min(PRIORITY_MAX);
        let time = budget(submission.budget_ms);
        let (resolved, live) = self.resolve(&selector, submission.id);
        // A marked job is not refused: its client might run it locally at once.
        let known = resolved.or_else(|| self.fleet.last_served(selector.name()));
        let stranded =
            submission.has_fallback && known.is_some_and(|known| self.fleet.is_out_of_reach(known));
        if strikes.is_none() && !live && (stranded || self.now >= self.unserved_from(known)) {
            return Err(plain(Answer::NotServed));
        }
        let function = match resolved {
            Some(function) => function,
            None => self
                .fleet
                .functions
                .intern_called(&selector, self.now)
                .ok_or(busy(Bound::Functions))?,
        };
        let known = self.fleet.functions.get_mut(function);
        (known.jobs, known.used) = (known.jobs + 1, self.now);
        self.backlog.users.job_admitted(sender.0);
        let key = Key { user: sender.0, id: submission.id };
        if let Some(spared) = self.jobs.recent.take_spared(key) {
            strikes.get_or_insert_default().spared = spared;
        }
        let attempts =
            self.leadership.term().map_or(0, |term| self.fleet.orphans.last_attempt(key, term));
        let age = self.jobs.next_age();
        let job = self.jobs.insert(Job {
            key,
            client: sender.1,
            function,
            args: submission.args,
            trace: submission.trace.filter(|trace| trace.len() <= TRACE_BYTES),
            priority,
            age,
            since: self.now,
            deadline: self.now.saturating_add(time),
            began: None,
            attempts,
            runs: 0,
            first: submission.first,
            progress: submission.progress,
            has_fallback: submission.has_fallback,
            fresh: submission.fresh,
            call: None,
            left: None,
            state: State::Nowhere,
            strikes,
            rivals: None,
        });
        self.outbox.emit(Fact::Job(job, Step::Admitted));
        self.add_client_job(sender, job);
        self.jobs.index_lost_workers(job);
        Ok(job)
    }

    /// The marks that a client reports, without strikes by workers that are alive.
    fn reported_strikes(&self, marks: Marks) -> Option<Box<Strikes>> {
        if marks.count() == 0 {
            return None;
        }
        let mut strikes = Strikes::default();
        strikes.merge_reported(&marks, |worker| self.fleet.workers.is_alive(*worker));
        strikes.note(marks);
        (strikes.count() > 0).then(|| Box::new(strikes))
    }
}

/// An answer that no worker gave.
fn plain(answer: Answer) -> Answered {
    Answered {
        answer,
        worker: None,
        attempt: 0,
        waited_ms: 0,
        took_us: 0,
        bound: None,
        coalesced: false,
        memo_age_ms: None,
    }
}

fn busy(bound: Bound) -> Answered {
    Answered { bound: Some(bound), ..plain(Answer::Busy) }
}

fn budget(budget_ms: u64) -> Duration {
    Duration::from_millis(budget_ms).min(TIMEOUT_MAX)
}

const _: () = assert!(STRIKES == 3, "promise 4 says three");
