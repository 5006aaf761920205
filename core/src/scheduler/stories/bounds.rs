//! Every table is bounded, and no refusal is silent.

use simple_dist_protocol::limits::CLIENT_BYTES;
use simple_dist_protocol::message::{Delivery, Report};

use super::*;

/// Beats of a worker that claims to hold these jobs.
fn claims(number: u128, slots: u32, held: impl Fn() -> Vec<Held> + 'static) -> Step {
    change(move |world| {
        for seq in 1..=2 {
            let beat = WorkerBeat {
                worker: worker(number),
                seq,
                generation: Generation(1),
                host: String::new(),
                version: String::new(),
                functions: vec!["fib@1".parse().unwrap()],
                slots,
                state: WorkerState::Live,
                isolated: false,
                term: None,
                leaves: false,
                deterministic: vec![],
                load: None,
                memo: vec![],
                held: held(),
                round_trip_us: None,
                printed: vec![],
            };
            world.feed(Event::Beat { user: workers(), beat });
        }
    })
}

fn held(user: &str, job: u128) -> Held {
    Held {
        key: JobKey { user: user.parse().unwrap(), id: JobId::from_u128(job) },
        function: "fib@1".parse().unwrap(),
        attempt: Attempt { term: Term(9), number: 1 },
        slot: None,
        age_ms: 0,
    }
}

fn report(number: u128, names: impl IntoIterator<Item = String>, runs: u64) -> Step {
    let reasons = || BTreeMap::from([("not_served".to_owned(), runs)]);
    let local = names.into_iter().map(|name| (name, reasons())).collect();
    event(Event::Reported { user: user(1), report: Report { client: client(number), local } })
}

fn turned(world: &World) -> Vec<String> {
    let view = world.scheduler.view(world.now, world.now);
    view.turned_away.into_iter().map(|turned| turned.bound).collect()
}

#[test]
fn users_invented_by_a_worker_do_not_keep_others_out() {
    let invented = || (0..20_000).map(|n| held(&format!("u{n}"), n)).collect();
    let world = play([
        at(0.0, claims(9, 64, invented)),
        at(0.0, lives(1, 1)),
        at(0.0, submit_as(1, submission(1))),
    ]);
    assert_eq!(world.seen, [place(1, 1)]);
    assert_eq!(turned(&world), [""; 0]);
}

#[test]
fn idle_logins_make_room_for_others() {
    let refused = |n| submit_as(n, Submission { function: "Bad".into(), ..submission(1) });
    let many = (10..10_020).map(|n| at(0.0, refused(n)));
    let world = play(
        [at(0.0, lives(1, 1))]
            .into_iter()
            .chain(many)
            .chain([at(0.0, submit_as(20_000, submission(1)))]),
    );
    assert_eq!(world.seen.last(), Some(&place(1, 1)));
}

#[test]
fn a_login_over_the_limit_is_refused_with_a_reason() {
    let many = (10..10_011).map(|n| at(0.0, submit_as(n, submission(1))));
    let world = play([at(0.0, lives(1, 1))].into_iter().chain(many));
    assert_eq!(world.seen.last(), Some(&answer(1, "busy")));
    let bound = world.effects.iter().rev().find_map(|effect| match effect {
        Effect::Deliver { delivery: Delivery { body: Delivered::Answer(it), .. }, .. } => it.bound,
        _ => None,
    });
    assert_eq!(bound, Some(Bound::Logins));
    assert_eq!(turned(&world), ["logins"]);
}

#[test]
fn names_reported_by_clients_do_not_keep_functions_out() {
    let reports =
        (0..100).map(|nth| at(0.0, report(1, (0..64).map(|n| format!("x{}@1", nth * 64 + n)), 1)));
    let after = [
        at(0.0, report(1, ["mine@1".to_owned()], 1)),
        at(0.1, serves(1, 1, &["fib@1"])),
        at(0.1, submitted(1)),
    ];
    let world = play(reports.chain(after));
    assert_eq!(world.seen, [place(1, 1)]);
    let view = world.scheduler.view(world.now, world.now);
    assert!(view.functions.iter().any(|it| &*it.name == "mine@1" && it.local["not_served"] == 1));
    assert!(view.functions.len() <= 1026, "{}", view.functions.len());
}

