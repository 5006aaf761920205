//! Statistics of workers: what each has done, and which were lost recently.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::WorkerId;
use simple_dist_protocol::message::Printed;

use crate::scheduler::fact::Run;
use crate::view;

use super::stream::LANES;

/// How long a loss is shown, and the most of them.
const LOST: (Duration, usize) = (Duration::from_secs(600), 4096);

/// All workers with statistics.
#[derive(Debug, Default)]
pub(super) struct WorkerStats {
    known: BTreeMap<WorkerId, WorkerTally>,
    /// Workers lost and not heard since: when, and how many of their jobs were placed again.
    losses: VecDeque<(Duration, WorkerId, u32)>,
}

/// The statistics of one worker.
#[derive(Debug, Clone, Default)]
pub(super) struct WorkerTally {
    /// Jobs it ended with a value, and without one.
    pub(super) done: u64,
    pub(super) failed: u64,
    /// The jobs placed again when it was lost.
    pub(super) gave_back: u32,
    /// Runs whose message came back since its last beat: lost with it, if that was its last.
    came_back: Vec<Run>,
    load: Load,
    /// The last lines that its jobs printed, as far as it shares them.
    pub(super) printed: Arc<[view::Printed]>,
    is_gone: bool,
}

/// How much of each second a worker's slots ran jobs: very short jobs are over before a beat can
/// report them.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    second: u64,
    this: Duration,
    before: Duration,
}

impl WorkerStats {
    pub(super) fn get(&self, worker: WorkerId) -> Option<&WorkerTally> {
        self.known.get(&worker)
    }

    /// Counts a job that the worker ended.
    pub(super) fn ran(&mut self, worker: WorkerId, took: Duration, is_value: bool, now: Duration) {
        let worker = self.known.entry(worker).or_default();
        *(if is_value { &mut worker.done } else { &mut worker.failed }) += 1;
        if !took.is_zero() {
            worker.load.ran(took, now);
        }
    }

    pub(super) fn came_back(&mut self, run: Run) {
        let came_back = &mut self.known.entry(run.worker).or_default().came_back;
        if came_back.len() < LANES.min(run.slots as usize) {
            came_back.push(run);
        }
    }

    pub(super) fn heard(&mut self, id: WorkerId, mut printed: Vec<Printed>) {
        if !printed.is_empty() {
            Printed::curb(&mut printed);
            let printed = printed.into_iter().map(view::Printed::from).collect();
            self.known.entry(id).or_default().printed = printed;
        }
        let Some(worker) = self.known.get_mut(&id) else { return };
        worker.came_back.clear();
        if std::mem::take(&mut worker.is_gone) {
            self.losses.retain(|(_, lost, _)| *lost != id);
        }
    }

    /// The worker is gone, holding `held` jobs. Returns the runs that are lost with it.
    pub(super) fn lost(
        &mut self,
        id: WorkerId,
        (left, was_heard): (bool, bool),
        held: usize,
        now: Duration,
    ) -> Vec<Run> {
        let worker = self.known.entry(id).or_default();
        let came_back = std::mem::take(&mut worker.came_back);
        worker.gave_back = u32::try_from(held + came_back.len()).unwrap_or(u32::MAX);
        worker.is_gone = true;
        if !left && was_heard {
            self.losses.push_back((now, id, worker.gave_back));
        }
        came_back
    }

    /// Forgets the live workers: the link is down.
    pub(super) fn forget_the_living(&mut self) {
        self.known.retain(|_, worker| worker.is_gone);
    }

    pub(super) fn age(&mut self, now: Duration, is_known: impl Fn(WorkerId) -> bool) {
        self.known.retain(|id, _| is_known(*id));
        let (longest, most) = LOST;
        let is_old = |at: Duration| now.saturating_sub(at) >= longest;
        while self.losses.len() > most || self.losses.front().is_some_and(|(at, ..)| is_old(*at)) {
            self.losses.pop_front();
        }
    }

    /// How many workers were lost recently, and how many of their jobs were placed again.
    pub(super) fn losses(&self) -> (usize, u64) {
        (self.losses.len(), self.losses.iter().map(|(.., gave_back)| u64::from(*gave_back)).sum())
    }
}

impl WorkerTally {
    /// How many slots were busy on average in the last full second.
    pub(super) fn busy(&self, now: Duration) -> u32 {
        self.load.busy(now)
    }
}

impl Load {
    /// Adds the run time of an ended job. Only its part in the last second counts.
    fn ran(&mut self, took: Duration, now: Duration) {
        let second = now.as_secs();
        if second != self.second {
            let next = second == self.second + 1;
            self.before = if next { self.this } else { Duration::ZERO };
            (self.second, self.this) = (second, Duration::ZERO);
        }
        self.this += took.min(Duration::from_secs(1));
    }

    fn busy(&self, now: Duration) -> u32 {
        let last = match now.as_secs().checked_sub(self.second) {
            Some(0) => self.before,
            Some(1) => self.this,
            Some(_) | None => Duration::ZERO,
        };
        last.as_secs_f64().round() as u32
    }
}
