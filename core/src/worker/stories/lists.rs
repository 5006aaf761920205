//! Lists, slots, and what is late in them.

use simple_dist_protocol::limits;

use super::*;

#[test]
fn a_slot_without_a_process_rests_until_the_next_beat_and_the_others_go_on() {
    check(
        Story::isolated(2),
        [
            placed(0, 1, [1]),
            event(1, Event::CannotRun { slot: 0 }),
            placed(2, 2, [2]),
            Step(3, What::Ran(1, 2, 1)),
            placed(4, 3, [3]),
            placed(990, 4, [4]),
            tick(1000),
        ],
        [
            run(0, [1]),
            back(1),
            run(1, [2]),
            answered(2),
            run(1, [3]),
            Action::Running(vec![3]),
            run(0, [4]),
        ],
    );
}

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
        [run(0, [1, 2]), answered(1), answered(2), Action::Ack(1)],
    );
}

#[test]
fn an_empty_list_is_acked_at_once() {
    check(Story::live(1), [placed(0, 1, [])], [Action::Ack(1)]);
}

#[test]
fn a_job_twice_in_a_list_runs_once() {
    check(
        Story::live(1),
        [placed(0, 1, [1, 1]), ran(1, 0, 1), confirmed(2, 1)],
        [run(0, [1]), answered(1), Action::Ack(1)],
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
        [
            run(0, [1, 2, 3]),
            Action::Running(vec![1]),
            Action::Recall(0),
            back(2),
            back(3),
            answered(1),
        ],
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
            Action::Recall(0),
            Action::Running(vec![2]),
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
        [
            run(0, [1, 2]),
            Action::Recall(0),
            Action::Running(vec![1]),
            back(1),
            back(2),
            run(0, [3]),
        ],
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
            Action::Running(vec![1]),
            Action::Cancel(Consumer::Pool),
            Action::Ack(2),
            answered(1),
            Action::Consume(Consumer::Pool),
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
        [run(0, [1]), Action::Running(vec![1])],
    );
}

#[test]
fn a_job_of_a_long_function_is_said_to_run_at_once() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), ran_for(19, 0, 1, 50), placed(60, 2, [2])],
        [run(0, [1]), answered(1), run(0, [2]), Action::Running(vec![2])],
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
            Action::Consume(Consumer::LookAhead),
            run(0, [2]),
            answered(2),
            Action::Cancel(Consumer::LookAhead),
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
            Action::Consume(Consumer::LookAhead),
            run(0, [2]),
            Action::Running(vec![2]),
            Action::Cancel(Consumer::LookAhead),
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
            Action::Consume(Consumer::LookAhead),
            Action::Cancel(Consumer::LookAhead),
        ],
    );
}

#[test]
fn the_further_the_broker_the_more_messages_a_worker_of_short_jobs_takes_ahead() {
    check(
        Story::live(1),
        [
            // The first beat was sent at 0: a round trip of 50 ms.
            beat_confirmed(50, 1),
            placed(100, 1, [1]),
            ran_for(105, 0, 1, 5),
            tick(1000),
            // It was nearer in truth, but not by so much.
            beat_confirmed(1030, 3),
            placed(1100, 2, [2]),
            ran_for(1105, 0, 2, 5),
            tick(2000),
            beat_confirmed(2004, 4),
            placed(2100, 3, [3]),
            ran_for(2105, 0, 3, 5),
            tick(3000),
        ],
        [
            run(0, [1]),
            answered(1),
            Action::Ahead(20),
            run(0, [2]),
            answered(2),
            run(0, [3]),
            answered(3),
            Action::Cancel(Consumer::LookAhead),
            Action::Consume(Consumer::LookAhead),
        ],
    );
}

#[test]
fn jobs_that_the_way_costs_much_are_taken_ahead_though_they_are_not_short() {
    check(
        Story::live(2),
        [
            beat_confirmed(100, 1),
            placed(100, 1, [1]),
            placed(100, 2, [2]),
            ran_for(200, 0, 1, 100),
            ran_for(200, 1, 2, 100),
            tick(1000),
            placed(1100, 3, [3]),
            ran_for(5100, 0, 3, 4000),
        ],
        [
            run(0, [1]),
            run(1, [2]),
            answered(1),
            Action::Running(vec![2]),
            answered(2),
            Action::Ahead(4),
            run(0, [3]),
            Action::Running(vec![3]),
            answered(3),
            Action::Cancel(Consumer::LookAhead),
        ],
    );
}

#[test]
fn what_was_taken_ahead_may_wait_for_as_long_as_the_way_is() {
    let mut story = Story::live(1);
    story.play(beat_confirmed(100, 1));
    story.play(placed(200, 1, [1]));
    story.play(placed(200, 2, [2]));
    story.play(tick(499));
    assert!(!story.play(tick(499)).contains(&back(2)));
    assert!(story.play(tick(500)).contains(&back(2)), "the list's 100 ms, and two round trips");
}
