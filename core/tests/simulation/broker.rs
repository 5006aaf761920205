//! A model of an AMQP 0-9-1 broker: ordered queues, consumers with a prefetch, acks and redelivery,
//! exclusive queues, mandatory messages, TTLs; and the ways in which one can fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use simple_dist_protocol::limits::{CLIENT_EXPIRES, LEADER_QUEUE_TTL};
use simple_dist_protocol::message::{Control, Deliveries, FromClient, FromWorker, Place, Presence};
use simple_dist_protocol::{ClientId, DistributorId, JobId, Outcome, PoolId, UserName, WorkerId};

use crate::random::Random;

/// A process's link, as the broker numbers it: its two connections, which live and die together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Conn(pub(crate) usize);

/// A queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Submissions,
    ClientControl,
    Answers,
    Pool(PoolId),
    Client(ClientId, u32),
    // The rest are exclusive.
    Worker(WorkerId, u32),
    Beats(Conn),
    /// At most 16 messages, the newest.
    Presence(Conn),
    Wills(Conn),
    /// At most one message, the newest.
    ClientPresence(Conn),
}

/// Where something is published to: a queue, or an exchange that copies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    To(Name),
    Beats,
    Presence,
    /// The queue of the will of a worker's link.
    Will(WorkerId, u32),
    /// Where wills come back.
    Wills,
}

/// A message.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Client(FromClient),
    Worker(FromWorker),
    Place(Place),
    Deliveries(Deliveries),
    Control(Control),
    Presence(Presence),
    Will(Will),
}

/// Who wrote it, and of which link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Will {
    pub(crate) by: DistributorId,
    pub(crate) worker: WorkerId,
    pub(crate) generation: u32,
}

impl Body {
    /// Whether it is a periodic status message.
    pub(crate) fn is_usual(&self) -> bool {
        matches!(self, Self::Presence(_) | Self::Worker(FromWorker::Beat(_)))
    }
}

/// A message with the login that the broker checked.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) user: UserName,
    pub(crate) body: Body,
    pub(crate) redelivered: bool,
    came: Duration,
}

/// A message on its way to a consumer.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) conn: Conn,
    pub(crate) queue: Name,
    pub(crate) consumer: u8,
    pub(crate) tag: u64,
    pub(crate) letter: Letter,
}

/// A temporary fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// Nobody can connect.
    Down,
    /// One message in four is confirmed and dropped.
    Loses,
    /// One in four is there twice.
    Doubles,
    /// One in two is refused.
    Refuses,
    /// Presence goes nowhere.
    HidesPresence,
    /// Confirms come seconds late.
    ConfirmsLate,
    /// One confirm in four never comes.
    ConfirmsLost,
    /// Questions about queues fail.
    Deaf,
    /// It blocks publishers.
    Blocks,
}

/// What survives a restart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Left {
    All,
    Queues,
    Nothing,
}

#[derive(Debug, Default)]
struct Queue {
    letters: VecDeque<Letter>,
    consumers: Vec<Consumer>,
    turn: usize,
    /// Since when it has no consumer.
    unused: Duration,
}

#[derive(Debug)]
struct Consumer {
    conn: Conn,
    number: u8,
    prefetch: usize,
    cancelled: bool,
    unacked: BTreeMap<u64, Letter>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    queues: BTreeMap<Name, Queue>,
    /// Whether a distributor has declared the shared topology.
    pub(crate) is_furnished: bool,
    alive: BTreeSet<Conn>,
    leader: Option<Conn>,
    tags: u64,
    until: BTreeMap<Trouble, Duration>,
    stirred: BTreeSet<Name>,
    /// Jobs that may run once more: their placement was duplicated, or the report of their run was
    /// confirmed and dropped.
    pub(crate) excused: Vec<JobId>,
    /// The wills that are held, and those whose links have ended.
    held_wills: BTreeMap<(WorkerId, u32), Will>,
    pub(crate) came_back: Vec<Will>,
}

impl Broker {
    pub(crate) fn trouble(&mut self, trouble: Trouble, until: Duration) {
        self.until.insert(trouble, until);
    }

    pub(crate) fn has(&self, trouble: Trouble, now: Duration) -> bool {
        self.until.get(&trouble).is_some_and(|until| now < *until)
    }

    pub(crate) fn connect(&mut self, conn: Conn) {
        self.alive.insert(conn);
    }

    pub(crate) fn is_alive(&self, conn: Conn) -> bool {
        self.alive.contains(&conn)
    }

