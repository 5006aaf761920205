//! Marks and strikes: what is evidence against a job, and what is not.

use super::*;

#[test]
fn a_lost_worker_gives_its_job_back() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.5, holds(1, 1, 1)),
            at(1.5, falls_silent(1)),
            at(2.0, lives(2, 1)),
            at(4.5, noted(1, true, &[])),
        ],
        [place(1, 1), marked(1), place_alone(1, 2)],
    );
}

#[test]
fn the_next_attempt_waits_for_the_receipt_of_the_client() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, lives(2, 1)),
            at(0.0, submitted(1)),
            at(0.1, came_back(2, 1, 1)),
            at(1.0, nothing()),
            at(1.0, submitted_with(1, true, &[])),
        ],
        [place(1, 1), marked(1), place_alone(1, 2)],
    );
}

#[test]
fn a_missing_receipt_is_requested_again() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, came_back(1, 1, 1)),
            at(2.2, nothing()),
            at(2.3, asked(1)),
            at(2.4, submitted(1)),
        ],
        [place(1, 1), marked(1), marked(1), marked(1), marked(1)],
    );
}

#[test]
fn strikes_are_sent_again_to_a_client_that_forgot_them() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, came_back(1, 1, 1)),
            at(0.2, noted(1, true, &[])),
            at(0.3, submitted(1)),
        ],
        [place(1, 1), marked(1), place_alone(1, 2), marked(1)],
    );
}

#[test]
fn a_job_handed_back_gets_no_mark() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, handed_back(1, 1, 1)),
            at(0.2, answered(1, 1, 2)),
        ],
        [place(1, 1), place(1, 2), answer(1, "value")],
    );
}

#[test]
fn a_marked_job_returned_unstarted_gets_no_further_mark() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, came_back(1, 1, 1)),
            at(0.2, noted(1, true, &[])),
            at(0.3, came_back(1, 1, 2)),
            at(0.4, came_back(1, 1, 3)),
            at(0.5, came_back(1, 1, 4)),
        ],
        [
            place(1, 1),
            marked(1),
            place_alone(1, 2),
            place_alone(1, 3),
            place_alone(1, 4),
            place_alone(1, 5),
        ],
    );
}

#[test]
fn hand_backs_and_starts_of_older_attempts_are_ignored() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(0.1, came_back(1, 1, 1)),
        at(0.2, noted(1, true, &[])),
        at(0.3, came_back(1, 1, 1)),
        at(0.3, started(1, 1, 1)),
    ]);
    assert_eq!(world.seen, [place(1, 1), marked(1), place_alone(1, 2)]);
    assert_eq!(world.scheduler.counters().outdated, 2);
}

/// A job with a mark, whose second attempt is out.
fn suspect() -> Vec<TimedStep> {
    vec![
        at(0.0, lives(9, 1)),
        at(0.0, submitted(1)),
        at(0.1, came_back(9, 1, 1)),
        at(0.2, noted(1, true, &[])),
    ]
}

fn suspected() -> Vec<Seen> {
    vec![place(1, 1), marked(1), place_alone(1, 2)]
}

#[track_caller]
fn check_suspect(
    story: impl IntoIterator<Item = TimedStep>,
    expected: impl IntoIterator<Item = Seen>,
) {
    check(
        suspect().into_iter().chain(story),
        suspected().into_iter().chain(expected).collect::<Vec<_>>(),
    );
}

#[test]
fn started_and_then_silent_is_a_strike() {
    check_suspect(
        [
            at(0.3, lives(1, 1)),
            at(0.4, started(1, 1, 2)),
            at(0.5, falls_silent(1)),
            at(0.6, came_back(9, 1, 2)),
            at(3.2, nothing()),
            at(4.0, noted(1, true, &[1])),
        ],
        [struck(1, true, &[1]), place_alone(1, 3)],
    );
}

#[test]
fn three_counts_poison_the_job_and_name_the_workers() {
    check_suspect(
        [
            at(0.3, lives(1, 1)),
            at(0.4, started(1, 1, 2)),
            at(0.5, falls_silent(1)),
            at(4.0, noted(1, true, &[1])),
            at(4.1, lives(2, 1)),
            at(4.2, started(2, 1, 3)),
            at(4.3, falls_silent(2)),
            at(8.0, nothing()),
            at(8.0, submitted_with(1, true, &[1])),
        ],
        [struck(1, true, &[1]), place_alone(1, 3), answer(1, "poisoned"), answer(1, "poisoned")],
    );
}

