//! Stories of calls that move to a new version of their function.

use super::*;
use crate::scheduler::Rollout;

/// A term of a scheduler with these promotions, that begins now.
fn promoting(promotions: &[&str]) -> World {
    let promotions = promotions.iter().map(|text| text.parse().unwrap()).collect();
    let rollout = Rollout::new(promotions, vec![]).unwrap();
    let mut world = World::new(Config { rollout, ..Config::new(US) });
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    world
}

/// A worker of each of these versions of `fib`, with room for many.
fn versions(versions: &[&'static [&'static str]]) -> Vec<TimedStep> {
    let workers = (1..).zip(versions);
    workers.map(|(number, function)| at(0.0, serves(number, 1000, function))).collect()
}

const FIB_1: &[&str] = &["fib@1"];
const FIB_2: &[&str] = &["fib@2"];
const FIB_3: &[&str] = &["fib@3"];

/// A call without a version.
fn unversioned(job: u128) -> Step {
    submit_as(1, Submission { function: "fib".into(), ..submission(job) })
}

/// Which version each job was placed as.
fn placed(world: &World) -> BTreeMap<u128, u32> {
    let placed = world.effects.iter().filter_map(|effect| match effect {
        Effect::Place { placement, .. } => {
            Some((number(placement.key.id), placement.function.version()))
        }
        _ => None,
    });
    placed.collect()
}

/// Of a hundred calls without a version, the share that each version was placed as.
fn shares(promotions: &[&str], of: &[&'static [&'static str]]) -> [usize; 3] {
    let mut world = promoting(promotions);
    world.go_to(OPEN);
    world.play(versions(of));
    world.play((1..=100).map(|job| at(0.1, unversioned(job))));
    let placed = placed(&world);
    [1, 2, 3].map(|version| placed.values().filter(|it| **it == version).count())
}

#[test]
fn calls_without_a_version_go_to_the_highest_unless_one_is_promoted() {
    let all = [FIB_1, FIB_2, FIB_3];
    assert_eq!(shares(&[], &all), [0, 0, 100]);
    assert_eq!(shares(&["primes@1"], &all), [0, 0, 100]);
    assert_eq!(shares(&["fib@2"], &all), [0, 100, 0]);
    assert_eq!(shares(&["fib@2:0%"], &all), [100, 0, 0]);
    let [one, two, three] = shares(&["fib@2:25%"], &all);
    assert!((10..40).contains(&two) && one + two == 100 && three == 0, "{one}, {two}, {three}");
}

#[test]
fn a_version_that_is_not_live_is_stood_in_for() {
    assert_eq!(shares(&["fib@2:25%"], &[FIB_1]), [100, 0, 0]);
    assert_eq!(shares(&["fib@2:25%"], &[FIB_2, FIB_3]), [0, 100, 0]);
    assert_eq!(shares(&["fib@2:25%"], &[FIB_3]), [0, 0, 100]);
    assert_eq!(shares(&["fib@3:100%"], &[FIB_1, FIB_2]), [0, 100, 0]);
}

#[test]
fn a_call_with_a_version_keeps_it() {
    let mut world = promoting(&["fib@2"]);
    world.go_to(OPEN);
    world.play(versions(&[FIB_1, FIB_2]));
    world.play((1..=20).map(|job| at(0.1, submitted(job))));
    assert!(placed(&world).values().all(|version| *version == 1));
}

#[test]
fn a_call_goes_the_same_way_in_the_next_term_and_if_it_waited() {
    let play = |waits: bool| {
        let mut world = promoting(&["fib@2:50%"]);
        if !waits {
            world.go_to(OPEN);
        }
        let story = versions(&[FIB_1, FIB_2]).into_iter().map(|step| step.step);
        let calls = (1..=40).map(unversioned);
        story.chain(calls).for_each(|step| step(&mut world));
        assert_eq!(placed(&world).is_empty(), waits);
        world.go_to(OPEN);
        placed(&world)
    };
    let direct = play(false);
    assert_eq!(direct.len(), 40);
    assert!(direct.values().any(|it| *it == 1) && direct.values().any(|it| *it == 2));
    assert_eq!(play(true), direct);
}

#[test]
fn the_view_says_which_share_each_version_gets() {
    let seen = |promotions: &[&str], of: &[&'static [&'static str]]| {
        let mut world = promoting(promotions);
        world.go_to(OPEN);
        world.play(versions(of));
        let view = world.scheduler.view(world.now, world.now);
        let share = |it: &crate::view::Function| (it.name.to_string(), it.unversioned);
        view.functions.iter().map(share).collect::<Vec<_>>()
    };
    let shares = |shares: &[(&str, f64)]| -> Vec<_> {
        shares.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect()
    };
    let all = [FIB_1, FIB_2];
    assert_eq!(seen(&[], &all), shares(&[("fib@1", 0.0), ("fib@2", 1.0)]));
    assert_eq!(seen(&["fib@2:25%"], &all), shares(&[("fib@1", 0.75), ("fib@2", 0.25)]));
    assert_eq!(seen(&["fib@2:25%"], &[FIB_2]), shares(&[("fib@2", 1.0)]));
}
