//! Which view has which problems.

use simple_dist_protocol::WorkerId;

use super::*;
use crate::view::{Difference, DifferingAnswer, Outvoted, sample};
use ProblemKind as Kind;

const NOW: u64 = 1_700_000_123_000;

/// A sample, changed.
fn with(sample: fn(u64) -> View, change: impl FnOnce(&mut View)) -> View {
    let mut view = sample(NOW);
    change(&mut view);
    view
}

#[track_caller]
fn check<const N: usize>(view: &View, problems: [(Kind, Severity); N]) -> Vec<Problem> {
    let found = diagnose(view);
    let kinds: Vec<_> = found.iter().map(|problem| (problem.kind, problem.severity)).collect();
    assert_eq!(kinds, problems);
    found
}

#[track_caller]
fn says(view: &View, text: &str) {
    let found = diagnose(view);
    assert!(found.iter().any(|problem| problem.text == text), "{found:?}");
}

#[test]
fn an_idle_service_has_nothing_wrong() {
    check(&sample::idle(NOW), []);
}

#[test]
fn a_service_without_workers_asks_for_one() {
    let found = check(&sample::empty(NOW), [(Kind::NoWorkers, Severity::Warning)]);
    assert!(found[0].blocks);
    let waiting = with(sample::empty, |view| view.totals.queued = 1);
    check(&waiting, [(Kind::NoWorkers, Severity::Critical)]);
    says(&waiting, "No workers; 1 job waits for one.");
}

#[test]
fn lost_workers_are_reported_with_those_not_listed() {
    let lost = |workers, jobs| {
        with(sample::lost, |view| {
            (view.totals.lost, view.totals.lost_gave_back) = (workers, jobs);
        })
    };
    check(&lost(1, 4), [(Kind::WorkersLost, Severity::Warning)]);
    says(&lost(1, 4), "One worker was lost 34 s ago; 4 jobs were placed again.");
    says(&lost(1, 0), "One worker was lost 34 s ago; no job was placed again.");
    says(&lost(300, 1), "300 workers were lost, the last 34 s ago; 1 job was placed again.");
    let last = with(sample::lost, |view| view.totals.workers = 0);
    check(&last, [(Kind::NoWorkers, Severity::Critical)]);
    says(&last, "No workers: the last was lost 34 s ago; 40 jobs wait for one.");
}

#[test]
fn a_called_function_without_workers_comes_before_skew() {
    let view = sample::unserved(NOW);
    let found =
        check(&view, [(Kind::Unserved, Severity::Critical), (Kind::Skew, Severity::Warning)]);
    assert_eq!(found[0].functions, ["render@3".into()]);
    says(&view, "render@3 is called, but no worker serves it.");
}

#[test]
fn an_unused_function_without_workers_is_reported_last() {
    let quiet = with(sample::idle, |view| view.functions[0].workers = 0);
    check(&quiet, [(Kind::Unserved, Severity::Info)]);
    says(&quiet, "fib@1 has no worker; nobody calls it now.");
    let refused = with(sample::idle, |view| {
        view.functions[0].workers = 0;
        view.series.last_mut().unwrap().refused = 1;
    });
    let found =
        check(&refused, [(Kind::Refused, Severity::Warning), (Kind::Unserved, Severity::Info)]);
    assert_eq!(found[1].text, "fib@1 has no worker.");
}

#[test]
fn failing_functions_are_a_problem_and_severe_if_half_of_their_jobs_fail() {
    let failing = |failed| {
        with(sample::idle, |view| {
            view.functions[1].lately.ended = 10;
            view.functions[1].lately.failed = failed;
        })
    };
    check(&failing(1), [(Kind::Failing, Severity::Warning)]);
    check(&failing(5), [(Kind::Failing, Severity::Critical)]);
    says(&failing(2), "2 of the last 10 jobs of primes@1 failed.");
}

#[test]
fn expiry_is_not_a_failure() {
    let view = with(sample::idle, |view| {
        view.functions[1].lately.ended = 10;
        view.functions[1].lately.timed_out = 3;
    });
    check(&view, [(Kind::TimingOut, Severity::Warning)]);
    says(&view, "3 of the last 10 jobs of primes@1 ran out of time.");
}

#[test]
fn slots_with_abandoned_runs_are_reported() {
    let view = with(sample::busy, |view| view.totals.abandoned = 2);
    check(&view, [(Kind::Abandoned, Severity::Info)]);
    says(&view, "2 slots run jobs that nobody waits for any more.");
}

#[test]
fn a_worker_that_lost_half_of_its_slots_is_a_warning() {
    let view = with(sample::busy, |view| {
        view.totals.abandoned = 2;
        view.workers[0].state = WorkerState::Degraded;
    });
    check(&view, [(Kind::Abandoned, Severity::Warning)]);
    let worker = view.workers[0].id.short();
    let lost = format!("They are half of those of {worker} or more.");
    says(&view, &format!("2 slots run jobs that nobody waits for any more. {lost}"));
}

