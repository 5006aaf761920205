//! How long jobs take here, measured: whether they are short decides how far ahead the worker
//! looks, and whether the start of a job is news.

use std::collections::HashMap;
use std::time::Duration;

use simple_dist_protocol::{Address, limits};

/// One in this many is how much the newest run counts.
const WEIGHT: u32 = 8;

/// Moving averages of run times.
#[derive(Debug, Default)]
pub(super) struct RunTimes {
    functions: HashMap<Address, Duration>,
    recent: Option<Duration>,
}

impl RunTimes {
    /// A run took this long.
    pub(super) fn ran(&mut self, function: &Address, took: Duration) {
        self.recent = Some(average(self.recent, took));
        if let Some(known) = self.functions.get_mut(function) {
            *known = average(Some(*known), took);
        } else {
            self.functions.insert(function.clone(), took);
        }
    }

    /// Whether a function is known to take long.
    pub(super) fn is_long(&self, function: &Address) -> bool {
        self.is_known_for(function, limits::SHORT_JOB)
    }

    /// Whether a function is known to take this long or longer.
    pub(super) fn is_known_for(&self, function: &Address, least: Duration) -> bool {
        self.functions.get(function).is_some_and(|took| *took >= least)
    }

    /// What the jobs of late took, whatever their function.
    pub(super) fn mean(&self) -> Option<Duration> {
        self.recent
    }
}

fn average(before: Option<Duration>, took: Duration) -> Duration {
    before.map_or(took, |before| (before * (WEIGHT - 1) + took) / WEIGHT)
}
