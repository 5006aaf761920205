//! The link, beats, and the distributor's welcome.

use super::*;

#[test]
fn a_worker_consumes_only_after_its_welcome() {
    check(Story::new(1), [up(0, 1), tick(1000), welcome(1001)], [Action::Consume(Consumer::Pool)]);
}

#[test]
fn every_link_needs_a_welcome_of_its_own() {
    check(Story::live(1), [down(1), up(2, 2), welcome(3)], [Action::Consume(Consumer::Pool)]);
}

#[test]
fn another_welcome_on_the_same_link_changes_nothing() {
    check(Story::live(1), [welcome(1)], []);
}

#[test]
fn a_queue_that_cannot_be_consumed_is_tried_again_at_the_next_beat() {
    check(
        Story::live(1),
        [event(1, Event::NotConsuming(Consumer::Pool)), tick(999), tick(1000)],
        [Action::Consume(Consumer::Pool)],
    );
}

#[test]
fn a_worker_beats_at_once_and_every_second_while_it_has_a_link() {
    let beat = || Action::Beat(WorkerState::Live, vec![]);
    check_beats(
        Story::new(1),
        [tick(0), up(10, 1), tick(1009), tick(1010), down(1011), tick(5000), up(5001, 2)],
        [beat(), beat(), beat()],
    );
}

#[test]
fn a_new_term_is_told_at_once_what_is_held() {
    let pool = PoolId::of(&["fib@1".parse().unwrap()], false);
    let term = |millis, term| control(millis, Control::Welcome { term: Term(term), pool });
    check_beats(
        Story::live(1),
        [placed(0, 1, [1]), term(5, 1), term(10, 2), term(20, 2)],
        [Action::Beat(WorkerState::Live, vec![(1, Some(0))])],
    );
}

#[test]
fn a_beat_names_every_job_and_the_slot_of_those_that_run() {
    check_beats(
        Story::live(2),
        [placed(0, 1, [1, 2]), placed(0, 2, [3]), placed(950, 3, [4]), tick(1000)],
        [Action::Beat(WorkerState::Live, vec![(1, Some(0)), (2, None), (3, Some(1)), (4, None)])],
    );
}

#[test]
fn a_value_that_was_computed_without_a_link_is_sent_on_the_next_one() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), down(1), ran(2, 0, 1), up(3, 2), confirmed(4, 1)],
        [run(0, [1]), answered(1)],
    );
}

#[test]
fn an_answer_that_was_not_confirmed_before_the_cut_is_sent_again() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), ran(1, 0, 1), down(2), up(3, 2), confirmed(4, 1)],
        [run(0, [1]), answered(1), answered(1)],
    );
}

#[test]
fn a_redelivered_job_that_runs_here_goes_on_and_its_answer_acks_both() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1]),
            down(1),
            up(2, 2),
            redelivered(3, 2, [1]),
            ran(10, 0, 1),
            confirmed(11, 1),
        ],
        [run(0, [1]), answered(1), Action::Ack(2)],
    );
}

#[test]
fn another_attempt_of_a_job_that_runs_here_is_a_job_of_its_own() {
    let again = Placement { attempt: 2, ..placement(1) };
    check(Story::live(2), [placed(0, 1, [1]), list(1, 2, [again])], [run(0, [1]), run(1, [1])]);
}

#[test]
fn what_had_not_begun_at_the_cut_goes_back_on_the_next_link() {
    check(
        Story::live(1),
        [
            placed(0, 1, [1, 2]),
            placed(0, 2, [3]),
            down(1),
            recalled(1, 0, 1),
            up(2, 2),
            ran(10, 0, 1),
        ],
        [run(0, [1, 2]), Action::Recall(0), back(2), back(3), answered(1)],
    );
}

#[test]
fn a_confirmed_end_is_forgotten() {
    let mut story = Story::live(1);
    for step in [placed(0, 1, [1]), ran(1, 0, 1), confirmed(2, 1)] {
        story.play(step);
    }
    assert!(story.executor.jobs.is_empty());
    assert_eq!(story.play(redelivered(3, 2, [1])), [back_unwilling(1)]);
}

#[test]
fn while_every_slot_runs_what_came_on_the_last_link_nothing_is_taken() {
    check(
        Story::live(1),
        [placed(0, 1, [1]), down(1), up(2, 2), welcome(3), ran_for(500, 0, 1, 499)],
        [run(0, [1]), answered(1), Action::Consume(Consumer::Pool)],
    );
}
