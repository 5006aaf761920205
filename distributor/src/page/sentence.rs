//! The state of the service in words: what is wrong first, then what is.

use std::collections::BTreeSet;
use std::fmt;

use super::words::{count, list, many};
use crate::view::{Function, Phase, Seconds, View, Worker, WorkerState};

/// From this age on a view is stale, and says so.
const STALE: Seconds = Seconds(2.5);

/// What the page says before anything else.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sentence {
    /// What is wrong, the worst first.
    pub(super) wrong: Vec<Wrong>,
    /// What is.
    pub(super) facts: String,
    /// What will be.
    pub(super) outlook: String,
}

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wrong {
    /// The view is old.
    Stale { age: Seconds },
    /// No link to the broker.
    Down { address: String, since: Seconds },
    /// The broker takes no messages.
    Blocked,
    /// Nobody leads.
    Leaderless,
    /// Another one leads.
    Standby { active: String, backlog: Option<u64> },
    /// Our own presence does not come back.
    Unsure,
    /// Nobody works.
    NoWorkers { waiting: u64, lost: Option<Seconds> },
    /// Functions that are called and that nobody serves.
    Unserved { functions: Vec<String> },
    /// Workers were lost.
    Lost { workers: usize, last: Seconds, jobs: u64 },
    /// Workers whose beat is late, or whose link is gone.
    Late { workers: usize },
    /// Functions of which more than one version is served.
    Skew { functions: Vec<String> },
}

impl Wrong {
    /// Whether calls suffer by it.
    pub(super) fn is_bad(&self) -> bool {
        match self {
            Self::Stale { .. }
            | Self::Down { .. }
            | Self::Blocked
            | Self::Leaderless
            | Self::Unserved { .. } => true,
            Self::NoWorkers { waiting, lost } => *waiting > 0 || lost.is_some(),
            Self::Standby { .. }
            | Self::Unsure
            | Self::Lost { .. }
            | Self::Late { .. }
            | Self::Skew { .. } => false,
        }
    }

    /// The same without numbers that grow: what a screen reader says when it changes.
    fn headline(&self) -> &'static str {
        match self {
            Self::Stale { .. } => "The numbers are old.",
            Self::Down { .. } => "No link to the broker.",
            Self::Blocked => "The broker takes no messages.",
            Self::Leaderless => "No distributor leads.",
            Self::Standby { .. } => "This distributor stands by.",
            Self::Unsure => "The broker does not answer.",
            Self::NoWorkers { .. } => "No workers.",
            Self::Unserved { .. } => "A function has no worker.",
            Self::Lost { .. } => "A worker was lost.",
            Self::Late { .. } => "A worker is late.",
            Self::Skew { .. } => "More than one version is served.",
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { age } => {
                write!(f, "These numbers are {age} old: the distributor makes no newer ones.")
            }
            Self::Down { address, since } => write!(
                f,
                "No link to the broker at {address} for {since}: what follows is from before."
            ),
            Self::Blocked => f.write_str("The broker takes no messages: a memory or disk alarm."),
            Self::Leaderless => {
                f.write_str("This distributor stands by, and no active one is heard.")
            }
            Self::Standby { active, backlog: None } => {
                write!(f, "This distributor stands by; {active} is the active one.")
            }
            Self::Standby { active, backlog: Some(jobs) } => write!(
                f,
                "This distributor stands by; {active} is the active one, with {} waiting there.",
                many(*jobs, "job")
            ),
            Self::Unsure => f.write_str(
                "The broker does not answer: what is told of the workers may be old.",
            ),
            Self::NoWorkers { waiting, lost } => no_workers(f, *waiting, *lost),
            Self::Unserved { functions } => {
                let verb = if functions.len() == 1 { "is" } else { "are" };
                write!(f, "{} {verb} called, but no worker serves it.", list(functions))
            }
            Self::Lost { workers: 1, last, jobs } => {
                write!(f, "One worker was lost {last} ago; {}.", placed_again(*jobs))
            }
            Self::Lost { workers, last, jobs } => write!(
                f,
                "{workers} workers were lost, the last {last} ago; {}.",
                placed_again(*jobs)
            ),
            Self::Late { workers: 1 } => f.write_str("One worker's beat is late."),
            Self::Late { workers } => write!(f, "The beats of {workers} workers are late."),
            Self::Skew { functions } => {
                write!(f, "More than one version of {} is served.", list(functions))
            }
        }
    }
}

fn no_workers(f: &mut fmt::Formatter<'_>, waiting: u64, lost: Option<Seconds>) -> fmt::Result {
    match lost {
        Some(last) => write!(f, "No workers: the last was lost {last} ago")?,
        None => f.write_str("No workers")?,
    }
    match waiting {
        0 => f.write_str("."),
        1 => f.write_str("; 1 job waits for one."),
        waiting => write!(f, "; {} jobs wait for one.", count(waiting)),
    }
}

/// What became of the jobs of lost workers.
pub(super) fn placed_again(jobs: u64) -> String {
    match jobs {
        0 => "it held no jobs".to_owned(),
        1 => "its job was placed again".to_owned(),
        jobs => format!("{} jobs were placed again", count(jobs)),
    }
}

impl Sentence {
    /// What to say of a view of this age.
    pub(super) fn of(view: &View, age: Seconds) -> Self {
        Self { wrong: wrong(view, age), facts: facts(view), outlook: outlook(view) }
    }

