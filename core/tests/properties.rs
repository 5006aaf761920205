//! What holds after any events in any order, however absurd.

#![expect(clippy::unwrap_used, reason = "a property that cannot be checked does not hold")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use simple_dist_core::scheduler::{Config, Effect, Event, Scheduler, TICK, Token, Via};
use simple_dist_core::view::Place;
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{
    Answer, Answers, Crash, Delivered, End, Ended, Held, Ids, Marks, Noted, Presence, Started,
    StartedJob, Submission, Submit, WorkerBeat, WorkerState,
};
use simple_dist_protocol::{
    Attempt, ClientId, DistributorId, Generation, JobId, JobKey, PoolId, Term, UserName, WorkerId,
};

const US: DistributorId = DistributorId::from_u128(1);

/// Something that may happen at any moment.
#[derive(Debug, Clone)]
enum Action {
    Submit { job: u128, marks: (bool, Vec<u128>), priority: u8, function: &'static str },
    Cancel(u128),
    Ask(u128),
    Note { job: u128, marks: (bool, Vec<u128>) },
    Beat { worker: u128, newer: bool, draining: bool, held: Vec<(u128, u64, u32, bool)> },
    Start { worker: u128, job: u128, attempt: (u64, u32), results: bool },
    End { worker: u128, job: u128, attempt: (u64, u32), end: Ending },
    Settle(Outcome),
    Declare(bool),
    Depths { pools: Option<u32>, answers: u32 },
    Echo,
    Pass(u32),
    LinkDown,
    LinkUp,
    Lead(u64),
    Block(bool),
    Drain(u128, bool),
    CancelJob(u128),
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Value,
    Cancelled,
    Poisoned,
    Returned { willing: bool },
    Crashed,
}

fn actions() -> impl Strategy<Value = Action> {
    let job = || 1..6u128;
    let worker = || 1..4u128;
    let attempt = || (1..3u64, 1..4u32);
    let marks = || (any::<bool>(), prop::collection::vec(1..6u128, 0..3));
    let outcome = select(vec![Outcome::Confirmed, Outcome::Confirmed, Outcome::Returned]);
    let ending = prop_oneof![
        3 => Just(Ending::Value),
        1 => Just(Ending::Cancelled),
        1 => Just(Ending::Poisoned),
        3 => any::<bool>().prop_map(|willing| Ending::Returned { willing }),
        2 => Just(Ending::Crashed),
    ];
    let held = (1..6u128, 1..3u64, 1..4u32, any::<bool>());
    let functions = select(vec!["f@1", "f", "g@1", "f@2", "?"]);
    prop_oneof![
        8 => (job(), marks(), 0..12u8, functions).prop_map(|(job, marks, priority, function)| {
            Action::Submit { job, marks, priority, function }
        }),
        1 => job().prop_map(Action::Cancel),
        1 => job().prop_map(Action::Ask),
        4 => (job(), marks()).prop_map(|(job, marks)| Action::Note { job, marks }),
        8 => (worker(), any::<bool>(), prop::bool::weighted(0.1), prop::collection::vec(held, 0..3))
            .prop_map(|(worker, newer, draining, held)| Action::Beat {
                worker, newer, draining, held
            }),
        3 => (worker(), job(), attempt(), any::<bool>())
            .prop_map(|(worker, job, attempt, results)| Action::Start {
                worker, job, attempt, results
            }),
        5 => (worker(), job(), attempt(), ending)
            .prop_map(|(worker, job, attempt, end)| Action::End { worker, job, attempt, end }),
        6 => outcome.prop_map(Action::Settle),
        4 => prop::bool::weighted(0.8).prop_map(Action::Declare),
        4 => (prop::option::weighted(0.9, 0..2u32), 0..2u32)
            .prop_map(|(pools, answers)| Action::Depths { pools, answers }),
        6 => Just(Action::Echo),
        8 => (1..30u32).prop_map(Action::Pass),
        1 => Just(Action::LinkDown),
        1 => Just(Action::LinkUp),
        2 => (1..3u64).prop_map(Action::Lead),
        1 => any::<bool>().prop_map(Action::Block),
        1 => (worker(), any::<bool>()).prop_map(|(worker, drain)| Action::Drain(worker, drain)),
        1 => job().prop_map(Action::CancelJob),
    ]
}

/// The scheduler, and its effects that are still to be answered.
struct Play {
    scheduler: Scheduler,
    now: Duration,
    seq: u64,
    tokens: Vec<Token>,
    declares: Vec<PoolId>,
    depths: Option<(Duration, Vec<PoolId>)>,
    presence: Option<Presence>,
    placed: Vec<Ended>,
    struck: Vec<(JobId, Marks)>,
    /// A worker's first answer to each job, until a term's end or a lost client lets it run again.
    values: BTreeMap<JobId, Answer>,
}

impl Play {
    fn new() -> Self {
        let mut play = Self {
            scheduler: Scheduler::new(Config::new(US)),
            now: Duration::ZERO,
            seq: 0,
            tokens: vec![],
            declares: vec![],
            depths: None,
            presence: None,
            placed: vec![],
            struck: vec![],
            values: BTreeMap::new(),
        };
        play.feed(Event::LinkUp);
        play.feed(Event::Leading { term: Term(1) });
        play
    }

