//! The jobs of one function that wait: by priority, then fair between logins, then between the
//! clients of each, then by age. Every step costs the logarithm of what waits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use simple_dist_protocol::ClientId;
use simple_dist_protocol::limits::PRIORITY_MAX;

use super::users::{UserRef, Users};
use crate::scheduler::jobs::JobRef;

const LEVELS: usize = PRIORITY_MAX as usize + 1;

/// The jobs of one function that wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    levels: [Level; LEVELS],
    /// All of them, by age.
    ages: BTreeMap<u64, JobRef>,
}

/// The jobs of one priority: by login, by client, by age.
#[derive(Debug, Default)]
struct Level {
    logins: Fair<UserRef, Fair<ClientId, BTreeMap<u64, JobRef>>>,
    length: usize,
}

/// Those who share.
#[derive(Debug)]
struct Fair<K, V> {
    /// By share, the least first. It may have grown since it was written here; [`Fair::first`] puts
    /// that right when it comes to the front.
    shares: BTreeSet<(u64, K)>,
    /// What waits of each. Whoever is here has one entry there, even if the last job has just left.
    waiting: BTreeMap<K, V>,
}

/// A job's place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// 9 is first.
    pub(crate) priority: u8,
    /// Whose job.
    pub(crate) user: UserRef,
    pub(crate) client: ClientId,
    /// The count of jobs at its submission: less is older.
    pub(crate) age: u64,
}

/// The job that is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct First {
    /// The job.
    pub(crate) job: JobRef,
    /// Where it waits.
    pub(crate) place: Place,
    /// What its login has had, and its client.
    shares: (u64, u64),
}

/// What is placed first: by priority, then by what its login and its client have had, then by age. The rank of a
/// queue's first job gets better only when a job joins.
pub(crate) type Rank = (Reverse<u8>, (u64, u64), u64);

impl First {
    /// Its rank among the firsts of other queues.
    pub(crate) fn rank(&self) -> Rank {
        (Reverse(self.place.priority), self.shares, self.place.age)
    }
}

impl<K, V> Default for Fair<K, V> {
    fn default() -> Self {
        Self { shares: BTreeSet::new(), waiting: BTreeMap::new() }
    }
}

impl<K: Copy + Ord, V: Default> Fair<K, V> {
    /// What waits of this one, which shares from now on.
    fn join(&mut self, who: K, share: u64) -> &mut V {
        let Self { shares, waiting } = self;
        waiting.entry(who).or_insert_with(|| {
            shares.insert((share, who));
            V::default()
        })
    }

    /// Whose turn it is, with its share and the first that waits of it.
    fn first<F>(
        &mut self,
        share: impl Fn(K) -> u64,
        first: impl Fn(K, &mut V) -> Option<F>,
    ) -> Option<(u64, K, F)> {
        while let Some(&(written, who)) = self.shares.first() {
            let found = self.waiting.get_mut(&who).and_then(|waiting| first(who, waiting));
            let Some(found) = found else {
                self.shares.pop_first();
                self.waiting.remove(&who);
                continue;
            };
            let now = share(who);
            if now == written {
                return Some((now, who, found));
            }
            self.shares.pop_first();
            self.shares.insert((now, who));
        }
        None
    }
}

impl Queue {
    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.ages.is_empty()
    }

    /// A job joins.
    pub(crate) fn push(&mut self, place: Place, job: JobRef, users: &Users) {
        let Place { priority, user, client, age } = place;
        let level = &mut self.levels[usize::from(priority)];
        let login = level.logins.join(user, users.share(user));
        login.join(client, users.client_share(user, client)).insert(age, job);
        level.length += 1;
        self.ages.insert(age, job);
    }

    /// A job leaves, from wherever it stands. Its client's entry is cleaned up when its turn comes.
    pub(crate) fn remove(&mut self, place: Place) {
        if self.ages.remove(&place.age).is_none() {
            return;
        }
        let level = &mut self.levels[usize::from(place.priority)];
        let login = level.logins.waiting.get_mut(&place.user);
        if let Some(own) = login.and_then(|login| login.waiting.get_mut(&place.client)) {
            own.remove(&place.age);
        }
        level.length -= 1;
        if level.length == 0 {
            *level = Level::default();
        }
    }

    /// The job that is next.
    pub(crate) fn first(&mut self, users: &Users) -> Option<First> {
        let (priority, level) =
            self.levels.iter_mut().enumerate().rev().find(|(_, level)| level.length > 0)?;
        let oldest = |_, own: &mut BTreeMap<u64, JobRef>| {
            own.first_key_value().map(|(age, job)| (*age, *job))
        };
        let (share, user, (client_share, client, (age, job))) = level.logins.first(
            |user| users.share(user),
            |user, login| login.first(|client| users.client_share(user, client), oldest),
        )?;
        let place = Place { priority: u8::try_from(priority).ok()?, user, client, age };
        Some(First { job, place, shares: (share, client_share) })
    }

    /// Every job that waits, the oldest first.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = JobRef> {
        self.ages.values().copied()
    }

    /// The oldest job that waits.
    pub(crate) fn oldest(&self) -> Option<JobRef> {
        self.ages.first_key_value().map(|(_, job)| *job)
    }
}
