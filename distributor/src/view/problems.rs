//! Diagnoses what is wrong with the service, once per view, for the page, the API, `simple-dist
//! top` and the probes alike.

mod answers;

use std::collections::BTreeSet;
use std::sync::Arc;

use simple_dist_protocol::text;

use super::format::{coarse, count, list, many};
use super::{
    Function, Phase, Problem, ProblemKind, Sample, Seconds, Severity, View, Worker, WorkerState,
};

/// How many seconds refusals count as recent.
const LATELY: usize = 60;
/// The most characters of a message that a problem repeats.
const WHY: usize = 80;
/// The age from which a view is stale.
const STALE: Seconds = Seconds(2.5);

/// The problems, worst first.
pub(crate) fn diagnose(view: &View) -> Vec<Problem> {
    let mut problems: Vec<Problem> = [of_link(view), of_workers(view), of_functions(view)]
        .into_iter()
        .flatten()
        .chain(answers::problems(view))
        .chain(abandoned(view))
        .chain(refused(view))
        .chain(turned_away(view))
        .chain(shadows_stopped(view))
        .chain((!view.books.balance()).then(unbalanced))
        .collect();
    // The sort is stable: problems of equal severity keep this order.
    problems.sort_by_key(|problem| problem.severity);
    problems
}

/// The problem of a view this old, if it is too old; a view cannot tell by itself.
pub(crate) fn stale(age: Seconds) -> Option<Problem> {
    let old = coarse(age);
    (age > STALE).then(|| {
        Problem::new(ProblemKind::Stale, Severity::Critical, "The numbers are old.")
            .blocking()
            .saying(format!(
                "These numbers are {old} old: the distributor is not producing newer ones."
            ))
    })
}

fn of_link(view: &View) -> Vec<Problem> {
    use ProblemKind::{BrokerBlocked, BrokerDown, BrokerSilent, Leaderless, Standby};
    let broker = &view.broker;
    let mut problems = Vec::new();
    match &view.distributor.phase {
        Phase::Down => problems.push(
            Problem::new(BrokerDown, Severity::Critical, "No connection to the broker.").saying(
                format!(
                    "No connection to the broker at {} for {}: what follows is older.",
                    broker.address,
                    coarse(broker.since)
                ),
            ),
        ),
        Phase::Standby { active: None, .. } => problems.push(
            Problem::new(Leaderless, Severity::Critical, "No distributor is active.")
                .saying("This distributor is on standby, and there is no active one.".to_owned()),
        ),
        Phase::Standby { active: Some(active), backlog } => {
            let waits = backlog.map(|jobs| format!(", with {} waiting there", many(jobs, "job")));
            problems.push(
                Problem::new(Standby, Severity::Warning, "This distributor is on standby.").saying(
                    format!(
                        "This distributor is on standby; {active} is active{}.",
                        waits.unwrap_or_default()
                    ),
                ),
            );
        }
        Phase::Active { .. } => {}
    }
    if broker.up && broker.blocked {
        problems.push(
            Problem::new(BrokerBlocked, Severity::Critical, "The broker is blocking publishers.")
                .saying("The broker is blocking publishers: a memory or disk alarm.".to_owned()),
        );
    }
    if broker.up && !broker.sure {
        problems.push(
            Problem::new(BrokerSilent, Severity::Warning, "The broker does not answer.").saying(
                "The broker does not answer: what is shown of the workers may be out of date."
                    .to_owned(),
            ),
        );
    }
    problems.into_iter().map(Problem::blocking).collect()
}

