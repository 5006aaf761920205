//! Cancels, clients that move and clients that are gone.

use super::*;
use crate::view::CancelledBy;

#[test]
fn a_waiting_job_is_cancelled() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.0, submitted(3)),
            at(0.1, cancelled(3)),
            at(0.2, answered(1, 1, 1)),
            at(0.2, answered(1, 2, 1)),
        ],
        [place(1, 1), place(2, 1), answer(1, "value"), answer(2, "value")],
    );
}

#[test]
fn a_running_job_is_cancelled_at_its_worker() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, holds(1, 1, 1)),
            at(1.5, cancelled(1)),
            at(1.6, lets_go(1)),
        ],
        [place(1, 1), cancel(1, 1)],
    );
}

#[test]
fn a_job_cancelled_in_a_queue_is_cancelled_at_the_worker_that_takes_it() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, cancelled(1)),
            at(0.2, holds(1, 1, 1)),
            at(2.5, lets_go(1)),
        ],
        [place(1, 1), cancel(1, 1)],
    );
}

#[test]
fn a_cancel_that_arrives_before_its_job_still_counts() {
    check(
        [at(0.0, lives(1, 1)), at(0.0, cancelled(1)), at(0.1, submitted(1))],
        [answer(1, "cancelled")],
    );
}

#[test]
fn a_user_cannot_cancel_the_job_of_another() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, event(Event::Cancelled { user: user(2), ids: ids(&[1]) })),
            at(0.2, answered(1, 1, 1)),
        ],
        [place(1, 1), answer(1, "value")],
    );
}

#[test]
fn a_cancel_by_an_operator_is_reported_to_the_caller() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, started_via(Via::Beats, 1, 1, 1)),
            at(0.2, event(Event::CancelJob(key(1)))),
            at(0.3, nothing()),
        ],
        [place(1, 1), answer(1, "cancelled"), cancel(1, 1)],
    );
}

#[test]
fn a_job_reported_cancelled_is_placed_again_if_still_wanted() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, started_via(Via::Beats, 1, 1, 1)),
            at(0.2, ended(1, 1, 1, End::Answer(Answer::Cancelled))),
        ],
        [place(1, 1), place(1, 2)],
    );
}

fn generations(world: &World) -> Vec<u32> {
    let delivered = world.effects.iter().filter_map(|effect| match effect {
        Effect::Deliver { to, .. } => Some(to.generation.0),
        _ => None,
    });
    delivered.collect()
}

fn submitted_on(generation: u32, job: u128) -> Step {
    let (client, generation) = (client(1), Generation(generation));
    let submit = Submit { client, generation, jobs: vec![submission(job)] };
    event(Event::Submitted { user: user(1), submit })
}

#[test]
fn the_answer_goes_to_the_newest_link() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted_on(1, 1)),
        at(0.1, submitted_on(2, 2)),
        at(0.2, submitted_on(1, 3)),
        at(0.5, answered(1, 1, 1)),
    ]);
    assert_eq!(generations(&world), [2]);
}

#[test]
fn a_client_whose_queue_is_gone_has_its_jobs_forgotten() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submitted(1)),
        at(0.0, submitted(2)),
        at(0.0, submitted(3)),
        at(0.1, started_via(Via::Beats, 1, 2, 1)),
        at(0.2, change(|world| world.deliveries = Outcome::Returned)),
        at(0.2, answered(1, 1, 1)),
        at(0.3, nothing()),
    ]);
    // Job 3 is placed and gone before anybody has it.
    let seen = [place(1, 1), place(2, 1), answer(1, "value"), place(3, 1)];
    assert_eq!(world.seen, [&seen[..], &[cancel(1, 2), cancel(1, 3)]].concat());
    let books = world.scheduler.counters();
    assert_eq!((books.under_way(), books.done, books.failed), (0, 1, 0));
    assert_eq!(books.cancelled_by, [(CancelledBy::ClientGone, 2)].into());
}

#[test]
fn a_client_that_returns_after_being_forgotten_starts_afresh() {
    check(
        [
            at(0.0, lives(1, 2)),
            at(0.0, submitted(1)),
            at(0.0, submitted(2)),
            at(0.2, change(|world| world.deliveries = Outcome::Returned)),
            at(0.2, answered(1, 1, 1)),
            at(0.3, change(|world| world.deliveries = Outcome::Confirmed)),
            at(0.4, submitted_on(2, 1)),
            at(0.4, submitted_on(2, 2)),
        ],
        [
            place(1, 1),
            place(2, 1),
            answer(1, "value"),
            cancel(1, 2),
            answer(1, "value"),
            place(2, 2),
        ],
    );
}