    pub(crate) fn all_alive(&self) -> Vec<Conn> {
        self.alive.iter().copied().collect()
    }

    /// A link is gone: its exclusive queues are deleted, and what it has not acked is requeued.
    pub(crate) fn close(&mut self, conn: Conn, now: Duration) {
        self.alive.remove(&conn);
        self.leader.take_if(|leader| *leader == conn);
        let held_wills = &mut self.held_wills;
        let mut ends = |name: &Name| match name {
            Name::Worker(worker, generation) => held_wills.remove(&(*worker, *generation)),
            _ => None,
        };
        let gone = self.queues.iter().filter(|(name, queue)| name.is_of(conn, queue));
        self.came_back.extend(gone.filter_map(|(name, _)| ends(name)).collect::<Vec<_>>());
        self.queues.retain(|name, queue| !name.is_of(conn, queue));
        for (name, queue) in &mut self.queues {
            let (gone, rest): (Vec<_>, Vec<_>) =
                std::mem::take(&mut queue.consumers).into_iter().partition(|it| it.conn == conn);
            queue.consumers = rest;
            let back: BTreeMap<u64, Letter> = gone.into_iter().flat_map(|it| it.unacked).collect();
            for (_, letter) in back.into_iter().rev() {
                queue.letters.push_front(Letter { redelivered: true, ..letter });
            }
            if queue.consumers.is_empty() {
                queue.unused = queue.unused.max(now);
            }
            self.stirred.insert(*name);
        }
    }

    pub(crate) fn restart(&mut self, left: Left, now: Duration) {
        for conn in self.all_alive() {
            self.close(conn, now);
        }
        // Nor does a will survive it: what is transient is gone.
        self.came_back.clear();
        match left {
            Left::All => {}
            Left::Queues => self.queues.values_mut().for_each(|queue| queue.letters.clear()),
            Left::Nothing => (self.queues, self.is_furnished) = (BTreeMap::new(), false),
        }
    }

    pub(crate) fn declare(&mut self, name: Name, now: Duration) {
        self.queues.entry(name).or_insert_with(|| Queue { unused: now, ..Queue::default() });
    }

    /// Takes the lock of the active distributor, if nobody has it.
    pub(crate) fn claim(&mut self, conn: Conn) -> bool {
        let free = self.leader.is_none();
        self.leader.get_or_insert(conn);
        free
    }

    /// Whether there is such a queue.
    pub(crate) fn consume(&mut self, conn: Conn, name: Name, number: u8, prefetch: usize) -> bool {
        let Some(queue) = self.queues.get_mut(&name) else { return false };
        let unacked = BTreeMap::new();
        queue.consumers.push(Consumer { conn, number, prefetch, cancelled: false, unacked });
        self.stirred.insert(name);
        true
    }

    /// What was delivered may still be acked.
    pub(crate) fn cancel(&mut self, conn: Conn, number: u8) {
        let all = self.queues.values_mut().flat_map(|queue| &mut queue.consumers);
        all.filter(|it| (it.conn, it.number) == (conn, number)).for_each(|it| it.cancelled = true);
    }

    pub(crate) fn publish(
        &mut self,
        route: Route,
        (user, body): (UserName, Body),
        now: Duration,
        random: &mut Random,
    ) -> Outcome {
        if self.has(Trouble::Refuses, now) && random.once_in(2) {
            return Outcome::Refused;
        }
        if let (Route::Will(worker, generation), Body::Will(will)) = (route, &body) {
            if self.queues.contains_key(&Name::Worker(worker, generation)) {
                self.held_wills.insert((worker, generation), *will);
            } else {
                self.came_back.push(*will);
            }
            return Outcome::Confirmed;
        }
        if let Route::To(name) = route {
            let is_old = |queue: &Queue| {
                let unused = matches!(name, Name::Client(..)) && queue.consumers.is_empty();
                unused && now >= queue.unused + CLIENT_EXPIRES
            };
            if self.queues.get(&name).is_none_or(is_old) {
                self.queues.remove(&name);
                return Outcome::Returned;
            }
        }
        let hidden = route == Route::Presence && self.has(Trouble::HidesPresence, now);
        let (loses, doubles) = (self.has(Trouble::Loses, now), self.has(Trouble::Doubles, now));
        for (name, queue) in self.queues.iter_mut().filter(|(name, _)| route.reaches(name)) {
            let copies = match () {
                () if hidden || loses && random.once_in(4) => 0,
                () if doubles && random.once_in(4) => 2,
                () => 1,
            };
            match (copies, &body) {
                (2, Body::Place(place)) => {
                    self.excused.extend(place.jobs.iter().map(|job| job.key.id));
                }
                (0, Body::Worker(FromWorker::Started(started))) if route != Route::Beats => {
                    self.excused.extend(started.jobs.iter().map(|job| job.key.id));
                }
                (0, Body::Worker(FromWorker::Answers(answers))) => {
                    self.excused.extend(answers.jobs.iter().map(|job| job.key.id));
                }
                _ => {}
            }
            for _ in 0..copies {
                let (user, body) = (user.clone(), body.clone());
                queue.letters.push_back(Letter { user, body, redelivered: false, came: now });
            }
            let most = match name {
                Name::Presence(_) => 16,
                Name::ClientPresence(_) => 1,
                _ => usize::MAX,
            };
            while queue.letters.len() > most {
                queue.letters.pop_front();
            }
            self.stirred.insert(*name);
        }
        Outcome::Confirmed
    }

