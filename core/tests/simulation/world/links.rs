//! Links: how they come up and go down, what waits on them to be published, how long a hop takes,
//! and what the broker does with what arrives.

use std::time::Duration;

use simple_dist_protocol::limits::BROKER;

use super::*;

impl World {
    pub(super) fn connect(&mut self, who: Who, life: u64) {
        let process = &self.processes[who];
        if process.life != life || process.conn.is_some() {
            return;
        }
        let is_worker = matches!(process.machine, Machine::Worker(_));
        let is_client = matches!(process.machine, Machine::Client(_));
        // A client waits for what distributors declare: presence.
        if self.broker.has(Trouble::Down, self.now) || is_client && !self.broker.is_furnished {
            let again = self.random.within(BACKOFF);
            return self.after(again, What::Connects(who, life));
        }
        let conn = Conn(self.wires.len());
        let hop = [(); 2].map(|()| self.script.way.hop(is_worker, &mut self.random));
        self.wires.push(Wire { who, is_cut: false, hop, last: [self.now; 4] });
        let process = &mut self.processes[who];
        process.conn = Some(conn);
        process.generation += 1;
        let generation = process.generation;
        self.broker.connect(conn);
        let queues = match &process.machine {
            Machine::Distributor(_) => {
                for shared in [Name::Submissions, Name::ClientControl, Name::Answers] {
                    self.broker.declare(shared, self.now);
                }
                self.broker.is_furnished = true;
                let own = [Name::Beats(conn), Name::Presence(conn), Name::Wills(conn)];
                own.map(|queue| (queue, 1000)).to_vec()
            }
            Machine::Worker(worker) => vec![(Name::Worker(worker.id, generation), 100)],
            Machine::Client(client) => {
                vec![(Name::Client(client.id, generation), 1000), (Name::ClientPresence(conn), 1)]
            }
        };
        for (queue, prefetch) in queues {
            self.broker.declare(queue, self.now);
            self.broker.consume(conn, queue, 0, prefetch);
        }
        self.happens(who, Happening::Up(generation));
        if self.broker.has(Trouble::Blocks, self.now) {
            self.send_down(conn, CONSUMING, Down::Blocked(true));
        }
    }

    /// A process finds its link gone.
    pub(super) fn link_down(&mut self, conn: Conn) {
        let who = self.wires[conn.0].who;
        let process = &mut self.processes[who];
        if process.conn != Some(conn) {
            return;
        }
        process.conn = None;
        process.blocked = false;
        process.lanes = Default::default();
        let life = process.life;
        self.happens(who, Happening::LinkDown);
        let again = self.random.within(BACKOFF);
        self.after(again, What::Connects(who, life));
    }

    pub(super) fn alarm(&mut self, who: Who, alarm: Alarm) {
        let Alarm::ConfirmTimeout { lane, window } = alarm else {
            return self.happens(who, Happening::Alarm(alarm));
        };
        let process = &self.processes[who];
        if !process.lanes[lane].is_waiting() || process.lanes[lane].window() != window {
            return;
        }
        if process.blocked {
            return self.set(who, BROKER, Alarm::ConfirmTimeout { lane, window });
        }
        self.give_up(who);
    }

    /// A process drops its link.
    pub(super) fn give_up(&mut self, who: Who) {
        if let Some(conn) = self.processes[who].conn {
            self.send_up(conn, CONSUMING, Duration::ZERO, Up::Close);
            self.link_down(conn);
        }
    }

    /// Sends what may leave now.
    pub(super) fn publish(&mut self, who: Who) {
        let Some(conn) = self.processes[who].conn else { return };
        for lane in [JOBS, CONTROL] {
            let window = self.processes[who].lanes[lane].next_window(self.now);
            if window.is_empty() {
                continue;
            }
            for (number, item) in window {
                let up = Up::Publish { lane, number, item: Box::new(item) };
                self.send_up(conn, PUBLISHING, Duration::ZERO, up);
            }
            let window = self.processes[who].lanes[lane].window();
            self.set(who, BROKER, Alarm::ConfirmTimeout { lane, window });
        }
    }

    /// When something sent now arrives, behind what was sent before on the same connection.
    pub(super) fn arrives(&mut self, conn: Conn, down: usize, connection: usize) -> Duration {
        let wire = &mut self.wires[conn.0];
        let slow = self.now < self.processes[wire.who].slow_until;
        let hop = if slow { (0, 2000) } else { wire.hop[down] };
        let time = self.now + self.random.within(hop);
        let last = &mut wire.last[2 * down + connection];
        *last = time.max(*last);
        *last
    }

    pub(super) fn send_up(&mut self, conn: Conn, connection: usize, question: Duration, up: Up) {
        if !self.wires[conn.0].is_cut {
            let time = self.arrives(conn, 0, connection) + question;
            self.push(time, What::AtBroker(conn, up));
        }
    }

