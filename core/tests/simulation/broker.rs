//! A broker as the scheduler's world needs it: queues, consumers with a prefetch, acks, redelivery,
//! exclusive queues, confirms and returns. Whatever was unacked on a connection that the broker
//! finds gone is handed out again, flagged.

use std::collections::{BTreeMap, VecDeque};

use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{Control, Deliveries, FromClient, FromWorker, Place, Presence};
use simple_dist_protocol::{ClientId, PoolId, WorkerId};

/// A connection, as the broker numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Conn(pub(crate) u64);

/// A queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Submissions,
    ClientControl,
    Answers,
    Pool(PoolId),
    Client(ClientId, u32),
    /// Exclusive.
    Worker(WorkerId, u32),
    /// Exclusive: a distributor's beats.
    Beats(Conn),
    /// Exclusive: anybody's presence.
    Presence(Conn),
}

/// A message.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    FromClient(FromClient),
    FromWorker(FromWorker),
    Place(Place),
    Deliveries(Deliveries),
    Control(Control),
    Presence(Presence),
}

/// A message on its way to a consumer.
#[derive(Debug, Clone)]
pub(crate) struct Handed {
    pub(crate) conn: Conn,
    pub(crate) queue: Name,
    pub(crate) tag: u64,
    pub(crate) body: Body,
    pub(crate) redelivered: bool,
}

#[derive(Debug, Default)]
struct Queue {
    exclusive: Option<Conn>,
    messages: VecDeque<(Body, bool)>,
    consumers: Vec<Consumer>,
    turn: usize,
}

#[derive(Debug)]
struct Consumer {
    conn: Conn,
    prefetch: usize,
    unacked: BTreeMap<u64, Body>,
}

#[derive(Debug, Default)]
pub(crate) struct Broker {
    queues: BTreeMap<Name, Queue>,
    alive: Vec<Conn>,
    leader: Option<Conn>,
    conns: u64,
    tags: u64,
}

impl Broker {
    pub(crate) fn connect(&mut self) -> Conn {
        self.conns += 1;
        self.alive.push(Conn(self.conns));
        Conn(self.conns)
    }

    pub(crate) fn is_alive(&self, conn: Conn) -> bool {
        self.alive.contains(&conn)
    }

    /// The broker finds a connection gone.
    pub(crate) fn close(&mut self, conn: Conn) {
        self.alive.retain(|alive| *alive != conn);
        if self.leader == Some(conn) {
            self.leader = None;
        }
        self.queues.retain(|_, queue| queue.exclusive != Some(conn));
        for queue in self.queues.values_mut() {
            let (gone, rest) =
                std::mem::take(&mut queue.consumers).into_iter().partition(|c| c.conn == conn);
            queue.consumers = rest;
            let gone: Vec<Consumer> = gone;
            for (_, body) in gone.into_iter().flat_map(|consumer| consumer.unacked).rev() {
                queue.messages.push_front((body, true));
            }
        }
    }

    /// Every connection is gone, and maybe every message.
    pub(crate) fn restart(&mut self, keeps_messages: bool) {
        for conn in self.alive.clone() {
            self.close(conn);
        }
        if !keeps_messages {
            for queue in self.queues.values_mut() {
                queue.messages.clear();
            }
        }
    }

    pub(crate) fn declare(&mut self, name: Name, exclusive: Option<Conn>) {
        self.queues.entry(name).or_default().exclusive = exclusive;
    }

    pub(crate) fn claim_leader(&mut self, conn: Conn) -> bool {
        let free = self.leader.is_none() && self.is_alive(conn);
        if free {
            self.leader = Some(conn);
        }
        free
    }

    pub(crate) fn consume(&mut self, conn: Conn, name: Name, prefetch: usize) {
        if let Some(queue) = self.queues.get_mut(&name).filter(|_| self.alive.contains(&conn)) {
            queue.consumers.push(Consumer { conn, prefetch, unacked: BTreeMap::new() });
        }
    }

    /// None if the connection is gone, and nobody will ever say what became of the message.
    pub(crate) fn publish(&mut self, conn: Conn, name: Name, body: Body) -> Option<Outcome> {
        if !self.is_alive(conn) {
            return None;
        }
        Some(match self.queues.get_mut(&name) {
            Some(queue) => {
                queue.messages.push_back((body, false));
                Outcome::Confirmed
            }
            None => Outcome::Returned,
        })
    }

    /// To every queue of a kind.
    pub(crate) fn fan_out(&mut self, conn: Conn, to: fn(&Name) -> bool, body: &Body) {
        if self.is_alive(conn) {
            for (_, queue) in self.queues.iter_mut().filter(|(name, _)| to(name)) {
                queue.messages.push_back((body.clone(), false));
            }
        }
    }

    pub(crate) fn ack(&mut self, conn: Conn, tag: u64) {
        for queue in self.queues.values_mut() {
            for consumer in queue.consumers.iter_mut().filter(|consumer| consumer.conn == conn) {
                consumer.unacked.remove(&tag);
            }
        }
    }

    /// What waited there, with whether it may have been handed out before.
    pub(crate) fn purge(&mut self, name: Name) -> Vec<(Body, bool)> {
        let queue = self.queues.get_mut(&name);
        queue.map(|queue| queue.messages.drain(..).collect()).unwrap_or_default()
    }

    pub(crate) fn purge_pools(&mut self) {
        for (name, queue) in &mut self.queues {
            if matches!(name, Name::Pool(_)) {
                queue.messages.clear();
            }
        }
    }

    pub(crate) fn depth(&self, name: Name) -> Option<u32> {
        self.queues.get(&name).map(|queue| u32::try_from(queue.messages.len()).unwrap())
    }

    /// Hands out whatever can be handed out.
    pub(crate) fn hand_out(&mut self) -> Vec<Handed> {
        let mut handed = vec![];
        for (name, queue) in &mut self.queues {
            while !queue.messages.is_empty() {
                let count = queue.consumers.len();
                let free = (0..count).map(|step| (queue.turn + step) % count).find(|index| {
                    let consumer = &queue.consumers[*index];
                    consumer.unacked.len() < consumer.prefetch
                });
                let Some(index) = free else { break };
                queue.turn = index + 1;
                let Some((body, redelivered)) = queue.messages.pop_front() else { break };
                self.tags += 1;
                let consumer = &mut queue.consumers[index];
                consumer.unacked.insert(self.tags, body.clone());
                handed.push(Handed {
                    conn: consumer.conn,
                    queue: *name,
                    tag: self.tags,
                    body,
                    redelivered,
                });
            }
        }
        handed
    }
}
