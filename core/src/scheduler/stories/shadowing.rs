//! Stories of calls that also run as another version of their function, to compare the two.

use super::trials::{says, trial, trial_ended};
use super::*;
use crate::scheduler::Rollout;
use crate::view::{Shadow, ShadowStop};

/// Plays a story with these shadows, in a term that has begun.
fn play_shadowed(shadows: &[&str], story: impl IntoIterator<Item = TimedStep>) -> World {
    let shadows = shadows.iter().map(|text| text.parse().unwrap()).collect();
    let rollout = Rollout::new(vec![], shadows).unwrap();
    let mut world = World::new(Config { rollout, preview: true, ..Config::new(US) });
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    world.go_to(OPEN);
    world.play(story);
    world
}

fn play_all(story: impl IntoIterator<Item = TimedStep>) -> World {
    play_shadowed(&["fib@1=fib@2"], story)
}

/// What people see of the only pair.
fn seen_of(world: &World) -> Shadow {
    world.scheduler.view(world.now, world.now).shadows.remove(0)
}

/// A worker of each version, with one slot and with ten.
fn both() -> Vec<TimedStep> {
    vec![at(0.0, lives(1, 10)), at(0.0, serves(2, 1, &["fib@2"]))]
}

/// A call of version 1 that is answered at once.
fn called(time: f64, job: u128) -> [TimedStep; 2] {
    [at(time, submitted(job)), at(time, answered(1, job, 1))]
}

fn panics(nth: u64) -> Step {
    let message = "no such number".to_owned();
    let location = None;
    trial_ended(2, nth, End::Answer(Answer::Panicked { message, unsendable: false, location }))
}

fn crashes(nth: u64) -> Step {
    let attempt = Attempt { term: Term(1), number: 1 };
    trial_ended(2, nth, End::Crashed(crash(2, attempt)))
}

/// The nth trial is not answered in time.
fn expires(nth: u64) -> Step {
    trial_ended(2, nth, End::Answer(Answer::Expired))
}

#[test]
fn a_call_also_runs_as_its_shadow_once_its_caller_has_the_answer() {
    let world =
        play_all(both().into_iter().chain(called(0.0, 1)).chain([at(0.1, says(2, 1, b"\x2a"))]));
    assert_eq!(world.seen, [place(1, 1), answer(1, "value"), place(trial(1), 1)]);
    let placed = world.effects.iter().filter_map(|effect| match effect {
        Effect::Place { placement, .. } => {
            Some((placement.function.to_string(), placement.args.clone()))
        }
        _ => None,
    });
    let args = Bytes::from_static(b"\x14");
    assert_eq!(
        placed.collect::<Vec<_>>(),
        [("fib@1".to_owned(), args.clone()), ("fib@2".to_owned(), args)]
    );
    let counters = world.scheduler.counters();
    assert_eq!((counters.accepted, counters.done, counters.placements), (1, 1, 1));
    let Shadow { equal, differ, failed, skipped, .. } = seen_of(&world);
    assert_eq!((equal, differ, failed, skipped), (1, 0, 0, 0));
}

#[test]
fn answers_and_run_times_are_compared() {
    let run = |time, job, live_us, nth, end: End, shadow_us| {
        let ended = change(move |world| {
            let key = JobKey::trial(Term(1), nth);
            let attempt = Attempt { term: Term(1), number: 1 };
            let ended = Ended { key, attempt, end: end.clone(), took_us: shadow_us };
            let answers = Answers { worker: worker(2), jobs: vec![ended] };
            world.feed(Event::Answers { user: workers(), answers });
        });
        [at(time, submitted(job)), at(time, took(1, job, live_us)), at(time, ended)]
    };
    let value = |value: &'static [u8]| End::Answer(Answer::Value(Bytes::from_static(value)));
    let error = End::Answer(Answer::Failed {
        message: "odd".to_owned(),
        error: Bytes::from_static(b"\xa3odd"),
    });
    let story = [
        run(0.1, 1, 1000, 1, value(b"\x2a"), 900),
        run(0.2, 2, 1000, 2, value(b"\x2a"), 1000),
        run(0.3, 3, 1000, 3, value(b"\x2b"), 1100),
        run(0.4, 4, 1000, 4, error, 5000),
    ];
    let panic = called(0.5, 5).into_iter().chain([at(0.5, panics(5))]);
    let world = play_all(both().into_iter().chain(story.into_iter().flatten()).chain(panic));
    let seen = seen_of(&world);
    assert_eq!((seen.equal, seen.differ, seen.failed, seen.tried()), (2, 2, 1, 5));
    assert_eq!((seen.faster, seen.slower), (1, 2));
    let means = [seen.live_mean, seen.shadow_mean].map(|mean| mean.unwrap().0);
    assert!((means[0] - 0.001).abs() < 1e-9 && (means[1] - 0.002).abs() < 1e-9, "{means:?}");
    let examples = seen
        .examples
        .iter()
        .map(|it| (number(it.job), it.arguments.as_deref(), &*it.live, &*it.shadow));
    assert_eq!(
        examples.collect::<Vec<_>>(),
        [
            (5, Some("20"), "value 42", "panicked: no such number"),
            (4, Some("20"), "value 42", "failed \"odd\""),
            (3, Some("20"), "value 42", "value 43"),
        ]
    );
    assert_eq!(seen.stopped, None);
}

