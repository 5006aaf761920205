//! The clients with jobs here: where their answers go, and whose queue is to be looked for since
//! its client says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use simple_dist_protocol::limits::ASK;
use simple_dist_protocol::{ClientId, Generation};

use super::JobRef;
use crate::scheduler::backlog::users::UserRef;

/// A client silent for this long may be gone.
const SILENT: Duration = Duration::from_secs(2 * ASK.as_secs());
/// How often the queue of a silent one is looked for.
const PROBE: Duration = Duration::from_secs(5);

pub(crate) type Id = (UserRef, ClientId);

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    known: BTreeMap<Id, Client>,
    /// When each of them is to be looked at, should it be silent.
    watched: BTreeSet<(Duration, Id)>,
}

/// A client with jobs here.
#[derive(Debug)]
pub(crate) struct Client {
    /// The newest we heard.
    pub(crate) generation: Generation,
    heard: Duration,
    /// Its place among the watched.
    look: Duration,
    pub(crate) jobs: BTreeSet<JobRef>,
}

impl Clients {
    pub(crate) fn get(&self, id: &Id) -> Option<&Client> {
        self.known.get(id)
    }

    /// It was heard, on this generation of its link. The newest we know.
    pub(crate) fn heard(&mut self, id: &Id, generation: Generation, now: Duration) -> Generation {
        let Some(client) = self.known.get_mut(id) else { return generation };
        client.heard = now;
        client.generation = client.generation.max(generation);
        client.generation
    }

    /// The job is this client's. `has_queue` if it can be looked for.
    pub(crate) fn own(
        &mut self,
        (id, generation): (Id, Generation),
        job: JobRef,
        has_queue: bool,
        now: Duration,
    ) {
        let look = now + SILENT;
        let new = || Client { generation, heard: now, look, jobs: BTreeSet::new() };
        let client = self.known.entry(id).or_insert_with(new);
        let is_new = client.jobs.is_empty();
        client.jobs.insert(job);
        if is_new && has_queue {
            self.watched.insert((look, id));
        }
    }

    /// The job is its client's no more; one without jobs is forgotten.
    pub(crate) fn disown(&mut self, id: Id, job: JobRef) {
        let Some(client) = self.known.get_mut(&id) else { return };
        client.jobs.remove(&job);
        if client.jobs.is_empty() {
            self.watched.remove(&(client.look, id));
            self.known.remove(&id);
        }
    }

    /// The next one to be looked at, and the generation of its queue if that is to be looked for.
    /// Silence counts from `fresh` on.
    pub(crate) fn next_silent(
        &mut self,
        fresh: Duration,
        now: Duration,
    ) -> Option<(Id, Option<Generation>)> {
        self.watched.first().filter(|(look, _)| *look <= now)?;
        let (_, id) = self.watched.pop_first()?;
        let client = self.known.get_mut(&id)?;
        let silent = client.heard.max(fresh) + SILENT;
        let probes = silent <= now;
        client.look = if probes { now + PROBE } else { silent };
        self.watched.insert((client.look, id));
        Some((id, probes.then_some(client.generation)))
    }

    /// All jobs are their clients' again.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.watched.clear();
    }
}
