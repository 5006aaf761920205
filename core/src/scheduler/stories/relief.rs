//! What a draining worker runs: when it goes elsewhere at once, and what becomes of it.

use super::*;

/// Two workers, of which the first has just begun job 1, of a function whose runs take 10 s.
fn just_begun() -> Vec<TimedStep> {
    vec![
        at(0.0, lives(1, 1)),
        at(0.0, submitted(9)),
        at(0.0, took(1, 9, 10_000_000)),
        at(0.0, submitted(1)),
        at(0.0, started_via(Via::Beats, 1, 1, 1)),
        at(0.0, holds(1, 1, 1)),
        at(0.0, lives(2, 1)),
    ]
}

/// What becomes of job 1.
#[track_caller]
fn check_relief(story: Vec<TimedStep>, expected: impl IntoIterator<Item = Seen>) -> World {
    let measured = [place(9, 1), answer(9, "value"), place(1, 1)];
    let world = play(story);
    let expected: Vec<Seen> = measured.into_iter().chain(expected).collect();
    assert_eq!(world.seen, expected);
    world
}

#[test]
fn what_a_draining_worker_has_just_begun_goes_elsewhere_and_is_cancelled_there() {
    let mut story = just_begun();
    story.extend([
        at(0.1, has_run(1, 4_999)),
        at(2.05, drains(1)),
        at(2.3, ended(1, 1, 1, End::Answer(Answer::Cancelled))),
        at(3.0, answered(2, 1, 2)),
    ]);
    let world = check_relief(story, [place(1, 2), cancel(1, 1), answer(1, "value")]);
    let counters = world.scheduler.counters();
    assert_eq!((counters.moved, counters.hedges, counters.hedges_won), (1, 0, 0));
}

#[test]
fn what_is_more_than_half_done_or_late_is_ended_where_it_runs() {
    for age_ms in [5_001, 10_001] {
        let mut story = just_begun();
        story.extend([at(0.1, has_run(1, age_ms)), at(0.1, drains(1)), at(2.0, answered(1, 1, 1))]);
        check_relief(story, [answer(1, "value")]);
    }
}

/// From its next beat on, a worker has run what it holds for so long.
fn has_run(number: u128, age_ms: u64) -> Step {
    change(move |world| {
        let live = world.workers.get_mut(&worker(number)).unwrap();
        live.beat.held.iter_mut().for_each(|held| held.age_ms = age_ms);
    })
}

#[test]
fn without_an_idle_slot_a_draining_worker_ends_what_it_runs() {
    let mut story = just_begun();
    story.extend([
        at(0.1, submitted(2)),
        at(0.1, holds(2, 2, 1)),
        at(2.0, drains(1)),
        at(3.0, nothing()),
    ]);
    check_relief(story, [place(2, 1)]);
}

#[test]
fn a_worker_that_is_live_keeps_what_it_runs() {
    let mut story = just_begun();
    story.push(at(3.0, nothing()));
    check_relief(story, []);
}

#[test]
fn a_suspect_stays_where_it_is() {
    let story = vec![
        at(0.0, lives(1, 1)),
        at(0.0, submitted(9)),
        at(0.0, took(1, 9, 10_000_000)),
        at(0.0, submitted_with(1, true, &[])),
        at(0.0, started(1, 1, 1)),
        at(0.0, holds(1, 1, 1)),
        at(0.0, lives(2, 1)),
        at(2.0, drains(1)),
        at(3.0, nothing()),
    ];
    check(story, [place(9, 1), answer(9, "value"), place_alone(1, 1)]);
}

#[test]
fn a_job_is_moved_twice_at_most() {
    let mut story = just_begun();
    story.extend([
        at(0.0, lives(3, 1)),
        at(0.0, lives(4, 1)),
        at(1.05, drains(1)),
        at(1.1, lets_go(1)),
        at(1.2, started_via(Via::Beats, 2, 1, 2)),
        at(1.2, holds(2, 1, 2)),
        at(2.05, drains(2)),
        at(2.1, lets_go(2)),
        at(2.2, started_via(Via::Beats, 3, 1, 3)),
        at(2.2, holds(3, 1, 3)),
        at(3.05, drains(3)),
        at(4.5, nothing()),
    ]);
    check_relief(story, [place(1, 2), cancel(1, 1), place(1, 3), cancel(2, 1)]);
}

#[test]
fn a_draining_worker_that_is_lost_with_a_moved_job_is_evidence() {
    let mut story = just_begun();
    story.extend([
        at(2.05, drains(1)),
        at(2.2, holds(2, 1, 2)),
        at(2.2, falls_silent(1)),
        at(6.0, nothing()),
    ]);
    check_relief(story, [place(1, 2), cancel(1, 1), marked(1)]);
}

#[test]
fn a_worker_that_leaves_a_moved_job_behind_is_none() {
    let mut story = just_begun();
    story.extend([
        at(2.05, drains(1)),
        at(2.2, holds(2, 1, 2)),
        at(2.3, leaves_it_behind(1)),
        at(6.0, nothing()),
    ]);
    check_relief(story, [place(1, 2), cancel(1, 1)]);
}

/// A worker sends its last beat, while a thread of it runs on.
fn leaves_it_behind(number: u128) -> Step {
    change(move |world| {
        world.workers.get_mut(&worker(number)).unwrap().beat.leaves = true;
        world.beat(worker(number));
        world.workers.get_mut(&worker(number)).unwrap().next = Duration::MAX;
    })
}