#[test]
fn five_examples_are_kept_and_show_no_content_unless_that_is_allowed() {
    let mut world = World::new(Config {
        rollout: Rollout::new(vec![], vec!["fib@1=fib@2".parse().unwrap()]).unwrap(),
        ..Config::new(US)
    });
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    world.go_to(OPEN);
    world.play(both());
    for job in 1..=7 {
        world.play(called(0.1, job.into()));
        world.play([at(0.1, says(2, job, b"\x2b"))]);
    }
    let seen = seen_of(&world);
    let jobs: Vec<_> = seen.examples.iter().map(|it| number(it.job)).collect();
    assert_eq!((seen.differ, jobs), (7, vec![7, 6, 5, 4, 3]));
    let shown = &seen.examples[0];
    assert_eq!(
        (&shown.arguments, &*shown.live, &*shown.shadow),
        (&None, "value, 1 bytes", "value, 1 bytes")
    );
}

#[test]
fn one_run_of_a_pair_is_under_way_at_a_time() {
    let mut story = both();
    story[1] = at(0.0, serves(2, 10, &["fib@2"]));
    story.extend(called(0.1, 1));
    story.extend(called(0.1, 2));
    story.push(at(0.2, says(2, 1, b"\x2a")));
    story.extend(called(0.3, 3));
    let world = play_all(story);
    let placed =
        world.seen.iter().filter(|it| [place(trial(1), 1), place(trial(2), 1)].contains(it));
    assert_eq!(placed.count(), 2);
    assert_eq!((seen_of(&world).equal, seen_of(&world).skipped), (1, 1));
}

#[test]
fn what_has_no_idle_slot_or_no_worker_is_skipped() {
    let busy = [
        at(0.0, submit_as(1, Submission { function: "fib@2".into(), ..submission(9) })),
        at(0.0, holds(2, 9, 1)),
    ];
    let story = both().into_iter().chain(busy).chain(called(0.1, 1));
    let world = play_all(story.chain([at(6.0, nothing())]));
    assert_eq!(world.seen, [place(9, 1), place(1, 1), answer(1, "value")]);
    assert_eq!(seen_of(&world).skipped, 1);
    let unserved = [at(0.0, lives(1, 10))].into_iter().chain(called(0.1, 1));
    let world = play_all(unserved);
    assert_eq!(world.seen, [place(1, 1), answer(1, "value")]);
    assert_eq!(seen_of(&world).skipped, 1);
}

#[test]
fn a_shadow_that_ends_its_process_is_not_run_again() {
    let mut story = both();
    story.extend(called(0.1, 1));
    story.push(at(0.2, crashes(1)));
    story.extend(called(0.3, 2));
    // The next term of the same distributor knows it too.
    story.extend([at(0.4, next_term()), at(5.0, submitted(3)), at(5.0, answered(1, 3, 1))]);
    let world = play_all(story);
    assert!(!world.seen.contains(&place(trial(2), 1)), "{:?}", world.seen);
    let seen = seen_of(&world);
    assert_eq!((seen.lost, seen.stopped, seen.skipped), (1, Some(ShadowStop::Lost), 0));
}

#[test]
fn a_shadow_that_is_much_slower_three_times_in_a_row_is_not_run_again() {
    let mut story = both();
    let runs = [expires, expires, |nth| says(2, nth, b"\x2a"), expires, expires, expires];
    for (nth, end) in (1..).zip(runs) {
        story.extend(called(0.1, nth.into()));
        story.push(at(0.1, end(nth)));
    }
    let stopped = |world: &mut World| {
        assert_eq!(seen_of(world).stopped, Some(ShadowStop::Slow));
    };
    let goes_on = |world: &mut World| assert_eq!(seen_of(world).stopped, None);
    story.insert(story.len() - 1, at(0.1, change(goes_on)));
    story.push(at(0.1, change(stopped)));
    story.extend(called(0.2, 7));
    let world = play_all(story);
    assert_eq!((seen_of(&world).expired, seen_of(&world).equal), (5, 1));
    assert!(!world.seen.contains(&place(trial(7), 1)));
}

