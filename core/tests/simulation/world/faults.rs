//! What goes wrong, and how it heals.

use std::time::Duration;

use super::{Cut, Fault, What, Who, World};
use crate::broker::Conn;

impl World {
    pub(super) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(who) => self.kill(who),
            Fault::Cut(who, cut) => {
                let Some(conn) = self.line(who).conn else { return };
                let (broker, process) = match cut {
                    Cut::Both => (Duration::ZERO, Duration::ZERO),
                    Cut::Broker => (Duration::ZERO, self.millis(8000, 12_000)),
                    Cut::Process => (self.millis(8000, 12_000), Duration::ZERO),
                };
                self.after(broker, What::BrokerNotices(conn));
                self.after(process, What::ProcessNotices(conn));
            }
            Fault::Freeze(who, span) => {
                let line = self.line(who);
                line.frozen = true;
                let (conn, life) = (line.conn, line.life);
                self.after(span, What::Thaw(who, life));
                let heartbeats = self.millis(8000, 12_000);
                if let Some(conn) = conn.filter(|_| heartbeats < span) {
                    self.after(heartbeats, What::BrokerNotices(conn));
                    self.after(span, What::ProcessNotices(conn));
                }
            }
            Fault::Restart { keeps_messages, down } => {
                self.broker.restart(keeps_messages);
                self.broker_up = self.now + down;
                let conns: Vec<Conn> = self.lines.values().filter_map(|line| line.conn).collect();
                for conn in conns {
                    self.at(self.now, What::ProcessNotices(conn));
                }
            }
            Fault::Purge => self.broker.purge_pools(),
            Fault::LosePresence(span) => self.presence_lost_until = self.now + span,
        }
    }

    pub(super) fn kill(&mut self, who: Who) {
        let line = self.line(who);
        line.life += 1;
        let life = line.life;
        line.frozen = false;
        line.waiting.clear();
        if let Some(conn) = line.conn.take() {
            self.broker.close(conn);
        }
        let again = self.millis(300, 4000);
        self.after(again, What::Begin(who, life));
    }

    pub(super) fn thaw(&mut self, who: Who, life: u64) {
        let line = self.line(who);
        if line.life != life {
            return;
        }
        line.frozen = false;
        for what in std::mem::take(&mut line.waiting) {
            self.at(self.now, what);
        }
    }
}
