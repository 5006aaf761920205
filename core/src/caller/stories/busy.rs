//! Calls that run here while their workers are busy: when, which of them, and which do not.

use simple_dist_protocol::message::Answer;

use super::super::{CallOptions, Fallback, Reason, Suspects};
use super::story::Seen::{Cancelled, LeftBehind, Noted, Runs, Submitted};
use super::story::*;

fn busy(job: u128) -> What {
    call_with(job, CallOptions { when_busy: true, ..CallOptions::default() })
}

fn urgent(job: u128) -> What {
    call_with(job, CallOptions { when_busy: true, priority: 9, ..CallOptions::default() })
}

fn submitted(jobs: std::ops::RangeInclusive<u128>) -> impl Iterator<Item = Seen> {
    jobs.map(Submitted)
}

/// So many calls at once, which are confirmed.
fn begun(jobs: std::ops::RangeInclusive<u128>) -> impl Iterator<Item = Told> {
    let confirms = jobs.clone().map(|job| at(1, confirmed(job)));
    [at(0, up())].into_iter().chain(jobs.map(|job| at(0, busy(job)))).chain(confirms)
}

/// One worker answers a job each 100 ms, which is how long it runs: the first of them at 100.
fn served(jobs: std::ops::RangeInclusive<u128>) -> impl Iterator<Item = Told> {
    jobs.map(|job| at(u64::try_from(job).unwrap() * 100, value_after(job, 100)))
}

#[test]
fn of_calls_that_wait_for_longer_than_a_run_here_the_newest_runs_here() {
    check(
        begun(1..=6).chain(served(1..=2)),
        // At 100 ms nothing is known of the rate, at 200 that the last of five waits for 0.4 s.
        submitted(1..=6).chain([remote(1), Runs(6, Reason::WhenBusy), remote(2)]),
    );
}

#[test]
fn the_first_end_wins_and_the_other_is_cancelled() {
    let story = || begun(1..=5).chain(served(1..=2));
    let begins = || submitted(1..=5).chain([remote(1), Runs(5, Reason::WhenBusy), remote(2)]);
    check(
        story().chain([at(250, ran_after(5, 100)), at(251, value(5))]),
        begins().chain([local(5, Reason::WhenBusy), Cancelled(vec![5])]),
    );
    check(
        story().chain([at(250, value(5)), at(251, ran_after(5, 100))]),
        begins().chain([LeftBehind(5), remote(5)]),
    );
}

#[test]
fn one_that_is_soon_a_workers_next_waits_for_it() {
    check(begun(1..=3).chain(served(1..=3)), submitted(1..=3).chain((1..=3).map(remote)));
}

#[test]
fn one_call_after_the_other_is_left_to_a_worker() {
    let calls = (0..40).flat_map(|round| {
        let job = u128::from(round + 1);
        [at(round * 101, busy(job)), at(round * 101 + 100, value_after(job, 99))]
    });
    let seen = tell([at(0, up())].into_iter().chain(beats(4_000)).chain(calls));
    assert_eq!(seen.len(), 80);
    assert!(!seen.iter().any(|seen| matches!(seen, Runs(..))), "{seen:?}");
}

#[test]
fn those_of_the_lowest_priority_go_first() {
    let calls = [busy(1), busy(2), busy(3), urgent(4), urgent(5), urgent(6)];
    check(
        calls.map(|call| at(0, call)).into_iter().chain([
            at(0, up()),
            at(100, value_after(4, 100)),
            at(200, value_after(5, 100)),
        ]),
        submitted(1..=6).chain([remote(4), Runs(3, Reason::WhenBusy), remote(5)]),
    );
}

#[test]
fn no_more_run_here_than_slots_are_idle() {
    check(
        begun(1..=9).chain(served(1..=4)).chain([
            at(450, ran_after(9, 200)),
            at(480, ran_after(8, 200)),
            at(481, nothing()),
        ]),
        submitted(1..=9).chain([
            remote(1),
            Runs(9, Reason::WhenBusy),
            remote(2),
            remote(3),
            remote(4),
            local(9, Reason::WhenBusy),
            Runs(8, Reason::WhenBusy),
            Cancelled(vec![9]),
            local(8, Reason::WhenBusy),
            Cancelled(vec![8]),
        ]),
    );
}

