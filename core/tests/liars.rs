//! How many calls it takes until a worker that lies is found, and how often one that does not lie is
//! blamed for a function that differs by itself. The figures are those of `docs/PURITY.md`; `cargo test
//! -p simple-dist-core --test liars -- --nocapture` prints them.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "its figures are its purpose")]

use std::time::Duration;

use simple_dist_core::scheduler::{Config, Counters, Effect, Event, Scheduler};
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{
    Answer, Answers, End, Ended, Marks, Submission, Submit, WorkerBeat, WorkerState,
};
use simple_dist_protocol::{
    Address, Attempt, ClientId, DistributorId, Generation, JobId, Term, WorkerId,
};

const TERM: Term = Term(1);
/// How many in 1,000 calls are checked.
const SHARE: u16 = 10;
/// After so many calls nobody was found.
const MOST: u64 = 100_000;

/// Who gives a wrong answer, one time in ten.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wrong {
    /// The first worker.
    Liar,
    /// Every worker: the function is not deterministic.
    Everybody,
    /// Nobody.
    Nobody,
}

/// Calls of 10 ms, one after another, which workers of one slot run in turn.
struct Calls {
    scheduler: Scheduler,
    now: Duration,
    workers: u64,
    wrong: Wrong,
    random: u64,
    turn: u64,
    /// How many wrong answers callers got.
    lies: u64,
}