    pub(crate) fn ack(&mut self, conn: Conn, tag: u64) {
        for (name, queue) in &mut self.queues {
            for consumer in queue.consumers.iter_mut().filter(|it| it.conn == conn) {
                if consumer.unacked.remove(&tag).is_some() {
                    self.stirred.insert(*name);
                    return;
                }
            }
        }
    }

    /// Takes one message out, as `basic.get` does.
    pub(crate) fn get(&mut self, name: Name) -> Option<Letter> {
        self.queues.get_mut(&name)?.letters.pop_front()
    }

    /// Silently drops everything that waits for workers.
    pub(crate) fn purge_pools(&mut self) {
        let pools = self.queues.iter_mut().filter(|(name, _)| matches!(name, Name::Pool(_)));
        pools.for_each(|(_, queue)| queue.letters.clear());
    }

    /// The number of waiting messages; `None` if there is no such queue.
    pub(crate) fn depth(&mut self, name: Name, now: Duration) -> Option<u32> {
        let queue = self.queues.get_mut(&name)?;
        queue.expire(name, now);
        u32::try_from(queue.letters.len()).ok()
    }

    /// Delivers whatever can be delivered.
    pub(crate) fn hand_out(&mut self, now: Duration) -> Vec<Handed> {
        let mut handed = vec![];
        for name in std::mem::take(&mut self.stirred) {
            let Some(queue) = self.queues.get_mut(&name) else { continue };
            queue.expire(name, now);
            while !queue.letters.is_empty() {
                let count = queue.consumers.len();
                let free = (0..count).map(|step| (queue.turn + step) % count).find(|place| {
                    let consumer = &queue.consumers[*place];
                    !consumer.cancelled && consumer.unacked.len() < consumer.prefetch
                });
                let Some(place) = free else { break };
                let Some(letter) = queue.letters.pop_front() else { break };
                queue.turn = place + 1;
                self.tags += 1;
                let (tag, it) = (self.tags, &mut queue.consumers[place]);
                it.unacked.insert(tag, letter.clone());
                let (conn, consumer) = (it.conn, it.number);
                handed.push(Handed { conn, queue: name, consumer, tag, letter });
            }
        }
        handed
    }
}

impl Queue {
    fn expire(&mut self, name: Name, now: Duration) {
        if matches!(name, Name::Submissions | Name::ClientControl) {
            while self.letters.pop_front_if(|it| now >= it.came + LEADER_QUEUE_TTL).is_some() {}
        }
    }
}

impl Name {
    /// Whether the queue is deleted with this link.
    fn is_of(&self, conn: Conn, queue: &Queue) -> bool {
        match self {
            Self::Beats(of) | Self::Presence(of) | Self::Wills(of) | Self::ClientPresence(of) => {
                *of == conn
            }
            Self::Worker(..) => queue.consumers.iter().any(|it| it.conn == conn),
            Self::Submissions | Self::ClientControl | Self::Answers => false,
            Self::Pool(_) | Self::Client(..) => false,
        }
    }
}

impl Route {
    fn reaches(self, name: &Name) -> bool {
        match self {
            Self::To(to) => to == *name,
            Self::Beats => matches!(name, Name::Beats(_)),
            Self::Presence => matches!(name, Name::Presence(_) | Name::ClientPresence(_)),
            Self::Will(..) => false,
            Self::Wills => matches!(name, Name::Wills(_)),
        }
    }
}
