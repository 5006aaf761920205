//! How many jobs are in a pool's queue, which ones, and which workers are welcomed.

use super::*;

#[test]
fn a_pool_gets_its_slots_and_one_spare() {
    check(
        [
            at(0.0, lives(1, 2)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.0, submitted(3)),
            at(0.0, submitted(4)),
            at(0.1, answered(1, 2, 1)),
        ],
        [place(1, 1), place(2, 1), place(3, 1), answer(2, "value"), place(4, 1)],
    );
}

#[test]
fn short_jobs_lie_deeper() {
    let world = play(
        [at(0.0, lives(1, 1)), at(0.0, submitted(1)), at(0.1, answered(1, 1, 1))]
            .into_iter()
            .chain((2..=100).map(|job| at(0.2, submitted(job)))),
    );
    // A slot, and 20 ms of jobs of a millisecond.
    assert_eq!(world.scheduler.counters().placed, 21);
    assert_eq!(world.scheduler.counters().queued, 78);
}

#[test]
fn a_pool_far_away_holds_as_much_more_as_it_runs_on_the_way() {
    let far = change(|world| {
        world.workers.get_mut(&worker(1)).unwrap().beat.round_trip_us = Some(30_000);
        world.beat(worker(1));
    });
    let story = [at(0.0, lives(1, 1)), at(0.0, submitted(1)), at(0.1, answered(1, 1, 1))];
    let more = (2..=100).map(|job| at(0.2, submitted(job)));
    let world = play(story.into_iter().chain([at(0.1, far)]).chain(more));
    // A slot, and 20 ms and a round trip of jobs of a millisecond.
    assert_eq!(world.scheduler.counters().placed, 51);
}

#[test]
fn the_highest_priority_is_first_and_then_the_oldest() {
    let with = |job, priority| submit_as(1, Submission { priority, ..submission(job) });
    check(
        [
            at(0.0, submit_as(1, Submission { budget_ms: 9, ..submission(9) })),
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.0, with(3, 4)),
            at(0.0, with(4, 4)),
            at(0.0, with(5, 200)),
            at(0.0, with(6, 0)),
            at(0.1, change(|world| world.workers.get_mut(&worker(1)).unwrap().beat.slots = 9)),
            at(1.1, nothing()),
        ],
        [
            answer(9, "not_served"),
            place(1, 1),
            place(2, 1),
            place(5, 1),
            place(3, 1),
            place(4, 1),
            place(6, 1),
        ],
    );
}

#[test]
fn users_take_turns() {
    let steps = (1..=6).map(|job| at(0.0, submit_as(1, submission(job))));
    let others = (11..=13).map(|job| at(0.0, submit_as(2, submission(job))));
    let more = change(|world| world.workers.get_mut(&worker(1)).unwrap().beat.slots = 6);
    let story = [at(0.0, lives(1, 1))].into_iter().chain(steps).chain(others);
    check(
        story.chain([at(0.1, more), at(1.1, nothing())]),
        [1, 2, 11, 12, 3, 13, 4].map(|job| place(job, 1)),
    );
}

#[test]
fn a_slot_elsewhere_is_better_than_a_place_behind_one() {
    let world = play([
        at(0.0, serves(1, 1, &["fib@1"])),
        at(0.0, serves(2, 1, &["fib@1", "echo@1"])),
        at(0.0, submitted(1)),
        at(0.0, submitted(2)),
        at(0.0, submitted(3)),
    ]);
    let pools: Vec<_> = world
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Place { pool, .. } => Some(*pool),
            _ => None,
        })
        .collect();
    assert_eq!(pools.len(), 3);
    assert_ne!(pools[0], pools[1]);
}

/// How much of a list each placement takes.
fn work(world: &World) -> Vec<Duration> {
    let placed = world.effects.iter().filter_map(|effect| match effect {
        Effect::Place { work, .. } => Some(*work),
        _ => None,
    });
    placed.collect()
}

const ALONE: Duration = Duration::from_millis(20);