#[test]
fn an_answer_returned_on_an_older_link_is_ignored() {
    let world = play([
        at(0.0, lives(1, 2)),
        at(0.0, submitted_on(1, 1)),
        at(0.0, submitted_on(1, 2)),
        at(0.2, change(|world| world.deliveries = Outcome::Confirmed)),
        at(0.2, answered(1, 1, 1)),
        at(0.3, submitted_on(2, 2)),
        at(
            0.4,
            change(|world| {
                let token = world.effects.iter().rev().find_map(|effect| match effect {
                    Effect::Deliver { token, .. } => Some(*token),
                    _ => None,
                });
                let tokens = token.into_iter().collect();
                world.feed(Event::Settled { tokens, outcome: Outcome::Returned });
            }),
        ),
    ]);
    assert_eq!(world.scheduler.counters().under_way(), 1);
}

#[test]
fn an_answer_refused_by_a_full_queue_is_sent_again_on_request() {
    let deliveries = |outcome| change(move |world| world.deliveries = outcome);
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.0, submitted(1)),
            at(0.1, deliveries(Outcome::Refused)),
            at(0.2, answered(1, 1, 1)),
            at(5.0, deliveries(Outcome::Confirmed)),
            at(15.0, asked(1)),
        ],
        // Not sent again by itself, and not run again.
        [place(1, 1), answer(1, "value"), answer(1, "value")],
    );
}

#[test]
fn local_runs_are_counted_by_function_and_reason() {
    let report = |runs| {
        let reasons = BTreeMap::from([("not_served".to_owned(), runs)]);
        event(Event::Reported {
            user: user(1),
            report: simple_dist_protocol::message::Report {
                client: client(1),
                local: BTreeMap::from([("fib@1".to_owned(), reasons), ("<b>".into(), [].into())]),
            },
        })
    };
    let world = play([at(0.0, report(2)), at(0.0, report(3))]);
    let view = world.scheduler.view(world.now, world.now);
    let local: Vec<_> = view.functions.iter().map(|it| (&*it.name, it.local.clone())).collect();
    assert_eq!(local, [("fib@1", [("not_served".into(), 5)].into())]);
    assert_eq!(view.clients[0].local, 5);
    assert_eq!(view.stream.local.iter().map(|bar| bar.count).collect::<Vec<_>>(), [2, 3]);
}

fn probes(world: &World) -> usize {
    world.effects.iter().filter(|effect| matches!(effect, Effect::ProbeClient { .. })).count()
}

fn long(job: u128) -> Step {
    submit_as(1, Submission { budget_ms: 600_000, ..submission(job) })
}

#[test]
fn jobs_of_a_silent_client_without_a_queue_are_cancelled() {
    let world = play([
        at(0.0, change(|world| world.depths.0 = Some(1))),
        at(0.0, lives(1, 1)),
        at(0.0, holds(1, 1, 1)),
        at(0.0, long(1)),
        at(0.0, long(2)),
        at(0.0, long(3)),
        at(1.0, change(|world| world.deliveries = Outcome::Returned)),
        at(29.9, nothing()),
    ]);
    assert_eq!((world.scheduler.counters().under_way(), probes(&world)), (3, 0));
    let mut world = world;
    world.play([at(30.3, nothing())]);
    assert_eq!((world.scheduler.counters().under_way(), probes(&world)), (0, 1));
    assert_eq!(world.seen, [place(1, 1), place(2, 1), cancel(1, 1), cancel(1, 2)]);
}

#[test]
fn a_silent_client_with_a_queue_keeps_its_jobs() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, holds(1, 1, 1)),
        at(0.0, long(1)),
        at(61.0, nothing()),
    ]);
    assert_eq!((world.scheduler.counters().running, probes(&world)), (1, 7));
}

#[test]
fn a_client_that_is_heard_is_not_probed() {
    let mut world = play([at(0.0, lives(1, 1)), at(0.0, holds(1, 1, 1)), at(0.0, long(1))]);
    for quarter in 1..12 {
        world.play([at(f64::from(quarter) * 15.0, asked(1))]);
    }
    assert_eq!(probes(&world), 0);
}

#[test]
fn no_client_is_probed_while_our_presence_does_not_come_back() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.0, holds(1, 1, 1)),
        at(0.0, long(1)),
        at(1.0, echoes(false)),
        at(40.0, echoes(true)),
        at(69.0, nothing()),
    ]);
    assert_eq!(probes(&world), 0);
    world.play([at(72.0, nothing())]);
    assert_eq!(probes(&world), 1);
}

#[test]
fn http_callers_are_never_probed() {
    let submit = Submit { client: client(1), generation: Generation(0), jobs: vec![submission(1)] };
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, holds(1, 1, 1)),
        at(0.0, event(Event::Submitted { user: UserName::http(), submit })),
        at(50.0, nothing()),
    ]);
    assert_eq!(probes(&world), 0);
}
