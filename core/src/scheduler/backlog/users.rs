//! Who shares the workers: the logins that call, and the clients of each. What each has had of the
//! workers' time is the measure of a fair share, first between logins, then within each.

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_protocol::{ClientId, UserName};

/// The most logins we tell apart. They are made by a broker's administrator, so there are few;
/// those without jobs make room.
pub(crate) const USERS: usize = 10_000;
/// The clients without jobs that wait whose share is remembered, of each login.
const IDLE_CLIENTS: usize = 128;

/// One login, by a digest of its name: what is only claimed of a login has it too, and takes no
/// room in any table of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UserRef(u128);

impl UserRef {
    /// Of this login.
    pub(crate) fn of(name: &UserName) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&blake3::hash(name.as_str().as_bytes()).as_bytes()[..16]);
        Self(u128::from_be_bytes(first))
    }
}

/// The logins that the broker checked.
#[derive(Debug, Default)]
pub(crate) struct Users {
    known: BTreeMap<UserRef, Login>,
    /// The share of the login served last: whoever comes new begins there, with no credit for the
    /// time it wanted nothing.
    reached: u64,
}

#[derive(Debug)]
struct Login {
    name: UserName,
    /// When it last called.
    heard: Duration,
    /// Its jobs that have not ended.
    jobs: usize,
    account: Account,
    clients: BTreeMap<ClientId, Account>,
    /// The share of its client served last.
    reached: u64,
    /// With so many clients, those that want nothing are forgotten.
    room: usize,
}

/// What one who shares has had.
#[derive(Debug, Default)]
struct Account {
    /// Microseconds of work given so far, by measure.
    share: u64,
    /// Its jobs that wait.
    waiting: usize,
}

impl Account {
    fn waits(&mut self, reached: u64) {
        if self.waiting == 0 {
            self.share = self.share.max(reached);
        }
        self.waiting += 1;
    }

    /// The share it had reached when it was charged.
    fn charge(&mut self, work: u64) -> u64 {
        let reached = self.share;
        self.share = reached.saturating_add(work);
        reached
    }
}

impl Users {
    /// A login that the broker checked; none if there are too many with jobs.
    pub(crate) fn meet(&mut self, name: &UserName, now: Duration) -> Option<UserRef> {
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
            account: Account { share: self.reached, waiting: 0 },
            clients: BTreeMap::new(),
            reached: 0,
            room: IDLE_CLIENTS,
        };
        self.known.insert(user, login);
        Some(user)
    }

    /// Forgets half of those without jobs, the ones that were heard last the longest ago.
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

    /// What the login has had, in microseconds of work. Only grows.
    pub(crate) fn share(&self, user: UserRef) -> u64 {
        self.known.get(&user).map_or(0, |login| login.account.share)
    }

    /// What the login's client has had.
    pub(crate) fn client_share(&self, user: UserRef, client: ClientId) -> u64 {
        let client = self.known.get(&user).and_then(|login| login.clients.get(&client));
        client.map_or(0, |account| account.share)
    }

    /// A job of the login was let in.
    pub(crate) fn begins(&mut self, user: UserRef) {
        if let Some(login) = self.known.get_mut(&user) {
            login.jobs += 1;
        }
    }

    /// A job of the login has ended.
    pub(crate) fn ends(&mut self, user: UserRef) {
        if let Some(login) = self.known.get_mut(&user) {
            login.jobs = login.jobs.saturating_sub(1);
        }
    }

    /// One more of the client's jobs waits.
    pub(crate) fn waits(&mut self, user: UserRef, client: ClientId) {
        let Some(login) = self.known.get_mut(&user) else { return };
        login.account.waits(self.reached);
        if login.clients.len() >= login.room {
            login.clients.retain(|_, account| account.waiting > 0);
            login.room = IDLE_CLIENTS.max(login.clients.len() * 2);
        }
        login.clients.entry(client).or_default().waits(login.reached);
    }

    /// One of the client's jobs waits no longer.
    pub(crate) fn waits_no_more(&mut self, user: UserRef, client: ClientId) {
        let Some(login) = self.known.get_mut(&user) else { return };
        login.account.waiting = login.account.waiting.saturating_sub(1);
        if let Some(account) = login.clients.get_mut(&client) {
            account.waiting = account.waiting.saturating_sub(1);
        }
    }

    /// The client's job was placed, and will take about so long.
    pub(crate) fn charge(&mut self, user: UserRef, client: ClientId, work: Duration) {
        let work = u64::try_from(work.as_micros()).unwrap_or(u64::MAX).max(1);
        let Some(login) = self.known.get_mut(&user) else { return };
        self.reached = self.reached.max(login.account.charge(work));
        if let Some(account) = login.clients.get_mut(&client) {
            login.reached = login.reached.max(account.charge(work));
        }
    }

    /// Nobody has jobs any more: the term is over.
    pub(crate) fn forget_jobs(&mut self) {
        for login in self.known.values_mut() {
            (login.jobs, login.account.waiting) = (0, 0);
            login.clients.clear();
        }
    }
}
