//! Second attempts of slow jobs: when there is one, what it costs, and what becomes of the two.

use super::*;
use crate::view::JobEvent;

/// From 2 runs on each run earns a further one.
const SOON: Hedging = Hedging { share: 1.0, fewest: 2 };

/// Two runs of 1 ms at this worker: from 50 ms on a run is slow.
fn two_runs(number: u128) -> Vec<TimedStep> {
    [91, 92].into_iter().flat_map(|job| run(number, job)).collect()
}

fn run(number: u128, job: u128) -> [TimedStep; 2] {
    [at(0.0, submitted(job)), at(0.0, answered(number, job, 1))]
}

/// What becomes of jobs from the third on.
#[track_caller]
fn check_hedged(
    hedging: Hedging,
    story: impl IntoIterator<Item = TimedStep>,
    expected: impl IntoIterator<Item = Seen>,
) -> World {
    let mut world = World::new(Config { hedging, ..Config::new(US) });
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    world.go_to(OPEN);
    world.play(story);
    let of_earlier = |seen: &Seen| {
        matches!(seen, Seen::Placed { job: 91.., .. } | Seen::Answered { job: 91.., .. })
    };
    let seen: Vec<Seen> = world.seen.iter().filter(|seen| !of_earlier(seen)).cloned().collect();
    assert_eq!(seen, expected.into_iter().collect::<Vec<_>>());
    world
}

/// Two workers of one slot each, of which the first runs job 1.
fn slow_at_first() -> Vec<TimedStep> {
    let mut story = vec![at(0.0, lives(1, 1))];
    story.extend(two_runs(1));
    story.push(at(0.0, lives(2, 1)));
    story.push(at(0.0, submitted(1)));
    story.push(at(0.0, holds(1, 1, 1)));
    story.push(at(0.0, started_via(Via::Beats, 1, 1, 1)));
    story
}

#[track_caller]
fn check_counts(world: &World, counts: (u64, u64, u64)) {
    let counters = world.scheduler.counters();
    assert_eq!((counters.hedges, counters.hedges_won, counters.hedges_lost), counts);
}

/// Which of two attempts answered the last job.
#[track_caller]
fn check_answered_by(world: &World, attempt: u32) {
    let last = &world.view().recent[0];
    assert_eq!((last.attempts, last.answered_by), (2, Some(attempt)));
    let ran = last.timeline.iter().filter_map(|entry| match entry.what {
        JobEvent::Started { attempt, worker } => Some((attempt, worker)),
        _ => None,
    });
    let all: Vec<_> = ran.collect();
    assert!(all.iter().all(|(attempt, by)| *by == worker((*attempt).into())), "{all:?}");
}

#[test]
fn a_slow_job_is_placed_again_where_a_slot_is_idle_and_the_loser_is_cancelled() {
    let mut story = slow_at_first();
    story.extend([at(0.2, answered(2, 1, 2)), at(0.4, nothing())]);
    let seen = [place(1, 1), place(1, 2), answer(1, "value"), cancel(1, 1)];
    let world = check_hedged(SOON, story, seen);
    check_counts(&world, (1, 1, 0));
    check_answered_by(&world, 2);
}

#[test]
fn the_first_attempt_may_answer_first_and_the_second_is_cancelled() {
    let mut story = slow_at_first();
    story.extend([
        at(0.2, started_via(Via::Beats, 2, 1, 2)),
        at(0.2, answered(1, 1, 1)),
        at(0.4, nothing()),
    ]);
    let seen = [place(1, 1), place(1, 2), answer(1, "value"), cancel(2, 1)];
    let world = check_hedged(SOON, story, seen);
    check_counts(&world, (1, 0, 1));
    check_answered_by(&world, 1);
}

#[test]
fn what_no_worker_says_that_it_runs_is_slow_as_well() {
    let mut story = vec![at(0.0, lives(1, 1)), at(0.0, lives(2, 1))];
    story.extend(two_runs(1));
    story.extend([at(0.0, submitted(1)), at(0.1, nothing())]);
    check_hedged(SOON, story, [place(1, 1), place(1, 2)]);
}

#[test]
fn a_run_is_not_slow_for_being_on_its_way() {
    let far = change(|world| {
        for number in [1, 2] {
            world.workers.get_mut(&worker(number)).unwrap().beat.round_trip_us = Some(160_000);
            world.beat(worker(number));
        }
    });
    let mut story = vec![at(0.0, lives(1, 1)), at(0.0, lives(2, 1)), at(0.0, far)];
    story.extend(two_runs(1));
    story.extend([at(0.0, submitted(1)), at(0.2, nothing()), at(0.2, answered(1, 1, 1))]);
    check_hedged(SOON, story, [place(1, 1), answer(1, "value")]);
}

#[test]
fn a_job_is_not_slow_before_enough_of_its_function_have_run() {
    let story = [
        at(0.0, lives(1, 1)),
        at(0.0, lives(2, 1)),
        at(0.0, submitted(1)),
        at(0.9, nothing()),
        at(0.9, submitted(91)),
        at(0.9, answered(2, 91, 1)),
        at(1.0, submitted(92)),
        at(1.0, answered(2, 92, 1)),
        at(1.5, nothing()),
    ];
    let early = Hedging { share: 1.0, fewest: 3 };
    check_hedged(early, story, [place(1, 1)]);
}

