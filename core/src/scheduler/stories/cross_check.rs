//! Answers that differ: what becomes of the worker, and of the function.

use super::trials::{declares, play_checked, says, submitted_of, trial};
use super::*;

/// Calls, each of which workers run one after another.
struct Calls {
    world: World,
    job: u128,
    trials: u64,
}

impl Calls {
    fn of(workers: u128) -> Self {
        let story = (1..=workers).map(|number| at(0.0, declares(number, 1)));
        Self { world: play_checked(1000, story), job: 0, trials: 0 }
    }

    /// A call that these workers run, each with this value.
    fn run(&mut self, runs: &[(u128, &'static [u8])]) {
        self.job += 1;
        let now = (self.world.now - OPEN).as_secs_f64();
        let (first, value) = runs[0];
        let answer = End::Answer(Answer::Value(Bytes::from_static(value)));
        let story = [at(now, submitted_of(self.job)), at(now, ended(first, self.job, 1, answer))];
        self.world.play(story);
        for (number, value) in &runs[1..] {
            self.trials += 1;
            self.world.play([at(now, says(*number, self.trials, value))]);
        }
        assert_eq!(self.world.scheduler.counters().trials, self.trials, "{:?}", self.world.seen);
        assert_eq!(self.world.scheduler.counters().trials_skipped, 0);
    }

    fn counts(&self) -> [u64; 4] {
        let counters = self.world.scheduler.counters();
        [counters.checks, counters.checks_differed, counters.quarantined, counters.refuted]
    }

    /// Whether this worker is in quarantine, and what it goes on for if not.
    fn outvoted(&self, number: u128) -> Option<(u32, Option<String>)> {
        let view = self.world.scheduler.view(self.world.now, Duration::ZERO);
        let worker = view.workers.into_iter().find(|it| it.id == worker(number)).unwrap();
        let is_out = worker.state == crate::view::WorkerState::Quarantined;
        let outvoted = worker.outvoted?;
        assert_eq!(is_out, outvoted.serves_alone.is_none());
        Some((outvoted.calls, outvoted.serves_alone.map(|alone| alone.to_string())))
    }
}

const RIGHT: &[u8] = b"\x01";
const WRONG: &[u8] = b"\x02";
const OTHER: &[u8] = b"\x03";

/// The third worker is wrong, and the others say so.
const AGAINST_3: [(u128, &[u8]); 3] = [(1, RIGHT), (3, WRONG), (2, RIGHT)];

#[test]
fn a_worker_that_all_others_contradict_gets_no_more_jobs() {
    let mut calls = Calls::of(10);
    for _ in 0..2 {
        calls.run(&AGAINST_3);
    }
    assert_eq!(calls.outvoted(3), None);
    // It ran first: two agree against it.
    calls.run(&[(3, WRONG), (1, RIGHT), (2, RIGHT)]);
    assert_eq!(calls.counts(), [3, 3, 1, 0]);
    assert_eq!(calls.outvoted(3), Some((3, None)));
    assert_eq!(calls.world.seen.last(), Some(&Seen::Drain { worker: 3 }));
    // It has drained, and takes jobs again by itself.
    for state in [WorkerState::Draining, WorkerState::Live] {
        calls.world.workers.get_mut(&worker(3)).unwrap().beat.state = state;
        calls.world.seen.clear();
        calls.world.beat(worker(3));
    }
    assert_eq!(calls.world.seen, [Seen::Drain { worker: 3 }]);
    assert_eq!(calls.outvoted(3), Some((3, None)));
}

#[test]
fn an_operator_resumes_it_and_it_begins_anew() {
    let mut calls = Calls::of(10);
    (0..3).for_each(|_| calls.run(&AGAINST_3));
    calls.world.feed(Event::Resume(worker(3)));
    assert_eq!(calls.outvoted(3), None);
    assert_eq!(calls.world.seen.last(), Some(&Seen::Resume { worker: 3 }));
    (0..2).for_each(|_| calls.run(&AGAINST_3));
    assert_eq!(calls.outvoted(3), None);
}

#[test]
fn the_fewer_workers_there_are_the_more_it_takes() {
    let mut calls = Calls::of(3);
    (0..5).for_each(|_| calls.run(&AGAINST_3));
    assert_eq!(calls.outvoted(3), None, "by chance, one time in 81");
    calls.run(&AGAINST_3);
    assert_eq!(calls.outvoted(3), Some((6, None)));
}

#[test]
fn between_two_workers_nothing_is_decided_unless_one_contradicts_itself() {
    let mut calls = Calls::of(2);
    let runs = [(1, RIGHT), (2, WRONG), (1, RIGHT), (2, WRONG), (1, RIGHT)];
    (0..9).for_each(|_| calls.run(&runs));
    assert_eq!((calls.counts(), calls.outvoted(1), calls.outvoted(2)), ([9, 9, 0, 0], None, None));
    (0..8).for_each(|_| calls.run(&[(1, RIGHT), (2, WRONG), (1, RIGHT), (2, RIGHT)]));
    assert_eq!(calls.outvoted(2), Some((8, None)));
}

#[test]
fn a_function_that_differs_on_several_workers_is_not_deterministic() {
    let mut calls = Calls::of(10);
    (0..2).for_each(|_| calls.run(&AGAINST_3));
    calls.run(&[(1, RIGHT), (2, WRONG), (4, RIGHT)]);
    assert_eq!((calls.counts(), calls.outvoted(3)), ([3, 3, 0, 1], None));
    // It is not checked any more, and calls share no runs.
    let function = "fib@1".parse().unwrap();
    assert_eq!(calls.world.scheduler.purity(JobId::from_u128(1), &function, b"1"), None);
    calls.run(&[(1, RIGHT)]);
}

#[test]
fn a_function_of_which_each_run_differs_is_not_deterministic() {
    let mut calls = Calls::of(3);
    calls.run(&[(1, RIGHT), (2, WRONG), (3, OTHER)]);
    assert_eq!(calls.counts(), [1, 1, 0, 1]);
    let view = calls.world.scheduler.view(calls.world.now, Duration::ZERO);
    let difference = &view.differences[0];
    let said: Vec<_> = difference.answers.iter().map(|it| (it.bytes, it.preview.clone())).collect();
    assert_eq!((difference.refutes, said), (true, vec![(1, None); 3]));
    assert!(view.functions.iter().all(|function| function.refuted));
}

#[test]
fn when_its_workers_have_gone_a_function_is_what_the_next_declare() {
    let mut calls = Calls::of(3);
    calls.run(&[(1, RIGHT), (2, WRONG), (3, OTHER)]);
    let function = "fib@1".parse().unwrap();
    calls.world.play([at(1.0, leaves(1)), at(1.0, leaves(2)), at(1.0, leaves(3))]);
    calls.world.play([at(2.0, declares(4, 1))]);
    assert!(calls.world.scheduler.purity(JobId::from_u128(1), &function, b"1").is_some());
}

#[test]
fn the_last_worker_of_a_function_goes_on_and_that_is_said() {
    let mut calls = Calls::of(10);
    let own = |number| {
        let declared = vec!["fib@1".parse().unwrap()];
        declaring(number, 1, (&["fib@1", "own@1"], false), (declared, vec![]))
    };
    calls.world.play([at(0.0, own(11))]);
    // It is alone in its pool, and so the third run comes to it again.
    let against_11 = [(11, WRONG), (1, RIGHT), (11, RIGHT)];
    (0..3).for_each(|_| calls.run(&against_11));
    assert_eq!((calls.outvoted(11), calls.counts()[2]), (Some((3, Some("own@1".into()))), 0));
    calls.world.play([at(1.0, own(12))]);
    calls.run(&against_11);
    assert_eq!((calls.outvoted(11), calls.counts()[2]), (Some((4, None)), 1));
}

#[test]
fn what_a_worker_in_quarantine_has_said_is_not_kept() {
    let memo = || vec![Memo { function: "fib@1".parse().unwrap(), ttl_ms: 60_000, bytes: 1 << 20 }];
    let of = |number| {
        declaring(number, 1, (&["fib@1"], false), (vec!["fib@1".parse().unwrap()], memo()))
    };
    let mut calls = Calls::of(0);
    calls.world.play((1..=10).map(|number| at(0.0, of(number))));
    (0..3).for_each(|_| calls.run(&[(3, WRONG), (1, RIGHT), (2, RIGHT)]));
    assert_eq!(calls.outvoted(3), Some((3, None)));
    let view = calls.world.scheduler.view(calls.world.now, Duration::ZERO);
    assert_eq!(view.memo.answers, 0);
}

#[test]
fn a_function_in_doubt_is_checked_more_often() {
    let mut story: Vec<_> = (1..=10).map(|number| at(0.0, declares(number, 1))).collect();
    let per_mille = |job: u128| JobId::from_u128(job).per_mille();
    let rare = (1..).find(|job| per_mille(*job) == 0).unwrap();
    let often = (1..).find(|job| (1..10).contains(&per_mille(*job))).unwrap();
    story.extend([at(0.0, submitted_of(often)), at(0.0, answered(1, often, 1))]);
    story.extend([at(0.1, submitted_of(rare)), at(0.1, answered(1, rare, 1))]);
    let world = play_checked(1, story);
    assert_eq!(world.seen.last(), Some(&place(trial(1), 1)));
    let mut world = world;
    world.play([at(0.2, says(3, 1, WRONG)), at(0.2, says(2, 2, b"\x2a"))]);
    let next = (often + 1..).find(|job| (1..10).contains(&per_mille(*job))).unwrap();
    world.play([at(0.3, submitted_of(next)), at(0.3, answered(1, next, 1))]);
    assert_eq!(world.seen.last(), Some(&place(trial(3), 1)));
}
