//! Random schedules of faults on virtual time, with the real scheduler: two distributors, three
//! workers, two clients and a broker that restarts, loses messages and is cut off on one side.
//!
//! `SIMULATION_SEEDS=100000` runs more of them, `SIMULATION_SEED=4711` runs one and prints what
//! happened in it.

#![expect(clippy::unwrap_used, reason = "a simulation that cannot go on has failed")]

mod broker;
mod client;
mod worker;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use simple_dist_protocol::JobId;

use client::Ended;
use world::{Cut, DISTRIBUTORS, Fault, WORKERS, What, Who, World};

/// Faults happen before, and all is whole after.
const WHOLE: Duration = Duration::from_secs(40);
/// What is not over then is stuck: the last freeze, the heartbeats after it, a new term, three
/// seconds of silence, and three seconds more for each of three attempts.
const OVER: Duration = Duration::from_secs(110);
/// The calls of one schedule.
const JOBS: u64 = 50;
/// The time of calls that are to end by themselves.
const PATIENT: Duration = Duration::from_secs(600);

#[test]
fn every_call_ends_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let only = number("SIMULATION_SEED");
    let seeds = match only {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_SEEDS").unwrap_or(500),
    };
    let mut innocents = 0;
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| play(seed, only.is_some()));
        match outcome {
            Ok(poisoned) => innocents += poisoned,
            Err(_) => panic!("seed {seed} failed: SIMULATION_SEED={seed} shows what happened"),
        }
    }
    assert!(innocents <= 1 + count / 1000, "{innocents} innocent jobs poisoned in {count} runs");
}

/// Plays one schedule; how many innocent jobs it poisoned.
fn play(seed: u64, show: bool) -> u64 {
    let mut world = World::new(seed);
    world.trace = show.then(Vec::new);
    let jobs = schedule(&mut world);
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.run(OVER);
        verdict(&mut world, &jobs)
    }));
    for line in world.trace.iter().flatten() {
        show_line(line);
    }
    checked.unwrap_or_else(|problem| std::panic::resume_unwind(problem))
}

#[expect(clippy::print_stderr, reason = "a failed seed is shown to whoever looks into it")]
fn show_line(line: &str) {
    eprintln!("{line}");
}

/// What the callers want, and what goes wrong meanwhile.
fn schedule(world: &mut World) -> Vec<JobId> {
    let mut jobs = vec![];
    // Some come alone, some in crowds that fill the pool's queue.
    let crowds: Vec<Duration> = (0..3).map(|_| world.millis(2000, 34_000)).collect();
    for number in 0..JOBS {
        let job = JobId::from_u128(number.into());
        let began = match world.random(2) {
            0 => world.millis(0, 35_000),
            _ => crowds[usize::try_from(world.random(3)).unwrap()],
        };
        let client = usize::from(world.random(2) == 0);
        let hasty = world.random(6) == 0;
        let time = if hasty { world.millis(200, 8000) } else { PATIENT };
        world.at(began, What::Call { client, job, time });
        if world.random(10) == 0 {
            let after = world.millis(1, 4000);
            world.at(began + after, What::Cancel { client, job });
        }
        jobs.push(job);
    }
    if world.random(2) == 0 {
        let victim = usize::try_from(world.random(JOBS)).unwrap();
        world.killers.push(jobs[victim]);
    }
    for _ in 0..world.random(11) {
        // Half of the faults hit a crowd.
        let time = match world.random(2) {
            0 => world.millis(3000, 34_000),
            _ => crowds[usize::try_from(world.random(3)).unwrap()] + world.millis(5, 500),
        };
        let fault = fault(world);
        world.at(time, What::Fault(fault));
    }
    jobs
}

fn fault(world: &mut World) -> Fault {
    let distributor = Who::Distributor(usize::try_from(world.random(DISTRIBUTORS as u64)).unwrap());
    let worker = Who::Worker(usize::try_from(world.random(WORKERS as u64)).unwrap());
    let client = Who::Client(usize::from(world.random(2) == 0));
    let cut = [Cut::Both, Cut::Broker, Cut::Process][usize::try_from(world.random(3)).unwrap()];
    match world.random(10) {
        0 => Fault::Kill(distributor),
        1 => Fault::Kill(worker),
        2 => Fault::Cut(distributor, cut),
        3 | 4 => Fault::Cut(worker, cut),
        5 => Fault::Cut(client, cut),
        6 => Fault::Restart { keeps_messages: world.random(2) == 0, down: world.millis(1, 3000) },
        7 => Fault::LosePresence(world.millis(500, 5000)),
        8 => Fault::Purge,
        _ => {
            let who = if world.random(2) == 0 { distributor } else { worker };
            Fault::Freeze(who, world.millis(500, 15_000).min(WHOLE - world.now))
        }
    }
}

/// The promises.
fn verdict(world: &mut World, jobs: &[JobId]) -> u64 {
    let mut innocents = 0;
    for job in jobs {
        let ends: Vec<_> =
            world.clients.iter().filter_map(|client| client.ended.get(job)).flatten().collect();
        assert_eq!(ends.len(), 1, "{job} ends once: {ends:?}");
        let (at, ended, marks) = ends[0];
        let killer = world.killers.contains(job);
        let runs = world.runs.get(job).map_or(&[][..], Vec::as_slice);
        let runs = runs.iter().filter(|run| *run <= at).count();
        let changes = world.terms.len();
        assert!(runs <= 3 + changes, "{job} ran {runs} times in {changes} terms");
        match ended {
            Ended::Value => assert!(!killer, "{job} kills whoever runs it"),
            Ended::Poisoned if !killer => innocents += 1,
            Ended::Local if killer => {
                assert!(marks.strikes.is_empty(), "{job} is run here after a strike: {marks:?}");
            }
            Ended::Poisoned | Ended::Local | Ended::Timeout | Ended::Cancelled => {}
        }
    }
    let outstanding: BTreeSet<_> =
        world.clients.iter().flat_map(|client| client.calls.keys()).collect();
    assert!(outstanding.is_empty(), "stuck: {outstanding:?}");
    let leading: Vec<_> =
        world.ledgers.iter().filter(|scheduler| scheduler.term().is_some()).collect();
    assert_eq!(leading.len(), 1, "one distributor leads");
    let books = leading[0].books();
    assert_eq!(books.under_way(), 0, "nothing leaks: {:?}", leading[0].jobs(9, world.now));
    let pools = leading[0].view(world.now, world.now).pools;
    assert!(pools.iter().all(|pool| pool.abandoned == 0), "room is lost for ever: {pools:?}");
    for worker in &world.workers {
        assert!(worker.in_hand.is_empty(), "a worker still holds {:?}", worker.in_hand);
    }
    innocents
}