#[test]
fn refusals_are_reported_for_a_minute() {
    let refused = |second: usize| with(sample::idle, |view| view.series[119 - second].refused = 1);
    check(&refused(59), [(Kind::Refused, Severity::Warning)]);
    check(&refused(60), []);
}

#[test]
fn a_lost_connection_is_the_only_problem() {
    let view = sample::down(NOW);
    let found = check(&view, [(Kind::BrokerDown, Severity::Critical)]);
    assert!(found[0].blocks);
}

#[test]
fn a_late_beat_and_a_silent_or_blocked_broker_are_reported() {
    let late = with(sample::busy, |view| view.workers[0].state = WorkerState::Unreachable);
    check(&late, [(Kind::WorkersLate, Severity::Warning)]);
    let blocked = with(sample::busy, |view| {
        (view.broker.blocked, view.broker.sure) = (true, false);
    });
    let found = check(
        &blocked,
        [(Kind::BrokerBlocked, Severity::Critical), (Kind::BrokerSilent, Severity::Warning)],
    );
    assert!(found.iter().all(|problem| problem.blocks));
}

#[test]
fn a_standby_names_who_leads() {
    let view = sample::standby(NOW);
    check(&view, [(Kind::Standby, Severity::Warning)]);
    let text = "This distributor is on standby; d-0c7d81c2 is active, with 40 jobs waiting there.";
    says(&view, text);
    let alone = Phase::Standby { active: None, backlog: None };
    let alone = with(sample::standby, |view| view.distributor.phase = alone);
    check(&alone, [(Kind::Leaderless, Severity::Critical)]);
}

#[test]
fn an_imbalance_of_the_counters_is_reported_as_a_bug() {
    let view = with(sample::busy, |view| view.books.done += 1);
    check(&view, [(Kind::Books, Severity::Critical)]);
}

#[test]
fn a_stale_view_is_its_own_problem() {
    assert_eq!(stale(Seconds(2.4)), None);
    assert!(stale(Seconds(12.0)).is_some_and(|problem| problem.blocks));
}

#[test]
fn a_shadow_that_was_stopped_is_a_problem() {
    use crate::view::ShadowStop;
    let view = sample::unserved(NOW);
    let stopped = with(sample::unserved, |view| {
        view.shadows[0].stopped = Some(ShadowStop::Lost);
    });
    let is_there = |view: &View| diagnose(view).iter().any(|it| it.kind == Kind::ShadowStopped);
    assert!(!is_there(&view) && is_there(&stopped));
    says(
        &stopped,
        "sleep@2 runs as a shadow no more: a run ended its process or was lost with its worker, or \
         several took much longer than the calls' own.",
    );
}

/// The first worker gave 21 and the second 20.
fn difference(view: &View, outvoted: bool, refutes: bool) -> Difference {
    let (first, second) = (view.workers[0].id, view.workers[1].id);
    let answer = |(worker, value): (WorkerId, &str)| DifferingAnswer {
        worker,
        kind: "value".to_owned(),
        bytes: 1,
        digest: value.to_owned(),
        preview: Some(value.to_owned()),
    };
    Difference {
        function: "fib@1".into(),
        age: Seconds(5.0),
        outvoted: outvoted.then_some(first),
        refutes,
        arguments: None,
        answers: [(first, "21"), (second, "20")].map(answer).into(),
    }
}

#[test]
fn answers_that_differ_are_reported_with_what_follows() {
    let mut view = with(sample::idle, |view| {
        view.differences = vec![difference(view, false, false)];
    });
    let (first, second) = (view.workers[0].id.short(), view.workers[1].id.short());
    let gave = format!("{first} gave 21, {second} gave 20.");
    check(&view, [(Kind::AnswersDiffer, Severity::Warning)]);
    let differ = "Answers differ in 1 call of fib@1, and it is not yet clear which are wrong.";
    says(&view, &format!("{differ} {gave}"));

    view.differences = vec![difference(&view, true, false)];
    let outvoted =
        Outvoted { function: "fib@1".into(), calls: 6, age: Seconds(1.0), serves_alone: None };
    view.workers[0].outvoted = Some(outvoted.clone());
    check(&view, [(Kind::Outvoted, Severity::Warning)]);
    let against =
        format!("The answers of {first} differ from those of all others, in 6 calls of fib@1");
    says(&view, &format!("{against}: it gets no more jobs. {gave}"));
    let serves_alone = Some("own@1".into());
    view.workers[0].outvoted = Some(Outvoted { serves_alone, ..outvoted });
    check(&view, [(Kind::Outvoted, Severity::Critical)]);
    says(&view, &format!("{against}; it goes on, as nobody else serves own@1. {gave}"));

    view.workers[0].outvoted = None;
    view.differences = vec![difference(&view, false, true)];
    let fib = view.functions.iter_mut().find(|function| *function.name == *"fib@1");
    fib.expect("it is served").refuted = true;
    check(&view, [(Kind::NotDeterministic, Severity::Warning)]);
    says(
        &view,
        &format!(
            "fib@1 is declared deterministic, but its answers differ by themselves: calls share no \
             runs and no answers any more. {gave}"
        ),
    );
}
