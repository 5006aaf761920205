//! How attempts end, and what becomes of the news.

use super::*;

#[test]
fn a_redelivered_list_goes_back_unstarted_and_is_acked_then() {
    check(
        Story::live(1),
        [redelivered(0, 1, [1, 2]), confirmed(1, 1), confirmed(1, 2)],
        [back_unwilling(1), back_unwilling(2), Deed::Ack(1)],
    );
}

#[test]
fn a_function_that_is_not_served_is_an_answer() {
    let foreign = Placement { function: "fib@2".parse().unwrap(), ..placement(1) };
    check(
        Story::live(1),
        [list(0, 1, [foreign]), confirmed(1, 1)],
        [ended(1, Answer::NotServed), Deed::Ack(1)],
    );
}

#[test]
fn a_job_whose_time_passed_before_its_turn_does_not_run() {
    let brief = Placement { budget_ms: 50, ..placement(2) };
    check(
        Story::live(1),
        [placed(0, 1, [1]), list(0, 2, [brief]), ran(50, 0, 1)],
        [run(0, [1]), answered(1), ended(2, Answer::Expired)],
    );
}

#[test]
fn a_budget_beyond_all_bounds_is_cut_down() {
    let eternal = Placement { budget_ms: u64::MAX, ..placement(1) };
    check(Story::live(1), [list(0, 1, [eternal])], [run(0, [1])]);
}

#[test]
fn a_cancelled_job_that_waits_never_runs() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), placed(0, 2, [2]), cancel(1, 2), confirmed(2, 2), ran(3, 0, 1)],
        [run(0, [1]), ended(2, Answer::Cancelled), Deed::Ack(2), answered(1)],
    );
}

#[test]
fn a_cancelled_job_that_runs_keeps_its_slot_and_its_delivery_and_its_value_is_dropped() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), cancel(1, 1), confirmed(2, 1), placed(3, 2, [2]), ran(10, 0, 1)],
        [run(0, [1]), ended(1, Answer::Cancelled), Deed::Ack(1), run(0, [2])],
    );
}

#[test]
fn a_cancelled_job_that_ends_before_its_cancel_is_confirmed_is_acked_only_then() {
    let steps = || [placed(0, 1, [1]), cancel(1, 1), ran(2, 0, 1)];
    check(Story::live(1), steps(), [run(0, [1]), ended(1, Answer::Cancelled)]);
    check(
        Story::live(1),
        steps().into_iter().chain([confirmed(3, 1)]),
        [run(0, [1]), ended(1, Answer::Cancelled), Deed::Ack(1)],
    );
}

#[test]
fn a_cancel_of_what_is_not_held_is_nothing() {
    check(Story::live(1), [cancel(0, 1)], []);
}

#[test]
fn a_refused_answer_is_tried_again_later_and_the_job_is_held_meanwhile() {
    let steps = || [placed(0, 1, [1]), ran(1, 0, 1), refused(2, 1), tick(401), tick(402)];
    check(
        Story::live(1),
        steps().into_iter().chain([confirmed(403, 1)]),
        [run(0, [1]), answered(1), answered(1), Deed::Ack(1)],
    );
    check_beats(
        Story::live(1),
        steps().into_iter().chain([tick(1000)]),
        [Deed::Beat(WorkerState::Live, vec![(1, None)])],
    );
}

#[test]
fn an_answer_that_the_broker_never_takes_is_given_up_for_the_distributor_to_place_again() {
    let mut story = Story::live(1);
    story.play(placed(0, 1, [1]));
    story.play(ran(1, 0, 1));
    let mut done = vec![];
    for try_ in 1..=20 {
        done.extend(story.play(refused(try_ * 10_000, 1)));
        done.extend(story.play(tick(try_ * 10_000 + 5_000)));
    }
    assert_eq!(done.iter().filter(|deed| **deed == answered(1)).count(), 19);
    assert!(done.contains(&Deed::Ack(1)));
    assert!(story.floor.jobs.is_empty());
}
