//! What is due, whatever happens: ends of time, sending and sending again, local runs, questions
//! and reports.

use std::time::Duration;

use simple_dist_protocol::{JobId, limits};

use super::destination::Destination;
use super::job::{Due, Local, Remote};
use super::{CallError, Caller, Effect, Reason};

/// The most functions in one report.
const REPORTED: usize = 64;

impl Caller {
    pub(super) fn timers_due(&mut self, now: Duration) {
        while let Some(&(at, id)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let Some(due) = job.take_due() else { continue };
            self.timers.extend(job.timer.map(|next| (next, id)));
            match due {
                Due::Hedge if job.may_run_here(self.local_slots.slots()) => {
                    self.go_local(id, Reason::After);
                }
                Due::Hedge => {}
                Due::Retry => self.place(id, now),
                Due::Timeout => self.timed_out(id),
                Due::Deadline => self.past_deadline(id),
            }
        }
    }

    /// A call ends, whatever became of it.
    fn past_deadline(&mut self, id: JobId) {
        self.end(id, Err(CallError::Deadline));
    }

    /// A job's time has passed: it runs here, or ends. Past it, only those wait whose turn is sure.
    pub(super) fn timed_out(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        if job.is_cut_by_deadline() {
            return self.past_deadline(id);
        }
        if job.local == Local::Not && job.may_run_here(self.local_slots.slots()) {
            self.go_local(id, Reason::TimedOut);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match job.local {
            Local::Not => {
                let error = job.times_out(self.local_slots.slots());
                self.end(id, Err(error));
            }
            Local::Waiting { ticket, reason } if !self.local_slots.is_sure(ticket) => {
                let error = match reason {
                    Reason::TimedOut | Reason::After | Reason::WhenBusy => CallError::Timeout,
                    Reason::NoConnection
                    | Reason::Refused
                    | Reason::Tls
                    | Reason::Mismatch
                    | Reason::Blocked
                    | Reason::Unconfirmed
                    | Reason::NoDistributor
                    | Reason::NotServed
                    | Reason::TooLarge
                    | Reason::Unsendable
                    | Reason::Busy(_)
                    | Reason::Nested => CallError::Unavailable { reason },
                };
                self.end(id, Err(error));
            }
            Local::Waiting { .. } | Local::Running { .. } => {
                let cancel = job.known && job.remote != Remote::Over;
                job.remote = Remote::Over;
                self.cancels.extend(cancel.then_some(id));
            }
        }
    }

    pub(super) fn resend_due(&mut self, now: Duration) {
        while let Some(&(at, id)) = self.resends.front()
            && at <= now
        {
            self.resends.pop_front();
            let Some(job) = self.jobs.get(&id) else { continue };
            if job.local == Local::Not && job.remote == Remote::Unsent {
                match self.destination(id, now) {
                    Destination::Later => self.resend_later(id, now),
                    Destination::Remote | Destination::Local(_) | Destination::Nowhere(_) => {
                        self.try_remote(id, now);
                    }
                }
            }
        }
    }

    pub(super) fn resend_later(&mut self, id: JobId, now: Duration) {
        self.resends.push_back((now + limits::RESEND, id));
    }

    pub(super) fn send(&mut self, now: Duration) {
        while let Some(id) = self.outbox.next(now) {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            if job.remote != Remote::Queued {
                continue;
            }
            let token = self.outbox.sent(id, job.args.len());
            job.remote = Remote::Unconfirmed { token };
            let submission = job.submission(id, self.local_slots.slots(), now);
            job.known = true;
            self.effects.push(Effect::Submit { submission, token });
        }
    }

    pub(super) fn run_local(&mut self, now: Duration) {
        while let Some(id) = self.local_slots.take() {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let Local::Waiting { reason, .. } = job.local else { continue };
            job.local = Local::Running { reason, waited: now.saturating_sub(job.begun) };
            if matches!(job.remote, Remote::Queued | Remote::Unsent) && !reason.is_beside() {
                job.remote =
                    if job.known { Remote::Confirmed { since: now } } else { Remote::Over };
            }
            let name = job.target.name.as_ref();
            if self.runs.len() < REPORTED || self.runs.contains_key(name) {
                let runs = self.runs.entry(name.to_owned()).or_default();
                *runs.entry(reason.kind().to_owned()).or_default() += 1;
            }
            self.queued.runs_here(job);
            self.effects.push(Effect::Run { id: job.call, args: job.args.clone(), reason });
        }
    }

    pub(super) fn periodic(&mut self, now: Duration) {
        if !self.remote_state.is_up() {
            return;
        }
        if self.ask_at <= now {
            self.ask_at = now + limits::ASK;
            let ids: Vec<JobId> = self
                .jobs
                .iter()
                .filter(|(_, job)| match job.remote {
                    Remote::Confirmed { since } => now.saturating_sub(since) >= limits::RESEND,
                    Remote::Paused
                    | Remote::Unsent
                    | Remote::Queued
                    | Remote::Unconfirmed { .. }
                    | Remote::Over => false,
                })
                .map(|(id, _)| *id)
                .collect();
            self.effects.extend(ids.chunks(limits::LIST_JOBS).map(|ids| Effect::Ask(ids.to_vec())));
        }
        if self.report_at <= now && !self.runs.is_empty() {
            self.report_at = now + limits::REPORT;
            self.effects.push(Effect::Report(std::mem::take(&mut self.runs)));
        }
    }

    /// Without a connection nothing is cancelled: what nobody re-sends or asks after expires.
    pub(super) fn send_cancels(&mut self) {
        let cancels = std::mem::take(&mut self.cancels);
        if self.remote_state.is_connected() {
            let lists = cancels.chunks(limits::LIST_JOBS);
            self.effects.extend(lists.map(|ids| Effect::Cancel(ids.to_vec())));
        }
    }
}
