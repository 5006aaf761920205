//! Lists, slots, and what is late in them.

use super::*;

#[test]
fn a_list_takes_one_slot_and_the_next_list_another() {
    check(Story::live(2), [placed(0, 1, [1, 2]), placed(0, 2, [3])], [run(0, [1, 2]), run(1, [3])]);
}

#[test]
fn a_list_waits_for_a_free_slot() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), placed(0, 2, [2]), ran(5, 0, 1)],
        [run(0, [1]), answered(1), run(0, [2])],
    );
}

#[test]
fn a_delivery_is_acked_when_all_its_jobs_are_confirmed() {
    check(
        Story::live(1),
        [placed(0, 1, [1, 2]), ran(1, 0, 1), confirmed(2, 1), ran(3, 0, 2), confirmed(4, 2)],
        [run(0, [1, 2]), answered(1), answered(2), Deed::Ack(1)],
    );
}

#[test]
fn an_empty_list_is_acked_at_once() {
    check(Story::live(1), [placed(0, 1, [])], [Deed::Ack(1)]);
}

#[test]
fn a_job_twice_in_a_list_runs_once() {
    check(
        Story::live(1),
        [placed(0, 1, [1, 1]), ran(1, 0, 1), confirmed(2, 1)],
        [run(0, [1]), answered(1), Deed::Ack(1)],
    );
}

#[test]
fn what_a_slot_has_not_begun_in_time_goes_back() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1, 2, 3]),
            tick(99),
            tick(100),
            recalled(100, 0, 1),
            ran_for(200, 0, 1, 200),
        ],
        [run(0, [1, 2, 3]), Deed::Running(vec![1]), Deed::Recall(0), back(2), back(3), answered(1)],
    );
}

#[test]
fn what_a_slot_began_before_it_was_recalled_is_waited_for() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1, 2, 3]),
            ran(10, 0, 1),
            tick(100),
            recalled(100, 0, 2),
            ran_for(120, 0, 2, 110),
            placed(120, 2, [4]),
        ],
        [
            run(0, [1, 2, 3]),
            answered(1),
            Deed::Recall(0),
            Deed::Running(vec![2]),
            back(3),
            answered(2),
            run(0, [4]),
        ],
    );
}

#[test]
fn a_slot_that_had_begun_nothing_is_free_after_a_recall() {
    check(
        Story::live(1),
        [placed(0, 1, [1, 2]), tick(100), recalled(100, 0, 0), placed(100, 2, [3])],
        [run(0, [1, 2]), Deed::Recall(0), Deed::Running(vec![1]), back(1), back(2), run(0, [3])],
    );
}

#[test]
fn a_list_that_finds_no_slot_in_time_goes_back_and_no_more_are_taken_until_one_is_free() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1]),
            placed(0, 2, [2]),
            tick(100),
            confirmed(101, 2),
            ran_for(200, 0, 1, 200),
        ],
        [
            run(0, [1]),
            back(2),
            Deed::Running(vec![1]),
            Deed::Cancel(Consumer::Pool),
            Deed::Ack(2),
            answered(1),
            Deed::Consume(Consumer::Pool),
        ],
    );
}

#[test]
fn short_jobs_are_not_worth_a_word() {
    check(Story::live(1), [placed(0, 1, [1]), tick(19), ran(19, 0, 1)], [run(0, [1]), answered(1)]);
}

#[test]
fn a_job_that_runs_for_20_ms_is_said_to_run_once() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), tick(20), tick(40)],
        [run(0, [1]), Deed::Running(vec![1])],
    );
}

#[test]
fn a_job_of_a_long_function_is_said_to_run_at_once() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), ran_for(19, 0, 1, 50), placed(60, 2, [2])],
        [run(0, [1]), answered(1), run(0, [2]), Deed::Running(vec![2])],
    );
}

#[test]
fn a_worker_of_short_jobs_looks_ahead_until_they_grow_longer() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1]),
            ran(1, 0, 1),
            tick(1000),
            placed(1000, 2, [2]),
            ran_for(1019, 0, 2, 900),
        ],
        [
            run(0, [1]),
            answered(1),
            Deed::Consume(Consumer::LookAhead),
            run(0, [2]),
            answered(2),
            Deed::Cancel(Consumer::LookAhead),
        ],
    );
}

#[test]
fn the_time_of_a_list_wakes_the_worker() {
    let mut story = Story::live(1);
    story.play(placed(0, 1, [1, 2]));
    let wake = story.executor.next_wake().map(|wake| wake - story.start);
    assert_eq!(wake, Some(limits::SHORT_JOB));
    story.play(tick(20));
    let wake = story.executor.next_wake().map(|wake| wake - story.start);
    assert_eq!(wake, Some(limits::LIST_TIMEOUT));
}

#[test]
fn beside_a_long_job_nothing_is_taken_that_would_have_to_wait_for_it() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1]),
            ran(1, 0, 1),
            tick(1000),
            placed(1500, 2, [2]),
            tick(1520),
            // Beats, while the job goes on: what was short before means nothing.
            tick(2000),
            tick(3000),
            tick(4000),
        ],
        [
            run(0, [1]),
            answered(1),
            Deed::Consume(Consumer::LookAhead),
            run(0, [2]),
            Deed::Running(vec![2]),
            Deed::Cancel(Consumer::LookAhead),
        ],
    );
}

#[test]
fn a_worker_that_ran_nothing_for_a_second_does_not_look_ahead() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), ran(1, 0, 1), tick(1000), tick(2000)],
        [
            run(0, [1]),
            answered(1),
            Deed::Consume(Consumer::LookAhead),
            Deed::Cancel(Consumer::LookAhead),
        ],
    );
}
