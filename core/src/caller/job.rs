//! One call that is not ended.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::JobId;
use simple_dist_protocol::message::{Marks, Submission};

use super::destination::{CallPolicy, SendState};
use super::{CallOptions, Fallback, LocalRun, Obstacle, Reason, Target};

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
    pub(super) target: Arc<Target>,
    pub(super) args: Bytes,
    priority: u8,
    fallback: Fallback,
    trace: Option<Box<str>>,
    pub(super) begun: Duration,
    pub(super) deadline: Duration,
    /// When something is next to be done about it: its hedge or its deadline.
    pub(super) timer: Option<Duration>,
    pub(super) marks: Marks,
    pub(super) remote: Remote,
    /// Whether the distributor may have heard of it.
    pub(super) known: bool,
    pub(super) local: Local,
}

/// How far a job is on its way to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remote {
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
        let Begin { id: _, target, args, options, at } = begin;
        let CallOptions { timeout, priority, fallback, trace } = options;
        let deadline = at + timeout;
        let timer = match fallback {
            Fallback::After(delay) if delay < timeout => at + delay,
            Fallback::After(_) | Fallback::WhenUnavailable | Fallback::Never => deadline,
        };
        let (args, obstacle) = match args {
            Ok(args) => (args, None),
            Err(obstacle) => (Bytes::new(), Some(obstacle)),
        };
        let job = Self {
            target,
            args,
            priority,
            fallback,
            trace,
            begun: at,
            deadline,
            timer: Some(timer),
            marks: Marks::default(),
            remote: Remote::Unsent,
            known: false,
            local: Local::Not,
        };
        (job, obstacle)
    }

    /// Whether its time has not passed.
    pub(super) fn is_in_time(&self) -> bool {
        self.timer.is_some()
    }

    pub(super) fn is_struck(&self) -> bool {
        !self.marks.strikes.is_empty()
    }

    /// Whether it may run in this process.
    pub(super) fn may_run_here(&self, slots: usize) -> bool {
        let policy = self.policy(slots);
        policy.local && !policy.struck && policy.fallback != Fallback::Never
    }

    pub(super) fn policy(&self, slots: usize) -> CallPolicy {
        let sent = match self.remote {
            _ if !self.known => SendState::New,
            Remote::Unconfirmed { .. } => SendState::Unconfirmed,
            Remote::Unsent | Remote::Queued | Remote::Confirmed { .. } | Remote::Over => {
                SendState::UnderWay
            }
        };
        CallPolicy {
            fallback: self.fallback,
            local: self.target.local != LocalRun::No && slots > 0,
            struck: self.is_struck(),
            sent,
        }
    }

    pub(super) fn submission(&self, id: JobId, now: Duration) -> Submission {
        let left = self.deadline.saturating_sub(now).as_millis();
        Submission {
            id,
            function: self.target.name.as_ref().to_owned(),
            args: self.args.clone(),
            budget_ms: u64::try_from(left).unwrap_or(u64::MAX),
            priority: self.priority,
            marks: self.marks.clone(),
            trace: self.trace.as_deref().map(str::to_owned),
            first: !self.known,
        }
    }
}
