//! Clients that say nothing. Whoever waits for jobs asks after them every 15 s. The queue of one
//! that was not heard for twice as long is looked for: the broker deletes it 60 s after its client
//! is gone. Then its jobs are cancelled. If it lives after all, it sends them again.

use std::time::Duration;

use simple_dist_protocol::limits::ASK;
use simple_dist_protocol::{ClientId, UserName};

use super::jobs::JobRef;
use super::users::UserRef;
use super::{Effect, Origin, Rooms, Sent};

/// A client silent for this long is doubted.
const DOUBTED: Duration = Duration::from_secs(2 * ASK.as_secs());
/// How often a doubted client's queue is looked for.
const PROBE: Duration = Duration::from_secs(5);
/// The most queues looked for in one tick.
const PROBES_PER_TICK: usize = 1000;

impl Rooms {
    /// The client has jobs here from now on. Callers by HTTP have no queue: their connection
    /// stands for them.
    pub(super) fn mind(&mut self, id: (UserRef, ClientId)) {
        let due = self.now + DOUBTED;
        if *self.users.name(id.0) == UserName::http() {
            return;
        }
        if let Some(client) = self.clients.get_mut(&id) {
            client.due = due;
            self.minded.insert((due, id));
        }
    }

    /// The job is its client's no more; without jobs a client is nobody to mind.
    pub(super) fn disown(&mut self, id: (UserRef, ClientId), job: JobRef) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.jobs.remove(&job);
        if client.jobs.is_empty() {
            self.minded.remove(&(client.due, id));
            self.clients.remove(&id);
        }
    }

    /// Looks for the queues of the silent. Silence counts only while our own link carries.
    pub(super) fn probe_quiet_clients(&mut self) {
        let Some(term) = self.term().filter(|_| self.link.judges) else { return };
        for _ in 0..PROBES_PER_TICK {
            let Some((due, id)) = self.minded.pop_first() else { return };
            if due > self.now {
                self.minded.insert((due, id));
                return;
            }
            let Some(client) = self.clients.get_mut(&id) else { continue };
            let quiet = client.heard.max(self.link.fresh) + DOUBTED;
            let probes = quiet <= self.now;
            client.due = if probes { self.now + PROBE } else { quiet };
            self.minded.insert((client.due, id));
            if probes {
                let ((user, client), generation) = (id, client.generation);
                let to = Origin { user: self.users.name(user).clone(), client, generation };
                let token = self.token(Sent::Delivery { user, client, generation, bytes: 0 });
                self.effects.push(Effect::ProbeClient { to, term, token });
            }
        }
    }
}
