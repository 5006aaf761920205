//! Messages that are gone without a word.

use super::*;

#[test]
fn a_job_that_no_queue_and_no_beat_knows_is_placed_again() {
    check(
        [at(0.0, lives(1, 1)), at(0.0, submitted(1)), at(4.5, nothing())],
        [place(1, 1), marked(1)],
    );
}

#[test]
fn a_job_that_a_beat_names_is_not_gone() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.0, holds(1, 1, 1)),
            at(20.0, answered(1, 1, 1)),
        ],
        [place(1, 1), answer(1, "value")],
    );
}

#[test]
fn a_job_whose_queue_is_not_empty_is_not_gone() {
    check(
        [
            at(0.0, change(|stage| stage.depths.0 = Some(1))),
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(20.0, nothing()),
        ],
        [place(1, 1)],
    );
}

#[test]
fn while_answers_wait_to_be_read_nothing_is_gone() {
    check(
        [
            at(0.0, change(|stage| stage.depths.1 = 1)),
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(20.0, nothing()),
        ],
        [place(1, 1)],
    );
}

#[test]
fn a_worker_that_was_not_heard_since_may_have_it() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, lives(2, 1)),
            at(0.0, submitted(1)),
            at(0.0, falls_silent(2)),
            at(2.3, holds(2, 1, 1)),
            at(2.3, lives(2, 1)),
            at(9.0, nothing()),
        ],
        [place(1, 1)],
    );
}

#[test]
fn a_marked_job_is_given_three_seconds() {
    check(
        [at(0.0, lives(1, 1)), at(0.0, submitted_with(1, true, &[])), at(3.0, nothing())],
        [place_alone(1, 1)],
    );
    check(
        [at(0.0, lives(1, 1)), at(0.0, submitted_with(1, true, &[])), at(7.0, nothing())],
        [place_alone(1, 1), place_alone(1, 2)],
    );
}

#[test]
fn a_queue_that_is_missing_is_declared_again_and_what_lay_in_it_is_swept() {
    let stage = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(0.1, change(|stage| stage.depths.0 = None)),
        at(4.5, noted(1, true, &[])),
    ]);
    assert_eq!(stage.seen, [place(1, 1), marked(1), place_alone(1, 2)]);
    let declared = stage.effects.iter().filter(|effect| matches!(effect, Effect::DeclarePool(_)));
    assert!(declared.count() >= 2);
}

#[test]
fn nothing_is_swept_while_our_presence_does_not_come_back() {
    check(
        [at(0.0, lives(1, 1)), at(0.0, submitted(1)), at(0.2, echoes(false)), at(20.0, nothing())],
        [place(1, 1)],
    );
}
