//! Messages that are lost silently.

use super::*;

#[test]
fn a_job_that_no_queue_and_no_beat_knows_is_placed_again() {
    check(
        [at(0.0, lives(1, 1)), at(0.0, submitted(1)), at(3.5, nothing())],
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
            at(0.0, change(|world| world.depths.0 = Some(1))),
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(20.0, nothing()),
        ],
        [place(1, 1)],
    );
}

#[test]
fn no_job_is_lost_while_answers_are_unread() {
    check(
        [
            at(0.0, change(|world| world.depths.1 = 1)),
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(20.0, nothing()),
        ],
        [place(1, 1)],
    );
}

#[test]
fn a_worker_not_heard_since_the_placement_may_have_the_job() {
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
fn a_missing_queue_is_declared_again_and_its_jobs_are_swept() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(0.1, change(|world| world.depths.0 = None)),
        at(3.5, noted(1, true, &[])),
    ]);
    assert_eq!(world.seen, [place(1, 1), marked(1), place_alone(1, 2)]);
    let declared = world.effects.iter().filter(|effect| matches!(effect, Effect::DeclarePool(_)));
    assert!(declared.count() >= 2);
}

#[test]
fn nothing_is_swept_while_our_presence_does_not_come_back() {
    check(
        [at(0.0, lives(1, 1)), at(0.0, submitted(1)), at(0.2, echoes(false)), at(20.0, nothing())],
        [place(1, 1)],
    );
}

/// Two busy pools; the message of job 1 is lost while its worker and the other run on.
#[track_caller]
fn check_slow(take: Duration, found_by: f64) {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, serves(2, 1, &["echo@1"])),
        at(0.0, submit_as(1, Submission { function: "echo@1".into(), ..submission(2) })),
        at(0.0, change(move |world| world.depths_take = take)),
        at(0.0, submitted(1)),
        at(found_by, nothing()),
    ]);
    assert!(world.seen.contains(&marked(1)), "{:?}", world.seen);
    assert!(world.seen.contains(&marked(2)), "{:?}", world.seen);
}

#[test]
fn a_lost_job_is_found_however_slow_the_depth_query() {
    check_slow(Duration::from_millis(700), 6.0);
    check_slow(Duration::from_millis(3000), 11.0);
}

#[test]
fn a_reply_is_evidence_for_the_time_of_its_query() {
    // The queue is empty when it is looked at, the placement is younger than that.
    let mut world = play([
        at(0.0, lives(1, 2)),
        at(0.0, change(|world| world.depths_take = Duration::from_secs(3))),
        at(0.0, submitted(1)),
        at(1.5, change(|world| world.depths_take = Duration::from_secs(30))),
        at(3.0, submitted(2)),
    ]);
    world.play([at(25.0, nothing())]);
    assert_eq!(world.seen, [place(1, 1), place(2, 1)]);
}

#[test]
fn a_failed_depth_query_is_repeated() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.0, change(|world| world.depths_take = Duration::from_secs(600))),
        at(0.0, submitted(1)),
        at(5.0, nothing()),
    ]);
    let asked = |world: &World| {
        let all = world.effects.iter().filter_map(|effect| match effect {
            Effect::AskDepths { asked_at, .. } => Some(*asked_at),
            _ => None,
        });
        all.collect::<Vec<_>>()
    };
    let before = asked(&world);
    assert_eq!(world.on_their_way.len(), 1);
    world.on_their_way.clear();
    world.depths_take = Duration::ZERO;
    world.feed(Event::DepthsFailed { asked_at: *before.last().unwrap() });
    world.play([at(10.0, nothing())]);
    assert!(asked(&world).len() > before.len());
    assert!(world.seen.contains(&marked(1)), "{:?}", world.seen);
}

#[test]
fn an_idle_worker_with_jobs_in_its_queue_is_welcomed_again() {
    let welcomes = |messages, holds: bool| {
        let hold = if holds { self::holds(1, 1, 1) } else { nothing() };
        let world = play([
            at(0.0, change(move |world| world.depths.0 = Some(messages))),
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.0, hold),
            at(0.0, lives(1, 1)),
            at(5.0, nothing()),
        ]);
        world.controls(|told| matches!(told, Control::Welcome { .. }))
    };
    assert_eq!((welcomes(0, false), welcomes(1, true)), (1, 1));
    assert!(welcomes(1, false) >= 3);
}
