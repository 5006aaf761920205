//! Which jobs share a run: equal calls of deterministic functions. One of them, the *leader*, is in
//! flight; its *followers* are neither queued nor in flight, and end with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::scheduler::ids::{CallKey, JobRef};

/// The most jobs that follow one: so many are moved when its run is lost.
pub(crate) const FOLLOWERS: usize = 1024;

/// The runs that several jobs share, or could.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// The newest run of each call, which equal ones may join.
    open: HashMap<CallKey, JobRef>,
    followers: BTreeMap<JobRef, BTreeSet<JobRef>>,
    /// How many follow.
    following: usize,
    /// Jobs in the queue that may join a run.
    waiting: BTreeSet<(CallKey, JobRef)>,
    /// Jobs whose run has ended without an answer for them, and that are to be queued.
    pub(crate) released: Vec<JobRef>,
}

impl Runs {
    /// How many jobs wait for the answer of another.
    pub(crate) fn following(&self) -> usize {
        self.following
    }

    /// Whether others wait for this job's answer.
    pub(crate) fn leads(&self, job: JobRef) -> bool {
        self.followers.contains_key(&job)
    }

    /// Those that do.
    pub(crate) fn followers(&self, leader: JobRef) -> impl Iterator<Item = JobRef> {
        self.followers.get(&leader).into_iter().flatten().copied()
    }

    /// A run that one more equal job may join.
    pub(crate) fn to_join(&self, call: &CallKey) -> Option<JobRef> {
        let leader = *self.open.get(call)?;
        let has_room = self.followers.get(&leader).is_none_or(|them| them.len() < FOLLOWERS);
        has_room.then_some(leader)
    }

    /// A job in the queue may join a run.
    pub(crate) fn wait(&mut self, call: CallKey, job: JobRef) {
        self.waiting.insert((call, job));
    }

    /// It is not in the queue any more.
    pub(crate) fn stop_waiting(&mut self, call: CallKey, job: JobRef) {
        self.waiting.remove(&(call, job));
    }

    /// A job is in flight: equal ones may join it. Returns those in the queue, as many as may.
    pub(crate) fn open(&mut self, call: CallKey, leader: JobRef) -> Vec<JobRef> {
        self.open.insert(call, leader);
        let (first, last) = JobRef::ENDS;
        let room = FOLLOWERS - self.followers.get(&leader).map_or(0, BTreeSet::len).min(FOLLOWERS);
        let equal = self.waiting.range((call, first)..=(call, last));
        equal.map(|(_, job)| *job).take(room).collect()
    }

    /// A job is no longer in flight, or there is evidence against it: nobody else joins it.
    pub(crate) fn close(&mut self, call: &CallKey, leader: JobRef) {
        if self.open.get(call) == Some(&leader) {
            self.open.remove(call);
        }
    }

    /// A job follows another.
    pub(crate) fn follow(&mut self, leader: JobRef, job: JobRef) {
        self.following += usize::from(self.followers.entry(leader).or_default().insert(job));
    }

    /// It does not any more.
    pub(crate) fn unfollow(&mut self, leader: JobRef, job: JobRef) {
        let Some(them) = self.followers.get_mut(&leader) else { return };
        self.following -= usize::from(them.remove(&job));
        if them.is_empty() {
            self.followers.remove(&leader);
        }
    }

    /// Nobody follows this job any more; returns who did.
    pub(crate) fn take_followers(&mut self, leader: JobRef) -> BTreeSet<JobRef> {
        let them = self.followers.remove(&leader).unwrap_or_default();
        self.following -= them.len();
        them
    }
}
