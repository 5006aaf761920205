//! The table of workers, and what each of their slots runs.

use simple_dist_protocol::{WorkerId, text};

use super::colour::Colours;
use crate::view::format::{age, coarse, count, many, nth};
use crate::view::{HeldJob, View, Worker, WorkerState, placed_again};

/// The most jobs shown per worker in the table; its own page shows more.
const CHIPS: usize = 16;
/// The most characters shown of a worker's host and version.
pub(super) const NAMED: usize = 40;
/// The most jobs shown on a worker's own page.
const ALL_CHIPS: usize = 64;

/// A row of the table of workers.
pub(super) struct WorkerRow {
    pub(super) id: WorkerId,
    pub(super) name: String,
    pub(super) host: String,
    pub(super) version: String,
    pub(super) state: &'static str,
    /// Lost or left: it stays for a while, greyed out.
    pub(super) is_gone: bool,
    pub(super) chips: Vec<Chip>,
    /// Idle slots, shown after the chips: `3 idle`.
    pub(super) idle: Option<String>,
    pub(super) more: Option<String>,
    /// What happened to it, shown instead of chips.
    pub(super) fate: Option<String>,
    pub(super) done: String,
    pub(super) failed: Option<String>,
    pub(super) beat: String,
    pub(super) is_late: bool,
    pub(super) act: Option<Button>,
}

/// A job in a slot.
pub(super) struct Chip {
    pub(super) job: String,
    pub(super) class: String,
    pub(super) function: String,
    pub(super) age: String,
    /// `slot 2`: where it runs.
    pub(super) title: String,
    /// What is unusual about it, such as a retry.
    pub(super) note: Option<String>,
}

/// The action of a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Button {
    Drain,
    Resume,
}

impl Button {
    pub(super) fn of(state: WorkerState) -> Option<Self> {
        match state {
            WorkerState::Live | WorkerState::Late | WorkerState::Unreachable => Some(Self::Drain),
            WorkerState::Draining => Some(Self::Resume),
            WorkerState::Lost | WorkerState::Left => None,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Drain => "Drain",
            Self::Resume => "Resume",
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Resume => "resume",
        }
    }
}

/// The rows: live workers first.
pub(super) fn rows(view: &View, colours: &Colours) -> Vec<WorkerRow> {
    let (alive, gone): (Vec<_>, Vec<_>) =
        view.workers.iter().partition(|worker| worker.state.is_alive());
    alive.into_iter().chain(gone).map(|worker| row(worker, CHIPS, colours)).collect()
}

/// A note about lost workers that are counted but not listed.
pub(super) fn unlisted(view: &View) -> Option<String> {
    let listed = view.workers.iter().filter(|worker| worker.state == WorkerState::Lost).count();
    let more = view.totals.lost.saturating_sub(listed);
    (more > 0).then(|| format!("and {} more lost workers", count(more as u64)))
}

/// The row of a worker for its own page.
pub(super) fn alone(worker: &Worker, colours: &Colours) -> WorkerRow {
    row(worker, ALL_CHIPS, colours)
}

fn row(worker: &Worker, most: usize, colours: &Colours) -> WorkerRow {
    let is_gone = !worker.state.is_alive();
    let mut held: Vec<&HeldJob> = worker.held.iter().filter(|job| job.slot.is_some()).collect();
    held.sort_by_key(|job| job.slot);
    let chips = if is_gone { 0 } else { held.len().min(most) };
    let unseen = (worker.busy as usize).saturating_sub(chips);
    let waiting = worker.holds.saturating_sub(worker.busy as usize);
    let more = match (unseen, waiting) {
        (0, 0) => None,
        (0, waiting) => Some(format!("+ {} waiting", count(waiting as u64))),
        (unseen, 0) => Some(format!("+ {} running", count(unseen as u64))),
        (unseen, waiting) => {
            Some(format!("+ {} running, {} waiting", count(unseen as u64), count(waiting as u64)))
        }
    };
    WorkerRow {
        id: worker.id,
        name: worker.id.short(),
        host: text::line(&worker.host, NAMED).to_string(),
        version: text::line(&worker.version, NAMED).to_string(),
        state: worker.state.word(),
        is_gone,
        chips: held.into_iter().take(chips).map(|job| chip(job, colours)).collect(),
        idle: (!is_gone).then(|| idle(worker)).flatten(),
        more: more.filter(|_| !is_gone),
        fate: is_gone.then(|| fate(worker)),
        done: count(worker.done),
        failed: (worker.failed > 0).then(|| format!("{} failed", count(worker.failed))),
        beat: age(worker.silent),
        is_late: match worker.state {
            WorkerState::Late | WorkerState::Unreachable | WorkerState::Lost => true,
            WorkerState::Live | WorkerState::Draining | WorkerState::Left => false,
        },
        act: Button::of(worker.state),
    }
}

fn chip(job: &HeldJob, colours: &Colours) -> Chip {
    Chip {
        job: job.id.to_string(),
        class: colours.class(&job.function),
        function: job.function.to_string(),
        age: age(job.age),
        title: job.slot.map_or_else(String::new, |slot| format!("slot {}", slot + 1)),
        note: if job.abandoned {
            Some("abandoned, still running".to_owned())
        } else {
            (job.attempt > 1).then(|| format!("{} try", nth(job.attempt)))
        },
    }
}

fn idle(worker: &Worker) -> Option<String> {
    match worker.slots.saturating_sub(worker.busy) {
        0 => None,
        1 => Some("idle".to_owned()),
        idle => Some(format!("{} idle", count(idle))),
    }
}

/// What happened to a worker that is gone, and to its jobs.
pub(super) fn fate(worker: &Worker) -> String {
    match worker.state {
        WorkerState::Left => format!("left {} ago, drained", coarse(worker.silent)),
        _ => format!(
            "last heard {} ago; {}",
            coarse(worker.silent),
            placed_again(u64::from(worker.gave_back))
        ),
    }
}

/// `4 slots`.
pub(super) fn slots(worker: &Worker) -> String {
    many(worker.slots, "slot")
}
