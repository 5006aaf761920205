//! The waiting jobs of one function: by priority, then fair between logins, then fair between the
//! clients of each, then by age. Every operation is logarithmic in the number of jobs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use simple_dist_protocol::ClientId;
use simple_dist_protocol::limits::PRIORITY_MAX;

use super::users::Users;
use crate::scheduler::ids::{JobRef, UserRef};

const LEVELS: usize = PRIORITY_MAX as usize + 1;
/// About so many jobs stand for all when it is asked how long they have waited.
const SOME: u64 = 32;

/// The waiting jobs of one function.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    levels: [Level; LEVELS],
    /// All of them, by age.
    ages: BTreeMap<u64, JobRef>,
}

/// The jobs of one priority: by login, by client, by age.
#[derive(Debug, Default)]
struct Level {
    logins: FairQueue<UserRef, FairQueue<ClientId, BTreeMap<u64, JobRef>>>,
    length: usize,
}

/// A fair queue: entries ordered by the share each has had.
#[derive(Debug)]
struct FairQueue<K, V> {
    /// By share, least first. It may have grown since it was written here; [`FairQueue::first`] puts
    /// that right when it comes to the front.
    shares: BTreeSet<(u64, K)>,
    /// What waits under each key. Each key has one entry in `shares`, even if its last job has just
    /// left.
    waiting: BTreeMap<K, V>,
}

/// Which of a function's queues a job waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueClass {
    Unmarked,
    /// Resent, perhaps placed by an earlier term: placed only after every worker has had time to
    /// say that it holds it.
    Resent,
    /// Marked: placed one at a time.
    Marked,
}

/// A job's place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// 0 to 9; 9 is first.
    pub(crate) priority: u8,
    /// The job's login.
    pub(crate) user: UserRef,
    pub(crate) client: ClientId,
    /// The number of jobs admitted before it: less is older.
    pub(crate) age: u64,
}

/// The job that is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextJob {
    /// The job.
    pub(crate) job: JobRef,
    /// Where it waits.
    pub(crate) position: Position,
    /// The shares that its login and its client have had.
    shares: (u64, u64),
}

/// The order of placement: by priority, then by what the login and the client have had, then by
/// age. The rank of a queue's first job improves only when a job joins.
pub(crate) type Rank = (Reverse<u8>, (u64, u64), u64);

impl NextJob {
    /// Its rank among the first jobs of other queues.
    pub(crate) fn rank(&self) -> Rank {
        (Reverse(self.position.priority), self.shares, self.position.age)
    }
}

impl<K, V> Default for FairQueue<K, V> {
    fn default() -> Self {
        Self { shares: BTreeSet::new(), waiting: BTreeMap::new() }
    }
}

impl<K: Copy + Ord, V: Default> FairQueue<K, V> {
    /// The entry of `who`, which is added with this share if it is new.
    fn join(&mut self, who: K, share: u64) -> &mut V {
        let Self { shares, waiting } = self;
        waiting.entry(who).or_insert_with(|| {
            shares.insert((share, who));
            V::default()
        })
    }

    /// The entry with the least share, with the first that waits for it.
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
    /// Whether no job waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.ages.is_empty()
    }

    /// Some of the jobs, evenly by age, each with the number of jobs that it stands for.
    pub(crate) fn some(&self) -> impl Iterator<Item = (JobRef, u64)> {
        let ends = self.ages.first_key_value().zip(self.ages.last_key_value());
        let (first, last) = ends.map_or((1, 0), |((first, _), (last, _))| (*first, *last));
        let step = (last.saturating_sub(first) / SOME).max(1);
        let from = (0..=SOME + 1).map(move |number| first.saturating_add(number * step));
        let next = |from: u64| self.ages.range(from..from.saturating_add(step)).next();
        let some: Vec<JobRef> = from.filter_map(next).map(|(_, job)| *job).collect();
        let each = (self.ages.len() as u64).div_ceil(some.len().max(1) as u64);
        some.into_iter().map(move |job| (job, each))
    }

    /// Adds a job.
    pub(crate) fn push(&mut self, position: Position, job: JobRef, users: &Users) {
        let Position { priority, user, client, age } = position;
        let level = &mut self.levels[usize::from(priority)];
        let login = level.logins.join(user, users.share(user));
        login.join(client, users.client_share(user, client)).insert(age, job);
        level.length += 1;
        self.ages.insert(age, job);
    }

    /// Removes a job, wherever it stands. Its client's entry is cleaned up when it comes to the
    /// front.
    pub(crate) fn remove(&mut self, position: Position) {
        if self.ages.remove(&position.age).is_none() {
            return;
        }
        let level = &mut self.levels[usize::from(position.priority)];
        let login = level.logins.waiting.get_mut(&position.user);
        if let Some(own) = login.and_then(|login| login.waiting.get_mut(&position.client)) {
            own.remove(&position.age);
        }
        level.length -= 1;
        if level.length == 0 {
            *level = Level::default();
        }
    }

    /// The job that is next.
    pub(crate) fn first(&mut self, users: &Users) -> Option<NextJob> {
        let (priority, level) =
            self.levels.iter_mut().enumerate().rev().find(|(_, level)| level.length > 0)?;
        let oldest = |_, own: &mut BTreeMap<u64, JobRef>| {
            own.first_key_value().map(|(age, job)| (*age, *job))
        };
        let (share, user, (client_share, client, (age, job))) = level.logins.first(
            |user| users.share(user),
            |user, login| login.first(|client| users.client_share(user, client), oldest),
        )?;
        let position = Position { priority: u8::try_from(priority).ok()?, user, client, age };
        Some(NextJob { job, position, shares: (share, client_share) })
    }

    /// Every waiting job, oldest first.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = JobRef> {
        self.ages.values().copied()
    }

    /// The oldest waiting job.
    pub(crate) fn oldest(&self) -> Option<JobRef> {
        self.ages.first_key_value().map(|(_, job)| *job)
    }
}
