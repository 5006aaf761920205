//! Small ids for jobs, functions and logins. All rooms use them; none of them owns them.

use std::collections::HashMap;

use simple_dist_protocol::{CallDigest, JobId, JobKey, UserName};

/// A table by ids. Clients choose ids, and do not see how they are hashed: each table has a seed of its
/// own.
pub(crate) type Table<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A login, as a digest of its name: it can be computed for any name, known or not, and takes no
/// space in a table of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UserRef(u128);

impl UserRef {
    /// The id of this login.
    pub(crate) fn of(name: &UserName) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&blake3::hash(name.as_str().as_bytes()).as_bytes()[..16]);
        Self(u128::from_be_bytes(first))
    }
}

/// The ids of logins in a list, which mostly are the same.
#[derive(Debug, Default)]
pub(crate) struct LastUser(Option<(UserName, UserRef)>);

impl LastUser {
    /// From the key that a message carries.
    pub(crate) fn key(&mut self, key: &JobKey) -> Key {
        let user = match &self.0 {
            Some((name, user)) if *name == key.user => *user,
            Some(_) | None => self.0.insert((key.user.clone(), UserRef::of(&key.user))).1,
        };
        Key { user, id: key.id }
    }
}

/// A job's key: its id is unique within its login only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) user: UserRef,
    pub(crate) id: JobId,
}

impl Key {
    /// From the key that messages carry.
    pub(crate) fn of(key: &JobKey) -> Self {
        Self { user: UserRef::of(&key.user), id: key.id }
    }
}

/// What a job of a deterministic function computes: jobs with the same one may share a run, or an
/// answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CallKey {
    /// The login, where the calls of one login are kept apart from those of others.
    pub(crate) user: Option<UserRef>,
    pub(crate) digest: CallDigest,
}

/// An unfinished job, as an index with a serial number: a stale reference never finds a newer job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct JobRef {
    pub(super) index: u32,
    pub(super) serial: u32,
}

impl JobRef {
    /// Before and after all others, for a search in a sorted set.
    pub(crate) const ENDS: (Self, Self) =
        (Self { index: 0, serial: 0 }, Self { index: u32::MAX, serial: u32::MAX });

    /// An index into tables of jobs: no two unfinished jobs share one.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }
}

/// An interned function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FunctionRef(pub(super) u32);

impl FunctionRef {
    /// An index into tables of functions: no two known functions share one.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}
