//! One call that is not ended.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::JobId;
use simple_dist_protocol::message::{Marks, Submission};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::answer::Outcome;
use crate::callee::Callee;
use crate::options::Options;
use crate::place::{Policy, Standing};
use crate::{Fallback, Reason};

/// Where the end of a call goes.
pub(crate) type Reply = oneshot::Sender<Outcome>;

/// A call that begins.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) id: JobId,
    pub(crate) callee: Arc<Callee>,
    pub(crate) args: Bytes,
    pub(crate) options: Options,
    /// When its caller began to wait.
    pub(crate) at: Instant,
    pub(crate) reply: Reply,
}

/// What the caller holds until the answer is in hand.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) callee: Arc<Callee>,
    pub(super) args: Bytes,
    priority: u8,
    fallback: Fallback,
    trace: Option<Box<str>>,
    pub(super) begun: Instant,
    pub(super) deadline: Instant,
    /// When something is next to be done about it: its hedge or its deadline.
    pub(super) timer: Option<Instant>,
    pub(super) marks: Marks,
    pub(super) remote: Remote,
    /// Whether the distributor may have heard of it.
    pub(super) known: bool,
    pub(super) local: Local,
    pub(super) reply: Reply,
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
    Confirmed { since: Instant },
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
    pub(super) fn new(begin: Begin) -> Self {
        let Begin { id: _, callee, args, options, at, reply } = begin;
        let Options { timeout, priority, fallback, trace } = options;
        let deadline = at + timeout;
        let timer = match fallback {
            Fallback::After(delay) if delay < timeout => at + delay,
            Fallback::After(_) | Fallback::WhenUnavailable | Fallback::Never => deadline,
        };
        Self {
            callee,
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
            reply,
        }
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

    pub(super) fn policy(&self, slots: usize) -> Policy {
        let standing = match self.remote {
            _ if !self.known => Standing::New,
            Remote::Unconfirmed { .. } => Standing::Unconfirmed,
            Remote::Unsent | Remote::Queued | Remote::Confirmed { .. } | Remote::Over => {
                Standing::UnderWay
            }
        };
        Policy {
            fallback: self.fallback,
            local: self.callee.local.is_some() && slots > 0,
            struck: self.is_struck(),
            standing,
        }
    }

    pub(super) fn submission(&self, id: JobId, now: Instant) -> Submission {
        let left = self.deadline.saturating_duration_since(now).as_millis();
        Submission {
            id,
            function: self.callee.name.as_ref().to_owned(),
            args: self.args.clone(),
            budget_ms: u64::try_from(left).unwrap_or(u64::MAX),
            priority: self.priority,
            marks: self.marks.clone(),
            trace: self.trace.as_deref().map(str::to_owned),
        }
    }
}