#[test]
fn started_and_heard_holding_it_is_waited_for() {
    check_suspect(
        [
            at(0.3, lives(1, 1)),
            at(0.3, holds(1, 1, 2)),
            at(0.4, started(1, 1, 2)),
            at(0.5, came_back(9, 1, 2)),
            at(9.0, answered(1, 1, 2)),
        ],
        [answer(1, "value")],
    );
}

#[test]
fn started_and_heard_not_holding_it_is_placed_again() {
    check_suspect(
        [
            at(0.3, lives(1, 1)),
            at(0.3, holds(1, 1, 2)),
            at(0.4, started(1, 1, 2)),
            at(0.5, came_back(9, 1, 2)),
            at(2.0, lets_go(1)),
            at(6.0, nothing()),
        ],
        [place_alone(1, 3)],
    );
}

#[test]
fn a_beat_older_than_the_start_is_no_evidence_against_it() {
    check_suspect(
        [
            at(0.3, lives(1, 1)),
            // The worker beats, then starts; the start comes first.
            at(0.4, change(|world| world.workers.get_mut(&worker(1)).unwrap().beat.seq += 1)),
            at(0.4, started(1, 1, 2)),
            at(
                0.5,
                change(|world| {
                    let beat = world.workers[&worker(1)].beat.clone();
                    world.feed(Event::Beat { user: workers(), beat });
                }),
            ),
            at(0.6, came_back(9, 1, 2)),
            at(0.7, falls_silent(1)),
            at(4.0, nothing()),
        ],
        [struck(1, true, &[1])],
    );
}

#[test]
fn a_strike_is_revoked_when_the_worker_is_heard_again() {
    check_suspect(
        [
            at(0.3, lives(1, 1)),
            at(0.4, started(1, 1, 2)),
            at(0.5, falls_silent(1)),
            at(4.0, lives(1, 1)),
            at(4.1, submitted_with(1, true, &[1])),
        ],
        [struck(1, true, &[1]), struck(1, true, &[]), place_alone(1, 3)],
    );
}

#[test]
fn a_strike_is_not_revoked_by_a_beat_from_before_the_start() {
    let stale = |world: &mut World| {
        let beat = world.workers[&worker(1)].beat.clone();
        world.feed(Event::Beat { user: workers(), beat });
    };
    check_suspect(
        [
            at(0.3, lives(1, 1)),
            // The worker beats, then starts and dies; that beat comes last.
            at(0.4, change(|world| world.workers.get_mut(&worker(1)).unwrap().beat.seq += 1)),
            at(0.4, started(1, 1, 2)),
            at(0.5, falls_silent(1)),
            at(3.0, change(stale)),
            at(3.1, noted(1, true, &[1])),
        ],
        [struck(1, true, &[1]), place_alone(1, 3)],
    );
}

#[test]
fn a_strike_is_not_revoked_while_the_worker_still_has_the_job() {
    check_suspect(
        [
            at(0.3, lives(1, 1)),
            at(0.4, started(1, 1, 2)),
            at(0.5, falls_silent(1)),
            at(4.0, holds(1, 1, 2)),
            at(4.0, lives(1, 1)),
            at(4.1, submitted_with(1, true, &[1])),
            at(4.2, falls_silent(1)),
            at(8.0, nothing()),
        ],
        [struck(1, true, &[1]), place_alone(1, 3)],
    );
}

#[test]
fn a_start_of_an_earlier_term_strikes_a_job_without_marks() {
    check(
        [
            at(0.0, lives(9, 1)),
            at(0.0, lives(1, 1)),
            at(0.1, started(1, 1, 3)),
            at(0.1, holds(1, 1, 3)),
            at(1.2, submitted(1)),
            at(1.3, falls_silent(1)),
            at(5.0, nothing()),
        ],
        [struck(1, false, &[1])],
    );
}

