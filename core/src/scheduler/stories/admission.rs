//! Which jobs are admitted, which join an unfinished one, which are refused.

use super::*;

#[test]
fn a_job_is_placed_and_answered() {
    check(
        [at(0.0, lives(1, 1)), at(0.0, submitted(1)), at(0.5, answered(1, 1, 1))],
        [place(1, 1), answer(1, "value")],
    );
}

#[test]
fn a_job_sent_again_is_one_job() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, submitted(1)),
            at(0.5, answered(1, 1, 1)),
        ],
        [place(1, 1), answer(1, "value")],
    );
}

#[test]
fn an_answered_job_sent_again_is_answered_again() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.5, answered(1, 1, 1)),
            at(60.0, submitted(1)),
            at(61.0, asked(1)),
        ],
        [place(1, 1), answer(1, "value"), answer(1, "value"), answer(1, "value")],
    );
}

#[test]
fn an_old_answer_is_forgotten_and_the_job_runs_again() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.5, answered(1, 1, 1)),
            at(125.0, submitted(1)),
        ],
        [place(1, 1), answer(1, "value"), place(1, 1)],
    );
}

#[test]
fn another_users_job_of_the_same_id_is_another_job() {
    check(
        [
            at(0.0, lives(1, 2)),
            at(0.0, submit_as(1, submission(1))),
            at(0.0, submit_as(2, submission(1))),
        ],
        [place(1, 1), place(1, 1)],
    );
}

#[test]
fn a_query_for_an_unknown_job_is_answered() {
    check(
        [at(0.0, lives(1, 1)), at(0.0, submitted(1)), at(0.1, asked(1)), at(0.1, asked(2))],
        [place(1, 1), Seen::Unknown { job: 2 }],
    );
}

#[test]
fn names_outside_the_grammar_are_bad_arguments() {
    let named = |job, function: &str| {
        submit_as(1, Submission { function: function.into(), ..submission(job) })
    };
    check(
        [
            at(0.0, named(1, "")),
            at(0.0, named(2, "<script>")),
            at(0.0, named(3, "fib@x")),
            at(0.0, named(4, &"f".repeat(300))),
        ],
        [1, 2, 3, 4].map(|job| answer(job, "bad_arguments")),
    );
}

#[test]
fn a_large_argument_is_refused() {
    let large = Submission { args: vec![0; 8 * 1024 * 1024 + 1].into(), ..submission(1) };
    check([at(0.0, submit_as(1, large))], [answer(1, "too_large")]);
}

#[test]
fn without_a_version_the_highest_live_one_is_used() {
    let any = |job| submit_as(1, Submission { function: "fib".into(), ..submission(job) });
    let world = play([
        at(0.0, serves(1, 8, &["fib@1"])),
        at(0.0, serves(2, 8, &["fib@2"])),
        at(0.5, any(1)),
        at(0.5, falls_silent(2)),
        at(8.0, any(2)),
    ]);
    let placed = world.effects.iter().filter_map(|effect| match effect {
        Effect::Place { placement, .. } => Some(placement.function.to_string()),
        _ => None,
    });
    assert_eq!(placed.collect::<Vec<_>>(), ["fib@2", "fib@1"]);
}

#[test]
fn without_a_version_a_job_waits_for_any_version() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, falls_silent(1)),
            at(2.3, submit_as(1, Submission { function: "fib".into(), ..submission(1) })),
            at(2.4, lives(1, 1)),
        ],
        // It was live, if late, and there was room.
        [place(1, 1)],
    );
    // Its only worker stops taking jobs, and another one comes in time.
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.1, drains(1)),
            at(1.0, submit_as(1, Submission { function: "fib".into(), ..submission(1) })),
            at(2.0, lives(2, 1)),
        ],
        [place(1, 1)],
    );
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.5, next_term()),
            at(0.5, falls_silent(1)),
            at(2.5, submit_as(1, Submission { function: "fib".into(), ..submission(1) })),
            at(3.0, lives(2, 1)),
        ],
        [place(1, 1)],
    );
}

#[test]
fn a_function_never_served_fails_at_once() {
    check([at(0.0, submitted(1))], [answer(1, "not_served")]);
}

#[test]
fn a_new_term_waits_for_workers() {
    check(
        [
            at(0.0, next_term()),
            at(0.5, submitted(1)),
            at(2.9, nothing()),
            at(2.9, lives(1, 1)),
            at(2.9, submit_as(1, Submission { function: "echo@1".into(), ..submission(2) })),
        ],
        [place(1, 1)],
    );
    check(
        [at(0.0, next_term()), at(0.5, submitted(1)), at(6.0, nothing())],
        [answer(1, "not_served")],
    );
}

#[test]
fn an_unserved_job_runs_when_sent_again_to_a_served_function() {
    check(
        [at(0.0, next_term()), at(0.5, submitted(1)), at(6.0, lives(1, 1)), at(6.1, submitted(1))],
        [answer(1, "not_served"), place(1, 1)],
    );
}

#[test]
fn a_job_placed_after_its_worker_died_is_requeued_at_once() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.5, falls_silent(1)),
            at(0.6, submitted(1)),
            at(0.6, submitted(2)),
            at(
                0.6,
                change(|world| {
                    world.untouched = vec![(key(2), Attempt { term: world.term, number: 1 })]
                }),
            ),
            at(4.0, nothing()),
        ],
        // The first was handed to the worker and came back when it died; the second never was.
        [
            place(1, 1),
            place(2, 1),
            Seen::Purged,
            marked(1),
            marked(2),
            Seen::Struck { job: 2, mark: false, strikes: vec![] },
            answer(2, "not_served"),
        ],
    );
}

