//! Fair shares: the logins that call, and the clients of each. A share is the worker time that each
//! has had; the least share goes first, between logins and then within each.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::scheduler::ids::UserRef;
use simple_dist_protocol::{ClientId, UserName};

/// The most logins known at once. Logins are created by the broker's administrator, so there are
/// few; those without jobs make room.
pub(crate) const USERS: usize = 10_000;
/// The most clients without waiting jobs whose share is remembered, per login.
const IDLE_CLIENTS: usize = 128;

/// The known logins.
#[derive(Debug, Default)]
pub(crate) struct Users {
    known: BTreeMap<UserRef, Login>,
    /// The share of the login served last: a new one starts there, without credit for the time it
    /// was idle.
    virtual_time: u64,
}

#[derive(Debug)]
struct Login {
    name: UserName,
    /// When it last called.
    heard: Duration,
    /// Its unfinished jobs.
    jobs: usize,
    account: Account,
    clients: BTreeMap<ClientId, Account>,
    /// The share of its client served last.
    virtual_time: u64,
    /// At this many clients, those without waiting jobs are forgotten.
    prune_at: usize,
}

/// The share of one login or client.
#[derive(Debug, Default)]
struct Account {
    /// Microseconds of worker time given so far, as measured.
    share: u64,
    /// Its waiting jobs.
    waiting: usize,
}

impl Account {
    fn queue(&mut self, virtual_time: u64) {
        if self.waiting == 0 {
            self.share = self.share.max(virtual_time);
        }
        self.waiting += 1;
    }

    /// Adds to the share and returns what it was before.
    fn charge(&mut self, work: u64) -> u64 {
        let virtual_time = self.share;
        self.share = virtual_time.saturating_add(work);
        virtual_time
    }
}

impl Users {
    /// The login, now known; `None` if there are too many with jobs.
    pub(crate) fn get_or_insert(&mut self, name: &UserName, now: Duration) -> Option<UserRef> {
        let user = UserRef::of(name);
        if let Some(known) = self.known.get_mut(&user) {
            known.heard = now;
            return Some(user);
        }
        if self.known.len() >= USERS {
            self.forget_idle();
        }
        if self.known.len() >= USERS {
            return None;
        }
        let login = Login {
            name: name.clone(),
            heard: now,
            jobs: 0,
            account: Account { share: self.virtual_time, waiting: 0 },
            clients: BTreeMap::new(),
            virtual_time: 0,
            prune_at: IDLE_CLIENTS,
        };
        self.known.insert(user, login);
        Some(user)
    }

    /// Forgets half of the logins without jobs: those heard longest ago.
    fn forget_idle(&mut self) {
        let mut idle: Vec<(Duration, UserRef)> = self
            .known
            .iter()
            .filter(|(_, login)| login.jobs == 0)
            .map(|(user, login)| (login.heard, *user))
            .collect();
        idle.sort_unstable();
        for (_, user) in &idle[..idle.len().div_ceil(2)] {
            self.known.remove(user);
        }
    }

    /// Every login.
    pub(crate) fn all(&self) -> impl Iterator<Item = UserRef> {
        self.known.keys().copied()
    }

    /// The name of a login, if it has called.
    pub(crate) fn find(&self, user: UserRef) -> Option<&UserName> {
        self.known.get(&user).map(|login| &login.name)
    }

    /// The name of a login that has jobs.
    pub(crate) fn name(&self, user: UserRef) -> &UserName {
        self.find(user).expect("a login is known as long as it has jobs")
    }

    /// The login's share, in microseconds of work. It only grows.
    pub(crate) fn share(&self, user: UserRef) -> u64 {
        self.known.get(&user).map_or(0, |login| login.account.share)
    }

    /// The share of the login's client.
    pub(crate) fn client_share(&self, user: UserRef, client: ClientId) -> u64 {
        let client = self.known.get(&user).and_then(|login| login.clients.get(&client));
        client.map_or(0, |account| account.share)
    }

    /// A job of the login was admitted.
    pub(crate) fn job_admitted(&mut self, user: UserRef) {
        if let Some(login) = self.known.get_mut(&user) {
            login.jobs += 1;
        }
    }

    /// A job of the login has ended.
    pub(crate) fn job_ended(&mut self, user: UserRef) {
        if let Some(login) = self.known.get_mut(&user) {
            login.jobs = login.jobs.saturating_sub(1);
        }
    }

    /// One more of the client's jobs waits.
    pub(crate) fn job_queued(&mut self, user: UserRef, client: ClientId) {
        let Some(login) = self.known.get_mut(&user) else { return };
        login.account.queue(self.virtual_time);
        if login.clients.len() >= login.prune_at {
            login.clients.retain(|_, account| account.waiting > 0);
            login.prune_at = IDLE_CLIENTS.max(login.clients.len() * 2);
        }
        login.clients.entry(client).or_default().queue(login.virtual_time);
    }

    /// One of the client's jobs no longer waits.
    pub(crate) fn job_dequeued(&mut self, user: UserRef, client: ClientId) {
        let Some(login) = self.known.get_mut(&user) else { return };
        login.account.waiting = login.account.waiting.saturating_sub(1);
        if let Some(account) = login.clients.get_mut(&client) {
            account.waiting = account.waiting.saturating_sub(1);
        }
    }

    /// Charges the expected work of a placed job to its client and login.
    pub(crate) fn charge(&mut self, user: UserRef, client: ClientId, work: Duration) {
        let work = u64::try_from(work.as_micros()).unwrap_or(u64::MAX).max(1);
        let Some(login) = self.known.get_mut(&user) else { return };
        self.virtual_time = self.virtual_time.max(login.account.charge(work));
        if let Some(account) = login.clients.get_mut(&client) {
            login.virtual_time = login.virtual_time.max(account.charge(work));
        }
    }

    /// Forgets all jobs: the term is over.
    pub(crate) fn forget_jobs(&mut self) {
        for login in self.known.values_mut() {
            (login.jobs, login.account.waiting) = (0, 0);
            login.clients.clear();
        }
    }
}
