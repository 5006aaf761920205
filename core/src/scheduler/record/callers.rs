//! The clients heard recently, with how many jobs each has run locally, as it reported.

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_protocol::limits::CLIENT_EXPIRES;
use simple_dist_protocol::{ClientId, UserName};

use super::stats::REASONS;
use crate::scheduler::ids::UserRef;

/// The most clients shown; jobs of others run all the same.
const CALLERS: usize = 1000;
/// The most local runs per millisecond that are credible.
const RUNS: u64 = 1000;

type Id = (UserRef, ClientId);

/// Recently heard clients, with or without jobs.
#[derive(Debug, Default)]
pub(super) struct Callers {
    known: BTreeMap<Id, Caller>,
    /// The allowance shared by clients that are not listed.
    unlisted: Allowance,
}

/// A client.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) user: UserName,
    pub(super) heard: Duration,
    /// Its local runs.
    pub(super) local: u64,
    allowance: Allowance,
}

/// How many local runs a client may report: the balance, and when it was computed.
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

    /// A client reports local runs. Returns the credible ones, and how many of its counts were cut.
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

    /// Forgets clients without jobs that were not heard for long.
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
    /// The allowance of a client after a long silence.
    const MOST: u64 = CLIENT_EXPIRES.as_millis() as u64 * RUNS;

    /// As many of these as can have been made by now.
    fn take(&mut self, claimed: u64, now: Duration) -> u64 {
        let since = u64::try_from(now.saturating_sub(self.1).as_millis()).unwrap_or(u64::MAX);
        let room = self.0.saturating_add(since.saturating_mul(RUNS)).min(Self::MOST);
        let counted = claimed.min(room);
        *self = Self(room - counted, now);
        counted
    }
}
