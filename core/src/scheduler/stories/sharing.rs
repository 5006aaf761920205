//! Stories of equal calls that share a run.

use super::*;
use crate::scheduler::Sharing;

/// A worker of `fib@1` that declares it deterministic starts to beat.
fn declares(number: u128, slots: u32) -> Step {
    declaring(number, slots, (&["fib@1"], false), (vec!["fib@1".parse().unwrap()], vec![]))
}

/// Jobs of the same call, all at once.
fn all_submitted(jobs: std::ops::RangeInclusive<u128>) -> Step {
    let jobs = jobs.map(submission).collect();
    let submit = Submit { client: client(1), generation: Generation(1), jobs };
    event(Event::Submitted { user: user(1), submit })
}

fn answers(jobs: impl IntoIterator<Item = u128>) -> Vec<Seen> {
    jobs.into_iter().map(|job| answer(job, "value")).collect()
}

/// The answers that were delivered, and whether each was of another job's run.
fn coalesced(world: &World) -> Vec<(u128, bool)> {
    let answered = world.effects.iter().filter_map(|effect| match effect {
        Effect::Deliver { delivery, .. } => match &delivery.body {
            Delivered::Answer(answered) => Some((number(delivery.id), answered.coalesced)),
            _ => None,
        },
        _ => None,
    });
    answered.collect()
}

#[test]
fn equal_calls_share_one_run_across_logins() {
    let world = play([
        at(0.0, declares(1, 4)),
        at(0.1, submitted(1)),
        at(0.2, submit_as(2, submission(2))),
        at(0.3, submitted(3)),
        at(0.4, answered(1, 1, 1)),
    ]);
    assert_eq!(world.seen, [vec![place(1, 1)], answers([2, 3, 1])].concat());
    assert_eq!(coalesced(&world), [(2, true), (3, true), (1, false)]);
    let counters = world.scheduler.counters();
    assert_eq!((counters.done, counters.coalesced, counters.placements), (3, 2, 1));
    assert_eq!(counters.saved, Duration::from_millis(2));
}

#[test]
fn what_is_not_equal_or_not_declared_or_fresh_runs_by_itself() {
    let other = Submission { args: Bytes::from_static(b"\x15"), ..submission(2) };
    let fresh = Submission { fresh: true, ..submission(3) };
    check(
        [
            at(0.0, declares(1, 4)),
            at(0.1, submitted(1)),
            at(0.1, submit_as(1, other)),
            at(0.1, submit_as(1, fresh)),
        ],
        [place(1, 1), place(2, 1), place(3, 1)],
    );
    check(
        [at(0.0, lives(1, 4)), at(0.1, submitted(1)), at(0.1, submitted(2))],
        [place(1, 1), place(2, 1)],
    );
}

#[test]
fn one_worker_that_does_not_declare_it_is_enough() {
    check(
        [
            at(0.0, declares(1, 4)),
            at(0.0, lives(2, 4)),
            at(0.1, submitted(1)),
            at(0.1, submitted(2)),
            at(0.2, answered(1, 1, 1)),
            at(0.2, answered(1, 2, 1)),
            at(0.3, leaves(2)),
            at(0.4, submitted(3)),
            at(0.4, submitted(4)),
        ],
        [
            place(1, 1),
            place(2, 1),
            answer(1, "value"),
            answer(2, "value"),
            Seen::Purged,
            place(3, 1),
        ],
    );
}

#[test]
fn logins_are_kept_apart_where_that_is_set_and_all_calls_where_it_is_off() {
    let play = |sharing| {
        let mut world = World::new(Config { sharing, ..Config::new(US) });
        world.feed(Event::LinkUp);
        world.feed(Event::Leading { term: world.term });
        world.go_to(OPEN);
        world.play([
            at(0.0, declares(1, 4)),
            at(0.1, submitted(1)),
            at(0.1, submitted(2)),
            at(0.1, submit_as(2, submission(3))),
        ]);
        world.seen
    };
    assert_eq!(play(Sharing::User), [place(1, 1), place(3, 1)]);
    assert_eq!(play(Sharing::Off), [place(1, 1), place(2, 1), place(3, 1)]);
}

#[test]
fn a_thousand_calls_cost_one_run() {
    let world = play([
        at(0.0, declares(1, 1)),
        at(0.1, all_submitted(1..=250)),
        at(0.1, all_submitted(251..=500)),
        at(0.1, all_submitted(501..=750)),
        at(0.1, all_submitted(751..=1000)),
        at(0.2, answered(1, 1, 1)),
    ]);
    let counters = world.scheduler.counters();
    assert_eq!((counters.placements, counters.done, counters.coalesced), (1, 1000, 999));
}

