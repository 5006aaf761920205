//! When workers cannot be reached: who goes local, when, and who comes back.

use simple_dist_protocol::message::Answer;

use super::super::{Bound, Event, Fallback, Reason};
use super::story::Seen::{Cancelled, Runs, Submitted};
use super::story::*;

#[test]
fn a_failed_first_connection_makes_waiting_calls_local() {
    check([at(0, call(1)), at(50, down())], [Runs(1, Reason::NoConnection)]);
}

#[test]
fn no_word_of_the_connection_for_three_seconds_makes_waiting_calls_local() {
    check([at(0, call(1)), at(2_999, nothing())], []);
    check([at(0, call(1)), at(3_100, nothing())], [Runs(1, Reason::NoConnection)]);
}

#[test]
fn a_broker_that_refuses_us_is_told_from_one_that_is_not_there() {
    let told = |reason| What::Event(Event::Down(reason));
    check(
        [
            at(0, call(1)),
            at(1, told(Reason::Refused)),
            at(2, ran(1)),
            at(3, call_as(2, Fallback::Never, 60_000)),
            at(4, told(Reason::Tls)),
            at(5, call_as(3, Fallback::Never, 60_000)),
            at(6, told(Reason::Mismatch)),
            at(7, call_as(4, Fallback::Never, 60_000)),
            at(8, down()),
            at(9, call_as(5, Fallback::Never, 60_000)),
        ],
        [
            Runs(1, Reason::Refused),
            local(1, Reason::Refused),
            unavailable(2, Reason::Refused),
            unavailable(3, Reason::Tls),
            unavailable(4, Reason::Mismatch),
            unavailable(5, Reason::NoConnection),
        ],
    );
}

#[test]
fn a_distributor_whose_beats_wait_behind_its_answers_is_not_silent() {
    let answers = (1..=8).flat_map(|job| {
        let ms = u64::try_from(job).unwrap() * 500;
        [at(1, call(job)), at(ms, value(job))]
    });
    let story = [at(0, up()), at(1, presence(1)), at(5_000, call_as(9, Fallback::Never, 60_000))];
    let seen = tell(story.into_iter().chain(answers));
    assert_eq!(seen.last(), Some(&Submitted(9)), "{seen:?}");
}

#[test]
fn without_exchanges_no_distributor_has_been_here() {
    check([at(0, missing()), at(1, call(1))], [Runs(1, Reason::NoDistributor)]);
}

#[test]
fn without_a_fallback_a_new_call_is_unavailable_at_once() {
    check(
        [at(0, down()), at(1, call_as(1, Fallback::Never, 60_000)), at(2, call_unknown(2))],
        [unavailable(1, Reason::NoConnection), unavailable(2, Reason::NoConnection)],
    );
}

#[test]
fn a_call_under_way_goes_local_when_the_link_stays_away() {
    let story = || [at(0, up()), at(0, call(1)), at(1, confirmed(1)), at(10, down())];
    check(story().into_iter().chain([at(3_000, nothing())]), [Submitted(1)]);
    check(
        story().into_iter().chain([at(1_000, down()), at(3_200, nothing())]),
        [Submitted(1), Runs(1, Reason::NoConnection)],
    );
}

#[test]
fn a_call_under_way_without_a_fallback_waits_for_the_link() {
    check(
        [
            at(0, up()),
            at(0, call_as(1, Fallback::Never, 60_000)),
            at(1, confirmed(1)),
            at(10, down()),
            at(20_000, up()),
        ],
        [Submitted(1), Submitted(1)],
    );
}

#[test]
fn a_silent_distributor_makes_calls_under_way_local() {
    check(
        [
            at(0, up()),
            at(0, presence(1)),
            at(1_000, call(1)),
            at(1_001, confirmed(1)),
            at(3_150, nothing()),
            at(3_200, call(2)),
            at(3_201, ran(1)),
        ],
        [
            Submitted(1),
            Runs(1, Reason::NoDistributor),
            local(1, Reason::NoDistributor),
            Runs(2, Reason::NoDistributor),
            Cancelled(vec![1]),
        ],
    );
}

#[test]
fn calls_are_sent_in_good_faith_until_the_distributor_has_had_its_time() {
    check([at(0, up()), at(2_900, call(1))], [Submitted(1)]);
    check([at(0, up()), at(3_000, call(1))], [Runs(1, Reason::NoDistributor)]);
}

#[test]
fn a_returned_submission_is_local_at_once_and_so_is_the_next_call() {
    check(
        [at(0, up()), at(1, call(1)), at(2, returned(1)), at(3, ran(1)), at(4, call(2))],
        [
            Submitted(1),
            Runs(1, Reason::NoDistributor),
            local(1, Reason::NoDistributor),
            Runs(2, Reason::NoDistributor),
        ],
    );
}

#[test]
fn a_returned_submission_without_a_fallback_is_unavailable() {
    check(
        [at(0, up()), at(1, call_unknown(1)), at(2, returned(1))],
        [Submitted(1), unavailable(1, Reason::NoDistributor)],
    );
}

#[test]
fn presence_ends_the_absence() {
    check(
        [
            at(0, up()),
            at(1, call_unknown(1)),
            at(2, returned(1)),
            at(900, presence(1)),
            at(901, call(2)),
        ],
        [Submitted(1), unavailable(1, Reason::NoDistributor), Submitted(2)],
    );
}

#[test]
fn a_call_unconfirmed_for_a_second_is_local_and_the_next_does_not_pay_again() {
    check(
        [at(0, up()), at(0, call(1)), at(1_100, ran(1)), at(1_200, call(2))],
        [
            Submitted(1),
            Runs(1, Reason::Unconfirmed),
            local(1, Reason::Unconfirmed),
            Cancelled(vec![1]),
            Runs(2, Reason::Unconfirmed),
        ],
    );
}

