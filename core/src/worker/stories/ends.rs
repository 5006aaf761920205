//! How attempts end, and what becomes of the news.

use super::*;

#[test]
fn a_redelivered_list_goes_back_unstarted_and_is_acked_then() {
    check(
        Story::live(1),
        [redelivered(0, 1, [1, 2]), confirmed(1, 1), confirmed(1, 2)],
        [back_unwilling(1), back_unwilling(2), Action::Ack(1)],
    );
}

#[test]
fn a_function_that_is_not_served_is_an_answer() {
    let foreign = Placement { function: "fib@2".parse().unwrap(), ..placement(1) };
    check(
        Story::live(1),
        [list(0, 1, [foreign]), confirmed(1, 1)],
        [ended(1, Answer::NotServed), Action::Ack(1)],
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
        [run(0, [1]), ended(2, Answer::Cancelled), Action::Ack(2), answered(1)],
    );
}

#[test]
fn a_cancelled_job_that_runs_keeps_its_slot_and_its_delivery_and_its_value_is_dropped() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), cancel(1, 1), confirmed(2, 1), placed(3, 2, [2]), ran(10, 0, 1)],
        [run(0, [1]), ended(1, Answer::Cancelled), Action::Stop(0, 1), Action::Ack(1), run(0, [2])],
    );
}

#[test]
fn a_cancelled_job_that_ends_before_its_cancel_is_confirmed_is_acked_only_then() {
    let steps = || [placed(0, 1, [1]), cancel(1, 1), ran(2, 0, 1)];
    let stopped = || vec![run(0, [1]), ended(1, Answer::Cancelled), Action::Stop(0, 1)];
    check(Story::live(1), steps(), stopped());
    let mut acked = stopped();
    acked.push(Action::Ack(1));
    check(Story::live(1), steps().into_iter().chain([confirmed(3, 1)]), acked);
}

#[test]
fn a_job_whose_time_passes_while_it_runs_is_stopped_and_its_value_is_dropped() {
    let brief = Placement { budget_ms: 50, ..placement(1) };
    check(
        Story::live(1),
        [list(0, 1, [brief, placement(2)]), tick(49), tick(50), ran(60, 0, 1)],
        [run(0, [1, 2]), Action::Running(vec![1]), ended(1, Answer::Expired), Action::Stop(0, 1)],
    );
}

#[test]
fn what_a_slot_began_before_its_cancel_behind_another_is_stopped_too() {
    check(
        Story::live(1),
        [placed(0, 1, [1, 2]), cancel_attempts(1, [(2, 1)]), recalled(1, 0, 2), ran(2, 0, 1)],
        [
            run(0, [1, 2]),
            ended(2, Answer::Cancelled),
            Action::Recall(0),
            Action::Stop(0, 2),
            answered(1),
        ],
    );
}

#[test]
fn a_cancel_of_what_is_not_held_is_nothing() {
    check(Story::live(1), [cancel(0, 1)], []);
}

#[test]
fn what_is_cancelled_before_it_comes_is_not_begun() {
    check(
        Story::live(1),
        [cancel_attempts(0, [(1, 1), (3, 1)]), placed(1, 1, [1, 2, 3])],
        [ended(1, Answer::Cancelled), ended(3, Answer::Cancelled), run(0, [2])],
    );
    check(
        Story::live(1),
        [cancel_attempts(0, [(1, 1)]), redelivered(1, 1, [1])],
        [ended(1, Answer::Cancelled)],
    );
}

#[test]
fn a_cancel_is_of_its_attempt_and_of_no_newer_one() {
    let newer = |job| Placement { attempt: 2, ..placement(job) };
    check(
        Story::live(1),
        [cancel_attempts(0, [(1, 1)]), list(1, 1, [newer(1)]), cancel_attempts(2, [(1, 1)])],
        [run(0, [1])],
    );
}

#[test]
fn a_cancel_outlives_the_link_it_came_on() {
    check(
        Story::live(1),
        [cancel_attempts(0, [(1, 1)]), down(1), up(2, 2), welcome(2), placed(3, 1, [1])],
        [Action::Consume(Consumer::Pool), ended(1, Answer::Cancelled)],
    );
}

#[test]
fn a_cancelled_job_that_was_given_to_a_slot_behind_another_is_not_begun() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1, 2, 3]),
            cancel_attempts(1, [(2, 1)]),
            recalled(1, 0, 1),
            confirmed(2, 2),
            ran(5, 0, 1),
            ran(6, 0, 3),
            confirmed(7, 1),
            confirmed(7, 3),
        ],
        [
            run(0, [1, 2, 3]),
            ended(2, Answer::Cancelled),
            Action::Recall(0),
            answered(1),
            run(0, [3]),
            answered(3),
            Action::Ack(1),
        ],
    );
}

#[test]
fn what_a_slot_is_given_anew_after_a_cancel_is_still_handed_back_when_late() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1, 2, 3]),
            cancel_attempts(1, [(2, 1)]),
            recalled(1, 0, 0),
            tick(100),
            recalled(100, 0, 1),
        ],
        [
            run(0, [1, 2, 3]),
            ended(2, Answer::Cancelled),
            Action::Recall(0),
            run(0, [1, 3]),
            Action::Recall(0),
            Action::Running(vec![1]),
            back(3),
        ],
    );
}

#[test]
fn a_refused_answer_is_tried_again_later_and_the_job_is_held_meanwhile() {
    let steps = || [placed(0, 1, [1]), ran(1, 0, 1), refused(2, 1), tick(401), tick(402)];
    check(
        Story::live(1),
        steps().into_iter().chain([confirmed(403, 1)]),
        [run(0, [1]), answered(1), answered(1), Action::Ack(1)],
    );
    check_beats(
        Story::live(1),
        steps().into_iter().chain([tick(1000)]),
        [Action::Beat(WorkerState::Live, vec![(1, None)])],
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
    assert_eq!(done.iter().filter(|action| **action == answered(1)).count(), 19);
    assert!(done.contains(&Action::Ack(1)));
    assert!(story.executor.jobs.is_empty());
}
