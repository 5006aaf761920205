//! How many events per second a scheduler handles, and how long its ticks take with many workers. A
//! measurement, not a check, so it is ignored by default: `cargo test --release -p simple-dist-core
//! --test throughput -- --ignored --nocapture`.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use simple_dist_core::scheduler::{Config, Effect, Event, Scheduler, Token};
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{
    Answer, Answers, End, Ended, Held, Marks, Submission, Submit, WorkerBeat, WorkerState,
};
use simple_dist_protocol::{
    Attempt, ClientId, DistributorId, Generation, JobId, Term, UserName, WorkerId,
};

const LIST: u128 = 100;
const TERM: Term = Term(1);
/// The slots of each worker.
const SLOTS: u32 = 8;

struct Run {
    scheduler: Scheduler,
    now: Duration,
    worker: WorkerId,
    seq: u64,
    answers: Vec<Ended>,
    tokens: Vec<Token>,
    events: u64,
    next: u128,
}

impl Run {
    fn new(slots: u32) -> Self {
        let mut run = Self {
            scheduler: Scheduler::new(Config::new(DistributorId::from_u128(1))),
            now: Duration::ZERO,
            worker: WorkerId::from_u128(1),
            seq: 0,
            answers: vec![],
            tokens: vec![],
            events: 0,
            next: 1,
        };
        run.feed(Event::LinkUp);
        run.feed(Event::Leading { term: TERM });
        for _ in 0..30 {
            run.now += Duration::from_millis(100);
            run.feed(Event::Tick);
        }
        run.beat(run.worker, slots, vec![]);
        run
    }

    fn beat(&mut self, worker: WorkerId, slots: u32, held: Vec<Held>) {
        self.seq += 1;
        let beat = WorkerBeat {
            worker,
            seq: self.seq,
            generation: Generation(1),
            host: "here".into(),
            version: "1".into(),
            functions: vec!["f@1".parse().unwrap()],
            slots,
            state: WorkerState::Live,
            held,
            isolated: false,
            term: None,
            leaves: false,
            deterministic: vec![],
            load: None,
            memo: vec![],
            round_trip_us: None,
            printed: vec![],
        };
        self.feed(Event::Beat { user: "worker".parse().unwrap(), beat });
    }

    /// Ten seconds with this many workers, all slots busy: the mean and the longest tick.
    fn ticks(workers: u32) -> (Duration, Duration) {
        let mut run = Self::new(SLOTS);
        let ids: Vec<_> = (1..=u128::from(workers)).map(WorkerId::from_u128).collect();
        ids.iter().for_each(|id| run.beat(*id, SLOTS, vec![]));
        let slots = u64::from(workers * SLOTS);
        while run.scheduler.counters().under_way() < slots {
            run.submit(&"u".parse().unwrap());
            run.settle();
        }
        let placed = std::mem::take(&mut run.answers);
        let held: Vec<Vec<Held>> = placed
            .chunks(SLOTS as usize)
            .map(|jobs| jobs.iter().map(|job| held(job, jobs)).collect())
            .collect();
        let (mut longest, mut all, mut count) = (Duration::ZERO, Duration::ZERO, 0);
        for _ in 0..10 {
            for (id, held) in ids.iter().zip(&held) {
                run.beat(*id, SLOTS, held.clone());
            }
            for _ in 0..10 {
                run.now += Duration::from_millis(100);
                #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
                let began = Instant::now();
                run.feed(Event::Tick);
                longest = longest.max(began.elapsed());
                all += began.elapsed();
                count += 1;
            }
        }
        assert!(run.scheduler.counters().running >= slots - 1);
        (all / count, longest)
    }

