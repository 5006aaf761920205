//! What runs in a child of the caller's harms nobody: suspects may, and a deadline ends them.

use bytes::Bytes;
use simple_dist_protocol::message::Answer;

use super::super::{CallError, Fallback, LocalRun, Obstacle, Reason};
use super::story::Seen::{Cancelled, Failed, LeftBehind, Noted, Runs, Submitted};
use super::story::*;

fn short(job: u128) -> What {
    in_child(call_as(job, Fallback::WhenUnavailable, 500))
}

#[test]
fn a_suspect_runs_in_a_child_when_its_time_has_passed() {
    for marks in [marked(), strike(), crash()] {
        check(
            [at(0, up()), at(0, short(1)), at(1, struck(1, marks.clone())), at(600, ran(1))],
            [
                Submitted(1),
                Noted(1, marks),
                Runs(1, Reason::TimedOut),
                Cancelled(vec![1]),
                local(1, Reason::TimedOut),
            ],
        );
    }
}

#[test]
fn and_at_once_when_nobody_serves_it_any_more() {
    check(
        [
            at(0, up()),
            at(0, in_child(call(1))),
            at(1, struck(1, strike())),
            at(2, answered(1, Answer::NotServed)),
        ],
        [Submitted(1), Noted(1, strike()), Runs(1, Reason::NotServed)],
    );
}

#[test]
fn and_when_the_distributor_has_none_any_more_that_serves_it() {
    check(
        [
            at(0, up()),
            at(0, presence(1)),
            at(0, in_child(call(1))),
            at(1, confirmed(1)),
            at(2, struck(1, strike())),
            at(1_000, presence(1)),
            at(2_000, presence_with(1, false, true)),
            at(2_100, ran(1)),
        ],
        [
            Submitted(1),
            Noted(1, strike()),
            Runs(1, Reason::NotServed),
            local(1, Reason::NotServed),
            Cancelled(vec![1]),
        ],
    );
}

#[test]
fn a_caller_that_wants_no_run_here_gets_none_in_a_child_either() {
    let never = in_child(call_as(1, Fallback::Never, 500));
    check(
        [at(0, up()), at(0, never), at(1, struck(1, strike())), at(600, nothing())],
        [Submitted(1), Noted(1, strike()), timed_out(1), Cancelled(vec![1])],
    );
}

#[test]
fn a_deadline_ends_the_child_and_leaves_nothing_behind() {
    let until = in_child(call_until(1, Fallback::WhenUnavailable, 60_000, 1_000));
    check(
        [at(0, down()), at(1, until), at(2, call(2)), at(1_100, ran(1))],
        [Runs(1, Reason::NoConnection), past_deadline(1), Runs(2, Reason::NoConnection)],
    );
}

#[test]
fn an_argument_that_cannot_be_written_runs_on_a_thread_which_nothing_stops() {
    let large = || Err::<Bytes, _>(Obstacle::TooLarge { bytes: 9, limit: 8 });
    let call = in_child(call_of(1, LocalRun::Typed, large()));
    check([at(0, up()), at(0, call)], [Runs(1, Reason::TooLarge)]);
    let What::Call { job, target, options, .. } =
        in_child(call_until(1, Fallback::WhenUnavailable, 60_000, 1_000))
    else {
        unreachable!("it is a call")
    };
    let call = What::Call { job, target, args: large(), options };
    check(
        [at(0, up()), at(0, call), at(1_100, nothing())],
        [Runs(1, Reason::TooLarge), LeftBehind(1), past_deadline(1)],
    );
}

#[test]
fn a_value_that_cannot_travel_cannot_leave_a_child_either() {
    check(
        [
            at(0, up()),
            at(0, in_child(call(1))),
            at(1, answered(1, Answer::TooLarge { bytes: 9, limit: 8 })),
        ],
        [Submitted(1), Failed(1, CallError::TooLarge { bytes: 9, limit: 8 })],
    );
}
