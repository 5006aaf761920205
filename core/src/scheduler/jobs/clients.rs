//! The clients with jobs here: where their answers go, and whose queue to probe because the client
//! is silent.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::scheduler::ids::{JobRef, UserRef};
use simple_dist_protocol::limits::ASK;
use simple_dist_protocol::{ClientId, Generation};

/// A client silent for this long may be gone.
const SILENT: Duration = Duration::from_secs(2 * ASK.as_secs());
/// How often the queue of a silent client is probed.
const PROBE: Duration = Duration::from_secs(5);

pub(crate) type Id = (UserRef, ClientId);

/// All clients with jobs.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    known: BTreeMap<Id, Client>,
    /// When to check on each of them.
    by_probe_time: BTreeSet<(Duration, Id)>,
}

/// A client with jobs here.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its newest generation.
    pub(crate) generation: Generation,
    heard: Duration,
    /// When to check on it.
    probe_at: Duration,
    jobs: HashSet<JobRef, FixedState>,
}

impl Client {
    /// How many jobs it has here.
    pub(crate) fn count(&self) -> usize {
        self.jobs.len()
    }

    /// They, in order.
    pub(crate) fn jobs(&self) -> Vec<JobRef> {
        let mut jobs: Vec<JobRef> = self.jobs.iter().copied().collect();
        jobs.sort_unstable();
        jobs
    }
}

impl Clients {
    pub(crate) fn get(&self, id: &Id) -> Option<&Client> {
        self.known.get(id)
    }

    /// Whether a client may be gone.
    pub(crate) fn is_silent(&self, id: &Id, now: Duration) -> bool {
        self.known.get(id).is_none_or(|client| client.heard + SILENT <= now)
    }

    /// Notes a message from this generation of the client; returns its newest generation.
    pub(crate) fn heard(&mut self, id: &Id, generation: Generation, now: Duration) -> Generation {
        let Some(client) = self.known.get_mut(id) else { return generation };
        client.heard = now;
        client.generation = client.generation.max(generation);
        client.generation
    }

    /// Adds a job to a client. `has_queue` if the client has a queue that can be probed.
    pub(crate) fn add_job(
        &mut self,
        (id, generation): (Id, Generation),
        job: JobRef,
        has_queue: bool,
        now: Duration,
    ) {
        let probe_at = now + SILENT;
        let new = || Client { generation, heard: now, probe_at, jobs: HashSet::default() };
        let client = self.known.entry(id).or_insert_with(new);
        let is_new = client.jobs.is_empty();
        client.jobs.insert(job);
        if is_new && has_queue {
            self.by_probe_time.insert((probe_at, id));
        }
    }

    /// Removes a job from its client; a client without jobs is forgotten.
    pub(crate) fn remove_job(&mut self, id: Id, job: JobRef) {
        let Some(client) = self.known.get_mut(&id) else { return };
        client.jobs.remove(&job);
        if client.jobs.is_empty() {
            self.by_probe_time.remove(&(client.probe_at, id));
            self.known.remove(&id);
        }
    }

    /// The next client to check on, with the generation of its queue if that has to be probed.
    /// Silence counts from `silence_from` on.
    pub(crate) fn next_silent(
        &mut self,
        silence_from: Duration,
        now: Duration,
    ) -> Option<(Id, Option<Generation>)> {
        self.by_probe_time.first().filter(|(probe_at, _)| *probe_at <= now)?;
        let (_, id) = self.by_probe_time.pop_first()?;
        let client = self.known.get_mut(&id)?;
        let silent = client.heard.max(silence_from) + SILENT;
        let probes = silent <= now;
        client.probe_at = if probes { now + PROBE } else { silent };
        self.by_probe_time.insert((client.probe_at, id));
        Some((id, probes.then_some(client.generation)))
    }

    /// Forgets all clients.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.by_probe_time.clear();
    }
}
