//! The table of functions: workers, queue, wait and run times, outcomes.

use std::collections::{BTreeMap, BTreeSet};

use super::colour::Colours;
use super::search::{Found, Search};
use crate::view::format::{Measure, count, many, percentiles};
use crate::view::{Function, ProblemKind, Severity, View};

/// The most functions on the front page.
const FEW: usize = 24;

/// A row of the table of functions.
pub(super) struct FunctionRow {
    pub(super) class: String,
    pub(super) name: String,
    pub(super) workers: String,
    pub(super) slots: String,
    /// The tone of the note that no worker serves it, if so.
    pub(super) unserved: Option<&'static str>,
    /// The versions served, if more than one.
    pub(super) skew: Option<String>,
    /// `10 % of calls without a version`, of those.
    pub(super) unversioned: Option<String>,
    pub(super) queued: String,
    pub(super) running: String,
    pub(super) rate: String,
    pub(super) wait: Option<String>,
    pub(super) run: Option<String>,
    pub(super) done: String,
    pub(super) failed: String,
    /// `3 timed out`, `1 cancelled`.
    pub(super) other_ends: Vec<String>,
    pub(super) has_failed: bool,
    pub(super) local: String,
    /// Whether practically all its calls run locally.
    pub(super) is_all_local: bool,
    /// `value 1,204 · panicked 2`: how its jobs ended.
    pub(super) answers: String,
    /// `not served 12`: why clients ran it locally.
    pub(super) reasons: String,
}

/// The functions of the front page: all, or of many those that matter most; and how many are not
/// there.
pub(super) fn few(view: &View, colours: &Colours) -> (Vec<FunctionRow>, Option<String>) {
    let mut functions = ordered(view);
    let more = functions.split_off(functions.len().min(FEW)).len() as u64;
    (rows(&functions, view, colours), (more > 0).then(|| many(more, "more function")))
}

/// The functions that a search finds.
pub(super) fn found(view: &View, colours: &Colours, search: &Search) -> Found<FunctionRow> {
    let Found { rows: functions, pages } = search.of(ordered(view), |one| one.name.to_string());
    Found { rows: rows(&functions, view, colours), pages }
}

/// These functions.
pub(super) fn rows(functions: &[&Function], view: &View, colours: &Colours) -> Vec<FunctionRow> {
    let missed = missed(view);
    functions.iter().map(|it| row(it, is_missed(it, &missed), colours)).collect()
}

/// Few are in the order of their names; of many, those that matter most are first.
fn ordered(view: &View) -> Vec<&Function> {
    let mut functions: Vec<&Function> = view.functions.iter().collect();
    if functions.len() > FEW {
        let missed = missed(view);
        functions.sort_by_key(|it| match it {
            it if it.workers == 0 && is_missed(it, &missed) => 0,
            it if it.lately.failed + it.lately.timed_out > 0 => 1,
            it if it.queued + it.placed + it.running > 0 => 2,
            it if it.lately.ended > 0 => 3,
            _ => 4,
        });
    }
    functions
}

/// The functions that are called, but not served.
fn missed(view: &View) -> BTreeSet<&str> {
    let missed = view.problems.iter().filter(|problem| {
        problem.kind == ProblemKind::Unserved && problem.severity == Severity::Critical
    });
    missed.flat_map(|it| &it.functions).map(|name| &**name).collect()
}

fn is_missed(function: &Function, missed: &BTreeSet<&str>) -> bool {
    function.queued + function.placed > 0 || missed.contains(&*function.name)
}

fn row(function: &Function, is_missed: bool, colours: &Colours) -> FunctionRow {
    FunctionRow {
        class: colours.class(&function.name),
        name: function.name.to_string(),
        workers: count(function.workers as u64),
        slots: count(function.slots),
        unserved: (function.workers == 0).then_some(if is_missed { "bad" } else { "dim" }),
        skew: skew(function),
        unversioned: unversioned(function),
        queued: count((function.queued + function.placed) as u64),
        running: count(function.running as u64),
        rate: Measure::rate(function.rate).to_string(),
        wait: percentiles(&function.wait),
        run: percentiles(&function.run),
        done: count(function.done),
        failed: count(function.failed),
        other_ends: [(function.timed_out, "timed out"), (function.cancelled, "cancelled")]
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, how)| format!("{} {how}", count(number)))
            .collect(),
        has_failed: function.failed > 0,
        local: Measure::share(function.local_share).to_string(),
        is_all_local: function.local_share >= 0.995,
        answers: kinds(&function.answers),
        reasons: kinds(&function.local),
    }
}

fn skew(function: &Function) -> Option<String> {
    let versions: Vec<String> =
        function.versions.iter().map(|version| format!("@{version}")).collect();
    (versions.len() > 1).then(|| format!("{} served", versions.join(" and ")))
}

fn unversioned(function: &Function) -> Option<String> {
    let share = Measure::share(function.unversioned);
    let is_one_of_many = function.versions.len() > 1 && function.workers > 0;
    is_one_of_many.then(|| format!("{share} of calls without a version"))
}

/// `value 1,204 · panicked 2`, with `value` first.
fn kinds(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
    counts.sort_by_key(|(kind, _)| kind.as_str() != "value");
    let kinds: Vec<String> = counts
        .into_iter()
        .filter(|(_, number)| **number > 0)
        .map(|(kind, number)| format!("{} {}", kind.replace('_', " "), count(*number)))
        .collect();
    kinds.join(" · ")
}