    pub(super) fn send_down(&mut self, conn: Conn, connection: usize, down: Down) {
        if !self.wires[conn.0].is_cut {
            let late = match &down {
                Down::Depth { .. } | Down::Got(..) | Down::Declared(_) | Down::Claimed(_) => {
                    self.random.within(self.script.way.question()) / 2
                }
                Down::Confirm { .. } if self.broker.has(Trouble::ConfirmsLate, self.now) => {
                    self.random.within((0, 4000))
                }
                _ => Duration::ZERO,
            };
            let time = self.arrives(conn, 1, connection) + late;
            self.push(time, What::AtProcess(conn, down));
        }
    }

    pub(super) fn at_process(&mut self, conn: Conn, down: Down) {
        let (wire, who) = (&self.wires[conn.0], self.wires[conn.0].who);
        if self.processes[who].conn != Some(conn) || wire.is_cut {
            return;
        }
        match down {
            Down::Confirm { lane, number, outcome } => {
                for (tokens, outcome) in self.processes[who].lanes[lane].confirmed(number, outcome)
                {
                    self.happens(who, Happening::Settled(tokens, outcome));
                }
                self.publish(who);
            }
            down => {
                if let Down::Blocked(blocked) = down {
                    self.processes[who].blocked = blocked;
                }
                self.happens(who, Happening::Heard(down));
            }
        }
    }

    pub(super) fn at_broker(&mut self, conn: Conn, up: Up) {
        if !self.broker.is_alive(conn) || self.wires[conn.0].is_cut {
            return;
        }
        match up {
            Up::Publish { .. } if self.broker.has(Trouble::Blocks, self.now) => {
                self.stalled.push((conn, up));
            }
            Up::Publish { lane, number, item } => self.published(conn, lane, number, *item),
            Up::Ack(tag) => self.broker.ack(conn, tag),
            Up::Consume { queue, consumer, prefetch } => {
                let is_there = self.broker.consume(conn, queue, consumer, prefetch);
                self.send_down(conn, CONSUMING, Down::Consumed { queue, consumer, is_there });
            }
            Up::Cancel { consumer } => self.broker.cancel(conn, consumer),
            Up::Declare(pool) => {
                self.broker.declare(Name::Pool(pool), self.now);
                self.send_down(conn, CONSUMING, Down::Declared(pool));
            }
            Up::Depth { asked_at, queue } => {
                let deaf = self.broker.has(Trouble::Deaf, self.now);
                let messages = (!deaf).then(|| self.broker.depth(queue, self.now));
                self.send_down(conn, CONSUMING, Down::Depth { asked_at, queue, messages });
            }
            Up::Get(pool) => {
                let letter = self.broker.get(Name::Pool(pool));
                self.send_down(conn, CONSUMING, Down::Got(pool, letter));
            }
            Up::Claim => {
                let ours = self.broker.claim(conn);
                self.send_down(conn, CONSUMING, Down::Claimed(ours));
            }
            Up::Close => self.broker.close(conn, self.now),
        }
    }

    /// A link has ended that held a will: it comes back, though sometimes late, or not at all.
    pub(super) fn wills_come_back(&mut self) {
        for will in std::mem::take(&mut self.broker.came_back) {
            let late = match self.random.below(8) {
                0 => continue,
                1 => self.random.within((0, 3000)),
                _ => Duration::ZERO,
            };
            self.after(late, What::WillComes(will));
        }
    }

    pub(super) fn will_comes(&mut self, will: Will) {
        let (by, body) = ("worker".parse().unwrap(), Body::Will(will));
        self.broker.publish(Route::Wills, (by, body), self.now, &mut self.random);
    }

    pub(super) fn published(&mut self, conn: Conn, lane: usize, number: u64, item: Item) {
        let who = self.wires[conn.0].who;
        let user = self.user(who);
        let missing = !self.broker.is_furnished;
        let exchange = match item.route {
            Route::To(Name::Pool(_) | Name::Client(..) | Name::Worker(..)) => false,
            Route::Will(..) => false,
            Route::To(_) | Route::Beats | Route::Presence | Route::Wills => true,
        };
        if missing && exchange {
            // There is no such exchange: that ends the channel, and with it the link.
            self.broker.close(conn, self.now);
            let time = self.arrives(conn, 1, PUBLISHING);
            return self.push(time, What::ProcessFinds(conn));
        }
        let (now, random) = (self.now, &mut self.random);
        let outcome = self.broker.publish(item.route, (user, item.body), now, random);
        for id in std::mem::take(&mut self.broker.excused) {
            self.judge.allow_one_more(id);
        }
        let lost = self.broker.has(Trouble::ConfirmsLost, now) && self.random.once_in(4);
        if !lost {
            self.send_down(conn, PUBLISHING, Down::Confirm { lane, number, outcome });
        }
    }
}
