//! Workers whose links end: out of reach at once, and not yet dead.

use super::*;

/// A worker is back on a new link.
fn returns(number: u128) -> Step {
    change(move |world| {
        let live = world.workers.get_mut(&worker(number)).unwrap();
        live.beat.generation = live.beat.generation.next();
        world.beat(worker(number));
    })
}

/// A call that its caller can run itself.
fn with_fallback(job: u128) -> Step {
    submit_as(1, Submission { has_fallback: true, ..submission(job) })
}

/// What is purged was never delivered.
fn untouched(jobs: &'static [u128]) -> Step {
    change(move |world| {
        let attempt = Attempt { term: world.term, number: 1 };
        world.untouched = jobs.iter().map(|job| (key(*job), attempt)).collect();
    })
}

fn wills(world: &World) -> usize {
    let wills = world.effects.iter().filter(|effect| matches!(effect, Effect::Will { .. }));
    wills.count()
}

#[test]
fn whoever_has_a_fallback_does_not_wait_for_a_worker_out_of_reach() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.3, cut(1)),
            at(0.3, with_fallback(1)),
            at(0.3, submitted(2)),
            at(1.0, returns(1)),
            at(1.0, with_fallback(3)),
        ],
        [answer(1, "not_served"), place(2, 1), place(3, 1)],
    );
}

#[test]
fn what_waited_for_it_is_turned_away_when_the_last_link_ends() {
    let functions = &["fib@1"];
    check(
        [
            at(0.0, serves(1, 1, functions)),
            at(0.0, serves(2, 1, functions)),
            at(0.0, change(|world| world.declares = false)),
            at(0.0, next_term()),
            at(0.1, with_fallback(1)),
            at(0.1, submitted(2)),
            at(0.2, cut(1)),
            at(0.3, nothing()),
            at(0.4, cut(2)),
        ],
        [answer(1, "not_served")],
    );
}

#[test]
fn what_nobody_received_is_taken_back_at_once_and_is_innocent() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.1, with_fallback(1)),
            at(0.1, submitted(2)),
            at(0.1, untouched(&[1, 2])),
            at(0.2, cut(1)),
            at(0.5, returns(1)),
        ],
        [
            place(1, 1),
            place(2, 1),
            Seen::Purged,
            marked(1),
            marked(2),
            struck(1, false, &[]),
            struck(2, false, &[]),
            answer(1, "not_served"),
            place(2, 2),
        ],
    );
}

#[test]
fn what_the_worker_may_hold_waits_for_it() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, with_fallback(1)),
            at(0.1, holds(1, 1, 1)),
            at(1.2, cut(1)),
            at(1.5, returns(1)),
            at(1.6, answered(1, 1, 1)),
        ],
        [place(1, 1), marked(1), struck(1, false, &[]), answer(1, "value")],
    );
}

#[test]
fn another_worker_takes_what_comes() {
    check(
        [at(0.0, lives(1, 1)), at(0.0, lives(2, 1)), at(0.1, cut(1)), at(0.2, with_fallback(1))],
        [place(1, 1)],
    );
}

#[test]
fn a_lost_worker_stays_out_of_reach() {
    check(
        [at(0.0, lives(1, 1)), at(0.1, falls_silent(1)), at(2.6, with_fallback(1))],
        [Seen::Purged, answer(1, "not_served")],
    );
}

#[test]
fn a_worker_that_drains_is_not_out_of_reach() {
    check([at(0.0, lives(1, 1)), at(0.1, drains(1)), at(0.2, with_fallback(1))], []);
}

#[test]
fn the_end_of_an_older_link_says_nothing() {
    let ends = |world: &mut World| {
        world.feed(Event::LinkEnded { worker: worker(1), generation: Generation(1) });
    };
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.1, returns(1)),
            at(0.2, change(ends)),
            at(0.3, with_fallback(1)),
        ],
        [place(1, 1)],
    );
}

#[test]
fn a_beat_that_crossed_the_end_of_its_link_does_not_revive_it() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.1, cut(1)),
            at(0.2, lives(1, 1)),
            at(0.2, falls_silent(1)),
            at(0.3, with_fallback(1)),
            // It lives after all.
            at(0.7, lives(1, 1)),
            at(0.8, with_fallback(2)),
        ],
        [answer(1, "not_served"), place(2, 1)],
    );
}

#[test]
fn a_last_beat_counts_even_if_it_crossed_the_end_of_its_link() {
    let mut world = play([at(0.0, lives(1, 1)), at(0.1, cut(1)), at(0.2, leaves(1))]);
    world.play([at(0.4, nothing())]);
    assert!(!world.scheduler.has_worker(worker(1)));
    assert_eq!(world.scheduler.counters().lost, 0, "it has left");
}

#[test]
fn presence_tells_at_once_what_is_out_of_reach() {
    let expected = |world: &World| {
        let newest = world.presences().into_iter().next_back().unwrap();
        let names = newest.expected.iter().map(ToString::to_string).collect::<Vec<_>>();
        (newest.functions.len(), names)
    };
    let mut world = play([at(0.0, lives(1, 1)), at(0.2, cut(1)), at(0.3, nothing())]);
    assert_eq!(expected(&world), (0, vec!["fib@1".to_owned()]));
    world.play([at(0.4, returns(1)), at(0.5, nothing())]);
    assert_eq!(expected(&world), (1, vec![]));
    world.play([at(0.6, cut(1)), at(5.0, nothing())]);
    assert_eq!(expected(&world), (0, vec![]), "it is lost");
}

#[test]
fn a_will_is_written_once_for_each_link_and_term_and_renewed_in_time() {
    let mut world = play([at(0.0, lives(1, 1)), at(500.0, nothing())]);
    assert_eq!(wills(&world), 1);
    world.play([at(510.0, returns(1)), at(1_100.0, nothing())]);
    assert_eq!(wills(&world), 2);
    world.play([at(1_120.0, nothing())]);
    assert_eq!(wills(&world), 3);
    world.play([at(1_121.0, next_term()), at(1_123.0, nothing())]);
    assert_eq!(wills(&world), 4);
}

#[test]
fn a_will_that_came_although_the_link_lives_is_not_tried_again() {
    let mut world = play([at(0.0, lives(1, 1)), at(0.5, cut(1)), at(1.5, lives(1, 1))]);
    world.play([at(1.6, with_fallback(1)), at(900.0, nothing())]);
    assert_eq!(world.seen[0], place(1, 1));
    assert_eq!(wills(&world), 1);
}