#[test]
fn with_no_share_of_extra_runs_there_is_none() {
    let mut story = slow_at_first();
    story.push(at(0.9, nothing()));
    check_hedged(Hedging { share: 0.0, fewest: 2 }, story, [place(1, 1)]);
}

#[test]
fn without_an_idle_slot_there_is_no_second_attempt() {
    let mut story = vec![at(0.0, lives(1, 2)), at(0.0, lives(2, 1))];
    story.extend(two_runs(1));
    for job in 1..=3 {
        story.push(at(0.0, submitted(job)));
    }
    story.extend([at(0.0, holds(1, 1, 1)), at(0.0, holds(2, 3, 1)), at(0.9, nothing())]);
    check_hedged(SOON, story, [place(1, 1), place(2, 1), place(3, 1)]);
}

#[test]
fn a_slot_of_the_slow_worker_itself_is_no_idle_one() {
    let mut story = vec![at(0.0, lives(1, 4))];
    story.extend(two_runs(1));
    story.extend([
        at(0.0, submitted(1)),
        at(0.0, started_via(Via::Beats, 1, 1, 1)),
        at(0.0, holds(1, 1, 1)),
        at(0.9, nothing()),
        at(0.9, lives(2, 1)),
        at(1.2, nothing()),
    ]);
    check_hedged(SOON, story, [place(1, 1), place(1, 2)]);
}

#[test]
fn a_worker_alone_is_not_sent_its_job_again() {
    let mut story = vec![at(0.0, lives(1, 2))];
    story.extend(two_runs(1));
    story.extend([at(0.0, submitted(1)), at(0.9, nothing())]);
    check_hedged(SOON, story, [place(1, 1)]);
}

#[test]
fn what_has_waited_behind_others_is_not_slow_for_that() {
    let waits = |number| {
        change(move |world: &mut World| {
            let live = world.workers.get_mut(&worker(number)).unwrap();
            live.beat.held.iter_mut().for_each(|held| held.slot = None);
        })
    };
    let mut story = vec![at(0.0, lives(1, 1)), at(0.0, lives(2, 1))];
    for job in [91, 92] {
        story.extend([at(0.0, submitted(job)), at(0.0, took(1, job, 1_000_000))]);
    }
    story.extend([
        at(0.0, submitted(1)),
        at(0.0, holds(1, 1, 1)),
        at(0.0, waits(1)),
        at(1.4, started_via(Via::Beats, 1, 1, 1)),
    ]);
    story.push(at(2.8, nothing()));
    check_hedged(SOON, story, [place(1, 1)]);
}

#[test]
fn another_pool_is_preferred() {
    let mut story = slow_at_first();
    for number in [3, 4] {
        story.insert(1, at(0.0, serves(number, 1, &["fib@1", "other@1"])));
    }
    let mut world = World::new(Config { hedging: SOON, ..Config::new(US) });
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    world.go_to(OPEN);
    world.play(story);
    world.go_to(OPEN + Duration::from_millis(100));
    let places = world.effects.iter().filter_map(|effect| match effect {
        Effect::Place { pool, placement, .. } if number(placement.key.id) == 1 => Some(*pool),
        _ => None,
    });
    let places: Vec<_> = places.collect();
    assert_eq!(places.len(), 2);
    assert_ne!(places[0], places[1]);
}

#[test]
fn extra_runs_are_earned_by_ordinary_ones() {
    let mut story = slow_at_first();
    story.insert(0, at(0.0, lives(3, 1)));
    story.insert(0, at(0.0, lives(4, 1)));
    story.extend([at(0.0, submitted(2)), at(0.0, holds(2, 2, 1)), at(0.9, nothing())]);
    let half = Hedging { share: 0.5, fewest: 2 };
    check_hedged(half, story, [place(1, 1), place(2, 1), place(1, 2)]);
}

#[test]
fn it_is_placed_a_third_time_only_while_nobody_runs_the_second_attempt() {
    let again = || {
        let mut story = vec![at(0.0, lives(3, 1)), at(0.0, lives(4, 1)), at(0.0, lives(5, 1))];
        story.extend(slow_at_first());
        story
    };
    let mut story = again();
    story.push(at(0.9, nothing()));
    check_hedged(SOON, story, [place(1, 1), place(1, 2), place(1, 3)]);
    let mut story = again();
    story.extend([at(0.11, started_via(Via::Beats, 2, 1, 2)), at(0.9, nothing())]);
    check_hedged(SOON, story, [place(1, 1), place(1, 2)]);
}

#[test]
fn a_marked_job_is_never_hedged() {
    let mut story = vec![at(0.0, lives(1, 1)), at(0.0, lives(2, 1))];
    story.extend(two_runs(1));
    story.extend([at(0.0, submitted_with(1, true, &[])), at(0.9, nothing())]);
    check_hedged(SOON, story, [place_alone(1, 1)]);
}