    fn feed(&mut self, event: Event) {
        let lost = matches!(event, Event::Settled { outcome: Outcome::Returned, .. });
        if lost {
            self.values.clear();
        }
        let effects: Vec<Effect> = self.scheduler.apply(event, self.now).collect();
        for effect in effects {
            self.see(effect);
        }
        self.check();
    }

    fn see(&mut self, effect: Effect) {
        match effect {
            Effect::DeclarePool(pool) => self.declares.push(pool),
            Effect::Purge(_) | Effect::Will { .. } => {}
            Effect::Place { term, placement, token, .. } => {
                self.tokens.push(token);
                self.placed.push(Ended {
                    key: placement.key,
                    attempt: Attempt { term, number: placement.attempt },
                    end: End::Answer(Answer::Value(Bytes::new())),
                    took_us: 1000,
                });
            }
            Effect::Deliver { delivery, token, .. } => {
                self.tokens.push(token);
                match delivery.body {
                    Delivered::Struck(marks) => {
                        // Three only if its client reported the third while it was in flight.
                        assert!(marks.count() <= 3, "{marks:?}");
                        self.struck.push((delivery.id, marks));
                    }
                    Delivered::Answer(answered) => {
                        if answered.worker.is_some() {
                            let first = self.values.entry(delivery.id);
                            let first = first.or_insert_with(|| answered.answer.clone());
                            assert_eq!(*first, answered.answer, "one completion");
                        }
                        if let Answer::Poisoned { workers, crashes } = answered.answer {
                            let count = workers.len() + crashes.len();
                            assert!((2..=4).contains(&count), "{workers:?}, {crashes:?}");
                        }
                    }
                    Delivered::Unknown | Delivered::Progress(_) => {}
                }
            }
            Effect::Control { token, .. } | Effect::ProbeClient { token, .. } => {
                self.tokens.push(token)
            }
            Effect::StepDown => unreachable!("nobody else leads"),
            Effect::Trace(_) => unreachable!("no job has a trace"),
            Effect::Presence(presence) => self.presence = Some(presence),
            Effect::AskDepths { asked_at, pools } => self.depths = Some((asked_at, pools)),
        }
    }

    /// The counts add up and match the jobs.
    fn check(&self) {
        let books = self.scheduler.counters();
        assert!(books.balance(), "{books:?}");
        let (mut queued, mut placed, mut running) = (0, 0, 0);
        for job in self.scheduler.jobs(usize::MAX, self.now) {
            let waits = matches!(job.place, Place::Queued | Place::Unnoted);
            assert!(
                usize::from(job.mark) + job.strikes.len() + job.crashes.len() < 3 || !waits,
                "three counts are the end: {job:?}"
            );
            match job.place {
                Place::Queued | Place::Unnoted => queued += 1,
                Place::Placed => placed += 1,
                Place::Running => running += 1,
            }
        }
        assert_eq!((queued, placed, running), (books.queued, books.placed, books.running));
        let functions = self.scheduler.view(self.now, self.now).functions;
        let all: usize =
            functions.iter().map(|view| view.queued + view.placed + view.running).sum();
        assert_eq!(all as u64, books.under_way());
    }