impl Calls {
    fn of(workers: u64, wrong: Wrong, seed: u64) -> Self {
        let config = Config { cross_check: SHARE, ..Config::new(DistributorId::from_u128(1)) };
        let mut calls = Self {
            scheduler: Scheduler::new(config),
            now: Duration::ZERO,
            workers,
            wrong,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            turn: 0,
            lies: 0,
        };
        calls.feed(Event::LinkUp);
        calls.feed(Event::Leading { term: TERM });
        calls.pass(Duration::from_secs(3));
        calls
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn pass(&mut self, span: Duration) {
        let (before, until) = (self.now, self.now + span);
        let passes = |every: u128| until.as_millis() / every != before.as_millis() / every;
        if passes(1000) {
            (1..=self.workers).for_each(|worker| self.beat(worker));
        }
        self.now = until;
        if passes(100) {
            self.feed(Event::Tick);
        }
    }

    fn beat(&mut self, worker: u64) {
        let function: Address = "f@1".parse().unwrap();
        let beat = WorkerBeat {
            worker: WorkerId::from_u128(worker.into()),
            seq: u64::try_from(self.now.as_millis()).unwrap() + 1,
            generation: Generation(1),
            host: "here".into(),
            version: "1".into(),
            functions: vec![function.clone()],
            slots: 1,
            state: WorkerState::Live,
            held: vec![],
            isolated: false,
            term: None,
            leaves: false,
            deterministic: vec![function],
            load: None,
            memo: vec![],
            round_trip_us: None,
            printed: vec![],
        };
        self.feed(Event::Beat { user: "worker".parse().unwrap(), beat });
    }

    fn feed(&mut self, event: Event) {
        let mut replies = vec![];
        let effects: Vec<Effect> = self.scheduler.apply(event, self.now).collect();
        for effect in effects {
            match effect {
                Effect::DeclarePool(pool) => {
                    replies.push(Event::PoolDeclared { pool, declared: true });
                }
                Effect::Place { placement, token, .. } => {
                    let (tokens, outcome) = (vec![token], Outcome::Confirmed);
                    replies.push(Event::Settled { tokens, outcome });
                    self.turn = self.turn % self.workers + 1;
                    let answers = self.run(placement.key, placement.attempt);
                    replies.push(Event::Answers { user: "worker".parse().unwrap(), answers });
                }
                Effect::Deliver { token, .. }
                | Effect::Control { token, .. }
                | Effect::ProbeClient { token, .. } => {
                    let (tokens, outcome) = (vec![token], Outcome::Confirmed);
                    replies.push(Event::Settled { tokens, outcome });
                }
                Effect::Presence(presence) => replies.push(Event::PresenceSeen(presence)),
                Effect::AskDepths { asked_at, .. } => {
                    replies.push(Event::Depths { asked_at, pools: vec![], answers: 0 });
                }
                Effect::Purge(_) | Effect::Will { .. } | Effect::Trace(_) | Effect::StepDown => {}
            }
        }
        replies.into_iter().for_each(|event| self.feed(event));
    }

    /// The worker whose turn it is runs a job.
    fn run(&mut self, key: simple_dist_protocol::JobKey, attempt: u32) -> Answers {
        let may_be_wrong = match self.wrong {
            Wrong::Liar => self.turn == 1,
            Wrong::Everybody => true,
            Wrong::Nobody => false,
        };
        let is_wrong = may_be_wrong && self.random().is_multiple_of(10);
        self.lies += u64::from(is_wrong && !key.is_trial());
        let value = if is_wrong { self.random().to_be_bytes() } else { [0; 8] };
        let (attempt, took_us) = (Attempt { term: TERM, number: attempt }, 10_000);
        let end = End::Answer(Answer::Value(value.to_vec().into()));
        let worker = WorkerId::from_u128(self.turn.into());
        Answers { worker, jobs: vec![Ended { key, attempt, end, took_us }] }
    }

    fn call(&mut self) {
        let id = u128::from(self.random()) << 64 | u128::from(self.random()) << 16;
        let job = Submission {
            id: JobId::from_u128(id),
            function: "f@1".into(),
            args: id.to_be_bytes().to_vec().into(),
            budget_ms: 60_000,
            priority: 4,
            marks: Marks::default(),
            trace: None,
            first: true,
            progress: false,
            has_fallback: false,
            fresh: false,
        };
        let (client, generation) = (ClientId::from_u128(1), Generation(1));
        let submit = Submit { client, generation, jobs: vec![job] };
        self.feed(Event::Submitted { user: "caller".parse().unwrap(), submit });
        self.pass(Duration::from_millis(10));
    }

    /// Calls until there is a verdict, or for so many calls; returns how many, and the counts.
    fn until_judged(mut self, most: u64) -> (u64, u64, Counters) {
        let is_over = |counters: &Counters| counters.quarantined + counters.refuted > 0;
        let calls = (1..=most).find(|_| {
            self.call();
            is_over(self.scheduler.counters())
        });
        (calls.unwrap_or(most), self.lies, self.scheduler.counters().clone())
    }
}

#[test]
fn a_worker_that_lies_one_time_in_ten_is_found() {
    for workers in [3, 10] {
        let all = (1..=40).map(|seed| Calls::of(workers, Wrong::Liar, seed).until_judged(MOST));
        let mut all: Vec<_> = all.collect();
        assert!(all.iter().all(|(.., counters)| counters.quarantined == 1), "{all:?}");
        all.sort_unstable_by_key(|(calls, ..)| *calls);
        let (calls, lies, counters) = &all[20];
        eprintln!(
            "{workers} workers: after {calls} calls (of 40 tries the median; {} at most), of which {lies} \
             were answered wrongly, by {} extra runs",
            all[39].0, counters.trials
        );
    }
}

#[test]
fn a_function_that_differs_by_itself_costs_no_worker() {
    let all = (1..=100).map(|seed| Calls::of(3, Wrong::Everybody, seed).until_judged(MOST));
    let (mut blamed, mut calls) = (0, vec![]);
    for (after, _, counters) in all {
        blamed += counters.quarantined;
        calls.push(after);
    }
    calls.sort_unstable();
    eprintln!("found after {} calls (the median of 100 tries), {blamed} workers blamed", calls[50]);
    assert!(blamed <= 2, "{blamed} of 100 times a worker was blamed");
}

#[test]
fn with_nobody_wrong_a_share_of_the_calls_runs_twice_and_that_is_all() {
    let (_, _, counters) = Calls::of(3, Wrong::Nobody, 1).until_judged(20_000);
    assert_eq!((counters.checks_differed, counters.checks), (0, counters.trials));
    assert!((140..260).contains(&counters.trials), "{}", counters.trials);
    eprintln!("20,000 calls: {} extra runs", counters.trials);
}
