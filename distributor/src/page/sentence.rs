//! The state of the service in words: what is wrong first, then what is.

use std::collections::BTreeSet;
use std::fmt;

use super::words::{age, coarse, count, list, many};
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
                let age = coarse(*age);
                write!(f, "These numbers are {age} old: the distributor makes no newer ones.")
            }
            Self::Down { address, since } => write!(
                f,
                "No link to the broker at {address} for {}: what follows is from before.",
                coarse(*since)
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
            Self::Unsure => {
                f.write_str("The broker does not answer: what is told of the workers may be old.")
            }
            Self::NoWorkers { waiting, lost } => no_workers(f, *waiting, *lost),
            Self::Unserved { functions } => {
                let (verb, them) =
                    if functions.len() == 1 { ("is", "it") } else { ("are", "them") };
                write!(f, "{} {verb} called, but no worker serves {them}.", list(functions))
            }
            Self::Lost { workers: 1, last, jobs } => {
                write!(f, "One worker was lost {} ago; {}.", coarse(*last), placed_again(*jobs))
            }
            Self::Lost { workers, last, jobs } => write!(
                f,
                "{workers} workers were lost, the last {} ago; {}.",
                coarse(*last),
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
        Some(last) => write!(f, "No workers: the last was lost {} ago", coarse(last))?,
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
        0 => "no job was placed again".to_owned(),
        1 => "1 job was placed again".to_owned(),
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
        Phase::Down => wrong
            .push(Wrong::Down { address: view.broker.address.clone(), since: view.broker.since }),
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
    let late =
        |worker: &&Worker| matches!(worker.state, WorkerState::Late | WorkerState::Unreachable);
    let late = view.workers.iter().filter(late).count();
    // Without a link nobody can be heard.
    if late > 0 && view.broker.up {
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
        (1, Some(oldest)) => format!("{workers}, {slots}, 1 job queued for {}.", age(oldest)),
        (jobs, Some(oldest)) => {
            let (jobs, oldest) = (many(jobs, "job"), age(oldest));
            format!("{workers}, {slots}, {jobs} queued, the oldest for {oldest}.")
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
        (_, Some(span), _) => format!("At this rate the queue is empty in about {}.", coarse(span)),
        (_, None, _) => "At this rate the queue does not empty.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    const NOW: u64 = 1_700_000_123_000;

    #[track_caller]
    fn check<const N: usize>(view: &View, wrong: [Wrong; N], facts: &str) {
        let sentence = Sentence::of(view, Seconds(0.2));
        assert_eq!(sentence.wrong, wrong);
        assert!(sentence.facts.starts_with(facts), "{}", sentence.facts);
    }

    fn lost(workers: usize, jobs: u64) -> Wrong {
        Wrong::Lost { workers, last: Seconds(34.2), jobs }
    }

    #[test]
    fn a_new_service_asks_for_a_worker() {
        check(&sample::empty(NOW), [Wrong::NoWorkers { waiting: 0, lost: None }], "");
        assert!(!Wrong::NoWorkers { waiting: 0, lost: None }.is_bad());
        assert!(Wrong::NoWorkers { waiting: 3, lost: None }.is_bad());
    }

    #[test]
    fn an_idle_service_has_nothing_wrong() {
        check(&sample::idle(NOW), [], "4 workers, all 16 slots idle, nothing queued.");
        assert_eq!(Sentence::of(&sample::idle(NOW), Seconds(0.0)).headline(), "All is well.");
    }

    #[test]
    fn a_busy_service_tells_what_waits_and_for_how_long() {
        let mut view = sample::busy(NOW);
        view.totals.busy = 14;
        check(&view, [], "4 workers, 14 of 16 slots busy, 40 jobs queued, the oldest for 1.2 s.");
        let outlook = Sentence::of(&view, Seconds(0.0)).outlook;
        assert_eq!(outlook, "At this rate the queue is empty in about 9 s.");
    }

    #[test]
    fn a_lost_worker_comes_with_what_became_of_its_jobs() {
        check(&sample::lost(NOW), [lost(1, 4)], "3 workers, ");
    }

    #[test]
    fn lost_workers_are_told_together() {
        let mut view = sample::lost(NOW);
        view.workers[2].state = WorkerState::Lost;
        view.workers[2].silent = Seconds(70.0);
        view.workers[2].gave_back = 2;
        check(&view, [lost(2, 6)], "3 workers, ");
    }

    #[test]
    fn the_last_worker_lost_is_no_workers() {
        let mut view = sample::lost(NOW);
        view.totals.workers = 0;
        check(&view, [Wrong::NoWorkers { waiting: 40, lost: Some(Seconds(34.2)) }], "");
    }

    #[test]
    fn a_called_function_without_workers_comes_before_skew() {
        check(
            &sample::unserved(NOW),
            [
                Wrong::Unserved { functions: vec!["render@3".to_owned()] },
                Wrong::Skew { functions: vec!["sleep".to_owned()] },
            ],
            "4 workers, ",
        );
    }

    #[test]
    fn a_function_that_nobody_calls_is_not_missed() {
        let mut view = sample::idle(NOW);
        view.functions[0].workers = 0;
        check(&view, [], "4 workers, ");
    }

    #[test]
    fn a_cut_link_comes_first() {
        let view = sample::down(NOW);
        let down = Wrong::Down { address: "localhost:5672".to_owned(), since: Seconds(12.4) };
        check(&view, [down], "4 workers, ");
    }

    #[test]
    fn a_late_beat_is_told() {
        let mut view = sample::busy(NOW);
        view.workers[0].state = WorkerState::Unreachable;
        check(&view, [Wrong::Late { workers: 1 }], "4 workers, ");
    }

    #[test]
    fn a_blocked_broker_is_bad_and_a_silent_one_is_told() {
        let mut view = sample::busy(NOW);
        view.broker.blocked = true;
        view.broker.sure = false;
        check(&view, [Wrong::Blocked, Wrong::Unsure], "4 workers, ");
        assert!(Wrong::Blocked.is_bad() && !Wrong::Unsure.is_bad());
    }

    #[test]
    fn a_standby_names_who_leads() {
        let active = "d-0c7d81c2".to_owned();
        check(&sample::standby(NOW), [Wrong::Standby { active, backlog: Some(40) }], "4 workers, ");
        let mut alone = sample::standby(NOW);
        alone.distributor.phase = Phase::Standby { active: None, backlog: None };
        check(&alone, [Wrong::Leaderless], "4 workers, ");
    }

    #[test]
    fn an_old_view_says_so_before_all() {
        let sentence = Sentence::of(&sample::lost(NOW), Seconds(12.0));
        assert_eq!(sentence.wrong, [Wrong::Stale { age: Seconds(12.0) }, lost(1, 4)]);
    }

    #[test]
    fn what_is_wrong_reads_as_a_sentence() {
        let unserved = |names: &[&str]| Wrong::Unserved {
            functions: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (wrong, text) in [
            (lost(1, 4), "One worker was lost 34 s ago; 4 jobs were placed again."),
            (lost(1, 0), "One worker was lost 34 s ago; no job was placed again."),
            (lost(2, 1), "2 workers were lost, the last 34 s ago; 1 job was placed again."),
            (unserved(&["fib@1"]), "fib@1 is called, but no worker serves it."),
            (unserved(&["a@1", "b@1"]), "a@1 and b@1 are called, but no worker serves them."),
            (Wrong::NoWorkers { waiting: 1, lost: None }, "No workers; 1 job waits for one."),
        ] {
            assert_eq!(wrong.to_string(), text);
        }
    }
}
