//! Attempts that continue although their job has ended: who is told, and the space they take.

use super::*;

fn all_cancelled(jobs: &'static [u128]) -> Step {
    event(Event::Cancelled { user: user(1), ids: ids(jobs) })
}

fn ended_cancelled(number: u128, job: u128) -> Step {
    ended(number, job, 1, End::Answer(Answer::Cancelled))
}

/// The pool's queue holds messages for as long as the story does not say otherwise.
fn queue_holds(messages: u32) -> Step {
    change(move |world| world.depths.0 = Some(messages))
}

#[test]
fn a_job_cancelled_in_a_queue_keeps_its_place_until_a_worker_settles_it() {
    check(
        [
            at(0.0, queue_holds(1)),
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.1, holds(1, 1, 1)),
            at(0.2, cancelled(2)),
            at(0.3, submitted(3)),
            at(9.0, answered(1, 1, 1)),
            at(9.1, ended_cancelled(1, 2)),
            at(9.2, submitted(4)),
        ],
        [place(1, 1), place(2, 1), cancel(1, 2), answer(1, "value"), place(3, 1), place(4, 1)],
    );
}

#[test]
fn an_expiry_in_a_queue_is_reported() {
    check(
        [
            at(0.0, queue_holds(1)),
            at(0.0, lives(1, 1)),
            at(0.0, submit_as(1, Submission { budget_ms: 2000, ..submission(1) })),
            at(3.0, nothing()),
        ],
        [place(1, 1), answer(1, "expired"), cancel(1, 1)],
    );
}

#[test]
fn every_worker_of_the_pool_is_told_of_many_in_one_message() {
    let told = |worker| Seen::Cancel { worker, jobs: vec![1, 2, 3] };
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, lives(2, 1)),
            at(0.0, serves(3, 1, &["other@1"])),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.0, submitted(3)),
            at(0.02, all_cancelled(&[1])),
            at(0.05, all_cancelled(&[2, 3])),
            at(0.3, nothing()),
        ],
        [place(1, 1), place(2, 1), place(3, 1), told(1), told(2)],
    );
}

#[test]
fn a_later_worker_receives_the_cancels_of_jobs_still_in_the_queue() {
    check(
        [
            at(0.0, queue_holds(1)),
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.1, all_cancelled(&[1, 2])),
            at(0.2, ended_cancelled(1, 1)),
            at(1.0, lives(2, 1)),
            at(1.5, ended_cancelled(2, 2)),
            at(2.0, lives(3, 1)),
        ],
        [
            place(1, 1),
            place(2, 1),
            Seen::Cancel { worker: 1, jobs: vec![1, 2] },
            Seen::Cancel { worker: 2, jobs: vec![2] },
        ],
    );
}

#[test]
fn a_job_gone_from_its_queue_occupies_no_place() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, holds(1, 1, 1)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.1, cancelled(2)),
            at(0.2, submitted(3)),
            at(4.0, nothing()),
        ],
        [place(1, 1), place(2, 1), cancel(1, 2), place(3, 1)],
    );
}

#[test]
fn a_cancelled_run_keeps_its_slot_until_a_beat_omits_it() {
    check(
        [
            at(0.0, queue_holds(1)),
            at(0.0, lives(1, 2)),
            at(0.0, submitted(1)),
            at(0.1, holds(1, 1, 1)),
            at(1.5, cancelled(1)),
            at(1.6, ended_cancelled(1, 1)),
            at(1.7, submitted(2)),
            at(1.7, submitted(3)),
            at(1.7, submitted(4)),
            at(5.0, lets_go(1)),
            at(6.1, nothing()),
        ],
        [place(1, 1), cancel(1, 1), place(2, 1), place(3, 1), place(4, 1)],
    );
    check(
        [
            at(0.0, queue_holds(1)),
            at(0.0, lives(1, 2)),
            at(0.0, submitted(1)),
            at(0.1, holds(1, 1, 1)),
            at(1.5, cancelled(1)),
            at(1.7, submitted(2)),
            at(1.7, submitted(3)),
            at(1.7, submitted(4)),
            at(9.0, nothing()),
        ],
        [place(1, 1), cancel(1, 1), place(2, 1), place(3, 1)],
    );
}

#[test]
fn a_run_without_a_known_job_occupies_its_slot_and_is_cancelled_if_no_client_claims_it() {
    let unknown = || {
        [
            at(0.0, queue_holds(1)),
            at(0.0, lives(1, 1)),
            at(0.0, holds(1, 9, 7)),
            at(1.1, submitted(1)),
            at(1.1, submitted(2)),
        ]
    };
    check(unknown().into_iter().chain([at(50.0, nothing())]), [place(1, 1)]);
    check(
        unknown().into_iter().chain([at(50.0, lets_go(1)), at(51.1, nothing())]),
        [place(1, 1), place(2, 1)],
    );
    let expected = [place(1, 1), answer(1, "expired"), answer(2, "expired")];
    let world = play(unknown().into_iter().chain([at(63.0, nothing())]));
    let (cancels, rest): (Vec<_>, Vec<_>) =
        world.seen.into_iter().partition(|seen| matches!(seen, Seen::Cancel { .. }));
    assert_eq!(rest, expected);
    assert!(cancels.contains(&cancel(1, 9)), "{cancels:?}");
}

#[test]
fn an_older_attempt_that_runs_on_is_cancelled_when_its_job_has_ended() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, lives(2, 1)),
            at(0.0, submitted(1)),
            at(0.1, came_back(2, 1, 1)),
            at(0.1, noted(1, true, &[])),
            at(0.2, holds(1, 1, 1)),
            at(0.2, started(2, 1, 2)),
            at(0.9, answered(2, 1, 2)),
            at(2.0, nothing()),
        ],
        [place(1, 1), marked(1), place_alone(1, 2), answer(1, "value"), cancel(1, 1)],
    );
}

#[test]
fn a_beat_that_crosses_an_answer_takes_no_slot() {
    check(
        [
            at(0.0, queue_holds(1)),
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, holds(1, 1, 1)),
            at(0.95, answered(1, 1, 1)),
            at(1.1, submitted(2)),
            at(1.1, submitted(3)),
            at(1.2, lets_go(1)),
        ],
        [place(1, 1), answer(1, "value"), place(2, 1), place(3, 1)],
    );
}

#[test]
fn a_job_sent_again_is_not_taken_as_running_where_it_was_cancelled() {
    check(
        [
            at(0.0, lives(1, 3)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.0, holds(1, 2, 1)),
            at(1.1, change(|world| world.deliveries = Outcome::Returned)),
            at(1.2, answered(1, 1, 1)),
            at(1.3, change(|world| world.deliveries = Outcome::Confirmed)),
            at(2.1, submitted(2)),
        ],
        [place(1, 1), place(2, 1), answer(1, "value"), cancel(1, 2), place(2, 2)],
    );
}

#[test]
fn orphan_runs_of_a_lost_worker_occupy_no_slot() {
    check(
        [
            at(0.0, queue_holds(1)),
            at(0.0, lives(1, 1)),
            at(0.0, lives(2, 1)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.1, holds(1, 1, 1)),
            at(0.1, holds(2, 2, 1)),
            at(1.5, all_cancelled(&[1, 2])),
            at(1.6, submitted(3)),
            at(1.6, submitted(4)),
            at(1.6, falls_silent(1)),
            at(6.0, nothing()),
        ],
        // With one slot left, which is taken, one may wait behind it: as before.
        [place(1, 1), place(2, 1), cancel(1, 1), cancel(2, 2), place(3, 1)],
    );
}
