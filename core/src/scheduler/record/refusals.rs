//! Counts what was refused by each limit, so that nothing is refused silently.

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_protocol::message::Bound;

use crate::view::{Seconds, TurnedAway};

/// How long a refusal is shown.
const TOLD: Duration = Duration::from_secs(600);

/// Refusals, by limit.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<Bound, Count>);

#[derive(Debug)]
struct Count {
    first: Duration,
    last: Duration,
    count: u64,
}

impl Refusals {
    /// Counts a refusal.
    pub(super) fn count(&mut self, bound: Bound, now: Duration) {
        let known = self.0.entry(bound).or_insert(Count { first: now, last: now, count: 0 });
        known.last = now;
        known.count += 1;
    }

    /// The recent refusals.
    pub(super) fn view(&self, now: Duration) -> Vec<TurnedAway> {
        let since = |then: Duration| now.saturating_sub(then);
        let late = self.0.iter().filter(|(_, count)| since(count.last) < TOLD);
        let view = late.map(|(bound, known)| TurnedAway {
            bound: bound.kind().to_owned(),
            reason: bound.to_string(),
            count: known.count,
            first: Seconds::from(since(known.first)),
            last: Seconds::from(since(known.last)),
        });
        view.collect()
    }
}
