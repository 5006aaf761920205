//! Stories of answers that are kept for equal calls to come.

use super::*;
use crate::scheduler::Sharing;

/// A worker of `fib@1` starts to beat whose answers may be kept for ten seconds.
fn keeps(number: u128, slots: u32) -> Step {
    keeps_for(number, slots, 10_000)
}

fn keeps_for(number: u128, slots: u32, ttl_ms: u64) -> Step {
    let function: Address = "fib@1".parse().unwrap();
    let memo = Memo { function: function.clone(), ttl_ms, bytes: 1 << 20 };
    declaring(number, slots, (&["fib@1"], false), (vec![function], vec![memo]))
}

fn fresh(job: u128) -> Step {
    submit_as(1, Submission { fresh: true, ..submission(job) })
}

fn fails(number: u128, job: u128, answer: Answer) -> Step {
    ended(number, job, 1, End::Answer(answer))
}

/// The ages of the kept answers that were delivered, in milliseconds.
fn ages(world: &World) -> Vec<(u128, u64)> {
    let answered = world.effects.iter().filter_map(|effect| match effect {
        Effect::Deliver { delivery, .. } => match &delivery.body {
            Delivered::Answer(answered) => Some((number(delivery.id), answered.memo_age_ms?)),
            _ => None,
        },
        _ => None,
    });
    answered.collect()
}

#[test]
fn a_later_equal_call_gets_the_answer_at_once_whoever_makes_it() {
    let world = play([
        at(0.0, keeps(1, 4)),
        at(0.1, submitted(1)),
        at(0.2, answered(1, 1, 1)),
        at(0.3, submitted(2)),
        at(3.2, submit_as(2, submission(3))),
    ]);
    assert_eq!(
        world.seen,
        [place(1, 1), answer(1, "value"), answer(2, "value"), answer(3, "value")]
    );
    assert_eq!(ages(&world), [(2, 100), (3, 3000)]);
    let counters = world.scheduler.counters();
    assert_eq!((counters.done, counters.memo, counters.placements), (3, 2, 1));
    assert_eq!(counters.memo_saved, Duration::from_millis(2));
    let view = world.scheduler.view(world.now, world.now);
    assert_eq!((view.memo.answers, view.memo.bytes), (1, 576 + 1));
    assert_eq!((view.functions[0].saved.memo, view.functions[0].runs.count), (2, 1));
}

#[test]
fn an_error_is_kept_and_nothing_that_may_not_happen_again() {
    let failed = Answer::Failed { message: "odd".into(), error: Bytes::from_static(b"\x01") };
    check(
        [
            at(0.0, keeps(1, 1)),
            at(0.1, submitted(1)),
            at(0.2, fails(1, 1, failed)),
            at(0.3, submitted(2)),
        ],
        [place(1, 1), answer(1, "failed"), answer(2, "failed")],
    );
    let others = [
        Answer::panicked("no"),
        Answer::unsendable("no"),
        Answer::TooLarge { bytes: 2, limit: 1 },
        Answer::BadArguments { message: "no".into() },
        Answer::Expired,
    ];
    for other in others {
        let kind = other.kind();
        check(
            [
                at(0.0, keeps(1, 1)),
                at(0.1, submitted(1)),
                at(0.2, fails(1, 1, other)),
                at(0.3, submitted(2)),
            ],
            [place(1, 1), answer(1, kind), place(2, 1)],
        );
    }
}

#[test]
fn an_answer_is_given_for_its_time_alone() {
    let world = play([
        at(0.0, keeps(1, 4)),
        at(0.1, submitted(1)),
        at(0.2, answered(1, 1, 1)),
        at(10.1, submitted(2)),
        at(10.2, submitted(3)),
    ]);
    assert_eq!(world.seen[1..], [answer(1, "value"), answer(2, "value"), place(3, 1)]);
}

#[test]
fn what_nobody_asks_for_is_dropped_after_its_time() {
    let mut world = play([at(0.0, keeps(1, 4)), at(0.1, submitted(1)), at(0.2, answered(1, 1, 1))]);
    world.go_to(world.now + Duration::from_secs(12));
    assert_eq!(world.scheduler.view(world.now, world.now).memo.answers, 0);
}

#[test]
fn a_fresh_call_runs_and_renews_the_answer() {
    let world = play([
        at(0.0, keeps(1, 4)),
        at(0.1, submitted(1)),
        at(0.2, answered(1, 1, 1)),
        at(5.0, fresh(2)),
        at(5.1, answered(1, 2, 1)),
        at(12.1, submitted(3)),
    ]);
    assert_eq!(world.seen[2..], [place(2, 1), answer(2, "value"), answer(3, "value")]);
    assert_eq!(ages(&world), [(3, 7000)]);
}