#[test]
fn unmeasured_and_marked_jobs_are_sent_alone() {
    let world = play([
        at(0.0, lives(1, 4)),
        at(0.0, submitted(1)),
        at(0.1, came_back(1, 1, 1)),
        at(0.1, noted(1, true, &[])),
    ]);
    assert_eq!(work(&world), [ALONE, ALONE]);
}

#[test]
fn few_jobs_are_spread_over_all_slots_and_many_are_lumped_by_their_measured_time() {
    let many = |first: u128, count: u128| {
        let submit = move |world: &mut World| {
            (first..first + count).for_each(|job| submitted(job)(world));
        };
        change(submit)
    };
    let world = play([
        at(0.0, lives(1, 4)),
        at(0.0, submitted(1)),
        at(0.1, answered(1, 1, 1)),
        at(0.2, many(2, 2)),
    ]);
    assert_eq!(work(&world)[1..], [40, 20].map(Duration::from_millis), "a list each");
    for answer in [
        Answer::Value(Bytes::new()),
        Answer::Failed { message: "no".into(), error: vec![0xc0].into() },
        Answer::panicked("no"),
    ] {
        let world = play([
            at(0.0, lives(1, 4)),
            at(0.0, submitted(1)),
            at(0.1, ended(1, 1, 1, End::Answer(answer))),
            at(0.2, many(2, 60)),
        ]);
        assert_eq!(work(&world).last(), Some(&Duration::from_millis(1)), "as measured");
    }
}

#[test]
fn a_worker_is_welcomed_once_on_each_link_and_in_each_term() {
    let welcomes = |world: &World| world.controls(|told| matches!(told, Control::Welcome { .. }));
    let mut world = play([at(0.0, lives(1, 1)), at(3.0, nothing())]);
    assert_eq!(welcomes(&world), 1);
    world.play([
        at(
            3.0,
            change(|world| {
                let beat = &mut world.workers.get_mut(&worker(1)).unwrap().beat;
                beat.generation = beat.generation.next();
            }),
        ),
        at(6.0, nothing()),
    ]);
    assert_eq!(welcomes(&world), 2);
    world.play([at(6.0, next_term()), at(9.0, nothing())]);
    assert_eq!(welcomes(&world), 3);
}

#[test]
fn no_worker_is_welcomed_before_its_queue_is_declared() {
    let mut world = play([
        at(0.0, change(|world| world.declares = false)),
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(0.9, nothing()),
    ]);
    assert_eq!(world.controls(|_| true), 0);
    assert_eq!(world.seen, []);
    world.play([at(1.0, change(|world| world.declares = true)), at(2.5, nothing())]);
    assert_eq!(world.controls(|told| matches!(told, Control::Welcome { .. })), 1);
    assert_eq!(world.seen, [place(1, 1)]);
}

#[test]
fn a_placement_returned_by_the_broker_is_repeated_unmarked() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, change(|world| world.placements = Outcome::Returned)),
            at(0.0, change(|world| world.declares = false)),
            at(0.0, submitted(1)),
            at(0.1, change(|world| world.placements = Outcome::Confirmed)),
            at(0.1, change(|world| world.declares = true)),
            at(2.0, nothing()),
        ],
        [place(1, 1), place(1, 2)],
    );
}

#[test]
fn a_full_queue_is_tried_again_at_the_next_tick() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, change(|world| world.placements = Outcome::Refused)),
            at(0.0, submitted(1)),
            at(0.05, change(|world| world.placements = Outcome::Confirmed)),
            at(0.2, nothing()),
        ],
        [place(1, 1), place(1, 2)],
    );
}

#[test]
fn a_person_drains_a_worker_and_resumes_it() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.1, event(Event::Drain(worker(1)))),
            at(0.2, submitted(1)),
            at(0.3, drains(1)),
            at(1.0, event(Event::Resume(worker(1)))),
            at(
                1.1,
                change(|world| {
                    world.workers.get_mut(&worker(1)).unwrap().beat.state = WorkerState::Live;
                    world.beat(worker(1));
                }),
            ),
        ],
        [Seen::Drain { worker: 1 }, Seen::Resume { worker: 1 }, place(1, 1)],
    );
}