#[test]
fn the_loss_of_the_first_attempt_is_evidence_while_the_second_goes_on() {
    let mut story = slow_at_first();
    story.extend([
        at(0.2, holds(2, 1, 2)),
        at(0.2, falls_silent(1)),
        at(4.0, lets_go(2)),
        at(4.0, answered(2, 1, 2)),
    ]);
    check_hedged(SOON, story, [place(1, 1), place(1, 2), marked(1), answer(1, "value")]);
}

#[test]
fn a_job_that_kills_both_workers_is_placed_alone() {
    let mut story = slow_at_first();
    story.extend([
        at(0.2, holds(2, 1, 2)),
        at(0.2, falls_silent(1)),
        at(0.2, falls_silent(2)),
        at(4.0, noted(1, true, &[])),
        at(4.0, lives(3, 1)),
    ]);
    let seen = [place(1, 1), place(1, 2), marked(1), Seen::Purged, marked(1), place_alone(1, 3)];
    check_hedged(SOON, story, seen);
}

#[test]
fn a_first_attempt_that_comes_back_is_evidence() {
    let mut story = slow_at_first();
    story.extend([at(0.2, came_back(1, 1, 1)), at(0.2, came_back(1, 1, 1)), at(0.4, nothing())]);
    check_hedged(SOON, story, [place(1, 1), place(1, 2), marked(1)]);
    let mut story = slow_at_first();
    story.extend([
        at(0.15, started_via(Via::Beats, 2, 1, 2)),
        at(0.2, handed_back(1, 1, 1)),
        at(0.2, came_back(1, 1, 1)),
        at(0.4, nothing()),
    ]);
    check_hedged(SOON, story, [place(1, 1), place(1, 2)]);
}

#[test]
fn a_worker_out_of_reach_casts_doubt_on_the_first_attempt_until_it_is_heard() {
    let mut story = slow_at_first();
    story.extend([at(0.2, holds(2, 1, 2)), at(1.1, cut(1)), at(1.7, lives(1, 1))]);
    let revoked = struck(1, false, &[]);
    check_hedged(SOON, story, [place(1, 1), place(1, 2), marked(1), revoked]);
}

#[test]
fn a_crash_of_the_first_attempt_counts_although_the_second_goes_on() {
    let mut story = vec![at(0.0, isolated(1, 1))];
    story.extend(two_runs(1));
    story.extend([
        at(0.0, isolated(2, 1)),
        at(0.0, submitted(1)),
        at(0.1, started_via(Via::Beats, 1, 1, 1)),
        at(0.3, crashed(1, 1, 1)),
        at(0.3, crashed(1, 1, 1)),
        at(0.4, crashed(2, 1, 2)),
        at(0.5, noted_both()),
        at(0.6, crashed(1, 1, 3)),
    ]);
    let told = || Seen::Struck { job: 1, mark: false, strikes: vec![] };
    let seen = [place(1, 1), place(1, 2), told(), told(), place(1, 3), answer(1, "poisoned")];
    check_hedged(SOON, story, seen);
}

/// The client knows of a crash at each of the two workers.
fn noted_both() -> Step {
    change(|world| {
        let term = world.term;
        let crashes =
            [(1, 1), (2, 2)].map(|(worker, number)| crash(worker, Attempt { term, number }));
        let marks = Marks { crashes: crashes.into(), ..Marks::default() };
        let (client, id) = (client(1), JobId::from_u128(1));
        let noted = Noted { client, generation: Generation(1), id, marks };
        world.feed(Event::Noted { user: user(1), noted });
    })
}

#[test]
fn isolated_workers_lost_with_one_attempt_say_nothing_about_the_job() {
    let mut story = vec![at(0.0, isolated(1, 1))];
    story.extend(two_runs(1));
    story.extend([
        at(0.0, isolated(2, 1)),
        at(0.0, submitted(1)),
        at(0.0, holds(1, 1, 1)),
        at(0.0, started_via(Via::Beats, 1, 1, 1)),
        at(0.2, holds(2, 1, 2)),
        at(0.2, falls_silent(1)),
        at(4.0, nothing()),
    ]);
    check_hedged(SOON, story, [place(1, 1), place(1, 2)]);
}

#[test]
fn a_lost_second_attempt_leaves_the_first_one_running() {
    let mut story = slow_at_first();
    story.extend([
        at(0.2, started_via(Via::Beats, 2, 1, 2)),
        at(0.2, falls_silent(2)),
        at(4.0, answered(1, 1, 1)),
        at(4.2, nothing()),
    ]);
    check_hedged(SOON, story, [place(1, 1), place(1, 2), marked(1), answer(1, "value")]);
}

#[test]
fn after_a_change_of_term_both_attempts_are_known() {
    let mut story = slow_at_first();
    story.extend([
        at(0.2, holds(2, 1, 2)),
        at(1.1, next_term()),
        at(1.5, submitted(1)),
        at(1.6, falls_silent(2)),
        at(5.0, nothing()),
    ]);
    check_hedged(SOON, story, [place(1, 1), place(1, 2), marked(1)]);
}