    fn feed(&mut self, event: Event) {
        let mut replies = vec![];
        for effect in self.scheduler.apply(event, self.now) {
            match effect {
                Effect::DeclarePool(pool) => {
                    replies.push(Event::PoolDeclared { pool, declared: true });
                }
                Effect::Place { placement, token, .. } => {
                    self.tokens.push(token);
                    self.answers.push(Ended {
                        key: placement.key,
                        attempt: Attempt { term: TERM, number: placement.attempt },
                        end: End::Answer(Answer::Value(Bytes::from_static(b"\x01"))),
                        took_us: 5,
                    });
                }
                Effect::Deliver { token, .. }
                | Effect::Control { token, .. }
                | Effect::ProbeClient { token, .. } => self.tokens.push(token),
                Effect::Presence(presence) => replies.push(Event::PresenceSeen(presence)),
                Effect::AskDepths { asked_at, .. } => {
                    replies.push(Event::Depths { asked_at, pools: vec![], answers: 0 });
                }
                Effect::Purge(_) | Effect::Will { .. } | Effect::Trace(_) | Effect::StepDown => {}
            }
        }
        for event in replies {
            self.feed(event);
        }
    }

    fn submit(&mut self, user: &UserName) {
        let jobs = (self.next..self.next + LIST).map(|id| Submission {
            id: JobId::from_u128(id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
            function: "f@1".into(),
            args: Bytes::from_static(b"\x14"),
            budget_ms: 3_600_000,
            priority: 4,
            marks: Marks::default(),
            trace: None,
            first: false,
            progress: false,
            has_fallback: false,
            fresh: false,
        });
        let (client, generation) = (ClientId::from_u128(1), Generation(1));
        let submit = Submit { client, generation, jobs: jobs.collect() };
        self.next += LIST;
        self.events += u64::try_from(LIST).unwrap();
        self.feed(Event::Submitted { user: user.clone(), submit });
    }

    fn settle(&mut self) {
        let tokens = std::mem::take(&mut self.tokens);
        self.events += tokens.len() as u64;
        self.feed(Event::Settled { tokens, outcome: Outcome::Confirmed });
    }

    fn answer(&mut self) {
        let count = self.answers.len().min(usize::try_from(LIST).unwrap());
        let jobs: Vec<Ended> = self.answers.drain(..count).collect();
        self.events += jobs.len() as u64;
        let answers = Answers { worker: self.worker, jobs };
        self.feed(Event::Answers { user: "worker".parse().unwrap(), answers });
    }

    /// Feeds lists in and out, with about `backlog` jobs waiting.
    fn measure(&mut self, backlog: u64, lists: u32) -> f64 {
        let users: Vec<UserName> = (0..4).map(|n| format!("u{n}").parse().unwrap()).collect();
        let mut turn = users.iter().cycle();
        while self.scheduler.counters().under_way() < backlog {
            self.submit(turn.next().unwrap());
            self.settle();
        }
        self.events = 0;
        #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
        let began = Instant::now();
        for _ in 0..lists {
            self.submit(turn.next().unwrap());
            self.settle();
            self.answer();
            self.settle();
        }
        self.events as f64 / began.elapsed().as_secs_f64()
    }
}

/// One of these jobs, running in the slot with its index.
fn held(job: &Ended, jobs: &[Ended]) -> Held {
    let slot = jobs.iter().position(|other| other.key == job.key).unwrap();
    Held {
        key: job.key.clone(),
        function: "f@1".parse().unwrap(),
        attempt: job.attempt,
        slot: Some(u32::try_from(slot).unwrap()),
        age_ms: 1000,
    }
}

/// Ten times the workers should cost ten times the tick.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "its figures are its purpose")]
fn ticks_by_workers() {
    let mut first = None;
    for workers in [256, 1024, 4096] {
        let (mean, longest) = Run::ticks(workers);
        let (least, time) = *first.get_or_insert((workers, longest));
        let times = longest.as_secs_f64() / time.as_secs_f64();
        eprintln!(
            "{workers:>5} workers of {SLOTS} slots: mean tick {mean:>9.1?}, longest {longest:>9.1?} \
             ({times:.1} times that of {least}, with {} times the workers)",
            workers / least
        );
    }
}

#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "its figures are its purpose")]
fn events_a_second() {
    for backlog in [100, 10_000, 100_000, 900_000] {
        let events = Run::new(8).measure(backlog, 5000);
        eprintln!("{backlog:>7} waiting: {events:>9.0} events/s, one for each job in a message");
    }
}
