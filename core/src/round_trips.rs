//! How far the broker is: the shortest of the last round trips to it, since a longer one may have
//! waited for something else.

use std::collections::VecDeque;
use std::time::Duration;

use simple_dist_protocol::limits::ROUND_TRIP;

/// How many count: one is measured with each beat, that is, each second.
const RECENT: usize = 10;

/// The last round trips.
#[derive(Debug, Default)]
pub(crate) struct RoundTrips(VecDeque<Duration>);

impl RoundTrips {
    /// One took this long.
    pub(crate) fn add(&mut self, took: Duration) {
        if self.0.len() == RECENT {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    /// The shortest, at most [`ROUND_TRIP`]; none before the first.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        self.0.iter().min().map(|shortest| ROUND_TRIP.min(*shortest))
    }
}