#[test]
fn so_many_follow_a_run_and_no_more() {
    let most = crate::scheduler::jobs::runs::FOLLOWERS as u128;
    let mut world = play([at(0.0, declares(1, 1))]);
    for first in (1..=most + 10).step_by(200) {
        all_submitted(first..=(first + 199).min(most + 10))(&mut world);
    }
    answered(1, 1, 1)(&mut world);
    let counters = world.scheduler.counters();
    assert_eq!((counters.done, counters.placements), (most as u64 + 1, 2));
    answered(1, most + 2, 1)(&mut world);
    assert_eq!(world.scheduler.counters().done, most as u64 + 10);
}

#[test]
fn a_call_in_the_queue_has_its_own_place_there() {
    // The second waits behind another job; a third, equal one of high priority runs first, and it
    // shares that run.
    let of = |job, args: &'static [u8], priority| {
        submit_as(1, Submission { args: Bytes::from_static(args), priority, ..submission(job) })
    };
    check(
        [
            at(0.0, declares(1, 1)),
            at(0.1, of(1, b"\x01", 4)),
            at(0.2, of(2, b"\x02", 4)),
            at(0.3, of(3, b"\x03", 4)),
            at(0.4, of(4, b"\x03", 9)),
            at(0.5, answered(1, 1, 1)),
            at(0.6, answered(1, 2, 1)),
            at(0.7, answered(1, 4, 1)),
        ],
        [
            place(1, 1),
            place(2, 1),
            answer(1, "value"),
            place(4, 1),
            answer(2, "value"),
            answer(3, "value"),
            answer(4, "value"),
        ],
    );
}

#[test]
fn a_run_that_its_caller_cancels_goes_on_for_the_others() {
    let world = play([
        at(0.0, declares(1, 2)),
        at(0.1, submitted(1)),
        at(0.2, submitted(2)),
        at(0.3, cancelled(1)),
        at(0.4, answered(1, 1, 1)),
    ]);
    assert_eq!(world.seen, [place(1, 1), answer(2, "value")]);
    let counters = world.scheduler.counters();
    assert_eq!((counters.done, counters.cancelled, counters.failed), (1, 1, 0));
}

#[test]
fn a_run_that_all_cancel_ends() {
    check(
        [
            at(0.0, declares(1, 2)),
            at(0.1, submitted(1)),
            at(0.2, submitted(2)),
            at(0.3, cancelled(1)),
            at(0.4, cancelled(2)),
            at(0.6, nothing()),
        ],
        [place(1, 1), cancel(1, 1)],
    );
}

#[test]
fn an_operator_ends_a_run_and_the_others_run_again() {
    let by_operator = event(Event::CancelJob(key(1)));
    check(
        [
            at(0.0, declares(1, 2)),
            at(0.1, submitted(1)),
            at(0.2, submitted(2)),
            at(0.3, by_operator),
            at(0.4, answered(1, 2, 1)),
        ],
        [place(1, 1), answer(1, "cancelled"), place(2, 1), cancel(1, 1), answer(2, "value")],
    );
}

#[test]
fn a_call_with_more_time_outlives_its_leader() {
    let hasty = Submission { budget_ms: 1000, ..submission(1) };
    check(
        [
            at(0.0, declares(1, 2)),
            at(0.1, submit_as(1, hasty)),
            at(0.2, submitted(2)),
            at(2.0, answered(1, 2, 1)),
        ],
        [place(1, 1), answer(1, "expired"), cancel(1, 1), place(2, 1), answer(2, "value")],
    );
}

#[test]
fn a_call_with_less_time_expires_alone() {
    let hasty = Submission { budget_ms: 1000, ..submission(2) };
    check(
        [
            at(0.0, declares(1, 2)),
            at(0.1, submitted(1)),
            at(0.2, submit_as(1, hasty)),
            at(1.8, answered(1, 1, 1)),
        ],
        [place(1, 1), answer(2, "expired"), answer(1, "value")],
    );
}

#[test]
fn a_run_that_is_handed_back_is_everybodys_own_again() {
    check(
        [
            at(0.0, declares(1, 1)),
            at(0.1, submitted(1)),
            at(0.2, submit_as(1, Submission { priority: 9, ..submission(2) })),
            at(0.3, handed_back(1, 1, 1)),
            at(0.4, answered(1, 2, 1)),
        ],
        [place(1, 1), place(2, 1), answer(1, "value"), answer(2, "value")],
    );
}

