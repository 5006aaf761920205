//! The jobs of one function that wait: by priority, then fair between users, then by age. Every
//! step costs the logarithm of what waits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use simple_dist_protocol::limits::PRIORITY_MAX;

use super::jobs::JobRef;
use super::users::{UserRef, Users};

const LEVELS: usize = PRIORITY_MAX as usize + 1;

/// The jobs of one function that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    levels: [Level; LEVELS],
    length: usize,
}

/// The jobs of one priority.
#[derive(Debug, Default)]
struct Level {
    /// Whose turn it is: the user with the least share first. A share may have grown since it was
    /// written here; [`Queue::first`] puts that right when it comes to the front.
    turns: BTreeSet<(u64, UserRef)>,
    /// By user, then by age. Whoever is here has one turn, even if the last job has just left.
    waiting: BTreeMap<UserRef, BTreeMap<u64, JobRef>>,
    length: usize,
}

/// A job's place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// 9 is first.
    pub(super) priority: u8,
    /// Whose job.
    pub(super) user: UserRef,
    /// The count of jobs at its submission: less is older.
    pub(super) age: u64,
}

/// The job that is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    /// The job.
    pub(super) job: JobRef,
    /// Where it waits.
    pub(super) place: Place,
    /// What its user has had.
    share: u64,
}

/// What is placed first: by priority, then by what its user has had, then by age. The rank of a
/// queue's first job gets better only when a job joins.
pub(super) type Rank = (Reverse<u8>, u64, u64);

impl First {
    /// Its rank among the firsts of other queues.
    pub(super) fn rank(&self) -> Rank {
        (Reverse(self.place.priority), self.share, self.place.age)
    }
}

impl Queue {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// A job joins.
    pub(super) fn push(&mut self, place: Place, job: JobRef, users: &Users) {
        let level = &mut self.levels[usize::from(place.priority)];
        let own = level.waiting.entry(place.user).or_insert_with(|| {
            level.turns.insert((users.share(place.user), place.user));
            BTreeMap::new()
        });
        own.insert(place.age, job);
        level.length += 1;
        self.length += 1;
    }

    /// A job leaves, from wherever it stands. Its user's turn is cleaned up when it comes.
    pub(super) fn remove(&mut self, place: Place) {
        let level = &mut self.levels[usize::from(place.priority)];
        let Some(own) = level.waiting.get_mut(&place.user) else { return };
        if own.remove(&place.age).is_some() {
            level.length -= 1;
            self.length -= 1;
        }
        if level.length == 0 {
            *level = Level::default();
        }
    }

    /// The job that is next.
    pub(super) fn first(&mut self, users: &Users) -> Option<First> {
        if self.length == 0 {
            return None;
        }
        let (priority, level) =
            self.levels.iter_mut().enumerate().rev().find(|(_, level)| level.length > 0)?;
        while let Some(&(share, user)) = level.turns.first() {
            let oldest = level.waiting.get(&user).and_then(BTreeMap::first_key_value);
            let Some((&age, &job)) = oldest else {
                level.turns.pop_first();
                level.waiting.remove(&user);
                continue;
            };
            let now = users.share(user);
            if now == share {
                let priority = u8::try_from(priority).ok()?;
                return Some(First { job, place: Place { priority, user, age }, share });
            }
            level.turns.pop_first();
            level.turns.insert((now, user));
        }
        None
    }

    /// Every job that waits, in no order that matters.
    pub(super) fn jobs(&self) -> impl Iterator<Item = JobRef> {
        self.levels
            .iter()
            .flat_map(|level| level.waiting.values())
            .flat_map(|own| own.values().copied())
    }

    /// The oldest job that waits.
    pub(super) fn oldest(&self) -> Option<(u64, JobRef)> {
        self.levels
            .iter()
            .flat_map(|level| level.waiting.values())
            .filter_map(|own| own.first_key_value())
            .map(|(age, job)| (*age, *job))
            .min()
    }
}
