//! Two distributors, two clients, a few workers and a broker on virtual time. Everything random
//! comes from the seed.

mod faults;
mod shell;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use simple_dist_core::scheduler::{Config, Event, Scheduler, TICK, Token};
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{FromClient, FromWorker};
use simple_dist_protocol::{ClientId, DistributorId, JobId, Term, WorkerId};

use crate::broker::{Body, Broker, Conn, Handed, Name};
use crate::client::{Client, Send};
use crate::worker::{Said, Step, Want, Worker};

pub(crate) const DISTRIBUTORS: usize = 2;
pub(crate) const WORKERS: usize = 3;
pub(crate) const CLIENTS: usize = 2;

/// A process, by its kind and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Distributor(usize),
    Worker(usize),
    Client(usize),
}

/// Who finds out about a cut at once; the other side does after two or three heartbeats.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    Both,
    Broker,
    Process,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Kill(Who),
    Cut(Who, Cut),
    Freeze(Who, Duration),
    Restart {
        keeps_messages: bool,
        down: Duration,
    },
    LosePresence(Duration),
    /// Whatever waits in the pools' queues is dropped without a word.
    Purge,
}

#[derive(Debug)]
pub(crate) enum What {
    Arrive(Handed),
    Settled { conn: Conn, mark: Mark, outcome: Outcome },
    Fed { conn: Conn, event: Event },
    BrokerNotices(Conn),
    ProcessNotices(Conn),
    Connect(Who, u64),
    Begin(Who, u64),
    Thaw(Who, u64),
    Tick(usize, u64),
    Claim(usize, u64),
    Beat(usize, u64),
    Due(usize),
    RunEnds { worker: usize, life: u64, number: u64 },
    Dies { worker: usize, life: u64 },
    Call { client: usize, job: JobId, time: Duration },
    Cancel { client: usize, job: JobId },
    Fault(Fault),
}

/// What a publisher waits to hear about.
#[derive(Debug, Clone)]
pub(crate) enum Mark {
    Token(Token),
    InHand(u64),
    Submitted(Vec<JobId>),
}

/// A process's side of things.
#[derive(Debug, Default)]
pub(crate) struct Line {
    conn: Option<Conn>,
    generation: u32,
    /// A process that begins again lives another life; what was meant for the last one is lost.
    life: u64,
    frozen: bool,
    /// What comes to a frozen process waits for it.
    waiting: Vec<What>,
}

