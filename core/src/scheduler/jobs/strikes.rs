//! Marks and strikes: what speaks against a job. They rest on evidence, never on a flag.
//!
//! A *mark*: an attempt came back, was swept or purged; most likely an accident. A *strike*: a
//! worker was lost that had started it, confirmed. One attempt gives one count.

use simple_dist_protocol::limits::STRIKES;
use simple_dist_protocol::message::{Answer, Marks};
use simple_dist_protocol::{Attempt, WorkerId};

/// What speaks against a job, and what its client knows of that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Suspicion {
    mark: Option<Mark>,
    strikes: Vec<Strike>,
    noted: Marks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Its client brought it along from an earlier term.
    Brought,
    /// By this attempt.
    By(Attempt),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Strike {
    worker: WorkerId,
    /// The mark it replaced, which comes back if the worker does.
    replaced: Option<Mark>,
}

impl Suspicion {
    /// How many counts there are.
    pub(crate) fn count(&self) -> usize {
        usize::from(self.mark.is_some()) + self.strikes.len()
    }

    /// As the client is told.
    pub(crate) fn marks(&self) -> Marks {
        Marks { mark: self.mark.is_some(), strikes: self.strikers().collect() }
    }

    /// The workers lost with the job.
    pub(crate) fn strikers(&self) -> impl Iterator<Item = WorkerId> {
        self.strikes.iter().map(|strike| strike.worker)
    }

    /// Whether the client knows all of it.
    pub(crate) fn is_noted(&self) -> bool {
        self.noted.covers(&self.marks())
    }

    /// The client knows these.
    pub(crate) fn note(&mut self, marks: Marks) {
        self.noted = marks;
        self.noted.strikes.truncate(STRIKES);
    }

    /// An attempt came back without having been started. Whether that is news: only a job without
    /// any count gets a mark.
    pub(crate) fn mark(&mut self, attempt: Attempt) -> bool {
        let news = self.count() == 0;
        if news {
            self.mark = Some(Mark::By(attempt));
        }
        news
    }

    /// Nobody ever had the attempt. Whether that is news.
    pub(crate) fn unmark(&mut self, attempt: Attempt) -> bool {
        self.mark.take_if(|mark| *mark == Mark::By(attempt)).is_some()
    }

    /// A worker that had started the attempt is lost. Whether that is news.
    pub(crate) fn strike(&mut self, worker: WorkerId, attempt: Attempt) -> bool {
        if self.strikes.iter().any(|strike| strike.worker == worker) {
            return false;
        }
        let replaced = self.mark.take_if(|mark| *mark == Mark::By(attempt));
        self.strikes.push(Strike { worker, replaced });
        true
    }

    /// The worker was heard again. Whether that is news.
    pub(crate) fn unstrike(&mut self, worker: WorkerId) -> bool {
        let Some(at) = self.strikes.iter().position(|strike| strike.worker == worker) else {
            return false;
        };
        let strike = self.strikes.remove(at);
        self.mark = self.mark.or(strike.replaced);
        true
    }

    /// Takes over what the client brings along from an earlier term, but for strikes by workers
    /// that are alive. A mark beside counts of our own may be one of theirs: it is not counted.
    pub(crate) fn bring(&mut self, marks: &Marks, is_alive: impl Fn(&WorkerId) -> bool) {
        if marks.mark && self.count() == 0 {
            self.mark = Some(Mark::Brought);
        }
        for worker in marks.strikes.iter().filter(|worker| !is_alive(worker)) {
            if self.count() < STRIKES && self.strikers().all(|known| known != *worker) {
                self.strikes.push(Strike { worker: *worker, replaced: None });
            }
        }
    }

    /// Whether the job may not be run again.
    pub(crate) fn is_fatal(&self) -> bool {
        self.count() >= STRIKES
    }

    /// The answer that says so.
    pub(crate) fn poisoned(&self) -> Answer {
        Answer::Poisoned { workers: self.strikers().collect() }
    }
}
