//! One call that is not ended.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::JobId;
use simple_dist_protocol::message::{Marks, Submission};

use super::destination::{CallPolicy, SendState};
use super::{
    CallError, CallOptions, Failed, Fallback, LocalRun, Obstacle, Reason, Retry, Suspects, Target,
};

/// A call that begins.
#[derive(Debug)]
pub struct Begin {
    /// Its job.
    pub id: JobId,
    /// What is called.
    pub target: Arc<Target>,
    /// With what, in MessagePack; or why it is not: then it is with the shell.
    pub args: Result<Bytes, Obstacle>,
    /// What its caller asks of it.
    pub options: CallOptions,
    /// When its caller began to wait.
    pub at: Duration,
}

/// What the caller holds until the answer is in hand.
#[derive(Debug)]
pub(super) struct Job {
    /// The first job of its call, by which the shell knows that.
    pub(super) call: JobId,
    pub(super) target: Arc<Target>,
    pub(super) args: Bytes,
    pub(super) priority: u8,
    fallback: Fallback,
    pub(super) when_busy: bool,
    suspects: Suspects,
    trace: Option<Box<str>>,
    progress: bool,
    fresh: bool,
    retry: Retry,
    /// How often it was tried again.
    retries: u32,
    /// Whether its argument is here: one that cannot travel is gone with its first run.
    is_written: bool,
    pub(super) begun: Duration,
    /// Until when workers are waited for.
    remote_until: Duration,
    /// When it ends, whatever happens.
    deadline: Option<Duration>,
    /// When something is next due of it.
    pub(super) timer: Option<Duration>,
    pub(super) marks: Marks,
    pub(super) remote: Remote,
    /// Whether the distributor may have heard of it.
    pub(super) known: bool,
    pub(super) local: Local,
}

/// What is due of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// It is tried again.
    Retry,
    /// It may run here, beside the worker.
    Hedge,
    /// Workers are waited for no longer.
    Timeout,
    /// It ends.
    Deadline,
}

/// How far a job is on its way to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remote {
    /// Its turn comes after a pause, here as well: what was before it has failed.
    Paused,
    /// Not sent, nor waiting for it.
    Unsent,
    /// In the outbox.
    Queued,
    /// Sent under this token.
    Unconfirmed { token: u64 },
    /// The broker has it, since then.
    Confirmed { since: Duration },
    /// Refused there, or given up here.
    Over,
}

/// How far it is on its way in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    Not,
    Waiting { ticket: u64, reason: Reason },
    Running { reason: Reason, waited: Duration },
}

impl Job {
    /// What is held, and why its argument does not travel, if it does not.
    pub(super) fn new(begin: Begin) -> (Self, Option<Obstacle>) {
        let Begin { id: call, target, args, options, at } = begin;
        let CallOptions { timeout, deadline, priority, fallback, when_busy, .. } = options;
        let CallOptions { suspects, trace, retry, progress, fresh, .. } = options;
        let deadline = deadline.and_then(|deadline| at.checked_add(deadline));
        let remote_until = deadline.map_or(at + timeout, |deadline| deadline.min(at + timeout));
        let (args, obstacle) = match args {
            Ok(args) => (args, None),
            Err(obstacle) => (Bytes::new(), Some(obstacle)),
        };
        let job = Self {
            call,
            target,
            args,
            priority,
            fallback,
            when_busy,
            suspects,
            trace,
            progress,
            fresh,
            retry,
            retries: 0,
            is_written: obstacle.is_none(),
            begun: at,
            remote_until,
            deadline,
            timer: Some(first_timer(fallback, at, remote_until)),
            marks: Marks::default(),
            remote: Remote::Unsent,
            known: false,
            local: Local::Not,
        };
        (job, obstacle)
    }

    /// Whether workers are still waited for.
    pub(super) fn is_in_time(&self) -> bool {
        self.timer.is_some_and(|at| at <= self.remote_until)
    }

    /// Whether its deadline leaves no time after that for anything else.
    pub(super) fn is_cut_by_deadline(&self) -> bool {
        self.deadline == Some(self.remote_until)
    }

    /// When it is tried again after this end, if it is.
    pub(super) fn retry_at(&self, error: &CallError<Failed>, now: Duration) -> Option<Duration> {
        let at = now.checked_add(self.retry.pause(self.retries, error)?)?;
        (self.is_written && at < self.remote_until).then_some(at)
    }

