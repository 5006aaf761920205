//! What happened to one job, for the person who asks why it took so long.

use std::time::Duration;

use crate::view::{Moment, Seconds, What};

/// The most moments kept of a job: a few attempts. The first and the last say most, so what comes
/// beyond replaces the one before it.
const MOMENTS: usize = 32;

/// What happened to a job after its submission. Takes no room until something has.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline(Vec<(Duration, What)>);

impl Timeline {
    pub(super) fn push(&mut self, now: Duration, what: What) {
        if self.0.len() >= MOMENTS {
            self.0.pop();
        }
        self.0.push((now, what));
    }

    /// Whether this attempt is known to have begun.
    pub(super) fn has_started(&self, number: u32) -> bool {
        self.0
            .iter()
            .rev()
            .any(|(_, what)| matches!(what, What::Started { attempt, .. } if *attempt == number))
    }

    /// For the view: from a job submitted at this time; with its end, if it has one.
    pub(super) fn moments(&self, submitted: Duration, ended: Option<Duration>) -> Vec<Moment> {
        let first = (submitted, What::Submitted);
        let last = ended.map(|at| (at, What::Ended));
        let all = std::iter::once(&first).chain(&self.0).chain(&last);
        all.map(|(at, what)| Moment {
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
            timeline.push(now, What::Returned { attempt, willing: false });
        }
        let moments = timeline.moments(Duration::from_secs(10), Some(Duration::from_secs(200)));
        assert_eq!(moments.len(), MOMENTS + 2);
        assert_eq!(moments[0], Moment { after: Seconds(0.0), what: What::Submitted });
        assert_eq!(moments[1].after, Seconds(1.0));
        let last = [What::Returned { attempt: 99, willing: false }, What::Ended];
        assert_eq!([moments[MOMENTS].what, moments[MOMENTS + 1].what], last);
    }
}