#[test]
fn a_leaders_strike_is_told_to_all_and_the_first_to_know_it_leads() {
    check(
        [
            at(0.0, declares(1, 1)),
            at(0.1, submitted(1)),
            at(0.2, submitted(2)),
            at(0.3, started(1, 1, 1)),
            at(0.4, falls_silent(1)),
            at(0.4, declares(2, 1)),
            at(3.5, noted(2, false, &[1])),
            at(3.6, submitted(3)),
            at(3.7, answered(2, 3, 1)),
            at(3.8, answered(2, 2, 1)),
        ],
        [
            place(1, 1),
            struck(2, false, &[1]),
            struck(1, false, &[1]),
            // It has yet to say that it knows.
            struck(1, false, &[1]),
            place_alone(2, 1),
            // One that comes later does not join what may have killed a worker.
            place(3, 1),
            answer(3, "value"),
            answer(1, "value"),
            answer(2, "value"),
        ],
    );
}

#[test]
fn a_call_that_kills_costs_three_workers_however_many_have_made_it() {
    let (a, b, c): (&[u128], &[u128], &[u128]) = (&[1], &[1, 2], &[1, 2, 3]);
    let world = play([
        at(0.0, declares(1, 1)),
        at(0.1, submitted(1)),
        at(0.2, submitted(2)),
        at(0.3, started(1, 1, 1)),
        at(0.4, falls_silent(1)),
        at(0.4, declares(2, 1)),
        at(3.5, noted(1, false, a)),
        at(3.6, started(2, 1, 2)),
        at(3.7, falls_silent(2)),
        at(3.7, declares(3, 1)),
        at(7.5, noted(2, false, b)),
        at(7.6, started(3, 2, 1)),
        at(7.65, falls_silent(3)),
        at(7.7, declares(4, 1)),
        at(12.0, nothing()),
    ]);
    let placed = world.seen.iter().filter(|seen| matches!(seen, Seen::Placed { .. })).count();
    assert_eq!(placed, 3, "{:?}", world.seen);
    assert_eq!(world.seen[world.seen.len() - 2..], [answer(1, "poisoned"), answer(2, "poisoned")]);
    assert_eq!(world.scheduler.counters().strikes, c.len() as u64);
}

#[test]
fn a_mark_that_is_revoked_is_revoked_for_all() {
    // It lay in the queue of a pool whose worker was lost, and nobody had received it.
    let untouched = change(|world| {
        let attempt = Attempt { term: world.term, number: 1 };
        world.untouched = vec![(key(1), attempt)];
    });
    let world = play([
        at(0.0, declares(1, 1)),
        at(0.1, submitted(1)),
        at(0.2, submitted(2)),
        at(0.3, untouched),
        at(0.4, falls_silent(1)),
        at(0.4, serves(2, 1, &["fib@1", "echo@1"])),
        at(4.0, nothing()),
    ]);
    let last = |job| {
        world.seen.iter().rfind(|seen| matches!(seen, Seen::Struck { job: of, .. } if *of == job))
    };
    assert_eq!((last(1), last(2)), (Some(&struck(1, false, &[])), Some(&struck(2, false, &[]))));
    assert_eq!(world.seen[world.seen.len() - 2..], [place(1, 2), place(2, 1)]);
}

#[test]
fn who_sends_a_job_again_that_runs_on_for_others_gets_its_answer() {
    check(
        [
            at(0.0, declares(1, 2)),
            at(0.1, submitted(1)),
            at(0.2, submitted(2)),
            at(0.3, cancelled(1)),
            at(0.3, submitted(1)),
            at(0.4, answered(1, 1, 1)),
        ],
        [place(1, 1), answer(2, "value"), answer(1, "value")],
    );
}

#[test]
fn a_new_term_knows_no_runs() {
    check(
        [
            at(0.0, declares(1, 2)),
            at(0.1, submitted(1)),
            at(0.2, submitted(2)),
            at(1.0, next_term()),
            at(5.0, submitted(2)),
            at(5.1, answered(1, 2, 1)),
        ],
        [place(1, 1), place(2, 1), answer(2, "value")],
    );
}

#[test]
fn a_follower_that_an_earlier_term_had_placed_is_taken_as_running() {
    check(
        [
            at(0.0, declares(1, 2)),
            at(1.0, next_term()),
            at(5.0, submitted(1)),
            at(5.1, submitted(2)),
            at(
                5.2,
                change(|world| {
                    let attempt = Attempt { term: Term(1), number: 1 };
                    let function = "fib@1".parse().unwrap();
                    let held = Held { key: key(2), function, attempt, slot: Some(0), age_ms: 10 };
                    world.workers.get_mut(&worker(1)).unwrap().beat.held.push(held);
                }),
            ),
            at(7.0, answered(1, 1, 1)),
        ],
        [place(1, 1), answer(1, "value")],
    );
}
