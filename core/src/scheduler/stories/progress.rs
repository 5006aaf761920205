//! How far jobs are: shown to people, and told to callers that asked for it.

use simple_dist_protocol::message::{Progress, Progressed, ProgressedJob};

use super::*;
use crate::view::Job;

/// A worker's login says how far an attempt is.
fn progressed_by(login: UserName, number: u128, job: u128, attempt: u32, fraction: f32) -> Step {
    change(move |world| {
        let attempt = Attempt { term: world.term, number: attempt };
        let progress = Progress { fraction, text: "row 4".to_owned() };
        let jobs = vec![ProgressedJob { key: key(job), attempt, progress }];
        let progressed = Progressed { worker: worker(number), jobs };
        world.feed(Event::Progress { user: login.clone(), progressed });
    })
}

fn progressed(number: u128, job: u128, attempt: u32, fraction: f32) -> Step {
    progressed_by(workers(), number, job, attempt, fraction)
}

/// Its caller wants to hear how far it is.
fn submitted_listening(job: u128) -> Step {
    submit_as(1, Submission { progress: true, ..submission(job) })
}

fn told(job: u128, fraction: f32) -> Seen {
    Seen::Progress { job, fraction }
}

/// What the page shows of an unfinished job.
fn shown(world: &World, job: u128) -> Option<f32> {
    let found = world.scheduler.find(JobId::from_u128(job), world.now, world.now);
    let Some(Job::UnderWay(job)) = found.into_iter().next() else { return None };
    job.progress.map(|progress| progress.fraction)
}

const PLACED: Seen = Seen::Placed { job: 1, attempt: 1, alone: false };

#[test]
fn who_listens_is_told_what_everybody_sees() {
    let mut world = play([at(0.0, lives(1, 2)), at(0.1, submitted_listening(1))]);
    world.play([at(0.1, submitted(2)), at(0.2, progressed(1, 1, 1, 0.25))]);
    world.play([at(0.2, progressed(1, 2, 1, 0.75))]);
    assert_eq!((shown(&world, 1), shown(&world, 2)), (Some(0.25), Some(0.75)));
    assert_eq!(world.seen[2..], [told(1, 0.25)]);
    let held = |world: &World| -> Vec<_> {
        let view = world.view();
        view.workers[0].held.iter().filter_map(|job| job.progress.clone()).collect()
    };
    world.play([at(0.3, started_via(Via::Beats, 1, 1, 1))]);
    assert_eq!(held(&world)[0].text, "row 4");
    world.play([at(0.4, answered(1, 1, 1)), at(0.5, progressed(1, 1, 1, 1.0))]);
    assert_eq!((shown(&world, 1), held(&world).len()), (None, 0), "it has ended");
    assert_eq!(world.seen[3..], [Seen::Answered { job: 1, kind: "value" }]);
}

#[test]
fn what_no_function_says_is_put_right() {
    check(
        [
            at(0.0, lives(1, 1)),
            at(0.1, submitted_listening(1)),
            at(0.2, progressed(1, 1, 1, f32::NAN)),
            at(0.3, progressed(1, 1, 1, f32::INFINITY)),
        ],
        [PLACED, told(1, 0.0), told(1, 1.0)],
    );
}

#[test]
fn only_the_worker_that_may_run_an_attempt_says_how_far_it_is() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, serves(3, 1, &["primes@1"])),
        at(0.1, submitted_listening(1)),
        at(0.2, started(1, 1, 1)),
        at(0.2, lives(2, 1)),
        at(0.3, progressed_by(user(1), 1, 1, 1, 0.1)),
        at(0.3, progressed(2, 1, 1, 0.2)),
        at(0.3, progressed(3, 1, 1, 0.3)),
        at(0.3, progressed(4, 1, 1, 0.4)),
        at(0.3, progressed(1, 1, 2, 0.5)),
    ]);
    assert_eq!((world.seen.as_slice(), shown(&world, 1)), (&[PLACED][..], None));
}

#[test]
fn an_attempt_that_came_back_was_not_so_far() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.1, submitted(1)),
        at(0.2, progressed(1, 1, 1, 0.5)),
        at(0.3, handed_back(1, 1, 1)),
    ]);
    assert_eq!(shown(&world, 1), None);
    world.play([at(0.4, progressed(1, 1, 2, 0.1))]);
    assert_eq!(shown(&world, 1), Some(0.1));
}

#[test]
fn a_client_that_takes_nothing_is_told_nothing() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.1, submitted_listening(1)),
        at(0.2, change(|world| world.reads = false)),
    ]);
    for _ in 0..20_000 {
        world.play([at(0.3, progressed(1, 1, 1, 0.5))]);
    }
    let sent = world.seen.len();
    assert!((1000..10_000).contains(&sent), "{sent}");
}

#[test]
fn a_silent_client_is_told_nothing() {
    let mut world = play([at(0.0, lives(1, 1)), at(0.1, submitted_listening(1))]);
    world.play([at(0.2, holds(1, 1, 1)), at(29.0, progressed(1, 1, 1, 0.1))]);
    world.play([at(31.0, progressed(1, 1, 1, 0.2))]);
    world.play([at(31.5, asked(1)), at(31.6, progressed(1, 1, 1, 0.3))]);
    assert_eq!(world.seen, [PLACED, told(1, 0.1), told(1, 0.3)]);
}
