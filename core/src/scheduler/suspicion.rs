//! Marks and strikes: what speaks against a job. They rest on evidence, never on a flag.
//!
//! A *mark*: an attempt came back, was swept or purged; most likely an accident. A *strike*: a
//! worker was lost that had started it, confirmed. One attempt gives one count.

use std::collections::BTreeSet;

use simple_dist_protocol::limits::{RESEND, STRIKES};
use simple_dist_protocol::message::{Answer, Held, Marks};
use simple_dist_protocol::{Attempt, JobKey, WorkerId};

use super::Rooms;
use super::fact::{Fact, RunEnd, Step};
use super::jobs::{JobRef, Key, State};

/// What speaks against a job, and what its client knows of that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Suspicion {
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
    pub(super) fn count(&self) -> usize {
        usize::from(self.mark.is_some()) + self.strikes.len()
    }

    /// As the client is told.
    pub(super) fn marks(&self) -> Marks {
        Marks { mark: self.mark.is_some(), strikes: self.strikers().collect() }
    }

    /// The workers lost with the job.
    pub(super) fn strikers(&self) -> impl Iterator<Item = WorkerId> {
        self.strikes.iter().map(|strike| strike.worker)
    }

    /// Whether the client knows all of it.
    pub(super) fn is_noted(&self) -> bool {
        self.noted.covers(&self.marks())
    }

    /// The client knows these.
    pub(super) fn note(&mut self, marks: Marks) {
        self.noted = marks;
        self.noted.strikes.truncate(STRIKES);
    }

    /// An attempt came back without having been started. Whether that is news: only a job without
    /// any count gets a mark.
    pub(super) fn mark(&mut self, attempt: Attempt) -> bool {
        let news = self.count() == 0;
        if news {
            self.mark = Some(Mark::By(attempt));
        }
        news
    }

    /// Nobody ever had the attempt. Whether that is news.
    fn unmark(&mut self, attempt: Attempt) -> bool {
        self.mark.take_if(|mark| *mark == Mark::By(attempt)).is_some()
    }

    /// A worker that had started the attempt is lost. Whether that is news.
    pub(super) fn strike(&mut self, worker: WorkerId, attempt: Attempt) -> bool {
        if self.strikes.iter().any(|strike| strike.worker == worker) {
            return false;
        }
        let replaced = self.mark.take_if(|mark| *mark == Mark::By(attempt));
        self.strikes.push(Strike { worker, replaced });
        true
    }

    /// The worker was heard again. Whether that is news.
    fn unstrike(&mut self, worker: WorkerId) -> bool {
        let Some(at) = self.strikes.iter().position(|strike| strike.worker == worker) else {
            return false;
        };
        let strike = self.strikes.remove(at);
        self.mark = self.mark.or(strike.replaced);
        true
    }

    /// Takes over what the client brings along from an earlier term, but for strikes by workers
    /// that are alive. A mark beside counts of our own may be one of theirs: it is not counted.
    pub(super) fn bring(&mut self, marks: &Marks, is_alive: impl Fn(&WorkerId) -> bool) {
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
    pub(super) fn is_fatal(&self) -> bool {
        self.count() >= STRIKES
    }

    /// The answer that says so.
    pub(super) fn poisoned(&self) -> Answer {
        Answer::Poisoned { workers: self.strikers().collect() }
    }
}

impl Rooms {
    /// A worker was lost that had started the attempt.
    pub(super) fn strike(&mut self, job: JobRef, worker: WorkerId) {
        let Some(out) = self.detach(job) else { return };
        self.ran_in_vain(job, &out, RunEnd::Lost);
        let Some(found) = self.jobs.get_mut(job) else { return };
        let counts = found.suspicion_mut().strike(worker, out.attempt);
        self.facts.push(Fact::Job(job, Step::Struck { attempt: out.run, worker, counts }));
        if counts {
            self.strikers.entry(worker).or_default().insert(job);
        }
        self.weigh(job);
    }

    /// A lost worker was heard again: it was not the jobs that it does not hold any more.
    pub(super) fn take_strikes_back(&mut self, worker: WorkerId, held: &[Held]) {
        let Some(struck) = self.strikers.remove(&worker) else { return };
        let held: BTreeSet<Key> = held.iter().map(|held| Key::of(&held.key)).collect();
        for job in struck {
            let Some(found) = self.jobs.get_mut(job) else { continue };
            // What it still has may kill it yet, and then nobody would count that.
            if held.contains(&found.key) {
                self.strikers.entry(worker).or_default().insert(job);
                continue;
            }
            if !found.suspicion_mut().unstrike(worker) {
                continue;
            }
            self.facts.push(Fact::Job(job, Step::Unstruck));
            match found.state {
                State::Queued(_) | State::Unnoted { .. } => {
                    self.detach(job);
                    self.weigh(job);
                }
                State::Out(_) | State::Nowhere => {}
            }
            if !self.unnoted.contains(&job) {
                self.tell_marks(job);
            }
        }
    }

    /// Attempts that were purged before any worker had them: it was not the job.
    pub(super) fn take_marks_back(&mut self, untouched: &[(JobKey, Attempt)]) {
        for (key, attempt) in untouched {
            let Some(job) = self.jobs.find(Key::of(key)) else { continue };
            let Some(found) = self.jobs.get_mut(job) else { continue };
            if !found.suspicion_mut().unmark(*attempt) {
                continue;
            }
            found.runs = found.runs.saturating_sub(1);
            self.facts.push(Fact::Job(job, Step::Unmarked));
            if matches!(found.state, State::Queued(_) | State::Unnoted { .. }) {
                self.detach(job);
                self.weigh(job);
            }
            self.tell_marks(job);
        }
    }

    /// Remembers who takes back the strikes that a job was brought with.
    pub(super) fn remember_strikers(&mut self, job: JobRef) {
        let suspicion = self.jobs.get(job).and_then(|job| job.suspicion.as_ref());
        for worker in suspicion.iter().flat_map(|suspicion| suspicion.strikers()) {
            self.strikers.entry(worker).or_default().insert(job);
        }
    }

    /// Receipts may get lost, and what they answer too.
    pub(super) fn tell_unnoted_again(&mut self) {
        let now = self.now;
        let mut due = vec![];
        for job in &self.unnoted {
            if let Some(State::Unnoted { told }) = self.jobs.get_mut(*job).map(|job| &mut job.state)
                && now.saturating_sub(*told) >= RESEND
            {
                *told = now;
                due.push(*job);
            }
        }
        for job in due {
            self.tell_marks(job);
        }
    }
}
