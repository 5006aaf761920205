//! Workers that report jobs they were never given.

use super::*;

/// Worker 1 has job 1; worker 2 serves its function too, but in a pool of its own.
fn orphans() -> [TimedStep; 3] {
    [at(0.0, lives(1, 1)), at(0.0, submitted(1)), at(0.1, serves(2, 1, &["fib@1", "other@1"]))]
}

#[track_caller]
fn check_forged(said: Step) {
    let world = play(orphans().into_iter().chain([
        at(0.2, said),
        at(1.2, falls_silent(2)),
        at(1.2, holds(1, 1, 1)),
        at(9.0, answered(1, 1, 1)),
    ]));
    // The pool of worker 2 goes with it.
    assert_eq!(world.seen, [place(1, 1), Seen::Purged, answer(1, "value")]);
    let books = world.scheduler.counters();
    assert!(books.forged > 0 && books.marks == 0 && books.strikes == 0, "{books:?}");
}

#[test]
fn a_worker_cannot_hand_back_a_job_it_was_not_given() {
    check_forged(came_back(2, 1, 1));
    check_forged(handed_back(2, 1, 1));
}

#[test]
fn a_worker_cannot_start_a_job_it_was_not_given() {
    check_forged(started(2, 1, 1));
    check_forged(started_via(Via::Beats, 2, 1, 1));
}

#[test]
fn a_worker_cannot_hold_a_job_it_was_not_given() {
    check_forged(holds(2, 1, 1));
}

#[test]
fn a_worker_without_the_function_cannot_hold_a_job_of_an_earlier_term() {
    let world = play([
        at(0.0, serves(1, 1, &["other@1"])),
        at(0.0, holds(1, 1, 7)),
        at(1.1, lives(2, 1)),
        at(1.2, submitted(1)),
    ]);
    assert_eq!(world.seen, [place(1, 1)]);
}
