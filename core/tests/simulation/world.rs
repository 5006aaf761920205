//! Processes, their links and a broker, in virtual time.

mod checks;
mod faults;
mod links;

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_protocol::{Address, UserName, WorkerId};

use crate::broker::{Body, Broker, Conn, Handed, Name, Route, Trouble, Will};
use crate::judge::Judge;
use crate::publisher::{Item, Publisher};
use crate::random::{Random, Span};
use crate::script::{Action, POOLS, Script, Who};
use crate::shells::client::Client;
use crate::shells::distributor::Distributor;
use crate::shells::worker::Worker;
use crate::shells::{Act, Alarm, CONTROL, Down, Happening, JOBS, Site, Up};

/// How long a link waits until it connects again.
const BACKOFF: Span = (50, 1000);
/// How long until somebody starts a process again.
const RESTART: Span = (300, 4000);

/// An event anywhere.
#[derive(Debug)]
enum What {
    AtBroker(Conn, Up),
    AtProcess(Conn, Down),
    BrokerFinds(Conn),
    ProcessFinds(Conn),
    Connects(Who, u64),
    Begins(Who, u64),
    Thaws(Who, u64),
    Alarm(Who, u64, Alarm),
    Resumes(Who, u64),
    Unblocks,
    WillComes(Will),
    Action(usize),
    Looks,
}

#[derive(Debug)]
enum Machine {
    Distributor(Box<Distributor>),
    Worker(Box<Worker>),
    Client(Box<Client>),
}

#[derive(Debug)]
struct Process {
    label: String,
    machine: Machine,
    /// A restarted process has a new life; events for an earlier one are dropped.
    life: u64,
    is_alive: bool,
    began: Duration,
    frozen: Option<Duration>,
    /// How long it has been frozen in total.
    slept: Duration,
    /// Events that arrive while it is frozen.
    waiting: Vec<What>,
    slow_until: Duration,
    conn: Option<Conn>,
    generation: u32,
    blocked: bool,
    lanes: [Publisher; 2],
}

/// Messages in transit on a link. Nothing overtakes on one connection in one direction.
#[derive(Debug)]
struct Wire {
    who: Who,
    is_cut: bool,
    hop: [Span; 2],
    last: [Duration; 4],
}

const PUBLISHING: usize = 0;
const CONSUMING: usize = 1;

pub(crate) struct World {
    pub(crate) now: Duration,
    agenda: BTreeMap<(Duration, u64), What>,
    count: u64,
    random: Random,
    script: Script,
    broker: Broker,
    processes: Vec<Process>,
    wires: Vec<Wire>,
    /// What was published while the broker blocked publishers.
    stalled: Vec<(Conn, Up)>,
    ids: u128,
    pub(crate) judge: Judge,
    idle: checks::Idle,
}

