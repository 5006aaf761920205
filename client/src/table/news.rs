//! What the table makes of news from the other side.

use simple_dist_protocol::message::{self, Bound, Delivered, Marks, Presence};
use simple_dist_protocol::{JobId, limits, link};
use tokio::time::Instant;

use super::job::{Local, Remote};
use super::{Effect, Table};
use crate::answer::Ended;
use crate::place::Placement;
use crate::{CallError, Reason};

impl Table {
    /// A new generation: whatever a worker may still answer is sent again, the oldest first.
    pub(super) fn up(&mut self, now: Instant) {
        self.sight.up(now);
        self.outbox.clear();
        self.ask_at = now + limits::ASK;
        self.send_again(|remote| {
            matches!(remote, Remote::Queued | Remote::Unconfirmed { .. } | Remote::Confirmed { .. })
        });
    }

    pub(super) fn presence(&mut self, presence: &Presence, now: Instant) {
        let heard = self.sight.heard(presence, now);
        if heard.new_term {
            self.send_again(|remote| {
                matches!(remote, Remote::Unconfirmed { .. } | Remote::Confirmed { .. })
            });
        }
        if heard.taken_again {
            self.offer_waiting(now);
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

    pub(super) fn settled(&mut self, settled: link::Settled, now: Instant) {
        for token in settled.tokens {
            let Some(id) = self.outbox.settled(token) else { continue };
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            if job.remote != (Remote::Unconfirmed { token }) {
                continue;
            }
            match settled.outcome {
                link::Outcome::Confirmed => job.remote = Remote::Confirmed { since: now },
                link::Outcome::Returned => {
                    job.remote = Remote::Unsent;
                    job.known = false;
                    self.sight.returned(now);
                    self.place_unsent(id, now);
                }
                link::Outcome::Refused => {
                    job.remote = Remote::Unsent;
                    if job.local == Local::Not && job.may_run_here(self.turns.slots()) {
                        self.go_local(id, Reason::Busy(Bound::Submissions));
                    } else {
                        self.retries.push_back((now + limits::RESEND, id));
                    }
                }
            }
        }
    }

    /// A submission came back: it goes elsewhere, or is tried again later.
    fn place_unsent(&mut self, id: JobId, now: Instant) {
        match self.placement(id, now) {
            Placement::Remote => self.retries.push_back((now + limits::RESEND, id)),
            elsewhere @ (Placement::Local(_) | Placement::Nowhere(_)) => self.put(id, elsewhere),
        }
    }

    pub(super) fn not_taken(&mut self, token: u64, now: Instant) {
        if let Some(id) = self.outbox.refused(token, now)
            && let Some(job) = self.jobs.get_mut(&id)
            && job.remote == (Remote::Unconfirmed { token })
        {
            job.remote = Remote::Queued;
        }
    }

    pub(super) fn deliver(&mut self, delivery: message::Delivery, now: Instant) {
        let message::Delivery { id, body } = delivery;
        match body {
            Delivered::Answer(answered) => self.answered(id, answered, now),
            Delivered::Struck(marks) => self.struck(id, marks),
            Delivered::Unknown => self.unknown(id),
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
        if let (true, Local::Waiting { ticket, .. }) = (job.is_struck(), job.local) {
            job.local = Local::Not;
            let in_time = job.is_in_time();
            self.turns.leave(ticket);
            if in_time {
                self.enqueue_unsent(id);
            } else {
                self.end(id, Err(CallError::Timeout));
            }
        }
    }

    fn enqueue_unsent(&mut self, id: JobId) {
        if self.jobs.get(&id).is_some_and(|job| job.remote == Remote::Unsent) {
            self.enqueue(id);
        }
    }

    fn answered(&mut self, id: JobId, mut answered: message::Answered, now: Instant) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let given_up = job.remote == Remote::Over;
        if let Remote::Unconfirmed { token } = job.remote {
            self.outbox.settled(token); // an answer confirms better than any confirm
        }
        // Whatever the answer is, the distributor has done with the job.
        job.remote = Remote::Over;
        match std::mem::replace(&mut answered.answer, message::Answer::Cancelled) {
            message::Answer::Value(value) => {
                self.sight.served(&job.callee);
                let ended = answered.worker.map(|worker| Ended::remote(value, worker, &answered));
                let nobody =
                    || CallError::BadValue { message: "its answer names no worker".to_owned() };
                self.end(id, ended.ok_or_else(nobody));
            }
            message::Answer::NotServed => {
                self.sight.not_served(&job.callee, now);
                self.turned_away(id, Reason::NotServed, now);
            }
            message::Answer::Busy => {
                let bound = answered.bound.unwrap_or(Bound::Other);
                self.sight.no_room(bound);
                self.turned_away(id, Reason::Busy(bound), now);
            }
            message::Answer::Expired => {
                if job.local == Local::Not {
                    self.timed_out(id);
                }
            }
            message::Answer::TooLarge { bytes, limit } => self.too_large(id, bytes, limit),
            message::Answer::Cancelled if given_up => {}
            answer @ (message::Answer::Cancelled
            | message::Answer::Panicked { .. }
            | message::Answer::Poisoned { .. }
            | message::Answer::BadArguments { .. }) => {
                if let Some(error) = CallError::of(answer) {
                    self.end(id, Err(error));
                }
            }
        }
    }

    /// The distributor does not take the job.
    fn turned_away(&mut self, id: JobId, reason: Reason, now: Instant) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.local != Local::Not {
            return;
        }
        if job.is_struck() {
            // It ends as poisoned or timed out, never here: somebody may come back for it.
            job.remote = Remote::Unsent;
            self.retries.push_back((now + limits::RESEND, id));
            return;
        }
        if job.may_run_here(self.turns.slots()) {
            self.go_local(id, reason);
        } else {
            self.end(id, Err(CallError::Unavailable { reason }));
        }
    }
}
