//! Nothing is lost: what is unanswered is sent again, asked after, and cancelled when unwanted.

use bytes::Bytes;
use simple_dist_protocol::message::Answer;

use super::super::{self as caller, CallError, Fallback};
use super::story::Seen::{Asked, Cancelled, Failed, Submitted};
use super::story::*;

#[test]
fn a_call_is_sent_at_once_and_ends_with_its_answer() {
    check([at(0, up()), at(5, call(1)), at(9, value(1))], [Submitted(1), remote(1)]);
}

#[test]
fn a_call_before_the_first_connection_is_sent_when_it_is_there() {
    check([at(0, call(1)), at(2_900, up())], [Submitted(1)]);
}

#[test]
fn a_new_generation_sends_what_is_unanswered_again() {
    check(
        [
            at(0, up()),
            at(1, call(1)),
            at(2, call(2)),
            at(3, confirmed(1)),
            at(4, value(2)),
            at(10, down()),
            at(900, up()),
        ],
        [Submitted(1), Submitted(2), remote(2), Submitted(1)],
    );
}

#[test]
fn a_new_term_is_sent_what_is_unanswered_again_once() {
    check(
        [
            at(0, up()),
            at(1, presence(1)),
            at(2, call(1)),
            at(3, confirmed(1)),
            at(1_000, presence(1)),
            at(2_000, presence(2)),
            at(2_001, confirmed(1)),
            at(3_000, presence(2)),
        ],
        [Submitted(1), Submitted(1)],
    );
}

#[test]
fn what_the_distributor_does_not_know_is_sent_again() {
    check(
        [at(0, up()), at(1, call(1)), at(2, confirmed(1)), at(3, unknown(1))],
        [Submitted(1), Submitted(1)],
    );
}

#[test]
fn an_unknown_job_that_is_ended_is_not_sent_again() {
    check(
        [at(0, up()), at(1, call(1)), at(2, value(1)), at(3, unknown(1))],
        [Submitted(1), remote(1)],
    );
}

#[test]
fn what_waits_for_its_confirm_is_not_sent_again() {
    let strict = call_as(1, Fallback::Never, 60_000);
    check(beats(6_000).chain([at(0, up()), at(1_000, strict)]), [Submitted(1)]);
}

#[test]
fn a_refused_submission_without_a_fallback_is_sent_again_later() {
    let strict = call_as(1, Fallback::Never, 60_000);
    check(
        beats(3_000).chain([at(0, up()), at(1, strict), at(2, refused(1)), at(2_500, nothing())]),
        [Submitted(1), Submitted(1)],
    );
}

#[test]
fn a_full_publisher_is_tried_again_soon() {
    check(
        [at(0, up()), at(1, call(1)), at(2, full(1)), at(20, nothing())],
        [Submitted(1), Submitted(1)],
    );
}

#[test]
fn what_is_outstanding_is_asked_after_every_fifteen_seconds() {
    check(
        beats(31_000).chain([
            at(0, up()),
            at(1, call(1)),
            at(2, confirmed(1)),
            at(1_000, call(2)),
            at(1_001, confirmed(2)),
            at(20_000, value(2)),
            at(31_000, nothing()),
        ]),
        [Submitted(1), Submitted(2), Asked(vec![1, 2]), remote(2), Asked(vec![1])],
    );
}

#[test]
fn a_dropped_call_is_cancelled() {
    check(
        [at(0, up()), at(1, call(1)), at(2, confirmed(1)), at(3, dropped(1)), at(4, value(1))],
        [Submitted(1), Cancelled(vec![1])],
    );
}

#[test]
fn a_call_dropped_before_it_was_sent_leaves_no_trace() {
    check([at(0, call(1)), at(1, dropped(1)), at(2, up())], []);
}

#[test]
fn without_a_fallback_a_call_ends_by_its_time_and_is_cancelled() {
    check(
        [
            at(0, up()),
            at(0, call_as(1, Fallback::Never, 500)),
            at(1, confirmed(1)),
            at(499, nothing()),
            at(500, nothing()),
        ],
        [Submitted(1), timed_out(1), Cancelled(vec![1])],
    );
}

#[test]
fn a_job_cancelled_at_the_distributor_ends_as_cancelled() {
    check(
        [at(0, up()), at(0, call(1)), at(1, answered(1, Answer::Cancelled))],
        [Submitted(1), Failed(1, CallError::Cancelled)],
    );
}

#[test]
fn a_panic_on_a_worker_is_the_end_of_its_call() {
    let message = "no".to_owned();
    check(
        [at(0, up()), at(0, call(1)), at(1, answered(1, Answer::panicked(message)))],
        [Submitted(1), Failed(1, CallError::Panicked { message: "no".to_owned() })],
    );
}

#[test]
fn an_error_of_the_function_is_the_end_of_its_call() {
    let (text, error) = ("no".to_owned(), Bytes::from_static(&[0xc0]));
    let answer = Answer::Failed { message: text.clone(), error: error.clone() };
    check(
        [at(0, up()), at(0, call(1)), at(1, answered(1, answer))],
        [Submitted(1), Failed(1, CallError::Function(caller::Failed { text, error: Some(error) }))],
    );
}

#[test]
fn a_second_answer_is_nothing() {
    check(
        [at(0, up()), at(0, call(1)), at(1, value(1)), at(2, value(1))],
        [Submitted(1), remote(1)],
    );
}

#[test]
fn a_client_that_is_closed_ends_and_cancels_its_calls() {
    check(
        [at(0, up()), at(0, call(1)), at(1, closed())],
        [Submitted(1), Failed(1, CallError::Closed), Cancelled(vec![1])],
    );
}
