//! Local runs: when, in which order, and what becomes of the remote side.

use std::time::Duration;

use simple_dist_protocol::message::Answer;

use super::super::{self as caller, CallError, Fallback, LocalRun, Obstacle, Reason};
use super::story::Seen::{Cancelled, Failed, LeftBehind, Reported, Runs, Submitted};
use super::story::*;

fn hedged(job: u128, after: u64) -> What {
    call_as(job, Fallback::After(Duration::from_millis(after)), 60_000)
}

#[test]
fn a_call_out_of_time_runs_here_and_is_cancelled_there() {
    check(
        [
            at(0, up()),
            at(0, call_as(1, Fallback::WhenUnavailable, 500)),
            at(1, confirmed(1)),
            at(510, answered(1, Answer::Cancelled)),
            at(520, ran(1)),
        ],
        [Submitted(1), Runs(1, Reason::TimedOut), Cancelled(vec![1]), local(1, Reason::TimedOut)],
    );
}

#[test]
fn a_job_expired_at_the_distributor_runs_here() {
    check(
        [at(0, up()), at(0, call(1)), at(1, answered(1, Answer::Expired)), at(2, ran(1))],
        [Submitted(1), Runs(1, Reason::TimedOut), local(1, Reason::TimedOut)],
    );
}

#[test]
fn a_value_too_large_to_travel_is_made_here() {
    let large = |job| answered(job, Answer::TooLarge { bytes: 9, limit: 8 });
    check(
        [
            at(0, up()),
            at(0, call(1)),
            at(1, large(1)),
            at(2, ran(1)),
            at(3, call_unknown(2)),
            at(4, large(2)),
        ],
        [
            Submitted(1),
            Runs(1, Reason::TooLarge),
            local(1, Reason::TooLarge),
            Submitted(2),
            Failed(2, CallError::TooLarge { bytes: 9, limit: 8 }),
        ],
    );
}

#[test]
fn what_cannot_be_written_is_made_here_where_nothing_needs_to_be() {
    let message = || "the value cannot be sent".to_owned();
    let unsendable = |job| answered(job, Answer::unsendable(message()));
    let failed = |job| Failed(job, CallError::Unsendable { message: message() });
    check(
        [
            at(0, up()),
            at(0, call(1)),
            at(1, unsendable(1)),
            at(2, ran(1)),
            at(3, call_of(2, LocalRun::Written, written())),
            at(4, unsendable(2)),
            at(5, call_as(3, Fallback::Never, 60_000)),
            at(6, unsendable(3)),
        ],
        [
            Submitted(1),
            Runs(1, Reason::Unsendable),
            local(1, Reason::Unsendable),
            Submitted(2),
            failed(2),
            Submitted(3),
            failed(3),
        ],
    );
}

#[test]
fn an_argument_that_cannot_travel_goes_nowhere_else() {
    let large = || Obstacle::TooLarge { bytes: 9, limit: 8 };
    let odd = || Obstacle::Unsendable { message: "why".to_owned() };
    let call = |job, local, obstacle| call_of(job, local, Err(obstacle));
    check(
        [
            at(0, up()),
            at(1, call(1, LocalRun::Typed, odd())),
            at(2, ran(1)),
            at(3, call(2, LocalRun::Written, large())),
            at(4, ran(2)),
            at(5, call(3, LocalRun::Written, odd())),
            at(6, call(4, LocalRun::No, large())),
        ],
        [
            Runs(1, Reason::Unsendable),
            local(1, Reason::Unsendable),
            Runs(2, Reason::TooLarge),
            local(2, Reason::TooLarge),
            Failed(3, odd().into()),
            Failed(4, large().into()),
        ],
    );
}

#[test]
fn an_unknown_function_out_of_time_ends() {
    check(
        beats(60_000).chain([at(0, up()), at(0, call_unknown(1)), at(1, confirmed(1))]),
        [Submitted(1), Seen::Asked(vec![1]), Seen::Asked(vec![1]), Seen::Asked(vec![1])]
            .into_iter()
            .chain([timed_out(1), Cancelled(vec![1])]),
    );
}

#[test]
fn an_answer_that_comes_while_it_runs_here_wins() {
    check(
        [
            at(0, up()),
            at(0, call_as(1, Fallback::WhenUnavailable, 500)),
            at(1, confirmed(1)),
            at(510, value(1)),
            at(520, ran(1)),
        ],
        [Submitted(1), Runs(1, Reason::TimedOut), Cancelled(vec![1]), LeftBehind(1), remote(1)],
    );
}

#[test]
fn a_hedge_runs_beside_the_worker_and_the_first_end_cancels_the_other() {
    let story = || [at(0, up()), at(0, hedged(1, 50)), at(1, confirmed(1))];
    check(
        story().into_iter().chain([at(60, ran(1)), at(61, value(1))]),
        [Submitted(1), Runs(1, Reason::After), local(1, Reason::After), Cancelled(vec![1])],
    );
    check(
        story().into_iter().chain([at(60, value(1)), at(61, ran(1))]),
        [Submitted(1), Runs(1, Reason::After), LeftBehind(1), remote(1)],
    );
    check(
        story().into_iter().chain([at(40, value(1)), at(100, nothing())]),
        [Submitted(1), remote(1)],
    );
}