#[test]
fn a_job_refused_by_a_draining_pool_is_placed_elsewhere_unmarked() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.1, change(|world| world.depths.0 = Some(1))),
            at(0.5, started_via(Via::Beats, 1, 1, 1)),
            at(0.5, holds(1, 1, 1)),
            at(0.6, drains(1)),
            at(0.7, serves(2, 1, &["fib@1", "echo@1"])),
            at(5.0, nothing()),
        ],
        [place(1, 1), place(2, 1), Seen::Purged, place(2, 2)],
    );
}

/// The state of the first worker on the page, and how many were ever lost.
fn seen_of_the_first(world: &World) -> (crate::view::WorkerState, u64) {
    let view = world.scheduler.view(world.now, world.now);
    (view.workers[0].state, world.scheduler.counters().lost)
}

#[test]
fn a_worker_that_says_goodbye_has_left_at_once() {
    for leave in [
        // It held nothing.
        vec![at(1.0, drains(1)), at(1.2, leaves(1))],
        // What it ran it answered; its last word is faster than the answer.
        vec![
            at(0.1, submitted(1)),
            at(0.2, holds(1, 1, 1)),
            at(0.5, drains(1)),
            at(1.2, leaves(1)),
            at(1.2, answered(1, 1, 1)),
        ],
        // What it ran was handed back at the end of its grace time.
        vec![
            at(0.1, submitted(1)),
            at(0.2, holds(1, 1, 1)),
            at(0.5, drains(1)),
            at(1.1, handed_back(1, 1, 1)),
            at(1.2, leaves(1)),
        ],
    ] {
        let mut world = play([at(0.0, lives(1, 1))].into_iter().chain(leave));
        assert_eq!(seen_of_the_first(&world), (crate::view::WorkerState::Left, 0));
        world.play([at(1.4, nothing())]);
        assert!(!world.scheduler.has_worker(worker(1)));
        assert_eq!(world.scheduler.counters().marks, 0);
    }
}

#[test]
fn a_job_no_longer_held_by_a_worker_that_left_is_placed_again_unmarked() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.2, holds(1, 1, 1)),
            at(0.5, drains(1)),
            at(1.0, leaves(1)),
            at(1.0, lives(2, 1)),
            at(4.0, nothing()),
        ],
        [place(1, 1), place(1, 2)],
    );
}

#[test]
fn a_standby_sees_goodbyes_too() {
    let mut world = World::new(Config::new(US));
    world.feed(Event::LinkUp);
    world.play([at(0.0, lives(1, 1)), at(1.0, drains(1)), at(1.1, leaves(1)), at(9.0, nothing())]);
    assert_eq!(seen_of_the_first(&world), (crate::view::WorkerState::Left, 0));
}

#[test]
fn a_drained_worker_that_leaves_silently_is_not_lost() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(0.0, holds(1, 1, 1)),
        at(0.1, drains(1)),
        at(0.2, handed_back(1, 1, 1)),
        at(0.3, lets_go(1)),
        at(1.2, falls_silent(1)),
        at(1.5, change(|world| world.controls = Outcome::Returned)),
    ]);
    world.play([at(3.5, nothing())]);
    assert_eq!(seen_of_the_first(&world), (crate::view::WorkerState::Left, 0));
    assert_eq!(world.scheduler.counters().marks, 0);
}

#[test]
fn a_pool_takes_the_first_job_of_all_its_functions() {
    const NAMES: [&str; 6] = ["a@1", "b@1", "c@1", "d@1", "e@1", "f@1"];
    let of = |function: usize, job, priority| {
        let function = NAMES[function].to_owned();
        submit_as(1, Submission { function, priority, ..submission(job) })
    };
    let more = change(|world| world.workers.get_mut(&worker(1)).unwrap().beat.slots = 9);
    let world = play([
        at(0.0, serves(1, 1, &NAMES)),
        at(0.0, of(0, 1, 4)),
        at(0.0, of(0, 2, 4)),
        at(0.1, of(1, 3, 4)),
        at(0.1, of(2, 4, 4)),
        at(0.1, of(3, 5, 4)),
        // It comes before what its own function has waiting, and then leaves again.
        at(0.2, of(3, 6, 9)),
        at(0.2, of(4, 7, 9)),
        at(0.2, of(1, 8, 0)),
        at(0.3, cancelled(6)),
        at(0.4, more),
        at(1.2, nothing()),
    ]);
    let placed = world.seen.iter().filter_map(|seen| match seen {
        Seen::Placed { job, .. } => Some(*job),
        _ => None,
    });
    assert_eq!(placed.collect::<Vec<_>>(), [1, 2, 7, 3, 4, 5, 8]);
}