#[test]
fn logins_and_arguments_are_kept_apart_and_nothing_is_kept_where_that_is_off() {
    let play = |sharing, memo| {
        let mut world = World::new(Config { sharing, memo, ..Config::new(US) });
        world.feed(Event::LinkUp);
        world.feed(Event::Leading { term: world.term });
        world.go_to(OPEN);
        let other = Submission { args: Bytes::from_static(b"\x15"), ..submission(4) };
        world.play([
            at(0.0, keeps(1, 4)),
            at(0.1, submitted(1)),
            at(0.2, answered(1, 1, 1)),
            at(0.3, submitted(2)),
            at(0.3, submit_as(2, submission(3))),
            at(0.3, submit_as(1, other)),
        ]);
        world.seen[2..].to_vec()
    };
    let all = [answer(2, "value"), answer(3, "value"), place(4, 1)];
    assert_eq!(play(Sharing::All, 1 << 20), all);
    assert_eq!(play(Sharing::User, 1 << 20), [answer(2, "value"), place(3, 1), place(4, 1)]);
    let none = [place(2, 1), place(3, 1), place(4, 1)];
    assert_eq!(play(Sharing::Off, 1 << 20), none);
    // The third shares the run of the second.
    assert_eq!(play(Sharing::All, 0), [place(2, 1), place(4, 1)]);
}

#[test]
fn all_workers_must_say_so_and_the_shortest_time_counts() {
    let declares = || {
        let function = "fib@1".parse().unwrap();
        declaring(2, 4, (&["fib@1"], false), (vec![function], vec![]))
    };
    let story = |other: Step, second: f64| {
        play([
            at(0.0, keeps(1, 4)),
            at(0.0, other),
            at(0.1, submitted(1)),
            at(0.2, answered(1, 1, 1)),
            at(second, submitted(2)),
        ])
        .seen
    };
    let again = [place(1, 1), answer(1, "value"), place(2, 1)];
    let kept = [place(1, 1), answer(1, "value"), answer(2, "value")];
    assert_eq!(story(declares(), 0.3), again);
    assert_eq!(story(keeps_for(2, 4, 2000), 2.1), kept);
    assert_eq!(story(keeps_for(2, 4, 2000), 2.3), again);
}

#[test]
fn a_shorter_time_counts_for_what_is_kept_already() {
    check(
        [
            at(0.0, keeps(1, 4)),
            at(0.1, submitted(1)),
            at(0.2, answered(1, 1, 1)),
            at(3.0, keeps_for(2, 4, 2000)),
            at(3.1, submitted(2)),
        ],
        [place(1, 1), answer(1, "value"), place(2, 1)],
    );
}

#[test]
fn a_call_that_waits_for_a_slot_gets_an_answer_that_came_meanwhile() {
    // So many follow the run; one more has to wait, behind another job, and then it need not run.
    let most = crate::scheduler::jobs::runs::FOLLOWERS as u128;
    let other = Submission { args: Bytes::from_static(b"\x15"), ..submission(most + 3) };
    let mut world =
        play([at(0.0, keeps(1, 1)), at(0.1, submitted(1)), at(0.1, submit_as(1, other))]);
    for job in 2..=most + 2 {
        submitted(job)(&mut world);
    }
    answered(1, 1, 1)(&mut world);
    let counters = world.scheduler.counters();
    assert_eq!((counters.done, counters.placements, counters.memo), (most as u64 + 2, 2, 1));
}

#[test]
fn a_new_term_has_no_answers() {
    let world = play([
        at(0.0, keeps(1, 4)),
        at(0.1, submitted(1)),
        at(0.2, answered(1, 1, 1)),
        at(1.0, next_term()),
        at(5.0, submitted(2)),
    ]);
    assert_eq!(world.seen.last(), Some(&place(2, 1)));
}

#[test]
fn a_call_whose_run_goes_on_with_a_worker_waits_for_that() {
    // From an earlier term: the worker is to hear of it, not a kept answer's caller.
    let world = play([
        at(0.0, keeps(1, 4)),
        at(0.1, submitted(1)),
        at(0.2, answered(1, 1, 1)),
        at(0.3, holds(1, 2, 1)),
        at(1.3, submitted(2)),
        at(1.4, answered(1, 2, 1)),
    ]);
    assert_eq!(world.seen[2..], [answer(2, "value")]);
    assert_eq!(ages(&world), []);
}
