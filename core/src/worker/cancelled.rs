//! Cancels of attempts that are still in the pool's queue: whichever worker one comes to does not
//! begin it.

use std::collections::{HashSet, VecDeque};

use simple_dist_protocol::{Attempt, JobKey};

/// The most that are remembered: far more than a pool's queue is given at once. Beyond it the
/// oldest is forgotten. None is too old otherwise: there is no telling how long a queue is waited
/// in.
const REMEMBERED: usize = 65_536;

/// Attempts that are not to be begun when they come.
#[derive(Debug, Default)]
pub(super) struct Cancelled {
    attempts: HashSet<(JobKey, Attempt)>,
    order: VecDeque<(JobKey, Attempt)>,
}

impl Cancelled {
    /// The attempt is not to be begun.
    pub(super) fn remember(&mut self, attempt: (JobKey, Attempt)) {
        if self.attempts.insert(attempt.clone()) {
            self.order.push_back(attempt);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.attempts.remove(&oldest);
        }
    }

    /// Whether an attempt that has come is not to be begun.
    pub(super) fn contains(&self, attempt: &(JobKey, Attempt)) -> bool {
        !self.attempts.is_empty() && self.attempts.contains(attempt)
    }
}

#[cfg(test)]
mod tests {
    use simple_dist_protocol::{JobId, Term};

    use super::*;

    fn attempt(number: u32) -> (JobKey, Attempt) {
        let key = JobKey { user: "u".parse().unwrap(), id: JobId::from_u128(1) };
        (key, Attempt { term: Term(1), number })
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut cancelled = Cancelled::default();
        for number in 0..=u32::try_from(REMEMBERED).unwrap() {
            cancelled.remember(attempt(number));
            cancelled.remember(attempt(number));
        }
        assert!(!cancelled.contains(&attempt(0)));
        assert!(cancelled.contains(&attempt(1)));
        assert_eq!((cancelled.attempts.len(), cancelled.order.len()), (REMEMBERED, REMEMBERED));
    }
}
