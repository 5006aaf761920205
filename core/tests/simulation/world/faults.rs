//! Faults, and how they heal.

use std::time::Duration;

use simple_dist_protocol::message::WorkerState;

use super::*;
use crate::script::Fault;

/// Nobody is frozen any more.
const HEALED: Duration = Duration::from_secs(60);
/// Heartbeats find a dead peer after so long.
const HEARTBEATS: Span = (8000, 12_000);

impl World {
    pub(super) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(who) => self.kill(who),
            Fault::Cut(who, broker, process) => {
                let Some(conn) = self.processes[who].conn else { return };
                self.wires[conn.0].is_cut = true;
                self.after(broker, What::BrokerFinds(conn));
                self.after(process, What::ProcessFinds(conn));
            }
            Fault::Freeze(who, span) => self.freeze(who, span),
            Fault::Slow(who, span) => self.processes[who].slow_until = self.now + span,
            Fault::Stop(who) => {
                if self.processes[who].is_alive && self.processes[who].frozen.is_none() {
                    self.happens(who, Happening::Stopped);
                }
            }
            Fault::Drain(who, span) => {
                let life = self.processes[who].life;
                self.drain(who, life, true);
                self.after(span, What::Resumes(who, life));
            }
            Fault::Restart(left, span) => {
                self.broker.restart(left, self.now);
                self.broker.trouble(Trouble::Down, self.now + span);
                for conn in
                    self.processes.iter().filter_map(|process| process.conn).collect::<Vec<_>>()
                {
                    let late = if self.random.once_in(4) { HEARTBEATS } else { (0, 10) };
                    let late = self.random.within(late);
                    self.wires[conn.0].is_cut = true;
                    self.after(late, What::ProcessFinds(conn));
                }
            }
            Fault::Purge => self.broker.purge_pools(),
            Fault::Trouble(Trouble::Blocks, span) => {
                self.broker.trouble(Trouble::Blocks, self.now + span);
                for conn in self.broker.all_alive() {
                    self.send_down(conn, CONSUMING, Down::Blocked(true));
                }
                self.after(span, What::Unblocks);
            }
            Fault::Trouble(trouble, span) => self.broker.trouble(trouble, self.now + span),
        }
    }

    /// A process ends at once; somebody starts it again.
    pub(super) fn kill(&mut self, who: Who) {
        if !self.processes[who].is_alive {
            return;
        }
        match self.processes[who].machine {
            Machine::Client(_) => self.judge.gone(who),
            Machine::Worker(_) => self.judge.deaths.push(self.now),
            Machine::Distributor(_) => {}
        }
        if let Some(conn) = self.processes[who].conn {
            // What it has written may be lost with it, or not.
            let connection = self.random.pick(&[PUBLISHING, CONSUMING]);
            self.send_up(conn, connection, Duration::ZERO, Up::Close);
            if self.wires[conn.0].is_cut {
                self.after(Duration::ZERO, What::BrokerFinds(conn));
            }
        }
        self.ends(who);
    }

    /// A process has sent everything it had to send, and ends.
    pub(super) fn leave(&mut self, who: Who) {
        if let Some(conn) = self.processes[who].conn {
            for lane in [JOBS, CONTROL] {
                let rest = self.processes[who].lanes[lane].rest();
                for (number, item) in rest {
                    self.send_up(
                        conn,
                        PUBLISHING,
                        Duration::ZERO,
                        Up::Publish { lane, number, item: Box::new(item) },
                    );
                }
            }
            let last = self.wires[conn.0].last;
            self.wires[conn.0].last[CONSUMING] = last[PUBLISHING].max(last[CONSUMING]);
            self.send_up(conn, CONSUMING, Duration::ZERO, Up::Close);
        }
        self.ends(who);
    }

    fn ends(&mut self, who: Who) {
        let process = &mut self.processes[who];
        process.life += 1;
        (process.is_alive, process.conn, process.blocked) = (false, None, false);
        process.lanes = Default::default();
        process.waiting.clear();
        if let Some(since) = process.frozen.take() {
            process.slept += self.now - since;
        }
        let life = process.life;
        let again = self.random.within(RESTART);
        self.after(again, What::Begins(who, life));
    }

    fn freeze(&mut self, who: Who, span: Duration) {
        let process = &mut self.processes[who];
        if !process.is_alive || process.frozen.is_some() {
            return;
        }
        process.frozen = Some(self.now);
        let (conn, life) = (process.conn, process.life);
        self.after(span, What::Thaws(who, life));
        let heartbeats = self.random.within(HEARTBEATS);
        if let Some(conn) = conn.filter(|_| heartbeats < span) {
            self.after(heartbeats, What::BrokerFinds(conn));
            self.after(span, What::ProcessFinds(conn));
        }
    }

    pub(super) fn thaw(&mut self, who: Who, life: u64) {
        let process = &mut self.processes[who];
        if process.life != life {
            return;
        }
        if let Some(since) = process.frozen.take() {
            process.slept += self.now - since;
        }
        // Nor does the time it was frozen count as time without confirms.
        process.lanes.iter_mut().for_each(|lane| lane.since = self.now);
        for what in std::mem::take(&mut process.waiting) {
            // Timers and messages may arrive in either order.
            let late = match what {
                What::Alarm(_, _, Alarm::Tick | Alarm::Wake(_) | Alarm::Claim) => {
                    self.random.within((0, 2))
                }
                _ => Duration::ZERO,
            };
            self.after(late, what);
        }
    }

    /// An operator drains or resumes a worker, on whichever distributor is active.
    pub(super) fn drain(&mut self, who: Who, life: u64, drains: bool) {
        let Machine::Worker(worker) = &self.processes[who].machine else { return };
        if self.processes[who].life != life {
            return;
        }
        let id = worker.id;
        let leads = |process: &Process| match &process.machine {
            Machine::Distributor(it) => it.scheduler.term().is_some() && process.frozen.is_none(),
            Machine::Worker(_) | Machine::Client(_) => false,
        };
        if let Some(leader) = self.processes.iter().position(leads) {
            self.happens(leader, Happening::Drains(id, drains));
        }
        // It may have been frozen or out of reach, and drain later: whoever wants it looks again.
        if !drains && (self.now < HEALED || self.drains(who)) {
            self.after(Duration::from_secs(1), What::Resumes(who, life));
        }
    }

    fn drains(&self, who: Who) -> bool {
        let Machine::Worker(worker) = &self.processes[who].machine else { return false };
        worker.last_beat.as_ref().is_some_and(|beat| beat.state == WorkerState::Draining)
    }

    pub(super) fn unblock(&mut self) {
        if self.broker.has(Trouble::Blocks, self.now) {
            return;
        }
        for conn in self.broker.all_alive() {
            self.send_down(conn, CONSUMING, Down::Blocked(false));
        }
        for (conn, up) in std::mem::take(&mut self.stalled) {
            self.at_broker(conn, up);
        }
    }
}