fn of_workers(view: &View) -> Vec<Problem> {
    use ProblemKind::{NoWorkers, WorkersLate, WorkersLost};
    let mut problems = Vec::new();
    let is_lost = |worker: &&Worker| worker.state == WorkerState::Lost;
    let lost = view.workers.iter().filter(is_lost).map(|worker| worker.silent);
    let last = lost.min_by(|one, two| one.0.total_cmp(&two.0));
    let totals = &view.totals;
    if totals.workers == 0 {
        let severity = match (totals.queued, last) {
            (0, None) => Severity::Warning,
            _ => Severity::Critical,
        };
        let fate = last
            .map_or_else(String::new, |last| format!(": the last was lost {} ago", coarse(last)));
        let waits = match totals.queued {
            0 => String::new(),
            1 => "; 1 job waits for one".to_owned(),
            jobs => format!("; {} jobs wait for one", count(jobs)),
        };
        problems.push(
            Problem::new(NoWorkers, severity, "No workers.")
                .blocking()
                .saying(format!("No workers{fate}{waits}.")),
        );
    } else if let Some(last) = last {
        let (ago, again) = (coarse(last), placed_again(totals.lost_gave_back));
        let text = match totals.lost {
            0 | 1 => format!("One worker was lost {ago} ago; {again}."),
            workers => {
                let workers = count(workers as u64);
                format!("{workers} workers were lost, the last {ago} ago; {again}.")
            }
        };
        let lost = Problem::new(WorkersLost, Severity::Warning, "A worker was lost.");
        problems.push(lost.saying(text));
    }
    let late =
        |worker: &&Worker| matches!(worker.state, WorkerState::Late | WorkerState::Unreachable);
    let late = view.workers.iter().filter(late).count();
    // Without a link no beat can arrive.
    if late > 0 && view.broker.up {
        let text = match late {
            1 => "One worker's beat is late.".to_owned(),
            late => format!("The beats of {} workers are late.", count(late as u64)),
        };
        let problem = Problem::new(WorkersLate, Severity::Warning, "A worker is late.");
        problems.push(problem.saying(text));
    }
    problems
}

/// Says how many jobs of lost workers were placed again.
pub(crate) fn placed_again(jobs: u64) -> String {
    match jobs {
        0 => "no job was placed again".to_owned(),
        1 => "1 job was placed again".to_owned(),
        jobs => format!("{} jobs were placed again", count(jobs)),
    }
}

type Number = fn(&Function) -> u64;

fn of_functions(view: &View) -> Vec<Problem> {
    use ProblemKind::{Failing, Skew, TimingOut, Unserved};
    let mut problems = Vec::new();
    // Without a link, or without any worker, that is the problem to report.
    let judged = if view.distributor.phase == Phase::Down { &[] } else { &*view.functions };
    if view.totals.workers > 0 {
        let unserved = || judged.iter().filter(|function| function.workers == 0);
        let (called, uncalled): (Vec<_>, Vec<_>) = unserved().partition(|it| is_called(it));
        let headline = "A function has no worker.";
        if let Some((names, said)) = named(&called) {
            let (verb, them) = if names.len() == 1 { ("is", "it") } else { ("are", "them") };
            problems.push(
                Problem::new(Unserved, Severity::Critical, headline)
                    .saying(format!("{said} {verb} called, but no worker serves {them}."))
                    .about(names),
            );
        }
        if let Some((names, said)) = named(&uncalled) {
            let (verb, them) = if names.len() == 1 { ("has", "it") } else { ("have", "them") };
            // Refusals are not counted per function.
            let unused = match refused_lately(view) {
                0 => format!("; nobody calls {them} now"),
                _ => String::new(),
            };
            problems.push(
                Problem::new(Unserved, Severity::Info, headline)
                    .saying(format!("{said} {verb} no worker{unused}."))
                    .about(names),
            );
        }
    }
    let kinds: [(_, _, _, Number); 2] = [
        (Failing, "fail", "failed", |function| function.lately.failed),
        (TimingOut, "run out of time", "ran out of time", |it| it.lately.timed_out),
    ];
    for (kind, now, verb, of) in kinds {
        let some: Vec<_> = judged.iter().filter(|function| of(function) > 0).collect();
        let (bad, ended) = some.iter().fold((0, 0), |(bad, ended), function| {
            (bad + of(function), ended + function.lately.ended)
        });
        let severity = if bad * 2 >= ended { Severity::Critical } else { Severity::Warning };
        if let Some((names, said)) = named(&some) {
            let (bad, ended) = (count(bad), many(ended, "job"));
            let why = why(view, kind).map(|why| format!("; most often: {why}"));
            let why = why.unwrap_or_default();
            problems.push(
                Problem::new(kind, severity, &format!("Jobs of {said} {now}."))
                    .saying(format!("{bad} of the last {ended} of {said} {verb}{why}."))
                    .about(names),
            );
        }
    }
    let skewed = judged.iter().filter(|function| function.versions.len() > 1);
    let names: BTreeSet<&str> = skewed.map(|function| bare(&function.name)).collect();
    if !names.is_empty() {
        let names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
        problems.push(
            Problem::new(Skew, Severity::Warning, "More than one version is served.")
                .saying(format!("More than one version of {} is served.", list(&names)))
                .about(names),
        );
    }
    problems
}