#[test]
fn one_attempt_gives_one_count() {
    check(
        [
            at(0.0, lives(9, 1)),
            at(0.0, lives(1, 1)),
            // An attempt of an earlier term, whose start is still to be read.
            at(0.1, holds(1, 1, 3)),
            at(1.2, submitted(1)),
            at(1.3, came_back(9, 1, 3)),
            at(2.2, started(1, 1, 3)),
            at(2.3, falls_silent(1)),
            at(6.0, nothing()),
        ],
        [marked(1), struck(1, false, &[1])],
    );
}

#[test]
fn a_start_alone_does_not_show_that_a_worker_lives() {
    check_suspect(
        [
            at(0.3, lives(1, 1)),
            at(0.4, started_via(Via::Beats, 1, 1, 2)),
            at(0.5, falls_silent(1)),
            at(4.0, nothing()),
        ],
        [place_alone(1, 3)],
    );
}

#[test]
fn marked_jobs_are_placed_one_at_a_time() {
    check(
        [
            at(0.0, lives(1, 4)),
            at(0.0, submitted_with(1, true, &[])),
            at(0.0, submitted_with(2, true, &[])),
            at(0.0, submitted(3)),
            at(0.5, answered(1, 1, 1)),
        ],
        [place_alone(1, 1), place(3, 1), answer(1, "value"), place_alone(2, 1)],
    );
}

#[test]
fn a_job_reported_with_three_counts_is_poisoned_on_arrival() {
    check(
        [at(0.0, lives(1, 1)), at(0.0, submitted_with(1, true, &[7, 8]))],
        [answer(1, "poisoned")],
    );
}

#[test]
fn a_reported_strike_of_a_live_worker_is_ignored() {
    check([at(0.0, lives(1, 1)), at(0.0, submitted_with(1, true, &[1, 8]))], [place_alone(1, 1)]);
}

#[test]
fn a_marked_job_never_fails_as_unserved() {
    check([at(0.0, submitted_with(1, false, &[7])), at(9.0, lives(1, 1))], [place_alone(1, 1)]);
}

#[test]
fn late_workers_are_probed_once() {
    let mut world = play([at(0.0, lives(1, 1)), at(0.0, falls_silent(1)), at(2.4, nothing())]);
    assert_eq!(world.controls(|told| matches!(told, Control::Probe)), 1);
    assert_eq!(world.scheduler.counters().lost, 0);
    // With a view and a tick more it is on the page within three seconds.
    world.play([at(2.5, nothing())]);
    assert_eq!(world.scheduler.counters().lost, 1);
}

#[test]
fn a_returned_probe_stops_placement_but_does_not_declare_a_worker_lost() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, falls_silent(1)),
            at(0.5, change(|world| world.controls = Outcome::Returned)),
            at(1.6, submitted(1)),
            at(2.0, change(|world| world.controls = Outcome::Confirmed)),
            at(2.4, lives(1, 1)),
        ],
        [place(1, 1)],
    );
}

#[test]
fn a_start_by_a_lost_worker_is_a_strike_unless_it_lives() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, lives(2, 1)),
            at(0.0, falls_silent(1)),
            at(3.0, submitted_with(1, true, &[])),
            at(3.1, started(1, 1, 1)),
            at(4.0, lives(1, 1)),
        ],
        [place_alone(1, 1), struck(1, true, &[1]), marked(1), place_alone(1, 2)],
    );
}

#[test]
fn a_job_whose_worker_is_out_of_reach_is_doubted_until_that_is_heard_with_it() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, lives(2, 1)),
            at(0.0, submitted(1)),
            at(0.1, holds(1, 1, 1)),
            at(1.1, falls_silent(1)),
            at(1.2, unreachable(true)),
            at(2.6, unreachable(false)),
            at(2.7, lives(1, 1)),
            at(2.8, answered(1, 1, 1)),
        ],
        [place(1, 1), marked(1), struck(1, false, &[]), answer(1, "value")],
    );
}

#[test]
fn when_it_is_lost_the_doubt_is_its_mark() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, lives(2, 1)),
            at(0.0, submitted(1)),
            at(0.1, holds(1, 1, 1)),
            at(1.1, falls_silent(1)),
            at(1.2, unreachable(true)),
            at(2.6, unreachable(false)),
            at(2.7, noted(1, true, &[])),
            at(4.0, nothing()),
        ],
        [place(1, 1), marked(1), place_alone(1, 2)],
    );
}