#[test]
fn a_worker_silent_for_three_seconds_serves_nothing() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.0, submitted(3)),
            at(0.5, falls_silent(1)),
            at(4.0, nothing()),
        ],
        // What may have been on it waits for a worker; what has not begun goes back at once.
        [place(1, 1), place(2, 1), Seen::Purged, marked(1), marked(2), answer(3, "not_served")],
    );
}

#[test]
fn after_an_outage_the_served_functions_are_expected_back() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.5, falls_silent(1)),
            at(0.5, next_term()),
            at(2.5, submitted(1)),
            at(14.0, lives(1, 1)),
        ],
        [place(1, 1)],
    );
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.5, falls_silent(1)),
            at(0.5, next_term()),
            at(2.5, submitted(1)),
            at(16.0, nothing()),
        ],
        [answer(1, "not_served")],
    );
}

#[test]
fn a_full_scheduler_is_busy() {
    let mut world = World::new(Config { capacity: (2, 1000), ..Config::new(US) });
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    world.go_to(OPEN);
    let large = Submission { args: vec![0; 1001].into(), ..submission(4) };
    world.play([
        at(0.0, lives(1, 1)),
        at(0.0, submit_as(1, large)),
        at(0.0, submitted(1)),
        at(0.0, submitted(2)),
        at(0.0, submitted(3)),
    ]);
    let busy = |job| answer(job, "busy");
    assert_eq!(world.seen, [busy(4), place(1, 1), place(2, 1), busy(3)]);
    assert_eq!(world.scheduler.counters().refused_by["busy"], 2);
}

#[test]
fn no_estimate_refuses_a_job() {
    let took = |job, seconds: u64| {
        change(move |world| {
            let attempt = Attempt { term: world.term, number: 1 };
            let end = End::Answer(Answer::Value(Bytes::new()));
            let ended = Ended { key: key(job), attempt, end, took_us: seconds * 1_000_000 };
            let answers = Answers { worker: worker(1), jobs: vec![ended] };
            world.feed(Event::Answers { user: workers(), answers });
        })
    };
    let hasty = |job| Submission { budget_ms: 5000, ..submission(job) };
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, took(1, 10)),
            at(0.1, submitted(2)),
            at(0.1, submitted(3)),
            at(0.1, submitted(4)),
            at(0.1, submit_as(1, hasty(5))),
            at(0.1, submit_as(1, Submission { priority: 9, ..hasty(6) })),
            at(0.2, holds(1, 2, 1)),
            at(0.2, holds(1, 3, 1)),
            at(5.7, nothing()),
        ],
        // Nobody can know in advance that its time will not be enough.
        [
            place(1, 1),
            answer(1, "value"),
            place(2, 1),
            place(3, 1),
            answer(5, "expired"),
            answer(6, "expired"),
        ],
    );
}

#[test]
fn a_job_expires() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submit_as(1, Submission { budget_ms: 2000, ..submission(1) })),
            at(0.1, holds(1, 1, 1)),
            at(2.4, nothing()),
            at(2.6, lets_go(1)),
        ],
        [place(1, 1), answer(1, "expired"), cancel(1, 1)],
    );
}

#[test]
fn the_first_answer_wins_even_one_of_an_older_attempt() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, lives(2, 1)),
            at(0.0, submitted(1)),
            at(0.1, came_back(2, 1, 1)),
            at(0.1, noted(1, true, &[])),
            at(0.2, started(2, 1, 2)),
            at(0.3, answered(1, 1, 1)),
            at(0.4, answered(2, 1, 2)),
        ],
        [place(1, 1), marked(1), place_alone(1, 2), answer(1, "value"), cancel(2, 1)],
    );
}

#[test]
fn an_answer_counts_only_from_a_worker_that_serves_the_function() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, serves(2, 1, &["echo@1"])),
        at(0.0, submitted(1)),
        at(0.1, answered(2, 1, 1)),
        at(0.1, answered(3, 1, 1)),
        at(0.1, ended(1, 1, 1, End::Answer(Answer::Busy))),
        at(0.1, ended(1, 1, 1, End::Answer(Answer::Poisoned { workers: vec![], crashes: vec![] }))),
    ]);
    assert_eq!(world.seen, [place(1, 1)]);
    assert_eq!(world.scheduler.counters().forged, 3);
    assert_eq!(world.scheduler.counters().running + world.scheduler.counters().placed, 1);
}

#[test]
fn a_user_cannot_send_for_the_worker_of_another() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(
            0.1,
            change(|world| {
                let attempt = Attempt { term: world.term, number: 1 };
                let end = End::Answer(Answer::Value(Bytes::new()));
                let ended = Ended { key: key(1), attempt, end, took_us: 1 };
                let answers = Answers { worker: worker(1), jobs: vec![ended] };
                world.feed(Event::Answers { user: user(7), answers });
                let beat = world.workers[&worker(1)].beat.clone();
                world.feed(Event::Beat { user: user(7), beat: WorkerBeat { seq: 99, ..beat } });
            }),
        ),
    ]);
    assert_eq!(world.seen, [place(1, 1)]);
    assert_eq!(world.scheduler.counters().forged, 2);
}
