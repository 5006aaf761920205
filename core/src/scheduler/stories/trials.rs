//! Runs of the scheduler's own accord: when there is one, and what becomes of it.

use super::*;

/// The key of the nth trial of the first term.
fn trial_key(nth: u64) -> JobKey {
    JobKey::trial(Term(1), nth)
}

/// A call of its own is submitted, which is equal to no other.
pub(super) fn submitted_of(job: u128) -> Step {
    submit_as(1, Submission { args: Bytes::from(vec![job as u8]), ..submission(job) })
}

/// The nth trial, as a story sees its job.
pub(super) fn trial(nth: u64) -> u128 {
    number(trial_key(nth).id)
}

/// A worker that declares `fib@1` deterministic starts to beat.
pub(super) fn declares(number: u128, slots: u32) -> Step {
    let declared = || vec!["fib@1".parse().unwrap()];
    declaring(number, slots, (&["fib@1"], false), (declared(), vec![]))
}

/// A worker ends the nth trial.
pub(super) fn trial_ended(number: u128, nth: u64, end: End) -> Step {
    change(move |world| {
        let attempt = Attempt { term: world.term, number: 1 };
        let ended = Ended { key: trial_key(nth), attempt, end: end.clone(), took_us: 1000 };
        let answers = Answers { worker: worker(number), jobs: vec![ended] };
        world.feed(Event::Answers { user: workers(), answers });
    })
}

/// A worker answers the nth trial as the job was answered.
pub(super) fn agrees(number: u128, nth: u64) -> Step {
    says(number, nth, b"\x2a")
}

/// A worker answers the nth trial with this value.
pub(super) fn says(number: u128, nth: u64, value: &'static [u8]) -> Step {
    trial_ended(number, nth, End::Answer(Answer::Value(Bytes::from_static(value))))
}

/// From its next beat on, a worker runs the nth trial.
fn runs(number: u128, nth: u64) -> Step {
    change(move |world| {
        let attempt = Attempt { term: Term(1), number: 1 };
        let (key, function) = (trial_key(nth), "fib@1".parse().unwrap());
        let held = Held { key, function, attempt, slot: Some(0), age_ms: 10 };
        world.workers.get_mut(&worker(number)).unwrap().beat.held.push(held);
        world.beat(worker(number));
    })
}

/// What happens with a check of each of so many calls in a thousand.
pub(super) fn play_checked(cross_check: u16, story: impl IntoIterator<Item = TimedStep>) -> World {
    let hedging = Hedging { share: 1.0, fewest: 2 };
    let mut world = World::new(Config { cross_check, hedging, ..Config::new(US) });
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    world.go_to(OPEN);
    world.play(story);
    world
}

#[track_caller]
fn check_trials(
    story: impl IntoIterator<Item = TimedStep>,
    expected: impl IntoIterator<Item = Seen>,
) -> World {
    let world = play_checked(1000, story);
    assert_eq!(world.seen, expected.into_iter().collect::<Vec<_>>());
    world
}

/// Placed, skipped, expired, lost.
#[track_caller]
fn check_counts(world: &World, counts: [u64; 4]) {
    let counters = world.scheduler.counters();
    let found =
        [counters.trials, counters.trials_skipped, counters.trials_expired, counters.trials_lost];
    assert_eq!(found, counts);
}

/// The first of two workers of one slot each runs job 1.
fn one_run() -> Vec<TimedStep> {
    vec![
        at(0.0, declares(1, 1)),
        at(0.0, declares(2, 1)),
        at(0.0, submitted(1)),
        at(0.0, answered(1, 1, 1)),
    ]
}

fn begun() -> [Seen; 3] {
    [place(1, 1), answer(1, "value"), place(trial(1), 1)]
}

#[test]
fn a_call_is_run_again_once_its_caller_has_the_answer() {
    let mut story = one_run();
    story.extend([at(0.1, agrees(2, 1)), at(9.0, nothing())]);
    let world = check_trials(story, begun());
    check_counts(&world, [1, 0, 0, 0]);
    let counters = world.scheduler.counters();
    assert_eq!((counters.checks, counters.checks_elsewhere, counters.checks_differed), (1, 1, 0));
    assert_eq!((counters.accepted, counters.done, counters.placements), (1, 1, 1));
}

#[test]
fn other_bytes_are_seen() {
    let mut story = one_run();
    story.push(at(0.1, says(2, 1, b"\x2b")));
    let seen = begun().into_iter().chain([place(trial(2), 1)]);
    assert_eq!(check_trials(story, seen).scheduler.counters().checks_differed, 1);
}

#[test]
fn none_is_run_again_unless_somebody_wants_that_and_all_declare_it() {
    assert_eq!(play_checked(0, one_run()).seen, begun()[..2]);
    let story = [
        at(0.0, declares(1, 1)),
        at(0.0, lives(2, 1)),
        at(0.0, submitted(1)),
        at(0.0, answered(1, 1, 1)),
        at(1.0, nothing()),
    ];
    check_trials(story, [place(1, 1), answer(1, "value")]);
}

#[test]
fn a_share_of_the_calls_is_run_again() {
    let mut story = vec![at(0.0, declares(1, 1)), at(0.0, declares(2, 1))];
    for job in 1..=1000 {
        story.extend([at(0.0, submitted(job)), at(0.0, answered(1, job, 1))]);
        let last = move |world: &mut World| {
            let nth = world.scheduler.counters().trials;
            agrees(2, nth)(world);
        };
        story.push(at(0.0, change(last)));
    }
    let checks = play_checked(100, story).scheduler.counters().checks;
    assert!((70..130).contains(&checks), "{checks}");
}