#[test]
fn a_race_begins_here_and_there_at_once_and_the_first_end_cancels_the_other() {
    let story = || [at(0, up()), at(0, call_as(1, Fallback::Race, 60_000)), at(1, confirmed(1))];
    check(
        story().into_iter().chain([at(2, ran(1)), at(3, value(1))]),
        [Submitted(1), Runs(1, Reason::After), local(1, Reason::After), Cancelled(vec![1])],
    );
    check(
        story().into_iter().chain([
            at(2, value(1)),
            at(3, call_as(2, Fallback::Race, 60_000)),
            at(5, ran(1)),
        ]),
        [
            Submitted(1),
            Runs(1, Reason::After),
            LeftBehind(1),
            remote(1),
            Submitted(2),
            Runs(2, Reason::After), // the loser kept its slot until now
        ],
    );
}

#[test]
fn a_race_without_workers_is_a_run_here() {
    check(
        [at(0, down()), at(0, call_as(1, Fallback::Race, 60_000)), at(9, ran(1))],
        [Runs(1, Reason::NoConnection), local(1, Reason::NoConnection)],
    );
}

#[test]
fn a_panic_or_an_error_here_is_the_end_of_its_call() {
    let failed = caller::Failed { text: "no".to_owned(), error: None };
    for error in [CallError::Panicked { message: "no".to_owned() }, CallError::Function(failed)] {
        check(
            [at(0, down()), at(1, call(1)), at(2, ran_badly(1, error.clone()))],
            [Runs(1, Reason::NoConnection), Failed(1, error)],
        );
    }
}

#[test]
fn calls_wait_their_turn_for_a_local_slot() {
    check(
        [at(0, down()), at(1, call(1)), at(2, call(2)), at(3, ran(1))],
        [
            Runs(1, Reason::NoConnection),
            local(1, Reason::NoConnection),
            Runs(2, Reason::NoConnection),
        ],
    );
}

#[test]
fn a_call_that_waits_for_a_local_slot_goes_to_a_worker_when_it_can() {
    check(
        [
            at(0, down()),
            at(1, call(1)),
            at(2, call(2)),
            at(100, up()),
            at(101, value(2)),
            at(102, ran(1)),
        ],
        [Runs(1, Reason::NoConnection), Submitted(2), remote(2), local(1, Reason::NoConnection)],
    );
}

#[test]
fn a_slot_whose_call_was_dropped_is_free_when_the_run_ends() {
    check(
        [at(0, down()), at(1, call(1)), at(2, call(2)), at(3, dropped(1)), at(4, ran(1))],
        [Runs(1, Reason::NoConnection), LeftBehind(1), Runs(2, Reason::NoConnection)],
    );
}

#[test]
fn too_many_waiting_end_by_their_time_and_the_others_run_after_it() {
    let calls = (1..=18).map(|job| at(1, call_as(job, Fallback::WhenUnavailable, 500)));
    check(
        calls.chain([at(0, down()), at(600, ran(1))]),
        [
            Runs(1, Reason::NoConnection),
            unavailable(18, Reason::NoConnection),
            local(1, Reason::NoConnection),
            Runs(2, Reason::NoConnection),
        ],
    );
}

#[test]
fn too_many_out_of_time_at_once_time_out() {
    let calls = (1..=18).map(|job| at(0, call_as(job, Fallback::WhenUnavailable, 500)));
    let seen = tell([at(0, up())].into_iter().chain(calls).chain([at(600, nothing())]));
    assert_eq!(seen.iter().filter(|seen| matches!(seen, Runs(_, Reason::TimedOut))).count(), 1);
    let ended = |seen: &&Seen| matches!(seen, Failed(_, CallError::Timeout));
    assert!(seen.iter().filter(ended).count() >= 1);
}

#[test]
fn local_runs_are_reported_every_five_seconds() {
    check(
        beats(6_000).chain([
            at(0, up()),
            at(0, hedged(1, 0)),
            at(1, confirmed(1)),
            at(2, ran(1)),
            at(3, hedged(2, 0)),
            at(4, value(2)),
            at(6_000, nothing()),
        ]),
        [
            Submitted(1),
            Runs(1, Reason::After),
            local(1, Reason::After),
            Cancelled(vec![1]),
            Submitted(2),
            Runs(2, Reason::After),
            LeftBehind(2),
            remote(2),
            Reported(2),
        ],
    );
}

#[test]
fn workers_that_answer_are_within_reach_whatever_was_said_before() {
    let story = || {
        [
            at(0, up()),
            at(0, out_of_reach()),
            at(1, call_as(1, Fallback::Wait, 60_000)),
            at(2, confirmed(1)),
        ]
    };
    check(story().into_iter().chain([at(3, call(2))]), [Submitted(1), Runs(2, Reason::NotServed)]);
    check(
        story().into_iter().chain([at(3, value(1)), at(4, call(2))]),
        [Submitted(1), remote(1), Submitted(2)],
    );
}
