//! Marks and strikes: the evidence against a job. They rest on what was observed, never on the
//! broker's redelivered flag.
//!
//! A *mark* means that an attempt came back, was swept or was purged: most likely an accident. A
//! *strike* means that a worker was lost after it had confirmed that it started the job. A *crash*
//! means that the job ended the child process in which an isolated worker ran it. One attempt gives
//! at most one of them.
//!
//! An isolated worker knows what its children die of, so that its own loss says nothing about the
//! jobs that it had: they are *spared*. But a job may end more than its child, so each is spared so
//! often and no more; from then on it is judged as in any pool.

use simple_dist_protocol::limits::STRIKES;
use simple_dist_protocol::message::{Answer, Crash, Marks};
use simple_dist_protocol::{Attempt, WorkerId};

/// How many attempts of a job may be lost with isolated workers, in one term, before it is judged as
/// with any other worker.
const SPARED: usize = STRIKES;

/// The marks, strikes and crashes of a job, and which of them its client has acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Strikes {
    mark: Option<Mark>,
    strikes: Vec<Strike>,
    crashes: Vec<Crash>,
    noted: Marks,
    /// The attempt that was doubted when its worker was out of reach.
    doubted: Option<Attempt>,
    pub(crate) spared: Spared,
}

/// The attempts lost with isolated workers, which count as nothing.
pub(crate) type Spared = Vec<Attempt>;

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
    /// The number of marks, strikes and crashes.
    pub(crate) fn count(&self) -> usize {
        usize::from(self.mark.is_some()) + self.strikes.len() + self.crashes.len()
    }

    /// The marks as the client is told.
    pub(crate) fn marks(&self) -> Marks {
        Marks {
            mark: self.mark.is_some(),
            strikes: self.lost_workers().collect(),
            crashes: self.crashes.clone(),
        }
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
        self.noted.crashes.truncate(STRIKES);
        // Which they are is enough, and the client may have written anything into them.
        for crash in &mut self.noted.crashes {
            (crash.output, crash.note) = (String::new(), None);
        }
    }

    /// Takes over all of this, except what the client has acknowledged. Returns whether the marks
    /// change by it.
    pub(crate) fn inherit(&mut self, known: Self) -> bool {
        let before = self.marks();
        *self = Self { noted: std::mem::take(&mut self.noted), ..known };
        self.marks() != before
    }

    /// The attempt is lost with an isolated worker. Returns whether the job is spared.
    pub(crate) fn spare(&mut self, attempt: Attempt) -> bool {
        let spares = self.may_be_spared();
        if spares {
            self.spared.push(attempt);
        }
        spares
    }

    /// No worker ever received the attempt for which the job was spared. Returns whether there is
    /// such a one.
    pub(crate) fn revoke_spare(&mut self, attempt: Attempt) -> bool {
        let before = self.spared.len();
        self.spared.retain(|spared| *spared != attempt);
        self.spared.len() < before
    }

    /// Whether the job is spared if its next attempt is lost with an isolated worker.
    pub(crate) fn may_be_spared(&self) -> bool {
        self.spared.len() < SPARED
    }

    /// Whether it was spared before, in this term.
    pub(crate) fn was_spared(&self) -> bool {
        !self.spared.is_empty()
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

    /// The worker that runs the attempt is out of reach. Returns whether this gives a mark.
    pub(crate) fn doubt(&mut self, attempt: Attempt) -> bool {
        let is_new = self.mark(attempt);
        if is_new {
            self.doubted = Some(attempt);
        }
        is_new
    }

    /// It is heard, and still runs it. Returns whether that revokes a mark.
    pub(crate) fn revoke_doubt(&mut self, attempt: Attempt) -> bool {
        let doubted = self.doubted.take_if(|doubted| *doubted == attempt);
        doubted.is_some_and(|attempt| self.revoke_mark(attempt))
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

    /// The attempt ended its child process. Returns whether this counts: one attempt may be reported
    /// twice.
    pub(crate) fn crash(&mut self, mut crash: Crash) -> bool {
        if self.marks().has_crash(&crash) {
            return false;
        }
        self.mark.take_if(|mark| *mark == Mark::Attempt(crash.attempt));
        crash.curb();
        self.crashes.push(crash);
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
        for crash in &marks.crashes {
            if self.count() < STRIKES {
                self.crash(crash.clone());
            }
        }
    }

    /// Whether the job must not run again.
    pub(crate) fn is_fatal(&self) -> bool {
        self.count() >= STRIKES
    }

    /// The answer to give then.
    pub(crate) fn poisoned(&self) -> Answer {
        Answer::Poisoned { workers: self.lost_workers().collect(), crashes: self.crashes.clone() }
    }
}

#[cfg(test)]
mod tests {
    use simple_dist_protocol::Term;

    use super::*;

    #[test]
    fn of_what_a_client_notes_only_the_identity_is_kept() {
        let attempt = Attempt { term: Term(1), number: 1 };
        let crash = Crash {
            worker: WorkerId::from_u128(1),
            attempt,
            signal: Some(11),
            code: None,
            memory_bytes: 0,
            output: "x".repeat(1 << 20),
            note: Some("y".repeat(1 << 20)),
        };
        let mut strikes = Strikes::default();
        assert!(strikes.crash(crash.clone()));
        let mut crashes = vec![crash.clone(); 2 * STRIKES];
        crashes[0].attempt.number = 2;
        strikes.note(Marks { crashes, ..Marks::default() });
        assert!(strikes.is_noted());
        assert_eq!(strikes.noted.crashes.len(), STRIKES);
        assert_eq!(strikes.noted.crashes.iter().map(Crash::weight).sum::<usize>(), 0);
    }
}