#[test]
fn what_runs_here_still_goes_to_a_worker() {
    let confirms = (1..=7).map(|job| at(1, confirmed(job)));
    check(
        [at(0, up())]
            .into_iter()
            .chain((1..=8).map(|job| at(0, busy(job))))
            .chain(confirms)
            .chain([at(199, full(8)), at(210, nothing())])
            .chain(served(1..=2)),
        submitted(1..=8).chain([remote(1), Runs(8, Reason::WhenBusy), remote(2), Submitted(8)]),
    );
}

#[test]
fn a_function_that_nobody_has_run_is_taken_to_run_for_a_second() {
    let story = |jobs, until| begun(1..=jobs).chain(beats(until)).chain([at(until, nothing())]);
    let runs = |job| [Runs(job, Reason::WhenBusy)];
    check(story(1, 3_000), [Submitted(1)]);
    check(story(1, 3_100), submitted(1..=1).chain(runs(1)));
    check(story(10, 1_200), submitted(1..=10));
    check(story(10, 1_300), submitted(1..=10).chain(runs(10)));
}

#[test]
fn a_suspect_does_not_run_here() {
    check(
        begun(1..=6).chain([at(50, struck(6, marked()))]).chain(served(1..=2)),
        submitted(1..=6).chain([
            Noted(6, marked()),
            remote(1),
            Runs(5, Reason::WhenBusy),
            remote(2),
        ]),
    );
}

#[test]
fn nor_does_one_whose_caller_would_allow_it() {
    let suspects = Suspects::RunHere;
    let options = || CallOptions { when_busy: true, suspects, ..CallOptions::default() };
    check(
        (1..=6)
            .map(|job| at(0, call_with(job, options())))
            .chain([at(0, up()), at(50, struck(6, marked()))])
            .chain(served(1..=2)),
        submitted(1..=6).chain([
            Noted(6, marked()),
            remote(1),
            Runs(5, Reason::WhenBusy),
            remote(2),
        ]),
    );
}

#[test]
fn nor_does_one_that_is_not_to_run_here_or_did_not_ask_for_it() {
    for (fallback, when_busy) in
        [(Fallback::Never, true), (Fallback::Wait, true), (Fallback::WhenUnavailable, false)]
    {
        let options = || CallOptions { fallback, when_busy, ..CallOptions::default() };
        check(
            (1..=6)
                .map(|job| at(0, call_with(job, options())))
                .chain([at(0, up())])
                .chain(served(1..=2)),
            submitted(1..=6).chain([remote(1), remote(2)]),
        );
    }
}

#[test]
fn without_a_connection_calls_are_not_taken_back() {
    check(
        begun(1..=6).chain(served(1..=1)).chain([at(101, down()), at(2_000, nothing())]),
        submitted(1..=6).chain([remote(1)]),
    );
}

#[test]
fn how_fast_calls_were_answered_before_an_outage_is_forgotten() {
    let outage = [at(150, down()), at(1_000, up()), at(1_100, nothing())];
    check(
        begun(1..=6).chain(served(1..=1)).chain(outage),
        // Nobody could answer for 850 ms, and nobody has now until a run is over.
        submitted(1..=6).chain([remote(1)]).chain(submitted(2..=6)),
    );
}

#[test]
fn a_run_here_goes_on_where_nobody_serves_the_function_any_more() {
    check(
        begun(1..=5).chain(served(1..=2)).chain([
            at(250, answered(5, Answer::NotServed)),
            at(260, ran_after(5, 100)),
            at(261, value_after(3, 100)),
        ]),
        submitted(1..=5).chain([
            remote(1),
            Runs(5, Reason::WhenBusy),
            remote(2),
            local(5, Reason::WhenBusy),
            remote(3),
        ]),
    );
}

#[test]
fn where_runs_here_take_longer_the_wait_has_to_be_longer() {
    // One takes 800 ms here: a worker answers the last of nine sooner.
    let seen = tell(begun(1..=20).chain(served(1..=14)).chain([at(1_050, ran_after(20, 800))]));
    let here: Vec<_> = seen.iter().filter(|seen| matches!(seen, Runs(..))).collect();
    assert_eq!(here, [&Runs(20, Reason::WhenBusy)]);
}
