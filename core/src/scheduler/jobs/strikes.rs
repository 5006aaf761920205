//! Marks and strikes: the evidence against a job. They rest on what was observed, never on the
//! broker's redelivered flag.
//!
//! A *mark* means that an attempt came back, was swept or was purged: most likely an accident. A
//! *strike* means that a worker was lost after it had confirmed that it started the job. One
//! attempt gives at most one of them.

use simple_dist_protocol::limits::STRIKES;
use simple_dist_protocol::message::{Answer, Marks};
use simple_dist_protocol::{Attempt, WorkerId};

/// The marks and strikes of a job, and which of them its client has acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Strikes {
    mark: Option<Mark>,
    strikes: Vec<Strike>,
    noted: Marks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Reported by its client, from an earlier term.
    Reported,
    /// Given for this attempt.
    Attempt(Attempt),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Strike {
    worker: WorkerId,
    /// The mark it replaced, which is restored if the strike is revoked.
    replaced: Option<Mark>,
}

impl Strikes {
    /// The number of marks and strikes.
    pub(crate) fn count(&self) -> usize {
        usize::from(self.mark.is_some()) + self.strikes.len()
    }

    /// The marks as the client is told.
    pub(crate) fn marks(&self) -> Marks {
        Marks { mark: self.mark.is_some(), strikes: self.lost_workers().collect() }
    }

    /// The workers lost while running the job.
    pub(crate) fn lost_workers(&self) -> impl Iterator<Item = WorkerId> {
        self.strikes.iter().map(|strike| strike.worker)
    }

    /// Whether the client has acknowledged all of it.
    pub(crate) fn is_noted(&self) -> bool {
        self.noted.covers(&self.marks())
    }

    /// The client has acknowledged these.
    pub(crate) fn note(&mut self, marks: Marks) {
        self.noted = marks;
        self.noted.strikes.truncate(STRIKES);
    }

    /// An attempt came back unstarted. Returns whether this gives a mark: only a job without any
    /// count gets one.
    pub(crate) fn mark(&mut self, attempt: Attempt) -> bool {
        let is_new = self.count() == 0;
        if is_new {
            self.mark = Some(Mark::Attempt(attempt));
        }
        is_new
    }

    /// No worker ever received the attempt. Returns whether that revokes a mark.
    pub(crate) fn revoke_mark(&mut self, attempt: Attempt) -> bool {
        self.mark.take_if(|mark| *mark == Mark::Attempt(attempt)).is_some()
    }

    /// A worker that had started the attempt is lost. Returns whether this gives a strike.
    pub(crate) fn strike(&mut self, worker: WorkerId, attempt: Attempt) -> bool {
        if self.strikes.iter().any(|strike| strike.worker == worker) {
            return false;
        }
        let replaced = self.mark.take_if(|mark| *mark == Mark::Attempt(attempt));
        self.strikes.push(Strike { worker, replaced });
        true
    }

    /// The worker was heard again. Returns whether that revokes a strike.
    pub(crate) fn revoke_strike(&mut self, worker: WorkerId) -> bool {
        let Some(at) = self.strikes.iter().position(|strike| strike.worker == worker) else {
            return false;
        };
        let strike = self.strikes.remove(at);
        self.mark = self.mark.or(strike.replaced);
        true
    }

    /// Merges the marks that the client reports from an earlier term, except strikes by workers
    /// that are alive. A mark is not added to counts of our own: it may be one of them.
    pub(crate) fn merge_reported(&mut self, marks: &Marks, is_alive: impl Fn(&WorkerId) -> bool) {
        if marks.mark && self.count() == 0 {
            self.mark = Some(Mark::Reported);
        }
        for worker in marks.strikes.iter().filter(|worker| !is_alive(worker)) {
            if self.count() < STRIKES && self.lost_workers().all(|known| known != *worker) {
                self.strikes.push(Strike { worker: *worker, replaced: None });
            }
        }
    }

    /// Whether the job must not run again.
    pub(crate) fn is_fatal(&self) -> bool {
        self.count() >= STRIKES
    }

    /// The answer to give then.
    pub(crate) fn poisoned(&self) -> Answer {
        Answer::Poisoned { workers: self.lost_workers().collect() }
    }
}