    /// The next job of its call, which begins then.
    pub(super) fn retried(self, at: Duration) -> Self {
        Self {
            retries: self.retries + 1,
            timer: Some(at),
            marks: Marks::default(),
            remote: Remote::Paused,
            known: false,
            local: Local::Not,
            ..self
        }
    }

    /// What is due of it, now that its timer is. The next is set.
    pub(super) fn take_due(&mut self) -> Option<Due> {
        let at = self.timer?;
        let (due, next) = if self.remote == Remote::Paused {
            self.remote = Remote::Unsent;
            (Due::Retry, Some(first_timer(self.fallback, at, self.remote_until)))
        } else if Some(at) == self.deadline {
            (Due::Deadline, None)
        } else if at == self.remote_until {
            (Due::Timeout, self.deadline)
        } else {
            (Due::Hedge, Some(self.remote_until))
        };
        self.timer = next;
        Some(due)
    }

    /// Whether a run of it here is in a child of this process.
    pub(super) fn is_isolated(&self) -> bool {
        self.target.isolated && self.is_written
    }

    /// Whether it must not run in this process, since it may have ended another.
    pub(super) fn is_suspect(&self) -> bool {
        self.marks.count() > 0 && self.suspects == Suspects::NeverHere && !self.is_isolated()
    }

    /// How it ends when workers are waited for no longer and it does not run here.
    pub(super) fn times_out(&self, slots: usize) -> CallError<Failed> {
        let policy = self.policy(slots);
        if policy.suspect && policy.local && policy.fallback.runs_here() {
            return CallError::Suspect { marks: self.marks.clone() };
        }
        CallError::Timeout
    }

    /// Whether it may run in this process.
    pub(super) fn may_run_here(&self, slots: usize) -> bool {
        let policy = self.policy(slots);
        policy.local && policy.fallback.runs_here() && !policy.suspect
    }

    /// Whether it waits for better times when nobody takes it.
    pub(super) fn waits(&self) -> bool {
        self.fallback == Fallback::Wait || self.is_suspect()
    }

    pub(super) fn policy(&self, slots: usize) -> CallPolicy {
        let sent = match self.remote {
            _ if !self.known => SendState::New,
            // What waits for better times is judged like any that comes then.
            Remote::Unsent if self.fallback == Fallback::Wait => SendState::New,
            Remote::Unconfirmed { .. } => SendState::Unconfirmed,
            Remote::Paused
            | Remote::Unsent
            | Remote::Queued
            | Remote::Confirmed { .. }
            | Remote::Over => SendState::UnderWay,
        };
        CallPolicy {
            fallback: self.fallback,
            local: self.target.local != LocalRun::No && slots > 0,
            suspect: self.is_suspect(),
            sent,
        }
    }

    /// What is sent of it, from a process with so many local slots.
    pub(super) fn submission(&self, id: JobId, slots: usize, now: Duration) -> Submission {
        let left = self.remote_until.saturating_sub(now).as_millis();
        Submission {
            id,
            function: self.target.name.as_ref().to_owned(),
            args: self.args.clone(),
            budget_ms: u64::try_from(left).unwrap_or(u64::MAX),
            priority: self.priority,
            marks: self.marks.clone(),
            trace: self.trace.as_deref().map(str::to_owned),
            first: !self.known,
            progress: self.progress,
            has_fallback: self.may_run_here(slots),
            // What a kept answer led to being tried again must not end as that again.
            fresh: self.fresh || self.retries > 0,
        }
    }
}

/// When the first thing is due of a job that begins at this time.
fn first_timer(fallback: Fallback, at: Duration, remote_until: Duration) -> Duration {
    let beside = fallback.beside_after().and_then(|delay| at.checked_add(delay));
    beside.map_or(remote_until, |beside| beside.min(remote_until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_told_the_nearer_of_timeout_and_deadline() {
        let budget = |timeout, deadline: Option<u64>| {
            let [at, timeout] = [7, timeout].map(Duration::from_secs);
            let deadline = deadline.map(Duration::from_secs);
            let options = CallOptions { timeout, deadline, ..CallOptions::default() };
            let target = Arc::new(Target::new("fib@1".parse().unwrap(), LocalRun::No));
            let id = JobId::from_u128(1);
            let begin = Begin { id, target, args: Ok(Bytes::new()), options, at };
            Job::new(begin).0.submission(id, 1, at + Duration::from_secs(1)).budget_ms
        };
        assert_eq!(budget(10, None), 9_000);
        assert_eq!(budget(10, Some(20)), 9_000);
        assert_eq!(budget(10, Some(5)), 4_000);
        assert_eq!(budget(10, Some(u64::MAX)), 9_000);
    }
}
