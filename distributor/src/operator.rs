//! What operators do; the middleware has checked that they may. Each action is written down: in the
//! log, and in the view for the page.

use std::net::IpAddr;
use std::time::Duration;

use axum::Extension;
use simple_dist_protocol::message::Answered;
use simple_dist_protocol::{JobId, JobKey, Selector, WorkerId, limits};

use crate::handle::{Handle, HttpCall, Refused};
use crate::view::format::many;
use crate::view::{Affected, Job, JobFilter};
use crate::web::peers::Peer;

/// The most jobs cancelled at once: more would keep the scheduler's task busy for too long.
const AT_ONCE: usize = 1000;

/// Somebody who may act.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    handle: Handle,
    by: Option<IpAddr>,
}

/// What became of a request to cancel one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancel {
    Cancelled,
    HasEnded,
    Unknown,
}

/// A failed job that was called again, as a new job.
#[derive(Debug)]
pub(crate) struct Retried {
    pub(crate) id: JobId,
    pub(crate) function: Selector,
    pub(crate) answered: Answered,
}

/// Why a job is not called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRetried {
    #[error("no job with this id is unfinished or recently ended")]
    Unknown,
    #[error("the job has not ended yet")]
    UnderWay,
    #[error("the job did not fail")]
    DidNotFail,
    #[error(
        "its arguments are gone: of failed jobs the newest 32 MiB are kept, and none over a restart"
    )]
    Gone,
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Operator {
    pub(crate) fn new(handle: Handle, peer: Option<Extension<Peer>>) -> Self {
        Self { handle, by: peer.map(|Extension(peer)| peer.address) }
    }

    /// Makes a worker finish what it holds and take no more (`true`), or take jobs again.
    pub(crate) async fn drain(&self, worker: WorkerId, drain: bool) -> Result<(), Refused> {
        self.handle.drain(worker, drain).await?;
        self.did(format!("{} worker {}", drained(drain), worker.short())).await;
        Ok(())
    }

    /// Drains or resumes all of these; returns how many were there.
    pub(crate) async fn drain_all(
        &self,
        workers: &[WorkerId],
        drain: bool,
    ) -> Result<usize, Refused> {
        let mut told = 0;
        for worker in workers {
            match self.handle.drain(*worker, drain).await {
                Ok(()) => told += 1,
                Err(Refused::Unknown) => {}
                Err(refused) => return Err(refused),
            }
        }
        self.did(format!("{} {}", drained(drain), many(told, "worker"))).await;
        Ok(told)
    }

    /// Cancels the jobs with this id: of this user, or of all that chose it.
    pub(crate) async fn cancel(&self, id: JobId, user: Option<&str>) -> Result<Cancel, Refused> {
        let found = self.handle.find(id).await?;
        let mut end = if found.is_empty() { Cancel::Unknown } else { Cancel::HasEnded };
        for job in found {
            let Job::UnderWay(job) = job else { continue };
            if user.is_some_and(|user| job.user.as_str() != user) {
                continue;
            }
            match self.handle.cancel(JobKey { user: job.user, id }).await {
                Ok(()) => {
                    self.did(format!("cancelled job {id} of {}", job.function)).await;
                    end = Cancel::Cancelled;
                }
                // It has ended in the meantime.
                Err(Refused::Unknown) => {}
                Err(refused) => return Err(refused),
            }
        }
        Ok(end)
    }

    /// Cancels what a filter means, as far as it was there at the beginning; returns how many.
    pub(crate) async fn cancel_all(&self, filter: &JobFilter) -> Result<u64, Refused> {
        let affected = self.handle.affected(filter.clone()).await?;
        let all: u64 = affected.iter().map(|of| of.queued + of.running).sum();
        let mut cancelled = 0;
        while cancelled < all {
            let most = AT_ONCE.min(usize::try_from(all - cancelled).unwrap_or(AT_ONCE));
            match self.handle.cancel_some(filter.clone(), most).await? {
                0 => break,
                some => cancelled += some as u64,
            }
        }
        self.did(format!("cancelled {}: {}", many(cancelled, "job"), by_function(&affected))).await;
        Ok(cancelled)
    }

    /// Calls a failed job again, as a new job of the HTTP client, and waits for its answer.
    pub(crate) async fn retry(&self, id: JobId, timeout: Duration) -> Result<Retried, NotRetried> {
        let call = self.begin_retry(id, timeout).await?;
        let (new, function) = (call.id, call.function.clone());
        Ok(Retried { id: new, function, answered: called(&self.handle, call).await? })
    }

    /// The call that runs a failed job again; it is written down as if it were already made.
    pub(crate) async fn begin_retry(
        &self,
        id: JobId,
        timeout: Duration,
    ) -> Result<HttpCall, NotRetried> {
        let Some(failed) = self.handle.failed(id).await?.pop() else {
            return Err(match self.handle.find(id).await?.first() {
                None => NotRetried::Unknown,
                Some(Job::UnderWay(_)) => NotRetried::UnderWay,
                Some(Job::Ended(job)) if job.may_run_again() => NotRetried::Gone,
                Some(Job::Ended(_)) => NotRetried::DidNotFail,
            });
        };
        // What was once called has such a name.
        let function = failed.function.parse::<Selector>().map_err(|_| NotRetried::Unknown)?;
        let call = HttpCall {
            id: JobId::new(),
            function,
            args: failed.args,
            timeout,
            priority: limits::PRIORITY_DEFAULT,
            trace: None,
            fresh: true,
            peer: self.by,
            known: vec![],
        };
        self.did(format!("retried job {id} of {}, as job {}", call.function, call.id)).await;
        Ok(call)
    }

    async fn did(&self, what: String) {
        self.handle.acted(self.by, what).await;
    }
}

/// Makes this call and waits for its answer.
pub(crate) async fn called(handle: &Handle, call: HttpCall) -> Result<Answered, Refused> {
    // It names no value that it has, so it gets one.
    handle.call(call).await?.answered.ok_or(Refused::Busy)
}

fn drained(drain: bool) -> &'static str {
    if drain { "drained" } else { "resumed" }
}

/// `fib@1 (12 queued, 3 running), sleep@1 (1 running)`.
pub(crate) fn by_function(affected: &[Affected]) -> String {
    let line = |of: &Affected| {
        let parts = [(of.queued, "queued"), (of.running, "running")];
        let parts = parts.iter().filter(|(number, _)| *number > 0);
        let parts: Vec<_> = parts.map(|(number, word)| format!("{number} {word}")).collect();
        format!("{} ({})", of.function, parts.join(", "))
    };
    match affected {
        [] => "there were none".to_owned(),
        _ => affected.iter().map(line).collect::<Vec<_>>().join(", "),
    }
}
