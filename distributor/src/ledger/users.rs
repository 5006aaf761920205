//! The logins that submit jobs, by a small number each, and what each has had of the workers'
//! time: the measure of a fair share.

use std::collections::HashMap;
use std::time::Duration;

use simple_dist_protocol::UserName;

/// The most logins we tell apart. They are made by a broker's administrator, so there are few.
pub(super) const USERS: usize = 10_000;

/// One login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct UserRef(u32);

/// All logins, kept as long as the process lives.
#[derive(Debug, Default)]
pub(super) struct Users {
    known: Vec<User>,
    index: HashMap<UserName, UserRef>,
    /// The share of the user served last: whoever comes new begins there, with no credit for the
    /// time it wanted nothing.
    reached: u64,
}

#[derive(Debug)]
struct User {
    name: UserName,
    /// Microseconds of work given so far, by measure.
    share: u64,
    waiting: usize,
}

impl Users {
    /// The login's number; none if there are too many.
    pub(super) fn meet(&mut self, name: &UserName) -> Option<UserRef> {
        if let Some(user) = self.index.get(name) {
            return Some(*user);
        }
        if self.known.len() >= USERS {
            return None;
        }
        let user = UserRef(u32::try_from(self.known.len()).ok()?);
        self.known.push(User { name: name.clone(), share: self.reached, waiting: 0 });
        self.index.insert(name.clone(), user);
        Some(user)
    }

    /// The login's number, if it was met.
    pub(super) fn find(&self, name: &UserName) -> Option<UserRef> {
        self.index.get(name).copied()
    }

    /// Every login.
    pub(super) fn all(&self) -> impl Iterator<Item = UserRef> {
        (0..).zip(&self.known).map(|(number, _)| UserRef(number))
    }

    /// The login's name.
    pub(super) fn name(&self, user: UserRef) -> &UserName {
        &self.user(user).name
    }

    /// What the user has had, in microseconds of work. Only grows.
    pub(super) fn share(&self, user: UserRef) -> u64 {
        self.user(user).share
    }

    /// One more of the user's jobs waits.
    pub(super) fn waits(&mut self, user: UserRef) {
        let reached = self.reached;
        let user = self.user_mut(user);
        if user.waiting == 0 {
            user.share = user.share.max(reached);
        }
        user.waiting += 1;
    }

    /// One of the user's jobs waits no longer.
    pub(super) fn waits_no_more(&mut self, user: UserRef) {
        self.user_mut(user).waiting -= 1;
    }

    /// The user's job was placed, and will take about so long.
    pub(super) fn charge(&mut self, user: UserRef, work: Duration) {
        self.reached = self.reached.max(self.share(user));
        let work = u64::try_from(work.as_micros()).unwrap_or(u64::MAX).max(1);
        let user = self.user_mut(user);
        user.share = user.share.saturating_add(work);
    }

    /// Nobody's job waits any more: the term is over.
    pub(super) fn forget_waiting(&mut self) {
        for user in &mut self.known {
            user.waiting = 0;
        }
    }

    fn user(&self, user: UserRef) -> &User {
        &self.known[user.0 as usize]
    }

    fn user_mut(&mut self, user: UserRef) -> &mut User {
        &mut self.known[user.0 as usize]
    }
}
