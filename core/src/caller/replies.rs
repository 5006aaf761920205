//! What the other side replies, and what follows from it.

use std::time::Duration;

use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{self, Bound, Delivered, Marks, Presence, Progress};
use simple_dist_protocol::{JobId, limits};

use super::destination::Destination;
use super::job::{Local, Remote};
use super::{CallError, Caller, Effect, Ended, Obstacle, Reason};

impl Caller {
    /// A new generation: whatever a worker may still answer is sent again, the oldest first.
    pub(super) fn up(&mut self, now: Duration) {
        self.remote_state.up(now);
        self.forget_rates();
        self.outbox.clear();
        self.ask_at = now + limits::ASK;
        self.send_again(|remote| {
            matches!(remote, Remote::Queued | Remote::Unconfirmed { .. } | Remote::Confirmed { .. })
        });
    }

    pub(super) fn presence(&mut self, presence: &Presence, now: Duration) {
        let heard = self.remote_state.heard(presence, now);
        if heard.new_term {
            self.send_again(|remote| {
                matches!(remote, Remote::Unconfirmed { .. } | Remote::Confirmed { .. })
            });
        }
        if heard.taken_again {
            self.offer_waiting(now);
        }
        self.run_unserved_suspects(presence);
    }

    /// Somebody may come back for them, but here they harm nobody.
    fn run_unserved_suspects(&mut self, presence: &Presence) {
        for id in std::mem::take(&mut self.suspects) {
            let Some(job) = self.jobs.get(&id).filter(|job| job.local == Local::Not) else {
                continue;
            };
            if presence.functions.iter().any(|at| job.target.selector.matches(at)) {
                self.suspects.insert(id);
            } else if job.may_run_here(self.local_slots.slots()) {
                self.go_local(id, Reason::NotServed);
            }
        }
    }

    /// Queues the jobs of this state, except those that run here by now.
    fn send_again(&mut self, which: impl Fn(Remote) -> bool) {
        for (_, id) in &self.timers {
            let Some(job) = self.jobs.get_mut(id) else { continue };
            if which(job.remote) && !matches!(job.local, Local::Running { .. }) {
                job.remote = Remote::Queued;
                self.outbox.push(*id);
            }
        }
    }

    pub(super) fn settled(&mut self, tokens: Vec<u64>, outcome: Outcome, now: Duration) {
        for token in tokens {
            let Some(id) = self.outbox.settled(token) else { continue };
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            if job.remote != (Remote::Unconfirmed { token }) {
                continue;
            }
            match outcome {
                Outcome::Confirmed => job.remote = Remote::Confirmed { since: now },
                Outcome::Returned => {
                    job.remote = Remote::Unsent;
                    job.known = false;
                    self.remote_state.returned(now);
                    self.place_unsent(id, now);
                }
                Outcome::Refused => {
                    job.remote = Remote::Unsent;
                    if job.local == Local::Not && job.may_run_here(self.local_slots.slots()) {
                        self.go_local(id, Reason::Busy(Bound::Submissions));
                    } else {
                        self.resend_later(id, now);
                    }
                }
            }
        }
    }

    /// A submission came back: it goes elsewhere, or is tried again later.
    fn place_unsent(&mut self, id: JobId, now: Duration) {
        match self.destination(id, now) {
            Destination::Remote | Destination::Later => self.resend_later(id, now),
            elsewhere @ (Destination::Local(_) | Destination::Nowhere(_)) => {
                self.put(id, elsewhere)
            }
        }
    }

    pub(super) fn not_taken(&mut self, token: u64, now: Duration) {
        if let Some(id) = self.outbox.refused(token, now)
            && let Some(job) = self.jobs.get_mut(&id)
            && job.remote == (Remote::Unconfirmed { token })
        {
            job.remote = Remote::Queued;
        }
    }

    pub(super) fn deliver(&mut self, delivery: message::Delivery, now: Duration) {
        let message::Delivery { id, body } = delivery;
        match body {
            Delivered::Answer(answered) => self.answered(id, answered, now),
            Delivered::Struck(marks) => self.struck(id, marks),
            Delivered::Unknown => self.unknown(id),
            Delivered::Progress(progress) => self.progressed(id, progress),
        }
    }