    fn pass(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.now += TICK;
            self.feed(Event::Tick);
        }
    }

    fn beat(&mut self, worker: u128, newer: bool, state: WorkerState, held: Vec<Held>) {
        self.seq += u64::from(newer);
        let beat = WorkerBeat {
            worker: WorkerId::from_u128(worker),
            seq: self.seq,
            generation: Generation(1),
            host: "here".into(),
            version: "1".into(),
            functions: vec![if worker == 3 { "f@2" } else { "f@1" }.parse().unwrap()],
            slots: 1,
            state,
            held,
            isolated: worker == 2,
            term: None,
            leaves: false,
            deterministic: vec![],
            load: None,
            memo: vec![],
            round_trip_us: None,
            printed: vec![],
        };
        self.feed(Event::Beat { user: user("workers"), beat });
    }

    fn answer(&mut self, worker: u128, ended: Ended) {
        let worker = WorkerId::from_u128(worker);
        let answers = Answers { worker, jobs: vec![ended] };
        self.feed(Event::Answers { user: user("workers"), answers });
    }

    fn note(&mut self, id: JobId, marks: Marks) {
        let (client, generation) = (ClientId::from_u128(1), Generation(1));
        let noted = Noted { client, generation, id, marks };
        self.feed(Event::Noted { user: user("client"), noted });
    }

    fn submit(&mut self, job: u128, marks: Marks, priority: u8, function: &str) {
        let submission = Submission {
            id: JobId::from_u128(job),
            function: function.into(),
            args: Bytes::from_static(b"\x01"),
            budget_ms: 3_600_000,
            priority,
            marks,
            trace: None,
            first: false,
            progress: false,
            has_fallback: false,
            fresh: false,
        };
        let (client, generation) = (ClientId::from_u128(1), Generation(1));
        let submit = Submit { client, generation, jobs: vec![submission] };
        self.feed(Event::Submitted { user: user("client"), submit });
    }

    #[expect(clippy::too_many_lines, reason = "one short arm for each action")]
    fn act(&mut self, action: Action) {
        match action {
            Action::Submit { job, marks: known, priority, function } => {
                self.submit(job, marks(known), priority, function);
            }
            Action::Cancel(job) => {
                self.feed(Event::Cancelled { user: user("client"), ids: ids(job) });
            }
            Action::Ask(job) => self.feed(Event::Asked { user: user("client"), ids: ids(job) }),
            Action::Note { job, marks: known } => self.note(JobId::from_u128(job), marks(known)),
            Action::Beat { worker, newer, draining, held } => {
                let held = held
                    .into_iter()
                    .map(|(job, term, number, running)| Held {
                        key: key(job),
                        function: "f@1".parse().unwrap(),
                        attempt: Attempt { term: Term(term), number },
                        slot: running.then_some(0),
                        age_ms: 5,
                    })
                    .collect();
                let state = if draining { WorkerState::Draining } else { WorkerState::Live };
                self.beat(worker, newer, state, held);
            }
            Action::Start { worker, job, attempt: (term, number), results } => {
                let attempt = Attempt { term: Term(term), number };
                let started = Started {
                    worker: WorkerId::from_u128(worker),
                    seq: self.seq,
                    jobs: vec![StartedJob { key: key(job), attempt }],
                };
                let via = if results { Via::Results } else { Via::Beats };
                self.feed(Event::Started { user: user("workers"), started, via });
            }
            Action::End { worker, job, attempt: (term, number), end } => {
                let end = match end {
                    Ending::Value => {
                        End::Answer(Answer::Value(vec![u8::try_from(number).unwrap()].into()))
                    }
                    Ending::Cancelled => End::Answer(Answer::Cancelled),
                    Ending::Poisoned => {
                        End::Answer(Answer::Poisoned { workers: vec![], crashes: vec![] })
                    }
                    Ending::Returned { willing } => End::Returned { willing },
                    Ending::Crashed => End::Crashed(crash(worker, term, number)),
                };
                let attempt = Attempt { term: Term(term), number };
                self.answer(worker, Ended { key: key(job), attempt, end, took_us: 1000 });
            }
            Action::Settle(outcome) => {
                let tokens = std::mem::take(&mut self.tokens);
                self.feed(Event::Settled { tokens, outcome });
            }
            Action::Declare(declared) => {
                for pool in std::mem::take(&mut self.declares) {
                    self.feed(Event::PoolDeclared { pool, declared });
                }
            }
            Action::Depths { pools: messages, answers } => {
                if let Some((asked_at, pools)) = self.depths.take() {
                    let pools = pools.into_iter().map(|pool| (pool, messages)).collect();
                    self.feed(Event::Depths { asked_at, pools, answers });
                }
            }
            Action::Echo => {
                if let Some(presence) = self.presence.take() {
                    self.feed(Event::PresenceSeen(presence));
                }
            }
            Action::Pass(ticks) => self.pass(ticks),
            Action::LinkDown => self.feed(Event::LinkDown),
            Action::LinkUp => self.feed(Event::LinkUp),
            Action::Lead(term) => self.feed(Event::Leading { term: Term(term) }),
            Action::Block(true) => self.feed(Event::Blocked),
            Action::Block(false) => self.feed(Event::Unblocked),
            Action::Drain(worker, true) => self.feed(Event::Drain(WorkerId::from_u128(worker))),
            Action::Drain(worker, false) => self.feed(Event::Resume(WorkerId::from_u128(worker))),
            Action::CancelJob(job) => self.feed(Event::CancelJob(key(job))),
        }
    }

