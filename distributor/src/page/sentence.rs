//! The state of the service in words: the problems first, then the facts.

use crate::view::format::{age, coarse, count, many};
use crate::view::{self, Phase, Seconds, Severity, View};

/// What the page says at the top.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sentence {
    /// The problems, worst first.
    pub(super) wrong: Vec<ProblemLine>,
    /// How many workers, slots and queued jobs there are.
    pub(super) facts: String,
    /// What to expect, or what has been done so far.
    pub(super) outlook: String,
    headline: String,
}

/// A problem that a visitor should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProblemLine {
    pub(super) text: String,
    pub(super) tone: &'static str,
}

impl Sentence {
    /// The sentence for a view of this age.
    pub(super) fn of(view: &View, age: Seconds) -> Self {
        let problems = || view::stale(age).into_iter().chain(view.problems.iter().cloned());
        let wrong = problems().map(|problem| ProblemLine {
            tone: match problem.severity {
                Severity::Critical => "bad",
                Severity::Warning => "warn",
                Severity::Info => "dim",
            },
            text: problem.text,
        });
        let headlines: Vec<String> = problems().map(|problem| problem.headline).collect();
        let headline = match headlines.is_empty() {
            true => "All is well.".to_owned(),
            false => headlines.join(" "),
        };
        Self { wrong: wrong.collect(), facts: facts(view), outlook: outlook(view), headline }
    }

    /// What a screen reader announces on a change: without numbers that grow by themselves.
    pub(super) fn headline(&self) -> &str {
        &self.headline
    }

    /// The title of the browser tab.
    pub(super) fn title(&self, view: &View) -> String {
        let worst = view.problems.first().filter(|worst| worst.severity == Severity::Critical);
        let said = match worst {
            Some(problem) => problem.headline.trim_end_matches('.').to_owned(),
            None => many(view.totals.workers, "worker"),
        };
        format!("simple-dist · {said} · {} of {} slots busy", view.totals.busy, view.totals.slots)
    }
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
    if totals.queued > 0 {
        return match totals.empty_in {
            Some(span) => format!("At this rate the queue is empty in about {}.", coarse(span)),
            None if totals.grows => "Jobs come faster than they end: the queue grows.".to_owned(),
            None => running(view).unwrap_or_default(),
        };
    }
    if books.accepted == 0 {
        return "No calls yet.".to_owned();
    }
    let ends = [
        (books.failed, "failed"),
        (books.timed_out, "ran out of time"),
        (books.cancelled, "cancelled"),
    ];
    let ends = ends.iter().filter(|(number, _)| *number > 0);
    let ends: String = ends.map(|(number, how)| format!(", {} {how}", count(*number))).collect();
    format!("{} done so far{ends}.", many(books.done, "job"))
}

/// What is running while nothing ends: some runs may take long.
fn running(view: &View) -> Option<String> {
    let held = view.workers.iter().flat_map(|worker| &worker.held);
    let runs = held.filter(|job| job.slot.is_some()).map(|job| job.age);
    let longest = runs.max_by(|one, two| one.0.total_cmp(&two.0))?;
    let jobs = many(view.totals.busy, "job");
    Some(match view.totals.busy {
        0 | 1 => format!("{jobs} runs, for {} so far.", coarse(longest)),
        _ => format!("{jobs} run, the longest for {} so far.", coarse(longest)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    const NOW: u64 = 1_700_000_123_000;

    fn said(mut view: View) -> Sentence {
        view.problems = view::diagnose(&view);
        Sentence::of(&view, Seconds(0.2))
    }

    #[test]
    fn an_idle_service_has_nothing_wrong() {
        let sentence = said(sample::idle(NOW));
        assert_eq!((sentence.headline(), sentence.wrong.len()), ("All is well.", 0));
        assert_eq!(sentence.facts, "4 workers, all 16 slots idle, nothing queued.");
    }

    #[test]
    fn all_is_well_only_without_problems() {
        let mut failing = sample::idle(NOW);
        (failing.functions[0].lately.ended, failing.functions[0].lately.failed) = (9, 1);
        let mut unserved = sample::idle(NOW);
        unserved.functions[0].workers = 0;
        for (view, headline, tone) in [
            (failing, "Jobs of fib@1 fail.", "warn"),
            (unserved, "A function has no worker.", "dim"),
        ] {
            let sentence = said(view);
            assert_eq!((sentence.headline(), sentence.wrong[0].tone), (headline, tone));
        }
    }

    #[test]
    fn a_busy_service_reports_the_waiting_jobs_and_their_age() {
        let mut view = sample::busy(NOW);
        view.totals.busy = 14;
        let sentence = said(view);
        let facts = "4 workers, 14 of 16 slots busy, 40 jobs queued, the oldest for 1.2 s.";
        assert_eq!(sentence.facts, facts);
        assert_eq!(sentence.outlook, "At this rate the queue is empty in about 9 s.");
    }

    #[test]
    fn the_queue_is_reported_as_growing_only_if_measured() {
        let mut view = sample::busy(NOW);
        view.totals.empty_in = None;
        view.totals.busy = 14;
        let long = said(view.clone()).outlook;
        assert!(long.starts_with("14 jobs run, the longest for "), "{long}");
        view.totals.grows = true;
        assert_eq!(said(view).outlook, "Jobs come faster than they end: the queue grows.");
    }

    #[test]
    fn each_ending_is_counted_separately() {
        let mut view = sample::idle(NOW);
        let books = &mut view.books;
        (books.accepted, books.done, books.failed, books.timed_out) = (10, 7, 1, 2);
        assert_eq!(said(view).outlook, "7 jobs done so far, 1 failed, 2 ran out of time.");
    }

    #[test]
    fn a_stale_view_is_reported_first() {
        let sentence = Sentence::of(&sample::lost(NOW), Seconds(12.0));
        assert_eq!(sentence.wrong[0].tone, "bad");
        assert!(sentence.headline().starts_with("The numbers are old."));
    }
}
