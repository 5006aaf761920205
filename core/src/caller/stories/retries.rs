//! What has failed is tried again, if its caller asks for it: as a new job, within its time.

use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::message::Answer;

use super::super::{self as caller, CallError, Fallback, LocalRun, Obstacle, Reason, Retry};
use super::story::Seen::{Asked, Cancelled, Failed, Retried, Runs, Submitted};
use super::story::*;

/// After 100, 200, 250 and 250 ms.
fn four_times() -> Retry {
    let ms = Duration::from_millis;
    Retry::times(4).backoff(ms(100)).backoff_max(ms(250))
}

fn remotely(job: u128) -> What {
    call_again(job, four_times(), Fallback::Never, 60_000)
}

fn error() -> Answer {
    Answer::Failed { message: "no".to_owned(), error: Bytes::from_static(&[7]) }
}

fn panic() -> Answer {
    Answer::panicked("no")
}

fn failed(job: u128) -> caller::CallEnd {
    let error = (job == 1).then(|| Bytes::from_static(&[7]));
    Err(CallError::Function(caller::Failed { text: "no".to_owned(), error }))
}

/// The error of a worker, as the end of the first call.
fn given_up() -> Seen {
    Failed(1, failed(1).unwrap_err())
}

fn failed_here() -> CallError<caller::Failed> {
    failed(0).unwrap_err()
}

#[test]
fn it_is_tried_again_under_new_ids_and_after_longer_and_longer_pauses() {
    let begun = [at(0, up()), at(0, remotely(1)), at(10, answered(1, error()))];
    let story = begun.into_iter().chain([
        at(110, answered(2, error())),
        at(310, answered(3, error())),
        at(560, value(4)),
    ]);
    check(
        story,
        [
            Submitted(1),
            Retried(1),
            Submitted(2),
            Retried(1),
            Submitted(3),
            Retried(1),
            Submitted(4),
            remote(1),
        ],
    );
}

#[test]
fn the_last_error_is_the_end() {
    let once = Retry::times(1);
    let story = |retry| {
        [
            at(0, up()),
            at(0, call_again(1, retry, Fallback::Never, 60_000)),
            at(1, answered(1, error())),
            at(200, answered(2, error())),
            at(9_000, nothing()),
        ]
    };
    check(beats(9_000).chain(story(once)), [Submitted(1), Retried(1), Submitted(2), given_up()]);
    check(beats(9_000).chain(story(Retry::default())), [Submitted(1), given_up()]);
}

#[test]
fn a_panic_is_the_end_unless_its_caller_asks_for_more() {
    let story = |retry| {
        [
            at(0, up()),
            at(0, call_again(1, retry, Fallback::Never, 60_000)),
            at(1, answered(1, panic())),
            at(200, value(2)),
        ]
    };
    let panicked = CallError::Panicked { message: "no".to_owned() };
    check(story(four_times()), [Submitted(1), Failed(1, panicked)]);
    check(story(four_times().on_panics()), [Submitted(1), Retried(1), Submitted(2), remote(1)]);
}

#[test]
fn nothing_is_tried_again_that_would_begin_after_its_time() {
    let story = |timeout| {
        [
            at(0, up()),
            at(0, call_again(1, four_times(), Fallback::Never, timeout)),
            at(10, answered(1, error())),
            at(1_000, nothing()),
        ]
    };
    check(story(110), [Submitted(1), given_up()]);
    let again = [Submitted(1), Retried(1), Submitted(2), timed_out(1), Cancelled(vec![2])];
    check(story(111), again);
}

#[test]
fn what_fails_here_is_tried_again_here() {
    check(
        [
            at(0, down()),
            at(1, call_again(1, four_times(), Fallback::WhenUnavailable, 60_000)),
            at(10, ran_badly(1, failed_here())),
            at(120, ran(1)),
        ],
        [
            Runs(1, Reason::NoConnection),
            Retried(1),
            Runs(1, Reason::NoConnection),
            local(1, Reason::NoConnection),
        ],
    );
}

/// The pause is no time to wait for better times: what is lost meanwhile is seen at its end.
#[test]
fn nothing_begins_in_the_pause() {
    let patient = Retry::times(1).backoff(Duration::from_secs(5));
    check(
        [
            at(0, up()),
            at(0, call_again(1, patient, Fallback::WhenUnavailable, 60_000)),
            at(10, answered(1, error())),
            at(20, down()),
            at(2_000, call(9)),
            at(3_000, ran(9)),
            at(5_010, ran(1)),
        ],
        [
            Submitted(1),
            Retried(1),
            Runs(9, Reason::NoConnection),
            local(9, Reason::NoConnection),
            Runs(1, Reason::NoConnection),
            local(1, Reason::NoConnection),
        ],
    );
}

#[test]
fn a_call_that_is_dropped_or_closed_is_not_tried_again() {
    let story = |end: What, and: What| {
        [
            at(0, up()),
            at(0, remotely(1)),
            at(10, answered(1, error())),
            at(20, end),
            at(120, and),
            at(1_000, nothing()),
        ]
    };
    check(story(dropped(1), nothing()), [Submitted(1), Retried(1)]);
    check(
        story(nothing(), dropped(1)),
        [Submitted(1), Retried(1), Submitted(2), Cancelled(vec![2])],
    );
    check(story(closed(), nothing()), [Submitted(1), Retried(1), Failed(1, CallError::Closed)]);
}

#[test]
fn an_answer_to_what_was_before_is_nothing() {
    check(
        [
            at(0, up()),
            at(0, remotely(1)),
            at(10, answered(1, error())),
            at(20, value(1)),
            at(120, value(1)),
            at(130, value(2)),
        ],
        [Submitted(1), Retried(1), Submitted(2), remote(1)],
    );
}

/// The first end wins, be it a failure: the worker's run is cancelled, and both begin again.
#[test]
fn a_hedge_that_fails_ends_both_runs() {
    let hedge = Fallback::After(Duration::from_millis(50));
    check(
        [
            at(0, up()),
            at(0, call_again(1, four_times(), hedge, 60_000)),
            at(60, ran_badly(1, failed_here())),
            at(220, ran(1)),
        ],
        [
            Submitted(1),
            Runs(1, Reason::After),
            Retried(1),
            Cancelled(vec![1]),
            Submitted(2),
            Runs(1, Reason::After),
            local(1, Reason::After),
            Cancelled(vec![2]),
        ],
    );
}

#[test]
fn an_argument_that_cannot_travel_has_one_run() {
    let options = caller::CallOptions { retry: four_times(), ..caller::CallOptions::default() };
    let odd = Obstacle::Unsendable { message: "why".to_owned() };
    let target = caller::Target::new("fib@1".parse().unwrap(), LocalRun::Typed);
    check(
        [
            at(0, up()),
            at(1, What::Call { job: 1, target, args: Err(odd), options }),
            at(2, ran_badly(1, failed_here())),
            at(1_000, nothing()),
        ],
        [Runs(1, Reason::Unsendable), Failed(1, failed_here())],
    );
}

#[test]
fn what_is_tried_again_is_asked_after_by_its_new_id() {
    check(
        beats(31_000).chain([
            at(0, up()),
            at(1, remotely(1)),
            at(10, answered(1, error())),
            at(200, confirmed(2)),
            at(31_000, nothing()),
        ]),
        [Submitted(1), Retried(1), Submitted(2), Asked(vec![2]), Asked(vec![2])],
    );
}
