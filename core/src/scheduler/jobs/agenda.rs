//! When to look at jobs, the earliest first. What counts no more is not searched for: it is left out
//! when it comes to the front, or once half of all entries are such.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::{Job, Slot};
use crate::scheduler::ids::JobRef;

/// So many entries that count no more are not worth a look at all.
const FEW: usize = 1024;

/// Jobs by when to look at them.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    entries: BinaryHeap<Reverse<(Duration, JobRef)>>,
    /// How many of them count no more.
    stale: usize,
}

impl Agenda {
    /// Adds a job.
    pub(crate) fn push(&mut self, at: Duration, job: JobRef) {
        self.entries.push(Reverse((at, job)));
    }

    /// One entry counts no more: it is one of those that `counts` denies.
    pub(crate) fn outdate(&mut self, counts: impl Fn(Duration, JobRef) -> bool) {
        self.stale += 1;
        if self.stale > FEW && self.stale * 2 > self.entries.len() {
            self.entries.retain(|Reverse((at, job))| counts(*at, *job));
            self.entries.shrink_to(self.entries.len() * 4);
            self.stale = 0;
        }
    }

    /// The first job whose entry counts, if its time has come.
    pub(crate) fn due(
        &mut self,
        now: Duration,
        counts: impl Fn(Duration, JobRef) -> bool,
    ) -> Option<JobRef> {
        loop {
            let Reverse((at, job)) = *self.entries.peek().filter(|Reverse((at, _))| *at <= now)?;
            if counts(at, job) {
                return Some(job);
            }
            self.entries.pop();
            self.stale = self.stale.saturating_sub(1);
        }
    }

    /// Removes the first entry.
    pub(crate) fn pop(&mut self) {
        self.entries.pop();
    }

    /// Removes all.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A job, unless it has ended.
pub(super) fn job_in(slots: &[Slot], job: JobRef) -> Option<&Job> {
    let slot = slots.get(job.index as usize)?;
    if slot.serial == job.serial { slot.job.as_ref() } else { None }
}

/// Whether this is the deadline of the job.
pub(super) fn has_deadline(slots: &[Slot]) -> impl Fn(Duration, JobRef) -> bool {
    |at, job| job_in(slots, job).is_some_and(|job| job.deadline == at)
}

/// Whether the job's attempt is to be looked at then.
pub(super) fn is_watched(slots: &[Slot]) -> impl Fn(Duration, JobRef) -> bool {
    |at, job| {
        let in_flight = job_in(slots, job).and_then(Job::in_flight);
        in_flight.is_some_and(|in_flight| in_flight.looked_at == Some(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_no_more_is_passed_over_and_takes_no_space() {
        let (mut agenda, jobs) = (Agenda::default(), 0..10_000);
        let job = |index| JobRef { index, serial: 0 };
        let at = |index: u32| Duration::from_secs(u64::from(index) % 60);
        jobs.clone().for_each(|index| agenda.push(at(index), job(index)));
        let counts = |_, job: JobRef| job.index >= 9_000;
        jobs.take(9_000).for_each(|_| agenda.outdate(counts));
        assert!(agenda.entries.len() < 3_000, "{}", agenda.entries.len());
        assert_eq!(agenda.due(Duration::from_secs(1), counts), Some(job(9_000)));
        agenda.pop();
        assert_eq!(agenda.due(Duration::from_secs(1), counts), Some(job(9_060)));
        assert_eq!(agenda.due(Duration::ZERO, |_, _| false), None);
    }
}