/// What those say that fail most often now, and where they panic.
fn why(view: &View, kind: ProblemKind) -> Option<String> {
    let now = view.failures.iter().filter(|group| group.lately > 0 && !group.rest);
    let fail = now.filter(|_| kind == ProblemKind::Failing).filter(|it| it.kind != "expired");
    let group = fail.max_by_key(|group| group.lately)?;
    let said = text::line(group.message.as_deref()?, WHY).to_string();
    let at = group.location.as_deref().map(|at| format!(", at {}", text::line(at, WHY)));
    Some(format!("{}{}", said.trim_end_matches('.'), at.unwrap_or_default()))
}

fn named(functions: &[&Function]) -> Option<(Vec<Arc<str>>, String)> {
    let names: Vec<_> = functions.iter().map(|function| Arc::clone(&function.name)).collect();
    let said = list(&names);
    (!names.is_empty()).then_some((names, said))
}

/// Whether the function is wanted now, or was recently.
fn is_called(function: &Function) -> bool {
    let waits = function.queued + function.placed > 0;
    waits || function.local_share > 0.0 || function.lately.failed > 0
}

/// `fib` of `fib@1`.
fn bare(function: &str) -> &str {
    function.split_once('@').map_or(function, |(name, _)| name)
}

fn abandoned(view: &View) -> Option<Problem> {
    let text = match view.totals.abandoned {
        0 => return None,
        1 => "One slot runs a job that nobody waits for any more.".to_owned(),
        slots => format!("{} slots run jobs that nobody waits for any more.", count(slots)),
    };
    let headline = "Slots run what nobody waits for.";
    let degraded = view.workers.iter().filter(|worker| worker.state == WorkerState::Degraded);
    let degraded: Vec<String> = degraded.map(|worker| worker.id.short()).collect();
    let (severity, text) = match degraded.as_slice() {
        [] => (Severity::Info, text),
        [one] => (Severity::Warning, format!("{text} They are half of those of {one} or more.")),
        some => {
            let some = many(some.len() as u64, "worker");
            (Severity::Warning, format!("{text} Half or more of {some} are lost to that."))
        }
    };
    Some(Problem::new(ProblemKind::Abandoned, severity, headline).saying(text))
}

fn refused_lately(view: &View) -> u64 {
    view.series.iter().rev().take(LATELY).map(|sample: &Sample| sample.refused).sum()
}

fn refused(view: &View) -> Option<Problem> {
    let refused = refused_lately(view);
    (refused > 0).then(|| {
        let were = if refused == 1 { "was" } else { "were" };
        Problem::new(ProblemKind::Refused, Severity::Warning, "Jobs are refused.")
            .saying(format!("{} {were} refused in the last minute.", many(refused, "job")))
    })
}

fn turned_away(view: &View) -> Option<Problem> {
    let late = view.turned_away.iter().filter(|turned| turned.last.0 < LATELY as f64);
    let said: Vec<String> =
        late.map(|turned| format!("{} ({} times)", turned.reason, count(turned.count))).collect();
    (!said.is_empty()).then(|| {
        Problem::new(ProblemKind::TurnedAway, Severity::Warning, "A limit is reached.")
            .saying(format!("A limit is reached: {}.", said.join("; ")))
    })
}

fn shadows_stopped(view: &View) -> Option<Problem> {
    let stopped = view.shadows.iter().filter(|it| it.stopped.is_some());
    let names: Vec<Arc<str>> = stopped.map(|it| Arc::clone(&it.shadow)).collect();
    let headline = "A shadow version is stopped.";
    (!names.is_empty()).then(|| {
        Problem::new(ProblemKind::ShadowStopped, Severity::Warning, headline)
            .saying(format!(
                "{} runs as a shadow no more: a run ended its process or was lost with its worker, or \
                 several took much longer than the calls' own.",
                list(&names)
            ))
            .about(names)
    })
}

fn unbalanced() -> Problem {
    Problem::new(ProblemKind::Books, Severity::Critical, "The job counts do not add up.")
        .saying("The job counts do not add up: this is a bug in simple-dist.".to_owned())
}

#[cfg(test)]
mod tests;