#[test]
fn only_a_share_of_the_calls_and_only_those_of_the_function_have_one() {
    let play = |shadow: &str| {
        let mut story = both();
        for nth in 1..=200 {
            story.extend(called(0.1, nth));
            let answers = |world: &mut World| {
                let nth = world.scheduler.counters().trials;
                says(2, nth, b"\x2a")(world);
            };
            story.push(at(0.1, change(answers)));
        }
        seen_of(&play_shadowed(&[shadow], story)).equal
    };
    assert_eq!(play("fib@1=fib@2:0%"), 0);
    assert_eq!(play("fib@3=fib@2"), 0);
    let some = play("fib@1=fib@2:25%");
    assert!((30..70).contains(&some), "{some}");
}

#[test]
fn a_call_against_which_there_is_anything_or_without_a_run_of_its_own_has_none() {
    let suspect = [
        at(0.1, submitted_with(1, true, &[])),
        at(0.1, ended(1, 1, 1, End::Answer(Answer::Value(Bytes::from_static(b"\x2a"))))),
    ];
    let world = play_all(both().into_iter().chain(suspect).chain([at(6.0, nothing())]));
    assert_eq!(world.seen, [place_alone(1, 1), answer(1, "value")]);
    let declared = vec!["fib@1".parse().unwrap()];
    let shared = [
        at(0.0, declaring(1, 10, (&["fib@1"], false), (declared, vec![]))),
        at(0.0, serves(2, 10, &["fib@2"])),
        at(0.1, submitted(1)),
        at(0.1, submitted(2)),
        at(0.2, answered(1, 1, 1)),
    ];
    let world = play_all(shared);
    assert_eq!(world.seen.iter().filter(|it| **it == place(trial(1), 1)).count(), 1);
    assert_eq!(seen_of(&world).skipped, 0);
}

/// From its next beat on, the second worker runs the nth trial.
fn runs_shadow(nth: u64) -> Step {
    change(move |world| {
        let attempt = Attempt { term: Term(1), number: 1 };
        let (key, function) = (JobKey::trial(Term(1), nth), "fib@2".parse().unwrap());
        let held = Held { key, function, attempt, slot: Some(0), age_ms: 10 };
        world.workers.get_mut(&worker(2)).unwrap().beat.held.push(held);
        world.beat(worker(2));
    })
}

/// A shadow runs in the only slot when a call comes for that, and ends like this.
fn in_the_way(end: fn(u64) -> Step) -> World {
    let call = Submission { function: "fib@2".into(), ..submission(9) };
    let story = both().into_iter().chain(called(0.1, 1));
    play_all(story.chain([at(0.2, runs_shadow(1)), at(0.3, submit_as(1, call)), at(0.4, end(1))]))
}

#[test]
fn a_shadow_makes_way_for_a_call_at_once() {
    let world = in_the_way(|nth| trial_ended(2, nth, End::Answer(Answer::Cancelled)));
    let begun = [place(1, 1), answer(1, "value"), place(trial(1), 1)];
    assert_eq!(world.seen, [&begun[..], &[place(9, 1), cancel(2, trial(1))]].concat());
    let seen = seen_of(&world);
    assert_eq!((seen.skipped, seen.expired, seen.stopped), (1, 0, None));
}

#[test]
fn what_a_shadow_does_after_it_was_told_to_make_way_counts() {
    let seen = seen_of(&in_the_way(|nth| says(2, nth, b"\x2a")));
    assert_eq!((seen.skipped, seen.equal), (0, 1));
    let seen = seen_of(&in_the_way(crashes));
    assert_eq!((seen.skipped, seen.stopped), (0, Some(ShadowStop::Lost)));
}

#[test]
fn a_shadow_that_is_lost_with_its_worker_is_not_run_again() {
    let story = || both().into_iter().chain(called(0.1, 1));
    let lost = play_all(story().chain([
        at(0.2, runs_shadow(1)),
        at(0.2, falls_silent(2)),
        // The third one has a slot for the next.
        at(0.2, serves(3, 1, &["fib@2"])),
        at(6.0, nothing()),
    ]));
    let came_back = trial_ended(2, 1, End::Returned { willing: false });
    let came_back = play_all(story().chain([at(0.2, came_back)]));
    for world in [lost, came_back] {
        assert_eq!(seen_of(&world).stopped, Some(ShadowStop::Lost));
    }
    let handed_back = trial_ended(2, 1, End::Returned { willing: true });
    let world = play_all(story().chain([at(0.2, handed_back)]));
    assert_eq!((seen_of(&world).stopped, seen_of(&world).skipped), (None, 1));
}
