//! Fair shares: logins take turns, and the clients of each login.

use super::*;

/// Jobs of one client.
fn submit_on(from: u32, number: u128, jobs: impl IntoIterator<Item = u128>) -> Step {
    event(Event::Submitted {
        user: user(from),
        submit: Submit {
            client: client(number),
            generation: Generation(1),
            jobs: jobs.into_iter().map(submission).collect(),
        },
    })
}

/// What is placed, job by job, when one slot serves so many.
fn served(world: &mut World, count: usize) -> Vec<u128> {
    let mut order = vec![];
    for _ in 0..count {
        let placed = world.seen.iter().filter_map(|seen| match seen {
            Seen::Placed { job, .. } => Some(*job),
            _ => None,
        });
        let placed: Vec<u128> = placed.collect();
        let next = placed[order.len()];
        order.push(next);
        // Its caller does not matter here, but its login does.
        let from = if next < 10_000 { 1 } else { 2 };
        let attempt = Attempt { term: world.term, number: 1 };
        let key = JobKey { user: user(from), id: JobId::from_u128(next) };
        let end = End::Answer(Answer::Value(Bytes::new()));
        let jobs = vec![Ended { key, attempt, end, took_us: 50_000 }];
        world
            .feed(Event::Answers { user: workers(), answers: Answers { worker: worker(1), jobs } });
    }
    order
}

#[test]
fn a_client_with_one_job_does_not_wait_for_anothers_thousand() {
    let mut world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submit_on(1, 1, 1..=1000)),
        at(0.1, submit_on(1, 2, [5000])),
    ]);
    let order = served(&mut world, 6);
    let place = order.iter().position(|job| *job == 5000);
    // A job runs and one lies behind it.
    assert!(place.is_some_and(|place| place <= 3), "{order:?}");
}

#[test]
fn a_login_with_ten_clients_gets_no_more_than_one_with_one() {
    let ten = (1..=10).map(|number| at(0.0, submit_on(1, number, number * 100..number * 100 + 50)));
    let story = [at(0.0, lives(1, 1))].into_iter().chain(ten);
    let mut world = play(story.chain([at(0.0, submit_on(2, 11, 10_000..10_100))]));
    let order = served(&mut world, 102);
    let of_two = order[2..].iter().filter(|job| **job >= 10_000).count();
    assert!((49..=51).contains(&of_two), "{of_two}");
    // Within the login its clients take turns.
    let mut counts = BTreeMap::<u128, usize>::new();
    order[2..].iter().filter(|job| **job < 10_000).for_each(|job| {
        *counts.entry(job / 100).or_default() += 1;
    });
    assert_eq!(counts.len(), 10);
    assert!(counts.values().all(|count| (4..=7).contains(count)), "{counts:?}");
}

#[test]
fn an_idle_user_accumulates_no_credit() {
    let mut world = play([at(0.0, lives(1, 1)), at(0.0, submit_on(1, 1, 1..=1000))]);
    served(&mut world, 100);
    world.play([at(1.0, submit_on(1, 2, 5000..5100))]);
    let before = 100;
    let order = served_after(&mut world, before, 42);
    let of_two = order[2..].iter().filter(|job| **job >= 5000).count();
    assert!((19..=21).contains(&of_two), "{order:?}");
}

/// The same, for a stage on which so many were served before.
fn served_after(world: &mut World, before: usize, count: usize) -> Vec<u128> {
    let mut placed = world.seen.iter().filter_map(|seen| match seen {
        Seen::Placed { job, .. } => Some(*job),
        _ => None,
    });
    let _served: Vec<u128> = placed.by_ref().take(before).collect();
    let rest: Vec<Seen> = placed.map(|job| place(job, 1)).collect();
    world.seen = rest;
    served(world, count)
}

#[test]
fn a_waiting_job_taken_over_by_another_client_keeps_its_place() {
    let world = play([
        at(0.0, lives(1, 1)),
        at(0.0, submit_on(1, 1, 1..=4)),
        at(0.1, submit_on(1, 2, [4])),
        at(0.2, answered(1, 1, 1)),
        at(0.3, answered(1, 2, 1)),
    ]);
    assert_eq!(world.scheduler.counters().queued, 0);
    let placed = world.seen.iter().filter(|seen| matches!(seen, Seen::Placed { .. })).count();
    assert_eq!(placed, 4);
}