#[test]
fn waiting_jobs_are_offered_to_a_later_pool() {
    check(
        [
            at(0.0, serves(1, 1, &["fib@1"])),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.0, submitted(3)),
            at(0.5, serves(2, 1, &["fib@1", "echo@1"])),
        ],
        [place(1, 1), place(2, 1), place(3, 1)],
    );
}

#[test]
fn a_hand_back_is_no_visible_attempt_and_a_sign_of_long_jobs() {
    let submit = |jobs: std::ops::Range<u128>| {
        change(move |world: &mut World| jobs.clone().for_each(|job| submitted(job)(world)))
    };
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(0.1, answered(1, 1, 1)),
        at(0.2, submit(2..60)),
    ]);
    // Measured as short: many lie in the queue.
    assert_eq!(world.scheduler.counters().placed, 21);
    // The worker has run the first for longer than others wait for their turn.
    world.play([at(0.3, change(|world| (3..23).for_each(|job| handed_back(1, job, 1)(world))))]);
    assert_eq!(world.scheduler.counters().placed, 2, "the one that runs, and a spare one");
    let views = world.scheduler.find(JobId::from_u128(3), world.now, world.now);
    let crate::view::Job::UnderWay(view) = &views[0] else { panic!("{views:?}") };
    assert_eq!(view.attempts, 1);
    world.play([at(0.4, answered(1, 3, 2))]);
    let answered = world.effects.iter().rev().find_map(|effect| match effect {
        Effect::Deliver { delivery, .. } => match &delivery.body {
            Delivered::Answer(answered) => Some(answered.attempt),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(answered, Some(1));
}

#[test]
fn an_unmeasured_function_gets_one_spare_place_in_any_pool() {
    let new = |job| submit_as(1, Submission { function: "new@1".into(), ..submission(job) });
    let measured = [
        at(0.0, serves(1, 1, &["fib@1", "new@1"])),
        at(0.0, submitted(9)),
        at(0.1, answered(1, 9, 1)),
    ];
    let jobs = (1..=5).map(|job| at(0.2, new(job)));
    let world = play(measured.into_iter().chain(jobs));
    assert_eq!(world.seen, [place(9, 1), answer(9, "value"), place(1, 1), place(2, 1)]);
}

#[test]
fn a_refused_worker_with_too_many_functions_leaves_no_state() {
    let names = |from: u32, to: u32| -> Vec<simple_dist_protocol::Address> {
        (from..to).map(|n| format!("f{n}@1").parse().unwrap()).collect()
    };
    let beats = |number: u128, functions: Vec<simple_dist_protocol::Address>| {
        change(move |world| {
            let functions = functions.clone();
            let beat = world.workers[&worker(1)].beat.clone();
            let beat = WorkerBeat { worker: worker(number), functions, ..beat };
            world.feed(Event::Beat { user: workers(), beat });
        })
    };
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, beats(2, names(0, 1024))),
        at(0.0, beats(3, names(1024, 2048))),
        at(0.0, beats(4, names(2048, 3072))),
        at(0.0, beats(5, names(3072, 4090))),
        at(0.0, beats(6, names(4090, 4100))),
        at(0.0, beats(7, names(0, 1025))),
        at(0.1, submitted(1)),
    ]);
    let told = |worker, bound| Seen::Refused { worker, bound };
    assert_eq!(world.seen, [told(6, Bound::Functions), told(7, Bound::Served), place(1, 1)]);
    let view = world.scheduler.view(world.now, world.now);
    assert_eq!((view.workers.len(), world.scheduler.counters().crowded), (5, 2));
}