pub(crate) struct World {
    pub(crate) now: Duration,
    agenda: BinaryHeap<Reverse<(Duration, u64)>>,
    events: BTreeMap<u64, What>,
    count: u64,
    random: u64,
    pub(crate) broker: Broker,
    broker_up: Duration,
    presence_lost_until: Duration,
    lines: BTreeMap<Who, Line>,
    /// Nothing overtakes on one queue of one connection.
    arrivals: BTreeMap<(Conn, Option<Name>), Duration>,
    pub(crate) ledgers: Vec<Scheduler>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) clients: Vec<Client>,
    /// Jobs that kill whoever runs them.
    pub(crate) killers: Vec<JobId>,
    /// Executions of each job, by when they began.
    pub(crate) runs: BTreeMap<JobId, Vec<Duration>>,
    /// When terms began.
    pub(crate) terms: Vec<Duration>,
    ids: u128,
    pub(crate) trace: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let clients =
            (0..CLIENTS).map(|n| Client::new(ClientId::from_u128(n as u128 + 1))).collect();
        let mut world = Self {
            now: Duration::ZERO,
            agenda: BinaryHeap::new(),
            events: BTreeMap::new(),
            count: 0,
            random: seed,
            broker: Broker::default(),
            broker_up: Duration::ZERO,
            presence_lost_until: Duration::ZERO,
            lines: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            ledgers: vec![],
            workers: vec![],
            clients,
            killers: vec![],
            runs: BTreeMap::new(),
            terms: vec![],
            ids: 0,
            trace: None,
        };
        for n in 0..DISTRIBUTORS {
            world.ledgers.push(Scheduler::new(Config::new(DistributorId::from_u128(n as u128))));
            world.begin(Who::Distributor(n));
        }
        for n in 0..WORKERS {
            world.workers.push(Worker::new(WorkerId::from_u128(0), 1));
            world.begin(Who::Worker(n));
        }
        for n in 0..CLIENTS {
            world.begin(Who::Client(n));
            world.at(Duration::ZERO, What::Due(n));
        }
        world
    }

    /// A random number below `below`.
    pub(crate) fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.random(to - from))
    }

    pub(crate) fn at(&mut self, time: Duration, what: What) {
        self.count += 1;
        self.agenda.push(Reverse((time.max(self.now), self.count)));
        self.events.insert(self.count, what);
    }

    fn after(&mut self, span: Duration, what: What) {
        self.at(self.now + span, what);
    }

    /// Runs until that time.
    pub(crate) fn run(&mut self, until: Duration) {
        while let Some(Reverse((time, number))) = self.agenda.peek().copied() {
            if time > until {
                break;
            }
            self.agenda.pop();
            self.now = time;
            let what = self.events.remove(&number).unwrap();
            if let Some(trace) = &mut self.trace
                && !matches!(what, What::Tick(..) | What::Due(_) | What::Claim(..))
            {
                trace.push(format!("{:8.3} {what:?}", time.as_secs_f64()));
            }
            self.happen(what);
            for handed in self.broker.hand_out() {
                let time = self.on_its_way(handed.conn, Some(handed.queue));
                self.at(time, What::Arrive(handed));
            }
        }
        self.now = until;
    }

    /// When something sent now arrives, after whatever was sent before on the same way.
    fn on_its_way(&mut self, conn: Conn, queue: Option<Name>) -> Duration {
        let time = self.now + self.millis(1, 8);
        let last = self.arrivals.entry((conn, queue)).or_default();
        *last = time.max(*last);
        *last
    }

    fn happen(&mut self, what: What) {
        if let Some(who) = self.concerns(&what)
            && let Some(line) = self.lines.get_mut(&who)
            && line.frozen
        {
            line.waiting.push(what);
            return;
        }
        match what {
            What::Arrive(handed) => self.arrive(handed),
            What::Settled { conn, mark, outcome } => self.settled(conn, mark, outcome),
            What::Fed { conn, event } => {
                if let Some(Who::Distributor(n)) = self.owner(conn) {
                    self.feed(n, event);
                }
            }
            What::BrokerNotices(conn) => self.broker.close(conn),
            What::ProcessNotices(conn) => self.link_down(conn),
            What::Connect(who, life) => self.connect(who, life),
            What::Begin(who, life) if self.lives(who, life) => self.begin(who),
            What::Thaw(who, life) => self.thaw(who, life),
            What::Tick(n, life) if self.lives(Who::Distributor(n), life) => {
                self.feed(n, Event::Tick);
                self.after(TICK, What::Tick(n, life));
            }
            What::Claim(n, life) if self.lives(Who::Distributor(n), life) => self.claim(n, life),
            What::Beat(n, life) if self.lives(Who::Worker(n), life) => {
                self.beat(n);
                self.after(Duration::from_secs(1), What::Beat(n, life));
            }
            What::RunEnds { worker, life, number } if self.lives(Who::Worker(worker), life) => {
                let wants = self.workers[worker].ran(number);
                self.want(worker, wants);
            }
            What::Dies { worker, life } if self.lives(Who::Worker(worker), life) => {
                self.kill(Who::Worker(worker));
            }
            What::Begin(..)
            | What::Tick(..)
            | What::Claim(..)
            | What::Beat(..)
            | What::RunEnds { .. }
            | What::Dies { .. } => {}
            What::Due(n) => {
                let sends = self.clients[n].due(self.now);
                self.send(n, sends);
                self.after(Duration::from_millis(50), What::Due(n));
            }
            What::Call { client, job, time } => self.clients[client].call(job, time, self.now),
            What::Cancel { client, job } => {
                let send = self.clients[client].cancel(job, self.now);
                self.send(client, send);
            }
            What::Fault(fault) => self.fault(fault),
        }
    }

    /// The process that must be awake for this.
    fn concerns(&self, what: &What) -> Option<Who> {
        match what {
            What::Arrive(handed) => self.owner(handed.conn),
            What::Settled { conn, .. } | What::Fed { conn, .. } | What::ProcessNotices(conn) => {
                self.owner(*conn)
            }
            What::Tick(n, _) | What::Claim(n, _) => Some(Who::Distributor(*n)),
            What::Beat(n, _) => Some(Who::Worker(*n)),
            What::RunEnds { worker, .. } | What::Dies { worker, .. } => Some(Who::Worker(*worker)),
            What::Connect(who, _) => Some(*who),
            What::BrokerNotices(_)
            | What::Begin(..)
            | What::Thaw(..)
            | What::Due(_)
            | What::Call { .. }
            | What::Cancel { .. }
            | What::Fault(_) => None,
        }
    }

    fn owner(&self, conn: Conn) -> Option<Who> {
        self.lines.iter().find(|(_, line)| line.conn == Some(conn)).map(|(who, _)| *who)
    }

    fn lives(&self, who: Who, life: u64) -> bool {
        self.lines[&who].life == life
    }

    fn line(&mut self, who: Who) -> &mut Line {
        self.lines.entry(who).or_default()
    }

    /// A process begins.
    fn begin(&mut self, who: Who) {
        let life = self.line(who).life;
        match who {
            Who::Distributor(n) => {
                self.ids += 1;
                let id = DistributorId::from_u128(self.ids);
                self.ledgers[n] = Scheduler::new(Config::new(id));
                self.at(self.now, What::Tick(n, life));
                let claims = self.millis(0, 1000);
                self.after(claims, What::Claim(n, life));
            }
            Who::Worker(n) => {
                self.ids += 1;
                let slots = 1 + u32::try_from(self.random(2)).unwrap();
                self.workers[n] = Worker::new(WorkerId::from_u128(self.ids), slots);
                let beats = self.millis(0, 1000);
                self.after(beats, What::Beat(n, life));
            }
            Who::Client(_) => {}
        }
        self.at(self.now, What::Connect(who, life));
    }

    fn connect(&mut self, who: Who, life: u64) {
        if !self.lives(who, life) || self.line(who).conn.is_some() {
            return;
        }
        if self.now < self.broker_up {
            let again = self.millis(100, 1000);
            return self.after(again, What::Connect(who, life));
        }
        let conn = self.broker.connect();
        let line = self.line(who);
        line.conn = Some(conn);
        line.generation += 1;
        let generation = line.generation;
        match who {
            Who::Distributor(n) => {
                for name in [Name::Beats(conn), Name::Presence(conn)] {
                    self.broker.declare(name, Some(conn));
                    self.broker.consume(conn, name, 1000);
                }
                self.feed(n, Event::LinkUp);
            }
            Who::Worker(n) => {
                let name = Name::Worker(self.workers[n].id, generation);
                self.broker.declare(name, Some(conn));
                self.broker.consume(conn, name, 1000);
                let wants = self.workers[n].link_up(generation);
                self.want(n, wants);
                self.beat(n);
            }
            Who::Client(n) => {
                let name = Name::Client(self.clients[n].id, generation);
                self.broker.declare(name, None);
                self.broker.consume(conn, name, 1000);
                self.broker.declare(Name::Presence(conn), Some(conn));
                self.broker.consume(conn, Name::Presence(conn), 1000);
                self.clients[n].link_up(generation);
            }
        }
    }

    /// A process finds its connection gone.
    fn link_down(&mut self, conn: Conn) {
        let Some(who) = self.owner(conn) else { return };
        let line = self.line(who);
        line.conn = None;
        let life = line.life;
        match who {
            Who::Distributor(n) => self.feed(n, Event::LinkDown),
            Who::Worker(n) => self.workers[n].link_down(),
            Who::Client(_) => {}
        }
        let again = self.millis(10, 800);
        self.after(again, What::Connect(who, life));
    }

    fn claim(&mut self, n: usize, life: u64) {
        let conn = self.line(Who::Distributor(n)).conn;
        if let Some(conn) = conn
            && self.ledgers[n].term().is_none()
            && self.broker.claim_leader(conn)
        {
            for name in [Name::Submissions, Name::ClientControl, Name::Answers] {
                self.broker.declare(name, None);
                self.broker.consume(conn, name, 1000);
            }
            let term = Term(self.random(u64::MAX));
            self.terms.push(self.now);
            self.feed(n, Event::Leading { term });
        }
        self.after(Duration::from_secs(1), What::Claim(n, life));
    }

    fn beat(&mut self, n: usize) {
        let Some(conn) = self.line(Who::Worker(n)).conn else { return };
        let beat = self.workers[n].beat(self.now);
        let body = Body::FromWorker(FromWorker::Beat(beat));
        self.broker.fan_out(conn, |name| matches!(name, Name::Beats(_)), &body);
    }

    fn arrive(&mut self, handed: Handed) {
        let Handed { conn, tag, body, redelivered, .. } = handed;
        let Some(who) = self.owner(conn) else { return };
        match who {
            Who::Distributor(n) => {
                self.broker.ack(conn, tag);
                self.hear(n, body);
            }
            Who::Client(n) => {
                self.broker.ack(conn, tag);
                match body {
                    Body::Deliveries(deliveries) => {
                        for delivery in deliveries.jobs {
                            let send = self.clients[n].delivered(delivery, self.now);
                            self.send(n, send);
                        }
                    }
                    Body::Presence(presence) => self.clients[n].seen(&presence),
                    other => panic!("not for a client: {other:?}"),
                }
            }
            Who::Worker(n) => match body {
                Body::Place(place) => {
                    let unwilling = self.random(40) == 0;
                    let worker = &mut self.workers[n];
                    let wants = worker.placed(place, (tag, redelivered, unwilling), self.now);
                    self.want(n, wants);
                }
                Body::Control(control) => {
                    self.broker.ack(conn, tag);
                    let wants = self.workers[n].told(&control);
                    self.want(n, wants);
                }
                other => panic!("not for a worker: {other:?}"),
            },
        }
    }

    fn publish(&mut self, conn: Conn, name: Name, body: Body, mark: Mark) {
        if let Some(outcome) = self.broker.publish(conn, name, body) {
            let time = self.on_its_way(conn, None);
            self.at(time, What::Settled { conn, mark, outcome });
        }
    }

    fn settled(&mut self, conn: Conn, mark: Mark, outcome: Outcome) {
        match (self.owner(conn), mark) {
            (Some(Who::Distributor(n)), Mark::Token(token)) => {
                self.feed(n, Event::Settled { tokens: vec![token], outcome });
            }
            (Some(Who::Worker(n)), Mark::InHand(number)) => {
                if outcome == Outcome::Confirmed {
                    let wants = self.workers[n].confirmed(number);
                    self.want(n, wants);
                } else {
                    // No distributor was ever here: its link is torn down and tried again.
                    self.broker.close(conn);
                    self.link_down(conn);
                }
            }
            (Some(Who::Client(n)), Mark::Submitted(jobs)) => {
                self.clients[n].settled(&jobs, outcome == Outcome::Confirmed);
            }
            (_, _) => {}
        }
    }

    fn want(&mut self, n: usize, wants: Vec<Want>) {
        let (conn, life) = (self.line(Who::Worker(n)).conn, self.lines[&Who::Worker(n)].life);
        for want in wants {
            match (want, conn) {
                (Want::Run(number), _) => self.run_job(n, life, number),
                (Want::Say(said, number), Some(conn)) => {
                    let message = match said {
                        Said::Answers(answers) => FromWorker::Answers(answers),
                        Said::Started(started) => FromWorker::Started(started),
                    };
                    let body = Body::FromWorker(message);
                    self.publish(conn, Name::Answers, body, Mark::InHand(number));
                }
                (Want::Ack(tag), Some(conn)) => self.broker.ack(conn, tag),
                (Want::Consume(pool), Some(conn)) => {
                    let slots = self.workers[n].slots as usize;
                    self.broker.consume(conn, Name::Pool(pool), slots);
                }
                (Want::Say(..) | Want::Ack(_) | Want::Consume(_), None) => {}
            }
        }
    }

    fn run_job(&mut self, worker: usize, life: u64, number: u64) {
        let job = self.workers[worker].in_hand[&number].key.id;
        assert_eq!(self.workers[worker].in_hand[&number].step, Step::Runs);
        self.runs.entry(job).or_default().push(self.now);
        if self.killers.contains(&job) {
            let dies = self.millis(1, 500);
            self.after(dies, What::Dies { worker, life });
        } else {
            let long = self.random(4) == 0;
            let ends = if long { self.millis(500, 6000) } else { self.millis(1, 50) };
            self.after(ends, What::RunEnds { worker, life, number });
        }
    }

    fn send(&mut self, n: usize, sends: impl IntoIterator<Item = Send>) {
        for Send { message, jobs } in sends {
            let Some(conn) = self.line(Who::Client(n)).conn else { return };
            let name = match message {
                FromClient::Submit(_) => Name::Submissions,
                FromClient::Cancel(_)
                | FromClient::Ask(_)
                | FromClient::Noted(_)
                | FromClient::Report(_) => Name::ClientControl,
            };
            self.publish(conn, name, Body::FromClient(message), Mark::Submitted(jobs));
        }
    }
}
