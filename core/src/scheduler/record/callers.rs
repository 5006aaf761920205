//! The clients that were heard of late, with what each has run itself, as it reported.

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_protocol::limits::CLIENT_EXPIRES;
use simple_dist_protocol::{ClientId, UserName};

use crate::scheduler::backlog::users::UserRef;

use super::stats::REASONS;

/// The most clients shown; more have their jobs done all the same.
const CALLERS: usize = 1000;
/// More runs a millisecond than any client makes.
const RUNS: u64 = 1000;

type Id = (UserRef, ClientId);

/// Clients heard of late, with jobs or without.
#[derive(Debug, Default)]
pub(super) struct Callers {
    known: BTreeMap<Id, Caller>,
    /// Of those beyond the most shown.
    unlisted: Allowance,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) user: UserName,
    pub(super) heard: Duration,
    /// Runs it made itself.
    pub(super) local: u64,
    allowance: Allowance,
}

/// The runs of its own that a client may report, at this time.
#[derive(Debug)]
struct Allowance(u64, Duration);

impl Callers {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Id, &Caller)> {
        self.known.iter()
    }

    pub(super) fn heard(&mut self, client: Id, user: UserName, now: Duration) {
        if self.known.len() < CALLERS || self.known.contains_key(&client) {
            let allowance = Allowance(Allowance::MOST, now);
            let new = || Caller { user, heard: now, allowance, local: 0 };
            self.known.entry(client).or_insert_with(new).heard = now;
        }
    }

    /// A client ran so many itself. What of it is believed, and how many of its counts are not.
    pub(super) fn ran(
        &mut self,
        client: Id,
        reasons: BTreeMap<String, u64>,
        now: Duration,
    ) -> (Vec<(String, u64)>, usize) {
        let caller = self.known.get_mut(&client);
        let (allowance, local) = match caller {
            Some(caller) => (&mut caller.allowance, Some(&mut caller.local)),
            None => (&mut self.unlisted, None),
        };
        let (mut believed, mut refused, mut all) = (vec![], 0, 0_u64);
        for (reason, claimed) in reasons.into_iter().take(REASONS) {
            let counted = allowance.take(claimed, now);
            refused += usize::from(counted < claimed);
            all = all.saturating_add(counted);
            believed.push((reason, counted));
        }
        local.into_iter().for_each(|local| *local = local.saturating_add(all));
        (believed, refused)
    }

    /// Forgets who was not heard for long and has no jobs.
    pub(super) fn age(&mut self, now: Duration, has_jobs: impl Fn(&Id) -> bool) {
        let is_late = |caller: &Caller| now.saturating_sub(caller.heard) < CLIENT_EXPIRES;
        self.known.retain(|client, caller| has_jobs(client) || is_late(caller));
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self(Self::MOST, Duration::ZERO)
    }
}

impl Allowance {
    /// Of a client that was not heard for so long that it may have made many.
    const MOST: u64 = CLIENT_EXPIRES.as_millis() as u64 * RUNS;

    /// So many of these as can have been made by now.
    fn take(&mut self, claimed: u64, now: Duration) -> u64 {
        let since = u64::try_from(now.saturating_sub(self.1).as_millis()).unwrap_or(u64::MAX);
        let room = self.0.saturating_add(since.saturating_mul(RUNS)).min(Self::MOST);
        let counted = claimed.min(room);
        *self = Self(room - counted, now);
        counted
    }
}