#[test]
fn without_an_idle_slot_there_is_no_trial_and_after_a_while_never() {
    let mut story = one_run();
    story.truncate(3);
    story.extend([2, 3].map(|job| at(0.0, submitted_of(job))));
    story.extend([at(0.0, holds(1, 3, 1)), at(0.0, holds(2, 2, 1))]);
    story.push(at(0.0, answered(1, 1, 1)));
    story.push(at(4.0, nothing()));
    let mut world = play_checked(1000, story);
    check_counts(&world, [0, 0, 0, 0]);
    world.play([at(6.0, nothing())]);
    check_counts(&world, [0, 1, 0, 0]);
}

#[test]
fn a_worker_alone_runs_it_itself() {
    let story = [at(0.0, declares(1, 1)), at(0.0, submitted(1)), at(0.0, answered(1, 1, 1))];
    check_trials(story, begun());
}

#[test]
fn one_that_ends_its_process_is_counted_and_its_call_not_tried_again() {
    let attempt = Attempt { term: Term(1), number: 1 };
    let mut story = one_run();
    story.extend([
        at(0.1, trial_ended(2, 1, End::Crashed(crash(2, attempt)))),
        at(0.1, submitted(2)),
        at(0.1, answered(1, 2, 1)),
        at(9.0, nothing()),
    ]);
    let seen = begun().into_iter().chain([place(2, 1), answer(2, "value")]);
    check_counts(&check_trials(story, seen), [1, 1, 0, 1]);
}

#[test]
fn one_that_is_lost_with_its_worker_is_counted_and_its_call_not_tried_again() {
    let mut story = one_run();
    story[3] = at(0.0, took(1, 1, 60_000_000));
    story.extend([
        at(0.1, runs(2, 1)),
        at(0.2, falls_silent(2)),
        at(9.0, submitted(2)),
        at(9.0, answered(1, 2, 1)),
        at(9.5, nothing()),
    ]);
    let seen = begun().into_iter().chain([place(2, 1), answer(2, "value")]);
    check_counts(&check_trials(story, seen), [1, 1, 0, 1]);
}

#[test]
fn one_that_takes_much_longer_is_cancelled() {
    let mut story = one_run();
    story.extend([at(0.1, runs(2, 1)), at(2.0, nothing())]);
    let seen = begun().into_iter().chain([cancel(2, trial(1))]);
    check_counts(&check_trials(story, seen), [1, 0, 1, 0]);
}

#[test]
fn one_that_is_handed_back_is_not_placed_again() {
    for willing in [true, false] {
        let mut story = one_run();
        story.extend([at(0.1, trial_ended(2, 1, End::Returned { willing })), at(9.0, nothing())]);
        check_counts(&check_trials(story, begun()), [1, 1, 0, 0]);
    }
}

#[test]
fn one_that_the_broker_does_not_take_is_not_placed_again() {
    let mut story = one_run();
    story.insert(3, at(0.0, change(|world| world.placements = Outcome::Refused)));
    story.push(at(0.5, nothing()));
    check_counts(&play_checked(1000, story), [1, 1, 0, 0]);
}

#[test]
fn a_term_drops_its_trials_and_the_next_one_cancels_them() {
    let mut story = one_run();
    story.extend([at(0.1, runs(2, 1)), at(0.2, next_term()), at(5.0, nothing())]);
    let world = play_checked(1000, story);
    assert!(world.seen[3..].contains(&cancel(2, trial(1))));
    check_counts(&world, [1, 1, 0, 0]);
}

#[test]
fn a_call_that_was_lost_or_placed_twice_is_not_tried() {
    let mut story = one_run();
    story[3] = at(0.0, came_back(1, 1, 1));
    story.extend([at(0.1, noted(1, true, &[])), at(0.1, answered(2, 1, 2)), at(9.0, nothing())]);
    let seen = [place(1, 1), marked(1), place_alone(1, 2), answer(1, "value")];
    check_trials(story, seen);
}

#[test]
fn what_a_worker_of_another_pool_says_of_it_is_forged() {
    let mut story = one_run();
    story.insert(0, at(0.0, serves(3, 1, &["other@1"])));
    story.push(at(0.1, agrees(3, 1)));
    let world = check_trials(story, begun());
    let counters = world.scheduler.counters();
    assert_eq!((counters.checks, counters.forged), (0, 1));
}

#[test]
fn there_are_so_many_at_once_and_no_more() {
    let mut story = vec![at(0.0, declares(1, 1)), at(0.0, declares(2, 100))];
    for job in 1..=100 {
        story.extend([at(0.0, submitted(job)), at(0.0, answered(2, job, 1))]);
    }
    story.push(at(9.0, nothing()));
    let counters = play_checked(1000, story).scheduler.counters().clone();
    assert_eq!(counters.trials + counters.trials_skipped, 100);
    assert!(counters.trials <= 64 && counters.trials_skipped >= 36, "{counters:?}");
}

#[test]
fn what_runs_in_a_slot_is_shown_for_what_it_is() {
    let mut story = one_run();
    story.push(at(0.1, runs(2, 1)));
    let world = play_checked(1000, story);
    let view = world.scheduler.view(world.now, Duration::ZERO);
    let held = view.workers.iter().flat_map(|worker| &worker.held);
    let shown: Vec<_> = held.map(|job| (job.trial.as_deref(), job.abandoned)).collect();
    assert_eq!(shown, [(Some("check"), false)]);
    assert_eq!(view.books.running, 0);
}
