//! The timeline of one job, for someone who asks why it took so long.

use std::time::Duration;

use crate::view::{JobEvent, Seconds, TimelineEntry};

/// The most moments kept of a job: enough for a few attempts. The first and the last say most, so
/// further ones replace the last.
const MOMENTS: usize = 32;

/// What happened to a job after its submission. Allocates nothing until something has.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline(Vec<(Duration, JobEvent)>);

impl Timeline {
    pub(super) fn push(&mut self, now: Duration, what: JobEvent) {
        if self.0.len() >= MOMENTS {
            self.0.pop();
        }
        self.0.push((now, what));
    }

    /// Whether this attempt is known to have started.
    pub(super) fn has_started(&self, number: u32) -> bool {
        self.0.iter().rev().any(
            |(_, what)| matches!(what, JobEvent::Started { attempt, .. } if *attempt == number),
        )
    }

    /// The timeline for the view, from submission to the end, if it has ended.
    pub(super) fn moments(
        &self,
        submitted: Duration,
        ended: Option<Duration>,
    ) -> Vec<TimelineEntry> {
        let first = (submitted, JobEvent::Submitted);
        let last = ended.map(|at| (at, JobEvent::Ended));
        let all = std::iter::once(&first).chain(&self.0).chain(&last);
        all.map(|(at, what)| TimelineEntry {
            after: Seconds::from(at.saturating_sub(submitted)),
            what: *what,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_begins_with_the_submission_and_stays_bounded() {
        let mut timeline = Timeline::default();
        for attempt in 1..100 {
            let now = Duration::from_secs(10 + u64::from(attempt));
            timeline.push(now, JobEvent::Returned { attempt, willing: false });
        }
        let moments = timeline.moments(Duration::from_secs(10), Some(Duration::from_secs(200)));
        assert_eq!(moments.len(), MOMENTS + 2);
        assert_eq!(moments[0], TimelineEntry { after: Seconds(0.0), what: JobEvent::Submitted });
        assert_eq!(moments[1].after, Seconds(1.0));
        let last = [JobEvent::Returned { attempt: 99, willing: false }, JobEvent::Ended];
        assert_eq!([moments[MOMENTS].what, moments[MOMENTS + 1].what], last);
    }
}