    /// What a screen reader says when it changes: it names no number that grows by itself.
    pub(super) fn headline(&self) -> String {
        match self.wrong.is_empty() {
            true => "All is well.".to_owned(),
            false => {
                let lines: Vec<&str> = self.wrong.iter().map(Wrong::headline).collect();
                lines.join(" ")
            }
        }
    }

    /// What stands in the browser's tab.
    pub(super) fn title(&self, view: &View) -> String {
        let said = match self.wrong.first() {
            Some(wrong) if wrong.is_bad() => wrong.headline().trim_end_matches('.').to_owned(),
            _ => many(view.totals.workers, "worker"),
        };
        format!("simple-dist · {said} · {} of {} slots busy", view.totals.busy, view.totals.slots)
    }
}

fn wrong(view: &View, age: Seconds) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    if age > STALE {
        wrong.push(Wrong::Stale { age });
    }
    match &view.distributor.phase {
        Phase::Down => wrong.push(Wrong::Down {
            address: view.broker.address.clone(),
            since: view.broker.since,
        }),
        Phase::Standby { active: None, .. } => wrong.push(Wrong::Leaderless),
        Phase::Standby { active: Some(active), backlog } => {
            wrong.push(Wrong::Standby { active: active.clone(), backlog: *backlog });
        }
        Phase::Active { .. } => {}
    }
    if view.broker.up && view.broker.blocked {
        wrong.push(Wrong::Blocked);
    }
    if view.broker.up && !view.broker.sure {
        wrong.push(Wrong::Unsure);
    }
    wrong.extend(of_workers(view));
    wrong
}

fn of_workers(view: &View) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let is_lost = |worker: &&Worker| worker.state == WorkerState::Lost;
    let lost: Vec<&Worker> = view.workers.iter().filter(is_lost).collect();
    let last = lost.iter().map(|worker| worker.silent).min_by(|one, two| one.0.total_cmp(&two.0));
    if view.totals.workers == 0 {
        wrong.push(Wrong::NoWorkers { waiting: view.totals.queued, lost: last });
    } else {
        let unserved = view.functions.iter().filter(|function| is_missed(function));
        let functions: Vec<String> = unserved.map(|function| function.name.to_string()).collect();
        if !functions.is_empty() {
            wrong.push(Wrong::Unserved { functions });
        }
        if let Some(last) = last {
            let jobs = lost.iter().map(|worker| u64::from(worker.gave_back)).sum();
            wrong.push(Wrong::Lost { workers: lost.len(), last, jobs });
        }
    }
    let late = |worker: &&Worker| {
        matches!(worker.state, WorkerState::Late | WorkerState::Unreachable)
    };
    let late = view.workers.iter().filter(late).count();
    if late > 0 {
        wrong.push(Wrong::Late { workers: late });
    }
    let skewed = view.functions.iter().filter(|function| function.versions.len() > 1);
    let skewed: BTreeSet<&str> = skewed.map(|function| name(&function.name)).collect();
    if !skewed.is_empty() {
        let functions = skewed.into_iter().map(str::to_owned).collect();
        wrong.push(Wrong::Skew { functions });
    }
    wrong
}

/// Nobody serves it, and somebody calls it.
fn is_missed(function: &Function) -> bool {
    let waits = function.queued + function.placed > 0;
    function.workers == 0 && (waits || function.local_share > 0.0)
}

/// `fib` of `fib@1`.
fn name(function: &str) -> &str {
    function.split_once('@').map_or(function, |(name, _)| name)
}

fn facts(view: &View) -> String {
    let totals = &view.totals;
    if totals.workers == 0 {
        return String::new();
    }
    let workers = match totals.workers {
        1 => "One worker".to_owned(),
        workers => format!("{} workers", count(workers as u64)),
    };
    let slots = match (totals.busy, totals.slots) {
        (0, 0) => "no slots open".to_owned(),
        (0, 1) => "its slot idle".to_owned(),
        (0, slots) => format!("all {} slots idle", count(slots)),
        (busy, slots) => format!("{} of {} slots busy", count(busy), count(slots)),
    };
    match (totals.queued, totals.oldest) {
        (0, _) => format!("{workers}, {slots}, nothing queued."),
        (jobs, None) => format!("{workers}, {slots}, {} queued.", many(jobs, "job")),
        (1, Some(oldest)) => format!("{workers}, {slots}, 1 job queued for {oldest}."),
        (jobs, Some(oldest)) => {
            format!("{workers}, {slots}, {} queued, the oldest for {oldest}.", many(jobs, "job"))
        }
    }
}

fn outlook(view: &View) -> String {
    let (totals, books) = (&view.totals, &view.books);
    let Phase::Active { .. } = view.distributor.phase else { return String::new() };
    match (totals.queued, totals.empty_in, books.accepted) {
        (0, _, 0) => "Nothing has been asked for yet.".to_owned(),
        (0, _, _) if books.failed == 0 => format!("{} done so far.", many(books.done, "job")),
        (0, _, _) => {
            format!("{} done so far, {} failed.", many(books.done, "job"), count(books.failed))
        }
        (_, Some(span), _) => format!("At this rate the queue is empty in about {span}."),
        (_, None, _) => "At this rate the queue does not empty.".to_owned(),
    }
}
