//! How many events a second one ledger takes. A measurement, not a check: it is ignored unless
//! asked for, by `cargo test --release -p simple-dist-distributor --test throughput -- --ignored
//! --nocapture`.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use simple_dist_distributor::ledger::{Config, Effect, Event, Ledger, Token};
use simple_dist_protocol::link::Outcome;
use simple_dist_protocol::message::{
    Answer, Answers, End, Ended, Marks, Submission, Submit, WorkerBeat, WorkerState,
};
use simple_dist_protocol::{
    Attempt, ClientId, DistributorId, Generation, JobId, Term, UserName, WorkerId,
};

const LIST: u128 = 100;
const TERM: Term = Term(1);

struct Run {
    ledger: Ledger,
    now: Duration,
    worker: WorkerId,
    answers: Vec<Ended>,
    tokens: Vec<Token>,
    events: u64,
    next: u128,
}

impl Run {
    fn new(slots: u32) -> Self {
        let mut run = Self {
            ledger: Ledger::new(Config::new(DistributorId::from_u128(1))),
            now: Duration::ZERO,
            worker: WorkerId::from_u128(1),
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
        run.feed(Event::Beat {
            user: "worker".parse().unwrap(),
            beat: WorkerBeat {
                worker: run.worker,
                seq: 1,
                generation: Generation(1),
                host: "here".into(),
                version: "1".into(),
                functions: vec!["f@1".parse().unwrap()],
                slots,
                state: WorkerState::Live,
                held: vec![],
            },
        });
        run
    }

    fn feed(&mut self, event: Event) {
        let mut replies = vec![];
        for effect in self.ledger.apply(event, self.now) {
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
                Effect::Deliver { token, .. } | Effect::Control { token, .. } => {
                    self.tokens.push(token);
                }
                Effect::Presence(presence) => replies.push(Event::Seen(presence)),
                Effect::AskDepths { asked_at, .. } => {
                    replies.push(Event::Depths { asked_at, pools: vec![], answers: 0 });
                }
                Effect::Purge(_) | Effect::StepDown => {}
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

    /// Feeds lists in and out, with about so many jobs waiting.
    fn measure(&mut self, backlog: u64, lists: u32) -> f64 {
        let users: Vec<UserName> = (0..4).map(|n| format!("u{n}").parse().unwrap()).collect();
        let mut turn = users.iter().cycle();
        while self.ledger.books().under_way() < backlog {
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

#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "its figures are its purpose")]
fn events_a_second() {
    for backlog in [100, 10_000, 100_000, 900_000] {
        let events = Run::new(8).measure(backlog, 5000);
        eprintln!("{backlog:>7} waiting: {events:>9.0} events/s, one for each job in a message");
    }
}