    /// Everybody behaves for a while: two workers run what is placed, and the client acknowledges.
    fn heal(&mut self) {
        if self.scheduler.term().is_none() {
            self.feed(Event::LinkUp);
            self.feed(Event::Leading { term: Term(9) });
        }
        self.feed(Event::Unblocked);
        self.feed(Event::Resume(WorkerId::from_u128(3)));
        self.seq += 1000;
        for tick in 0..200 {
            self.now += TICK;
            self.feed(Event::Tick);
            self.act(Action::Echo);
            self.act(Action::Declare(true));
            self.act(Action::Depths { pools: Some(0), answers: 0 });
            if tick % 10 == 0 {
                for worker in [8, 3] {
                    self.beat(worker, true, WorkerState::Live, vec![]);
                }
            }
            self.act(Action::Settle(Outcome::Confirmed));
            for (job, marks) in std::mem::take(&mut self.struck) {
                self.note(job, marks);
            }
            for ended in std::mem::take(&mut self.placed) {
                self.answer(8, ended.clone());
                self.answer(3, ended);
            }
        }
    }
}

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn key(job: u128) -> JobKey {
    JobKey { user: user("client"), id: JobId::from_u128(job) }
}

fn ids(job: u128) -> Ids {
    let ids = vec![JobId::from_u128(job)];
    Ids { client: ClientId::from_u128(1), generation: Generation(1), ids }
}

fn crash(worker: u128, term: u64, number: u32) -> Crash {
    Crash {
        worker: WorkerId::from_u128(worker),
        attempt: Attempt { term: Term(term), number },
        signal: Some(9),
        code: None,
        memory_bytes: 0,
        output: String::new(),
        note: None,
    }
}

fn marks((mark, strikes): (bool, Vec<u128>)) -> Marks {
    let strikes = strikes.into_iter().map(WorkerId::from_u128).collect();
    Marks { mark, strikes, crashes: vec![] }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_counters_balance_and_the_system_recovers_after_any_faults(
        actions in prop::collection::vec(actions(), 1..120),
    ) {
        let mut play = Play::new();
        for action in actions {
            play.act(action);
        }
        play.heal();
        let left = play.scheduler.jobs(9, play.now);
        let stuck: Vec<_> = left.iter().filter(|job| &*job.function != "g@1").collect();
        prop_assert!(stuck.is_empty(), "stuck: {stuck:?}");
        let pools = play.scheduler.view(play.now, play.now).pools;
        prop_assert!(pools.iter().all(|pool| pool.abandoned == 0), "{pools:?}");
    }
}