#[test]
fn unserved_functions_do_not_keep_workers_out() {
    let asked = (0..2000).map(|n| {
        let marks = marks(true, &[]);
        let function = format!("x{n}@1");
        at(0.0, submit_as(1, Submission { function, marks, ..submission(100 + n) }))
    });
    let world = play(asked.chain([at(0.1, lives(1, 1)), at(0.1, submitted(1))]));
    assert_eq!(world.seen.last(), Some(&place(1, 1)));
    assert_eq!(world.scheduler.counters().refused_by["busy"], 2000 - 1024);
    assert_eq!(turned(&world), ["functions"]);
}

#[test]
fn a_worker_that_claims_to_hold_what_it_cannot_is_refused_at_every_beat() {
    let many = || (0..150_000).map(|n| held("guest", n)).collect();
    let world = play([at(0.0, claims(9, 1024, many))]);
    let refused = Seen::Refused { worker: 9, bound: Bound::Held };
    assert_eq!(world.seen, [refused.clone(), refused]);
    assert_eq!(turned(&world), ["held"]);
}

#[test]
fn the_jobs_held_by_all_workers_are_bounded() {
    let many = |from: u128| move || (from..from + 60_000).map(|n| held("guest", n)).collect();
    let claims = (1..=6).map(|number| at(0.0, claims(number, 1024, many(number * 100_000))));
    let world = play(claims);
    let refused = world.seen.iter().filter(|seen| matches!(seen, Seen::Refused { .. })).count();
    assert_eq!(refused, 4, "the fifth and the sixth, at each beat");
}

/// A job with an answer of 8 MiB.
fn large(job: u128) -> [TimedStep; 2] {
    let value = End::Answer(Answer::Value(vec![0; 8 << 20].into()));
    [at(0.0, submitted(job)), at(0.0, ended(1, job, 1, value))]
}

fn answers(world: &World) -> usize {
    world.seen.iter().filter(|seen| matches!(seen, Seen::Answered { .. })).count()
}

#[test]
fn a_client_that_does_not_read_gets_no_more_answers() {
    let story = [at(0.0, lives(1, 1))].into_iter().chain((1..=4).flat_map(large));
    let mut world = play(story);
    assert_eq!(answers(&world), 4);
    world.play([at(0.1, change(|world| world.reads = false))]);
    world.play((0..100).map(|n| at(1.0, submitted(1 + n % 4))));
    let told = (CLIENT_BYTES as usize - 1) / (8 << 20);
    assert_eq!(answers(&world), 4 + told);
    assert_eq!(turned(&world), ["deliveries"]);
    // What was on its way arrives, and the client asks again.
    world.play([at(
        2.0,
        change(|world| {
            world.reads = true;
            let tokens = world.effects.iter().filter_map(|effect| match effect {
                Effect::Deliver { token, .. } => Some(*token),
                _ => None,
            });
            let tokens = tokens.collect();
            world.feed(Event::Settled { tokens, outcome: Outcome::Confirmed });
        }),
    )]);
    world.play([at(3.0, asked(2))]);
    assert_eq!(answers(&world), 5 + told);
}

#[test]
fn a_job_named_twice_in_one_query_is_answered_once() {
    let often = event(Event::Asked { user: user(1), ids: ids(&[1; 256]) });
    let story = [at(0.0, lives(1, 1))].into_iter().chain(large(1)).chain([at(0.5, often)]);
    assert_eq!(answers(&play(story)), 2);
}

#[test]
fn the_first_of_two_listed_jobs_with_one_id_counts() {
    let other = Submission { args: Bytes::from_static(b"\x15"), ..submission(1) };
    let submit =
        Submit { client: client(1), generation: Generation(1), jobs: vec![submission(1), other] };
    let world =
        play([at(0.0, lives(1, 2)), at(0.0, event(Event::Submitted { user: user(1), submit }))]);
    let args = world.effects.iter().filter_map(|effect| match effect {
        Effect::Place { placement, .. } => Some(placement.args.clone()),
        _ => None,
    });
    assert_eq!(args.collect::<Vec<_>>(), [submission(1).args]);
}

#[test]
fn local_run_reports_are_limited_to_a_plausible_rate() {
    let world = play([
        at(0.0, report(1, ["fib@1".to_owned()], 480_000_000_000_000_000)),
        at(5.0, report(1, ["fib@1".to_owned()], u64::MAX)),
        at(10.0, report(2, ["fib@1".to_owned()], 7)),
    ]);
    let view = world.scheduler.view(world.now, world.now);
    // A million a second: of a minute, then of five seconds.
    assert_eq!(view.functions[0].local["not_served"], 65_000_007);
    assert_eq!(turned(&world), ["runs"]);
}
