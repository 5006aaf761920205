//! A scheduler under load, with everything around it played: pools are declared, messages confirmed,
//! and jobs answered when asked to.

use std::time::Duration;

use bytes::Bytes;
use simple_dist_core::scheduler::{Config, Effect, Event, Scheduler, Token};
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{
    Answer, Answers, End, Ended, Held, Marks, Submission, Submit, WorkerBeat, WorkerState,
};
use simple_dist_protocol::{
    Attempt, ClientId, DistributorId, Generation, JobId, Term, UserName, WorkerId,
};

/// The jobs of a message.
pub(crate) const LIST: u128 = 100;
const TERM: Term = Term(1);

/// See the module.
pub(crate) struct Run {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Duration,
    worker: WorkerId,
    seq: u64,
    pub(crate) answers: Vec<Ended>,
    tokens: Vec<Token>,
    next: u128,
}

impl Run {
    /// Leads, with one worker.
    pub(crate) fn new(slots: u32) -> Self {
        let mut run = Self {
            scheduler: Scheduler::new(Config::new(DistributorId::from_u128(1))),
            now: Duration::ZERO,
            worker: WorkerId::from_u128(1),
            seq: 0,
            answers: vec![],
            tokens: vec![],
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

    pub(crate) fn beat(&mut self, worker: WorkerId, slots: u32, held: Vec<Held>) {
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

    pub(crate) fn feed(&mut self, event: Event) {
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

    /// A list of a user's jobs.
    pub(crate) fn submit(&mut self, user: &UserName) {
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
        self.feed(Event::Submitted { user: user.clone(), submit });
    }

    /// Everything that was published is confirmed.
    pub(crate) fn settle(&mut self) {
        let tokens = std::mem::take(&mut self.tokens);
        self.feed(Event::Settled { tokens, outcome: Outcome::Confirmed });
    }

    /// A list of placed jobs ends.
    pub(crate) fn answer(&mut self) {
        let count = self.answers.len().min(usize::try_from(LIST).unwrap());
        let jobs: Vec<Ended> = self.answers.drain(..count).collect();
        let answers = Answers { worker: self.worker, jobs };
        self.feed(Event::Answers { user: "worker".parse().unwrap(), answers });
    }
}
