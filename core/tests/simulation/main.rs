//! One simulation of everything that decides: the real scheduler, worker and caller in virtual
//! time, with a broker, links and processes that fail in all the ways that real ones do.
//!
//! ```text
//!  script (from the seed) --> world: processes, links, broker --> judge: the promises
//!                               shells around the real machines
//! ```
//!
//! | run | with |
//! |---|---|
//! | 1,000 seeds | `cargo test -p simple-dist-core --test simulation` |
//! | any number of them | `SIMULATION_SEEDS=100000 cargo test --release -p simple-dist-core --test simulation` |
//! | starting at another one | `SIMULATION_FIRST=4711`, beside that |
//! | one of them, printed step by step | `SIMULATION_SEED=4711` |
//! | a failed one as it is, without shortening it | `SIMULATION_TRIES=0` |
//!
//! A failing seed is shortened, by leaving out faults and calls as long as it still fails, and
//! printed with what is left and its last steps. Once fixed, it goes into `seeds.txt`, together
//! with the few seeds that notice a disabled rule: those always run first.
//! `core/tests/simulation/mutants` disables rules and expects failures.

#![expect(clippy::unwrap_used, reason = "a simulation that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "a failed seed is shown to whoever looks into it")]

mod broker;
mod judge;
mod publisher;
mod random;
mod script;
mod shells;
mod shorten;
mod world;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use judge::Judge;
use script::Script;
use world::World;

/// How often a failing script is replayed, at most, to shorten it.
const TRIES: u64 = 400;
/// The default number of seeds.
const SEEDS: u64 = 1000;

#[test]
fn the_guarantees_hold_under_any_faults() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SIMULATION_SEED") {
        return show(seed);
    }
    let first = number("SIMULATION_FIRST").unwrap_or(0);
    let tries = number("SIMULATION_TRIES").unwrap_or(TRIES);
    let kept =
        include_str!("seeds.txt").lines().filter_map(|line| line.split(' ').next()?.parse().ok());
    let kept: Vec<u64> = kept.collect();
    let count = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let seed = |place: u64| match kept.get(place as usize) {
        Some(seed) => *seed,
        None => first + place - kept.len() as u64,
    };
    let next = AtomicU64::new(0);
    let (innocents, taken_back) = (AtomicU32::new(0), AtomicU32::new(0));
    let [hedged, moved, remembered, tried] = [(); 4].map(|()| AtomicU64::new(0));
    let [checked, quarantined] = [(); 2].map(|()| AtomicU64::new(0));
    let failed: Mutex<Option<u64>> = Mutex::new(None);
    // A machine that panics has failed like any other; its seed is replayed for the report.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= kept.len() as u64 + count || failed.lock().unwrap().is_some() {
                        return;
                    }
                    let seed = seed(place);
                    match play(Script::new(seed), false) {
                        Ok(judge) => {
                            innocents.fetch_add(judge.innocents, Ordering::Relaxed);
                            taken_back.fetch_add(judge.taken_back, Ordering::Relaxed);
                            hedged.fetch_add(judge.hedged, Ordering::Relaxed);
                            moved.fetch_add(judge.moved, Ordering::Relaxed);
                            remembered.fetch_add(judge.remembered, Ordering::Relaxed);
                            tried.fetch_add(judge.tried, Ordering::Relaxed);
                            checked.fetch_add(judge.checked, Ordering::Relaxed);
                            quarantined.fetch_add(judge.quarantined, Ordering::Relaxed);
                        }
                        Err(_) => _ = failed.lock().unwrap().get_or_insert(seed),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let told = failed.map(|seed| shorten::shortened(seed, tries as usize));
    std::panic::set_hook(hook);
    if let (Some(told), Some(seed)) = (told, failed) {
        eprintln!("{told}");
        panic!("seed {seed} failed: SIMULATION_SEED={seed} tells what happened");
    }
    let (innocents, taken_back) = (innocents.into_inner(), taken_back.into_inner());
    let [hedged, moved, remembered, tried] =
        [hedged, moved, remembered, tried].map(AtomicU64::into_inner);
    let [checked, quarantined] = [checked, quarantined].map(AtomicU64::into_inner);
    eprintln!(
        "{count} seeds played, {innocents} innocent jobs poisoned, {taken_back} taken back, \
         {hedged} hedged, {moved} moved, {remembered} remembered, {tried} tried, {checked} checked, \
         {quarantined} workers in quarantine"
    );
    assert!(u64::from(taken_back) >= count / 10, "callers took {taken_back} jobs back");
    assert!(u64::from(innocents) <= 1 + count / 100, "{innocents} innocent jobs were poisoned");
    assert!(hedged >= count, "only {hedged} jobs were hedged");
    assert!(moved >= count / 20, "only {moved} jobs were moved");
    assert!(remembered >= count, "only {remembered} jobs were answered from the memo");
    assert!(tried >= count, "only {tried} calls also ran for nobody");
    assert!(checked >= count, "only {checked} calls were checked");
}

#[test]
fn a_seed_is_reproducible() {
    for seed in 0..3 {
        let mut script = Script::new(seed);
        script.actions.truncate(60);
        let [one, other] = [script.clone(), script].map(|script| {
            let mut world = World::new(script);
            world.judge.steps = Some(VecDeque::new());
            world.run();
            world.judge.steps.unwrap()
        });
        let differs = one.iter().zip(&other).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
    }
}

/// Plays a script: returns its record, or what broke after which steps.
fn play(script: Script, tells: bool) -> Result<Judge, (String, Vec<String>)> {
    let mut world = World::new(script);
    world.judge.steps = tells.then(VecDeque::new);
    let played = catch_unwind(AssertUnwindSafe(|| world.run()));
    let panicked = played.err().map(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
    });
    match panicked.or(world.judge.broken.take()) {
        None => Ok(world.judge),
        Some(broken) => Err((broken, world.judge.steps.into_iter().flatten().collect())),
    }
}

/// Plays one seed and prints its steps.
fn show(seed: u64) {
    let script = Script::new(seed);
    eprintln!("{script:#?}");
    let mut world = World::new(script);
    world.judge.is_loud = true;
    world.run();
    assert_eq!(world.judge.broken, None);
}
