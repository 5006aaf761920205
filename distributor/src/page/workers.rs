//! The table of workers, and what each of their slots runs.

use simple_dist_protocol::{WorkerId, text};

use super::colour::Colours;
use super::progress::Bar;
use super::search::{Pages, Search};
use crate::view::format::{age, coarse, count, many, nth};
use crate::view::{HeldJob, View, Worker, WorkerState, placed_again};

/// The most workers on the front page; with more, only those that do something are there.
const FEW: usize = 16;
/// The most jobs shown per worker in the table, and in one of many workers; its own page shows more.
const CHIPS: (usize, usize) = (16, 4);
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
    pub(super) progress: Option<Bar>,
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
            WorkerState::Live
            | WorkerState::Degraded
            | WorkerState::Late
            | WorkerState::Unreachable => Some(Self::Drain),
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

/// The table of workers, or a part of it.
pub(super) struct WorkerList {
    pub(super) rows: Vec<WorkerRow>,
    /// Those that are not among them, as searches: `972 idle`.
    pub(super) folded: Vec<(String, &'static str)>,
    pub(super) unlisted: Option<String>,
}

/// The workers of the front page: all, or of many those that matter most.
pub(super) fn few(view: &View, colours: &Colours) -> WorkerList {
    let workers = ordered(view);
    let (mut shown, mut folded) = (workers, Vec::new());
    if shown.len() > FEW {
        let acts = |worker: &&Worker| rank(worker) < IDLE;
        let number = shown.iter().filter(|worker| acts(worker)).count().clamp(1, FEW);
        for worker in shown.split_off(number) {
            match folded.last_mut() {
                Some((number, last)) if *last == kind(worker) => *number += 1,
                _ => folded.push((1_u64, kind(worker))),
            }
        }
    }
    let folded = folded.into_iter().map(|(number, kind)| (count(number), kind)).collect();
    WorkerList { rows: rows(&shown, view, colours), folded, unlisted: unlisted(view) }
}

/// The workers that a search finds.
pub(super) fn found(view: &View, colours: &Colours, search: &Search) -> (WorkerList, Pages) {
    let found = search.of(ordered(view), line);
    let rows = rows(&found.rows, view, colours);
    (WorkerList { rows, folded: Vec::new(), unlisted: unlisted(view) }, found.pages)
}

/// What a search looks at.
pub(super) fn line(worker: &&Worker) -> String {
    let Worker { id, user, host, version, functions, .. } = *worker;
    let (short, kind, functions) = (id.short(), kind(worker), functions.join(" "));
    format!("{id} {short} {user} {host} {version} {} {kind} {functions}", worker.state.word())
}

/// Few are always in the same order, the live ones first; of many, those that matter most are first.
fn ordered(view: &View) -> Vec<&Worker> {
    let mut workers: Vec<&Worker> = view.workers.iter().collect();
    match workers.len() {
        0..=FEW => workers.sort_by_key(|worker| !worker.state.is_alive()),
        _ => workers.sort_by_key(|worker| rank(worker)),
    }
    workers
}

/// The rank of an idle worker.
const IDLE: u8 = 6;

fn rank(worker: &Worker) -> u8 {
    match worker.state {
        WorkerState::Lost => 0,
        WorkerState::Unreachable => 1,
        WorkerState::Late => 2,
        WorkerState::Degraded => 3,
        WorkerState::Draining => 4,
        WorkerState::Live if worker.busy > 0 => 5,
        WorkerState::Live => IDLE,
        WorkerState::Left => 7,
    }
}

/// The state in one word, where a live worker is busy or idle.
fn kind(worker: &Worker) -> &'static str {
    match worker.state {
        WorkerState::Live if worker.busy > 0 => "busy",
        WorkerState::Live => "idle",
        other => other.word(),
    }
}

fn rows(workers: &[&Worker], view: &View, colours: &Colours) -> Vec<WorkerRow> {
    let chips = if view.workers.len() > FEW { CHIPS.1 } else { CHIPS.0 };
    workers.iter().map(|worker| row(worker, chips, colours)).collect()
}

/// A note about lost workers that are counted but not listed.
fn unlisted(view: &View) -> Option<String> {
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
            WorkerState::Live
            | WorkerState::Degraded
            | WorkerState::Draining
            | WorkerState::Left => false,
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
        progress: job.progress.as_ref().map(Bar::of),
        title: job.slot.map_or_else(String::new, |slot| format!("slot {}", slot + 1)),
        note: if job.abandoned {
            Some("abandoned, still running".to_owned())
        } else if let Some(trial) = &job.trial {
            Some(format!("a {trial}, nobody waits for it"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    const NOW: u64 = 1_700_000_123_000;

    #[test]
    fn of_many_workers_those_that_matter_come_first_and_the_idle_are_counted() {
        let view = sample::thousand(NOW);
        let colours = Colours::of(&view);
        let few = few(&view, &colours);
        let states: Vec<_> = few.rows.iter().map(|row| row.state).collect();
        assert_eq!((states.len(), &states[..4]), (FEW, &["lost", "late", "degraded", "live"][..]));
        let folded: Vec<_> = few.folded.iter().map(|(number, kind)| (&**number, *kind)).collect();
        assert_eq!(folded, [("84", "busy"), ("900", "idle")]);
        let search = Search { q: "IDLE node-51".to_owned(), ..Search::default() };
        let (found, pages) = found(&view, &colours, &search);
        assert_eq!(found.rows.len(), 2, "both of node-51");
        assert_eq!((found.rows[0].is_gone, pages.after), (false, None));
    }

    #[test]
    fn few_workers_stay_where_they_are() {
        let names = |view: &View| -> Vec<String> {
            few(view, &Colours::of(view)).rows.into_iter().map(|row| row.name).collect()
        };
        let (idle, busy) = (sample::idle(NOW), sample::busy(NOW));
        assert_eq!(names(&idle), names(&busy));
    }
}