    /// What runs here is told by itself.
    fn progressed(&mut self, id: JobId, progress: Progress) {
        if let Some(job) = self.jobs.get(&id)
            && job.remote != Remote::Over
            && !matches!(job.local, Local::Running { .. })
        {
            self.effects.push(Effect::Progress { id: job.call, progress });
        }
    }

    fn unknown(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get(&id)
            && job.is_in_time()
            && matches!(job.remote, Remote::Unconfirmed { .. } | Remote::Confirmed { .. })
            && !matches!(job.local, Local::Running { .. })
        {
            self.enqueue(id);
        }
    }

    fn struck(&mut self, id: JobId, marks: Marks) {
        let Some(job) = self.jobs.get_mut(&id) else {
            self.cancels.push(id);
            return;
        };
        job.marks = marks.clone();
        self.effects.push(Effect::Noted { id, marks });
        if job.is_isolated() && job.marks.count() > 0 {
            self.suspects.insert(id);
        }
        if let (true, Local::Waiting { ticket, .. }) = (job.is_suspect(), job.local) {
            job.local = Local::Not;
            let late = (!job.is_in_time()).then(|| job.times_out(self.local_slots.slots()));
            self.local_slots.leave(ticket);
            match late {
                None => self.enqueue_unsent(id),
                Some(error) => self.end(id, Err(error)),
            }
        }
    }

    fn enqueue_unsent(&mut self, id: JobId) {
        if self.jobs.get(&id).is_some_and(|job| job.remote == Remote::Unsent) {
            self.enqueue(id);
        }
    }

    fn answered(&mut self, id: JobId, mut answered: message::Answered, now: Duration) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let given_up = job.remote == Remote::Over;
        if let Remote::Unconfirmed { token } = job.remote {
            self.outbox.settled(token); // an answer confirms better than any confirm
        }
        // Whatever the answer is, the distributor has done with the job.
        job.remote = Remote::Over;
        // A kept answer does not say how fast workers are.
        if answered.worker.is_some() && answered.memo_age_ms.is_none() {
            self.queued.ran_there(job, Duration::from_micros(answered.took_us));
        }
        match std::mem::replace(&mut answered.answer, message::Answer::Cancelled) {
            message::Answer::Value(value) => {
                self.remote_state.served(&job.target);
                let ended = answered.worker.map(|worker| Ended::remote(value, worker, &answered));
                let nobody =
                    || CallError::BadValue { message: "its answer names no worker".to_owned() };
                self.end(id, ended.ok_or_else(nobody));
            }
            message::Answer::NotServed => {
                self.remote_state.not_served(&job.target, now);
                self.turned_away(id, Reason::NotServed, now);
            }
            message::Answer::Busy => {
                let bound = answered.bound.unwrap_or(Bound::Other);
                if self.remote_state.no_room(bound) {
                    self.effects.push(Effect::NoRoom(bound));
                }
                self.turned_away(id, Reason::Busy(bound), now);
            }
            message::Answer::Expired => {
                if job.local == Local::Not {
                    self.timed_out(id);
                }
            }
            message::Answer::TooLarge { bytes, limit } => {
                self.cannot_travel(id, Obstacle::TooLarge { bytes, limit });
            }
            message::Answer::Panicked { message, unsendable: true, .. } => {
                self.cannot_travel(id, Obstacle::Unsendable { message });
            }
            message::Answer::Cancelled if given_up => {}
            answer @ (message::Answer::Cancelled
            | message::Answer::Failed { .. }
            | message::Answer::Panicked { unsendable: false, .. }
            | message::Answer::Poisoned { .. }
            | message::Answer::BadArguments { .. }) => {
                if let message::Answer::Failed { .. } = answer {
                    self.remote_state.served(&job.target);
                }
                if let Some(error) = CallError::of(answer) {
                    self.failed(id, error, now);
                }
            }
        }
    }

    /// The distributor does not take the job.
    fn turned_away(&mut self, id: JobId, reason: Reason, now: Duration) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.local != Local::Not {
            return;
        }
        if job.waits() {
            // It ends as poisoned or timed out, never here: somebody may come back for it.
            job.remote = Remote::Unsent;
            return self.resend_later(id, now);
        }
        if job.may_run_here(self.local_slots.slots()) {
            self.go_local(id, reason);
        } else {
            self.end(id, Err(CallError::Unavailable { reason }));
        }
    }
}