#[test]
fn a_confirm_brings_calls_back_to_workers() {
    check(
        [
            at(0, up()),
            at(0, call(1)),
            at(1_100, ran(1)),
            at(1_150, confirmed(1)),
            at(1_200, call(2)),
        ],
        [
            Submitted(1),
            Runs(1, Reason::Unconfirmed),
            local(1, Reason::Unconfirmed),
            Cancelled(vec![1]),
            Submitted(2),
        ],
    );
}

#[test]
fn what_is_not_written_yet_is_no_silence_of_the_broker() {
    let strict = |job| call_as(job, Fallback::Never, 60_000);
    let story = || beats(9_000).chain([at(0, up()), at(1, strict(1)), at(2, backlog(true))]);
    check(story().chain([at(8_000, strict(2))]), [Submitted(1), Submitted(2)]);
    check(
        story().chain([at(5_000, backlog(false)), at(6_100, strict(2))]),
        [Submitted(1), unavailable(2, Reason::Unconfirmed)],
    );
}

#[test]
fn a_client_that_stood_still_heard_nobody_and_blames_nobody() {
    let strict = || call_as(1, Fallback::Never, 60_000);
    check(
        [at(0, up()), at(1, presence(1)), at(20_000, stood_still()), at(20_001, strict())],
        [Submitted(1)],
    );
    check(
        [at(0, up()), at(1, presence(1)), at(20_000, stood_still()), at(23_500, strict())],
        [unavailable(1, Reason::NoDistributor)],
    );
}

#[test]
fn presence_may_be_among_the_news_that_wait_to_be_taken_in() {
    let strict = |job| call_as(job, Fallback::Never, 60_000);
    let story = || [at(0, up()), at(1, presence(1)), at(2, behind(10_000)), at(9_000, strict(1))];
    check(story(), [Submitted(1)]);
    check(
        story().into_iter().chain([at(9_001, confirmed(1)), at(13_500, strict(2))]),
        [Submitted(1), unavailable(2, Reason::NoDistributor)],
    );
}

#[test]
fn a_blocked_broker_makes_new_calls_local_and_unconfirmed_ones_a_second_later() {
    check(
        [
            at(0, up()),
            at(0, call(1)),
            at(1, blocked()),
            at(2, call(2)),
            at(3, ran(2)),
            at(1_150, nothing()),
        ],
        [
            Submitted(1),
            Runs(2, Reason::Blocked),
            local(2, Reason::Blocked),
            Runs(1, Reason::Blocked),
        ],
    );
}

#[test]
fn after_an_alarm_calls_go_to_workers_again() {
    check(
        [at(0, up()), at(1, blocked()), at(60_000, unblocked()), at(60_001, call(1))],
        [Submitted(1)],
    );
}

#[test]
fn a_function_not_served_is_local_and_not_asked_for_again_at_once() {
    let not_served = || answered(1, Answer::NotServed);
    check(
        [at(0, up()), at(0, call(1)), at(3, not_served()), at(4, ran(1)), at(500, call(2))],
        [
            Submitted(1),
            Runs(1, Reason::NotServed),
            local(1, Reason::NotServed),
            Runs(2, Reason::NotServed),
        ],
    );
}

#[test]
fn an_unknown_function_that_nobody_serves_is_unavailable() {
    check(
        [at(0, up()), at(0, call_unknown(1)), at(3, answered(1, Answer::NotServed))],
        [Submitted(1), unavailable(1, Reason::NotServed)],
    );
}

#[test]
fn a_function_that_presence_lists_is_asked_for_again() {
    check(
        [
            at(0, up()),
            at(0, call_unknown(1)),
            at(3, answered(1, Answer::NotServed)),
            at(100, presence_with(1, false, true)),
            at(101, call_unknown(2)),
            at(200, presence(1)),
            at(201, call_unknown(3)),
        ],
        [
            Submitted(1),
            unavailable(1, Reason::NotServed),
            unavailable(2, Reason::NotServed),
            Submitted(3),
        ],
    );
}

#[test]
fn a_second_after_not_served_one_call_tries_for_all() {
    check(
        [
            at(0, up()),
            at(0, call_unknown(1)),
            at(3, answered(1, Answer::NotServed)),
            at(1_100, call_unknown(2)),
            at(1_101, call_unknown(3)),
            at(1_102, value(2)),
            at(1_103, call_unknown(4)),
        ],
        [
            Submitted(1),
            unavailable(1, Reason::NotServed),
            Submitted(2),
            unavailable(3, Reason::NotServed),
            remote(2),
            Submitted(4),
        ],
    );
}

#[test]
fn calls_are_local_while_there_is_no_room_and_know_why() {
    check(
        [
            at(0, up()),
            at(0, call(1)),
            at(1, answered(1, Answer::Busy)),
            at(2, ran(1)),
            at(500, presence_with(1, true, false)),
            at(501, call(2)),
            at(502, ran(2)),
            at(1_500, presence(1)),
            at(1_501, call(3)),
        ],
        [
            Submitted(1),
            Runs(1, Reason::Busy(Bound::Jobs)),
            local(1, Reason::Busy(Bound::Jobs)),
            Runs(2, Reason::Busy(Bound::Jobs)),
            local(2, Reason::Busy(Bound::Jobs)),
            Submitted(3),
        ],
    );
}

#[test]
fn a_full_intake_makes_its_calls_local() {
    check(
        [at(0, up()), at(0, call(1)), at(1, refused(1))],
        [Submitted(1), Runs(1, Reason::Busy(Bound::Submissions))],
    );
}