impl World {
    pub(crate) fn new(script: Script) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            agenda: BTreeMap::new(),
            count: 0,
            random: Random(script.seed ^ 0x5eed),
            broker: Broker::default(),
            processes: vec![],
            wires: vec![],
            stalled: vec![],
            ids: 0,
            judge: Judge::new(&script),
            idle: checks::Idle::default(),
            script,
        };
        let (workers, clients) = (world.script.workers.len(), world.script.clients.len());
        for who in 0..world.script.distributors + workers + clients {
            let machine = world.machine(who);
            world.processes.push(Process::new(who, machine));
            world.push(Duration::ZERO, What::Begins(who, 0));
        }
        for place in 0..world.script.actions.len() {
            world.push(world.script.actions[place].0, What::Action(place));
        }
        world.push(checks::EVERY, What::Looks);
        world
    }

    /// Runs until everything is done, or a promise is broken.
    pub(crate) fn run(&mut self) {
        while self.judge.broken.is_none()
            && let Some(((time, _), what)) = self.agenda.pop_first()
        {
            self.now = time;
            self.judge.now = time;
            if matches!(what, What::Looks) && self.looks() {
                break;
            }
            self.step(what);
            self.wills_come_back();
            for handed in self.broker.hand_out(self.now) {
                let Handed { conn, queue, consumer, tag, letter } = handed;
                self.send_down(conn, CONSUMING, Down::Delivery { queue, consumer, tag, letter });
            }
        }
    }

    fn push(&mut self, time: Duration, what: What) {
        self.count += 1;
        self.agenda.insert((time.max(self.now), self.count), what);
    }

    fn after(&mut self, span: Duration, what: What) {
        self.push(self.now + span, what);
    }

    fn step(&mut self, what: What) {
        if let Some(who) = self.concerns(&what)
            && self.processes[who].frozen.is_some()
        {
            return self.processes[who].waiting.push(what);
        }
        self.tell(&what);
        match what {
            What::AtBroker(conn, up) => self.at_broker(conn, up),
            What::AtProcess(conn, down) => self.at_process(conn, down),
            What::BrokerFinds(conn) => self.broker.close(conn, self.now),
            What::WillComes(will) => self.will_comes(will),
            What::ProcessFinds(conn) => self.link_down(conn),
            What::Connects(who, life) => self.connect(who, life),
            What::Begins(who, life) => self.begin(who, life),
            What::Thaws(who, life) => self.thaw(who, life),
            What::Alarm(who, life, alarm) if self.processes[who].life == life => {
                self.alarm(who, alarm);
            }
            What::Alarm(..) => {}
            What::Resumes(who, life) => self.drain(who, life, false),
            What::Unblocks => self.unblock(),
            What::Action(place) => match self.script.actions[place].1.clone() {
                Action::Call(client, call) => {
                    let who = self.client(client);
                    if self.processes[who].is_alive {
                        self.judge.called(who, call.clone(), self.processes[who].slept);
                        self.happens(who, Happening::Called(call));
                    }
                }
                Action::Drop(client, id) => {
                    let who = self.client(client);
                    if self.judge.cases.get(&id).is_some_and(|case| !case.is_over) {
                        self.happens(who, Happening::Dropped(id));
                    }
                }
                Action::Fault(fault) => self.fault(fault),
            },
            What::Looks => self.after(checks::EVERY, What::Looks),
        }
    }

    /// Tells a step, unless it is one of those that happen all the time.
    fn tell(&mut self, what: &What) {
        let is_usual = match what {
            What::Alarm(_, _, Alarm::LocalEnds(_) | Alarm::Ran(_)) => false,
            What::Alarm(..) => true,
            What::AtBroker(_, up) => match up {
                Up::Ack(_) | Up::Depth { .. } | Up::Claim => true,
                Up::Publish { item, .. } => item.body.is_usual(),
                _ => false,
            },
            What::AtProcess(_, Down::Delivery { letter, .. }) => letter.body.is_usual(),
            What::AtProcess(_, Down::Confirm { lane, .. }) => *lane == CONTROL,
            What::AtProcess(_, Down::Claimed(false) | Down::Depth { .. }) => true,
            What::Looks => true,
            _ => false,
        };
        if !is_usual && self.judge.is_told() {
            let who = match what {
                What::AtProcess(conn, _) | What::AtBroker(conn, _) => Some(self.wires[conn.0].who),
                What::Alarm(who, ..) => Some(*who),
                _ => None,
            };
            let label = who.map_or("", |who| &self.processes[who].label);
            self.judge.step(format!("{label} {what:?}"));
        }
    }

    /// The process that must be awake for this.
    fn concerns(&self, what: &What) -> Option<Who> {
        match what {
            What::AtProcess(conn, _) | What::ProcessFinds(conn) => {
                let who = self.wires[conn.0].who;
                (self.processes[who].conn == Some(*conn)).then_some(who)
            }
            What::Connects(who, _) | What::Alarm(who, ..) => Some(*who),
            What::Action(place) => match &self.script.actions[*place].1 {
                Action::Call(client, _) | Action::Drop(client, _) => Some(self.client(*client)),
                Action::Fault(_) => None,
            },
            What::AtBroker(..) | What::BrokerFinds(_) | What::Begins(..) | What::Thaws(..) => None,
            What::Resumes(..) | What::Unblocks | What::WillComes(_) | What::Looks => None,
        }
    }

    fn client(&self, place: usize) -> Who {
        self.script.distributors + self.script.workers.len() + place
    }

    fn machine(&mut self, who: Who) -> Machine {
        self.ids += 1;
        let (distributors, workers) = (self.script.distributors, self.script.workers.len());
        if who < distributors {
            self.judge.lives += 1;
            // Some two answers of each function, or all.
            let memo = self.script.memo.map_or(0, |memo| 2 * memo.bytes as usize);
            return Machine::Distributor(Box::new(Distributor::new(
                self.ids,
                (self.script.hedging, self.script.relief),
                (self.script.sharing, memo),
                self.script.rollout.clone(),
                self.script.cross_check,
            )));
        }
        if who < distributors + workers {
            let (pool, slots, grace) = self.script.workers[who - distributors];
            let served = POOLS[pool].iter().map(|name| name.parse().unwrap());
            let mut served: Vec<Address> = served.collect();
            served.sort();
            let isolated = self.script.isolated[who - distributors];
            let declares = self.script.declare[who - distributors];
            let calls = self.script.calls();
            let memo = self.script.memo.filter(|_| declares);
            let lies = self.script.liar == Some(who - distributors);
            if lies {
                self.judge.liars.insert(WorkerId::from_u128(self.ids));
            }
            let kind = (calls, isolated, declares, memo, lies);
            let worker = Worker::new(self.ids, served, slots, grace, kind);
            return Machine::Worker(Box::new(worker));
        }
        let (_, slots) = self.script.clients[who - distributors - workers];
        Machine::Client(Box::new(Client::new(self.ids, slots)))
    }

    fn user(&self, who: Who) -> UserName {
        let of_client = who.checked_sub(self.script.distributors + self.script.workers.len());
        let user = of_client.map(|place| ["ada", "ben"][self.script.clients[place].0]);
        user.unwrap_or("worker").parse().unwrap()
    }

    fn begin(&mut self, who: Who, life: u64) {
        if self.processes[who].life != life {
            return;
        }
        let machine = if life > 0 { Some(self.machine(who)) } else { None };
        let process = &mut self.processes[who];
        if let Some(machine) = machine {
            process.machine = machine;
        }
        (process.is_alive, process.began, process.generation) = (true, self.now, 0);
        self.happens(who, Happening::Begins);
        self.after(Duration::ZERO, What::Connects(who, life));
    }

    fn set(&mut self, who: Who, span: Duration, alarm: Alarm) {
        let life = self.processes[who].life;
        self.after(span, What::Alarm(who, life, alarm));
    }

    /// Something happens to a process, and it does what follows.
    fn happens(&mut self, who: Who, happening: Happening) {
        let process = &mut self.processes[who];
        let waits = process.lanes.iter().filter(|lane| lane.is_waiting() && !process.blocked);
        let since = waits.map(|lane| lane.since).min();
        let mut site = Site {
            now: self.now - process.began,
            random: &mut self.random,
            judge: &mut self.judge,
            acts: vec![],
            blocked: process.blocked,
            unconfirmed: since.map_or(Duration::ZERO, |since| self.now - since),
        };
        match &mut process.machine {
            Machine::Distributor(it) => it.happens(happening, &mut site),
            Machine::Worker(it) => it.happens(happening, &mut site),
            Machine::Client(it) => it.happens(happening, &mut site),
        }
        for act in site.acts {
            self.act(who, act);
        }
        self.publish(who);
    }

    fn act(&mut self, who: Who, act: Act) {
        let conn = self.processes[who].conn;
        match act {
            Act::Publish { lane, item } if conn.is_some() => {
                self.processes[who].lanes[lane].push(item);
            }
            Act::Publish { .. } => {}
            Act::Ask(up) => {
                let Some(conn) = conn else { return };
                let span = match &up {
                    Up::Depth { .. } | Up::Get(_) | Up::Declare(_) | Up::Claim => {
                        self.random.within(self.script.way.question()) / 2
                    }
                    _ => Duration::ZERO,
                };
                self.send_up(conn, CONSUMING, span, up);
            }
            Act::After(span, alarm) => self.set(who, span, alarm),
            Act::GiveUp => self.give_up(who),
            Act::Leave => self.leave(who),
            Act::Die => self.kill(who),
        }
    }
}

impl Process {
    fn new(who: Who, machine: Machine) -> Self {
        let kind = match machine {
            Machine::Distributor(_) => "distributor",
            Machine::Worker(_) => "worker",
            Machine::Client(_) => "client",
        };
        Self {
            label: format!("{kind} {who}"),
            machine,
            life: 0,
            is_alive: false,
            began: Duration::ZERO,
            frozen: None,
            slept: Duration::ZERO,
            waiting: vec![],
            slow_until: Duration::ZERO,
            conn: None,
            generation: 0,
            blocked: false,
            lanes: Default::default(),
        }
    }
}
