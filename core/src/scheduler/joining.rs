//! Equal calls of deterministic functions share a run. A call waits in the queue in its own right, so
//! that nothing it shares makes it later, until an equal one is in flight: then it follows that. It
//! ends with the answer of its leader, whatever worker it came from; if the run is lost, or ends in a
//! way that is only its caller's (cancelled, expired, not served), each follower is queued again.
//!
//! What is known against a leader is known against its followers: their clients are told, and a run
//! that may have killed a worker is joined by nobody else. Its followers stay with it, so that a call
//! that kills costs its workers once, however many have made it; that of them whose client first
//! acknowledges the evidence leads the next attempt.
//!
//! If the function's workers say so, its values and errors are kept, and later calls get them at once.

use std::time::Duration;

use simple_dist_protocol::message::Answered;
use simple_dist_protocol::{Address, CallDigest, JobId, Selector};

use super::fact::{Fact, Step};
use super::ids::{CallKey, JobRef};
use super::jobs::{Job, State};
use super::{Core, Sharing};

/// The most bytes of arguments of a call that shares a run or an answer: a digest of more takes milliseconds.
pub(super) const ARGUMENTS: usize = 1024 * 1024;

/// What a call of a deterministic function computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purity {
    /// The function, its version resolved.
    pub function: Address,
    /// What tells it from other calls.
    pub call: CallDigest,
    /// How long its answer is kept, if it is.
    pub ttl: Option<Duration>,
}

impl Core {
    /// What a call would compute.
    pub(super) fn purity(&self, job: JobId, function: &Selector, args: &[u8]) -> Option<Purity> {
        let known = self.fleet.functions.get(self.resolve(function, job).0?);
        let shares = known.deterministic && self.config.sharing != Sharing::Off;
        let function = known.address.clone().filter(|_| shares && args.len() <= ARGUMENTS)?;
        let ttl = known.memo.filter(|_| self.config.memo > 0).map(|policy| policy.ttl);
        Some(Purity { call: CallDigest::of(&function, args), function, ttl })
    }

    /// The run that this job may join.
    pub(super) fn run_to_join(&mut self, job: JobRef) -> Option<JobRef> {
        let call = self.call_of(job)?;
        let found = self.jobs.get(job)?;
        let need_not_wait = found.has_fallback && self.fleet.is_out_of_reach(found.function);
        if found.fresh || found.is_marked() || need_not_wait {
            return None;
        }
        let leader = self.jobs.runs.to_join(&call)?;
        self.jobs.get(leader).is_some_and(|leader| !leader.is_marked()).then_some(leader)
    }

    /// A detached job joins the run of an equal one.
    pub(super) fn join(&mut self, job: JobRef, leader: JobRef) {
        let Some(found) = self.jobs.get_mut(job) else { return };
        found.state = State::Following { leader };
        self.jobs.runs.follow(leader, job);
        self.outbox.emit(Fact::Job(job, Step::Joined));
    }

    /// The job is in flight: equal ones may join it. Returns those that wait in the queue.
    pub(super) fn open_run(&mut self, job: JobRef) -> Vec<JobRef> {
        let Some(call) = self.call_of(job) else { return vec![] };
        if self.jobs.get(job).is_none_or(|job| job.is_marked()) {
            return vec![];
        }
        self.jobs.runs.open(call, job)
    }

    /// The kept answer of an equal job.
    pub(super) fn kept_answer(&mut self, job: JobRef) -> Option<Answered> {
        let found = self.jobs.get(job)?;
        let policy = self.fleet.functions.get(found.function).memo?;
        let call = self.call_of(job)?;
        self.memo.find(&call, policy.ttl, self.now)
    }

    /// Keeps the answer that a worker gave to a job, if its function's workers say so.
    pub(super) fn keep_answer(&mut self, job: &Job, answered: &Answered) {
        let function = self.fleet.functions.get(job.function);
        let Some((policy, worker)) = function.memo.zip(answered.worker) else { return };
        if answered.is_shared() || !self.fleet.is_deterministic(job.function, worker) {
            return;
        }
        if let Some(call) = self.call(job) {
            self.memo.keep((call, &function.name), (answered, worker), policy, self.now);
        }
    }

    /// What the job computes, if it may share a run.
    fn call_of(&mut self, job: JobRef) -> Option<CallKey> {
        let found = self.jobs.get(job).filter(|job| !job.fresh)?;
        let call = self.call(found)?;
        self.jobs.get_mut(job)?.call = Some(call);
        Some(call)
    }

    /// What a job computes, if its function is deterministic.
    fn call(&self, job: &Job) -> Option<CallKey> {
        let function = self.fleet.functions.get(job.function);
        if !function.deterministic || job.args.len() > ARGUMENTS {
            return None;
        }
        let user = match self.config.sharing {
            Sharing::All => None,
            Sharing::User => Some(job.key.user),
            Sharing::Off => return None,
        };
        let of = |address| CallKey { user, digest: CallDigest::of(address, &job.args) };
        job.call.or_else(|| function.address.as_ref().map(of))
    }
}
