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
    /// One for each slot, so that none moves when another job ends; of a worker with very many slots,
    /// one for each of some jobs.
    pub(super) cells: Vec<Cell>,
    /// What the cells leave out: `+ 12 running, 3 idle`.
    pub(super) more: Option<String>,
    /// Jobs that wait there for a slot.
    pub(super) waiting: Option<String>,
    /// What happened to it, shown instead of chips.
    pub(super) fate: Option<String>,
    pub(super) done: String,
    pub(super) failed: Option<String>,
    pub(super) beat: String,
    pub(super) is_late: bool,
    pub(super) act: Option<Button>,
}

/// What a slot does.
pub(super) enum Cell {
    Runs(Chip),
    /// Jobs so short that no beat names them.
    Busy,
    Idle,
}

/// A job in a slot.
pub(super) struct Chip {
    pub(super) job: String,
    pub(super) class: String,
    pub(super) function: String,
    pub(super) age: String,
    pub(super) progress: Option<Bar>,
    /// `fib@1 in slot 2`
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
            WorkerState::Draining | WorkerState::Quarantined => Some(Self::Resume),
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
        WorkerState::Quarantined => 1,
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
    let (cells, more) = match worker.slots as usize {
        _ if is_gone => (Vec::new(), None),
        slots if slots <= most => (by_slot(worker, colours), None),
        _ => some(worker, most, colours),
    };
    let waiting = worker.holds.saturating_sub(worker.busy as usize);
    WorkerRow {
        id: worker.id,
        name: worker.id.short(),
        host: text::line(&worker.host, NAMED).to_string(),
        version: text::line(&worker.version, NAMED).to_string(),
        state: worker.state.word(),
        is_gone,
        cells,
        more,
        waiting: (waiting > 0 && !is_gone).then(|| format!("{} waiting", count(waiting as u64))),
        fate: is_gone.then(|| fate(worker)),
        done: count(worker.done),
        failed: (worker.failed > 0).then(|| format!("{} failed", count(worker.failed))),
        beat: age(worker.silent),
        is_late: match worker.state {
            WorkerState::Late | WorkerState::Unreachable | WorkerState::Lost => true,
            WorkerState::Live
            | WorkerState::Degraded
            | WorkerState::Draining
            | WorkerState::Quarantined
            | WorkerState::Left => false,
        },
        act: Button::of(worker.state),
    }
}

/// A cell for each slot.
fn by_slot(worker: &Worker, colours: &Colours) -> Vec<Cell> {
    let of = |slot| worker.held.iter().find(|job| job.slot == Some(slot));
    let known = (0..worker.slots).filter(|slot| of(*slot).is_some()).count();
    let mut unseen = (worker.busy as usize).saturating_sub(known);
    let cell = |slot| match of(slot) {
        Some(job) => Cell::Runs(chip(job, colours)),
        None if unseen > 0 => {
            unseen -= 1;
            Cell::Busy
        }
        None => Cell::Idle,
    };
    (0..worker.slots).map(cell).collect()
}

/// Cells for the first jobs of a worker, and what they leave out.
fn some(worker: &Worker, most: usize, colours: &Colours) -> (Vec<Cell>, Option<String>) {
    let mut held: Vec<&HeldJob> = worker.held.iter().filter(|job| job.slot.is_some()).collect();
    held.sort_by_key(|job| job.slot);
    held.truncate(most);
    let parts = [
        ((worker.busy as usize).saturating_sub(held.len()), "running"),
        (worker.slots.saturating_sub(worker.busy) as usize, "idle"),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> =
        parts.map(|(number, word)| format!("{} {word}", count(number as u64))).collect();
    let more = (!parts.is_empty()).then(|| format!("+ {}", parts.join(", ")));
    (held.into_iter().map(|job| Cell::Runs(chip(job, colours))).collect(), more)
}

fn chip(job: &HeldJob, colours: &Colours) -> Chip {
    let mut title = job.function.to_string();
    if let Some(slot) = job.slot {
        title += &format!(" in slot {}", slot + 1);
    }
    if job.abandoned {
        title += ": abandoned, still running";
    } else if let Some(trial) = &job.trial {
        title += &format!(": a {trial}, nobody waits for it");
    }
    Chip {
        job: job.id.to_string(),
        class: colours.class(&job.function),
        function: job.function.to_string(),
        age: age(job.age),
        progress: job.progress.as_ref().map(Bar::of),
        title,
        note: match &job.trial {
            _ if job.abandoned => Some("abandoned".to_owned()),
            Some(trial) => Some(trial.clone()),
            None => (job.attempt > 1).then(|| format!("{} try", nth(job.attempt))),
        },
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
    fn each_slot_has_a_place_and_only_very_many_are_summed() {
        let view = sample::busy(NOW);
        let colours = Colours::of(&view);
        let mut worker = view.workers[1].clone();
        let shown = |worker: &Worker, most| {
            let row = row(worker, most, &colours);
            let cells = row.cells.iter().map(|cell| match cell {
                Cell::Runs(_) => 'r',
                Cell::Busy => 'b',
                Cell::Idle => 'i',
            });
            (cells.collect::<String>(), row.more, row.waiting)
        };
        worker.slots = 5;
        worker.held.retain(|job| job.slot != Some(1));
        (worker.busy, worker.holds) = (4, 6);
        let waiting = Some("2 waiting".to_owned());
        assert_eq!(shown(&worker, 16), ("rbrri".to_owned(), None, waiting.clone()));
        let more = Some("+ 2 running, 1 idle".to_owned());
        assert_eq!(shown(&worker, 2), ("rr".to_owned(), more, waiting));
        worker.state = WorkerState::Lost;
        assert_eq!(shown(&worker, 16), (String::new(), None, None));
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
