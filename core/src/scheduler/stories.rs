//! The rules as stories: what happens on a stage, and what the scheduler wants done about it.
//!
//! The stage plays a good broker: it confirms, declares, echoes presence, finds the queues empty,
//! and lets living workers beat every second, until a story says otherwise.

mod admission;
mod bounds;
mod clients;
mod deaths;
mod forged;
mod orphans;
mod pools;
mod shares;
mod sweeps;
mod terms;
mod views;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{
    Answer, Answers, Bound, Control, Delivered, End, Ended, Held, Ids, Marks, Noted, Presence,
    Started, StartedJob, Submission, Submit, WorkerBeat, WorkerState,
};
use simple_dist_protocol::{
    Attempt, ClientId, DistributorId, Generation, JobId, JobKey, Term, UserName, WorkerId,
};

use super::{Config, Effect, Event, Scheduler, TICK, Via};

/// What a story looks at. Presence, questions, declarations and receipts of the broker are the
/// stage's own business.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Placed { job: u128, attempt: u32, alone: bool },
    Answered { job: u128, kind: &'static str },
    Struck { job: u128, mark: bool, strikes: Vec<u128> },
    Unknown { job: u128 },
    Cancel { worker: u128, jobs: Vec<u128> },
    Drain { worker: u128 },
    Resume { worker: u128 },
    Refused { worker: u128, bound: Bound },
    Purged,
}

type Step = Box<dyn Fn(&mut Stage)>;

/// A step at so many seconds after the term has opened.
struct At {
    time: f64,
    step: Step,
}

fn at(time: f64, step: Step) -> At {
    At { time, step }
}

/// Plays a story, and compares what the scheduler wanted done.
#[track_caller]
fn check(story: impl IntoIterator<Item = At>, expected: impl IntoIterator<Item = Seen>) {
    let stage = play(story);
    let expected: Vec<Seen> = expected.into_iter().collect();
    assert_eq!(stage.seen, expected);
}

/// Plays a story on a stage whose term began five seconds ago.
fn play(story: impl IntoIterator<Item = At>) -> Stage {
    let mut stage = Stage::new(Config::new(US));
    stage.feed(Event::LinkUp);
    stage.feed(Event::Leading { term: stage.term });
    stage.go_to(OPEN);
    stage.play(story);
    stage
}

const US: DistributorId = DistributorId::from_u128(1);
const OPEN: Duration = Duration::from_secs(5);

struct Stage {
    scheduler: Scheduler,
    now: Duration,
    term: Term,
    seen: Vec<Seen>,
    effects: Vec<Effect>,
    cast: BTreeMap<WorkerId, Cast>,
    echoes: bool,
    /// The messages that wait in every pool's queue, and in `sd.answers`.
    depths: (Option<u32>, u32),
    /// How long the answer to a question about them takes, and the answers on their way.
    depths_take: Duration,
    on_their_way: Vec<(Duration, Event)>,
    /// What a purge finds that nobody ever had.
    untouched: Vec<(JobKey, Attempt)>,
    placements: Outcome,
    deliveries: Outcome,
    /// Whether the broker says what became of news for clients.
    reads: bool,
    controls: Outcome,
    declares: bool,
}

/// A living worker.
struct Cast {
    beat: WorkerBeat,
    next: Duration,
}

impl Stage {
    fn new(config: Config) -> Self {
        Self {
            scheduler: Scheduler::new(config),
            now: Duration::ZERO,
            term: Term(1),
            seen: vec![],
            effects: vec![],
            cast: BTreeMap::new(),
            echoes: true,
            depths: (Some(0), 0),
            depths_take: Duration::ZERO,
            on_their_way: vec![],
            untouched: vec![],
            placements: Outcome::Confirmed,
            deliveries: Outcome::Confirmed,
            reads: true,
            controls: Outcome::Confirmed,
            declares: true,
        }
    }

    fn play(&mut self, story: impl IntoIterator<Item = At>) {
        for At { time, step } in story {
            self.go_to(OPEN + Duration::from_secs_f64(time));
            step(self);
        }
    }

    fn go_to(&mut self, time: Duration) {
        while self.now + TICK <= time {
            self.now += TICK;
            let due: Vec<WorkerId> = self
                .cast
                .iter()
                .filter(|(_, cast)| cast.next <= self.now)
                .map(|(id, _)| *id)
                .collect();
            for worker in due {
                self.beat(worker);
            }
            while let Some((_, event)) = self.on_their_way.pop_if(|(at, _)| *at <= self.now) {
                self.feed(event);
            }
            self.feed(Event::Tick);
        }
        self.now = self.now.max(time);
    }

    fn beat(&mut self, worker: WorkerId) {
        let now = self.now;
        let Some(cast) = self.cast.get_mut(&worker) else { return };
        cast.beat.seq += 1;
        cast.next = now + Duration::from_secs(1);
        let beat = cast.beat.clone();
        self.feed(Event::Beat { user: workers(), beat });
    }

    fn feed(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let effects: Vec<Effect> = self.scheduler.apply(event, self.now).collect();
            assert!(self.scheduler.books().balance(), "{:?}", self.scheduler.books());
            for effect in effects {
                self.seen.extend(seen(&effect));
                events.extend(self.reply(&effect));
                self.effects.push(effect);
            }
        }
    }

    /// What a good broker makes of an effect, or a bad one where the story says so.
    fn reply(&mut self, effect: &Effect) -> Option<Event> {
        let settled = |token, outcome| Some(Event::Settled { tokens: vec![token], outcome });
        match effect {
            Effect::DeclarePool(pool) => {
                Some(Event::PoolDeclared { pool: *pool, declared: self.declares })
            }
            Effect::StepDown => Some(Event::LinkDown),
            Effect::Purge(_) => Some(Event::Purged { untouched: self.untouched.clone() }),
            Effect::Place { token, .. } => settled(*token, self.placements),
            Effect::Deliver { token, .. } => {
                self.reads.then(|| settled(*token, self.deliveries)).flatten()
            }
            Effect::ProbeClient { token, .. } => settled(*token, self.deliveries),
            Effect::Control { token, .. } => settled(*token, self.controls),
            Effect::Presence(presence) => self.echoes.then(|| Event::Seen(presence.clone())),
            Effect::AskDepths { asked_at, pools } => {
                let seen = Event::Depths {
                    asked_at: *asked_at,
                    pools: pools.iter().map(|pool| (*pool, self.depths.0)).collect(),
                    answers: self.depths.1,
                };
                if self.depths_take.is_zero() {
                    return Some(seen);
                }
                assert!(self.on_their_way.is_empty(), "one question at a time");
                self.on_their_way.push((self.now + self.depths_take, seen));
                None
            }
        }
    }

    fn presences(&self) -> Vec<&Presence> {
        let shown = self.effects.iter().filter_map(|effect| match effect {
            Effect::Presence(presence) => Some(presence),
            _ => None,
        });
        shown.collect()
    }

    fn controls(&self, wanted: impl Fn(&Control) -> bool) -> usize {
        let told = self
            .effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Control { control, .. } if wanted(control)));
        told.count()
    }
}

fn seen(effect: &Effect) -> Option<Seen> {
    match effect {
        Effect::Place { placement, .. } => Some(Seen::Placed {
            job: number(placement.key.id),
            attempt: placement.attempt,
            alone: placement.start_confirmed,
        }),
        Effect::Deliver { delivery, .. } => {
            let job = number(delivery.id);
            Some(match &delivery.body {
                Delivered::Answer(answered) => Seen::Answered { job, kind: answered.answer.kind() },
                Delivered::Struck(marks) => Seen::Struck {
                    job,
                    mark: marks.mark,
                    strikes: marks.strikes.iter().map(|worker| worker_number(*worker)).collect(),
                },
                Delivered::Unknown => Seen::Unknown { job },
            })
        }
        Effect::Control { worker, control, .. } => {
            let worker = worker_number(*worker);
            match control {
                Control::Cancel { keys, .. } => Some(Seen::Cancel {
                    worker,
                    jobs: keys.iter().map(|key| number(key.id)).collect(),
                }),
                Control::Drain => Some(Seen::Drain { worker }),
                Control::Resume => Some(Seen::Resume { worker }),
                Control::Welcome { .. } | Control::Probe => None,
                Control::Refused { bound } => Some(Seen::Refused { worker, bound: *bound }),
            }
        }
        Effect::Purge(_) => Some(Seen::Purged),
        Effect::DeclarePool(_)
        | Effect::ProbeClient { .. }
        | Effect::Presence(_)
        | Effect::AskDepths { .. }
        | Effect::StepDown => None,
    }
}

// Who is on the stage.

fn number(job: JobId) -> u128 {
    u128::from_str_radix(&job.to_string(), 16).unwrap()
}

fn worker_number(worker: WorkerId) -> u128 {
    u128::from_str_radix(worker.to_string().trim_start_matches("w-"), 16).unwrap()
}

fn worker(number: u128) -> WorkerId {
    WorkerId::from_u128(number)
}

fn workers() -> UserName {
    "workers".parse().unwrap()
}

fn user(number: u32) -> UserName {
    format!("user-{number}").parse().unwrap()
}

fn client(number: u128) -> ClientId {
    ClientId::from_u128(number)
}

/// The job of the first user.
fn key(job: u128) -> JobKey {
    JobKey { user: user(1), id: JobId::from_u128(job) }
}

// What happens there.

fn event(event: Event) -> Step {
    Box::new(move |stage| stage.feed(event.clone()))
}

fn change(change: impl Fn(&mut Stage) + 'static) -> Step {
    Box::new(change)
}

/// A worker of `fib@1` begins to beat.
fn lives(number: u128, slots: u32) -> Step {
    serves(number, slots, &["fib@1"])
}

fn serves(number: u128, slots: u32, functions: &'static [&'static str]) -> Step {
    change(move |stage| {
        let id = worker(number);
        let cast = stage.cast.entry(id).or_insert_with(|| Cast {
            next: Duration::ZERO,
            beat: WorkerBeat {
                worker: id,
                seq: 0,
                generation: Generation(1),
                host: "stage".into(),
                version: "1".into(),
                functions: functions.iter().map(|text| text.parse().unwrap()).collect(),
                slots,
                state: WorkerState::Live,
                held: vec![],
                leaves: false,
            },
        });
        cast.next = stage.now;
        stage.beat(id);
    })
}

/// A worker is heard no more; `lives` wakes it again, as it was.
fn falls_silent(number: u128) -> Step {
    change(move |stage| {
        if let Some(cast) = stage.cast.get_mut(&worker(number)) {
            cast.next = Duration::MAX;
        }
    })
}

/// From its next beat on a worker holds an attempt, running in a slot.
fn holds(number: u128, job: u128, attempt: u32) -> Step {
    change(move |stage| {
        let attempt = Attempt { term: stage.term, number: attempt };
        let held = Held {
            key: key(job),
            function: "fib@1".parse().unwrap(),
            attempt,
            slot: Some(0),
            age_ms: 10,
        };
        stage.cast.get_mut(&worker(number)).unwrap().beat.held.push(held);
    })
}

/// From its next beat on it holds nothing.
fn lets_go(number: u128) -> Step {
    change(move |stage| stage.cast.get_mut(&worker(number)).unwrap().beat.held.clear())
}

/// A worker says its last word, holding nothing any more.
fn leaves(number: u128) -> Step {
    change(move |stage| {
        let cast = stage.cast.get_mut(&worker(number)).unwrap();
        cast.beat.state = WorkerState::Draining;
        cast.beat.leaves = true;
        cast.beat.held.clear();
        stage.beat(worker(number));
        stage.cast.get_mut(&worker(number)).unwrap().next = Duration::MAX;
    })
}

fn drains(number: u128) -> Step {
    change(move |stage| {
        stage.cast.get_mut(&worker(number)).unwrap().beat.state = WorkerState::Draining;
        stage.beat(worker(number));
    })
}

fn submission(job: u128) -> Submission {
    Submission {
        id: JobId::from_u128(job),
        function: "fib@1".into(),
        args: Bytes::from_static(b"\x14"),
        budget_ms: 60_000,
        priority: 4,
        marks: Marks::default(),
        trace: None,
        first: false,
    }
}

fn submit_as(from: u32, submission: Submission) -> Step {
    event(Event::Submitted {
        user: user(from),
        submit: Submit { client: client(1), generation: Generation(1), jobs: vec![submission] },
    })
}

fn submitted(job: u128) -> Step {
    submit_as(1, submission(job))
}

/// Sent again by a client that knows these marks.
fn submitted_with(job: u128, mark: bool, strikes: &[u128]) -> Step {
    submit_as(1, Submission { marks: marks(mark, strikes), ..submission(job) })
}

fn marks(mark: bool, strikes: &[u128]) -> Marks {
    Marks { mark, strikes: strikes.iter().map(|number| worker(*number)).collect() }
}

fn noted(job: u128, mark: bool, strikes: &[u128]) -> Step {
    event(Event::Noted {
        user: user(1),
        noted: Noted {
            client: client(1),
            generation: Generation(1),
            id: JobId::from_u128(job),
            marks: marks(mark, strikes),
        },
    })
}

fn ids(jobs: &[u128]) -> Ids {
    let ids = jobs.iter().map(|job| JobId::from_u128(*job)).collect();
    Ids { client: client(1), generation: Generation(1), ids }
}

fn cancelled(job: u128) -> Step {
    event(Event::Cancelled { user: user(1), ids: ids(&[job]) })
}

fn asked(job: u128) -> Step {
    event(Event::Asked { user: user(1), ids: ids(&[job]) })
}

fn ended(number: u128, job: u128, attempt: u32, end: End) -> Step {
    change(move |stage| {
        let attempt = Attempt { term: stage.term, number: attempt };
        let ended = Ended { key: key(job), attempt, end: end.clone(), took_us: 1000 };
        let answers = Answers { worker: worker(number), jobs: vec![ended] };
        stage.feed(Event::Answers { user: workers(), answers });
    })
}

fn answered(number: u128, job: u128, attempt: u32) -> Step {
    ended(number, job, attempt, End::Answer(Answer::Value(Bytes::from_static(b"\x2a"))))
}

fn came_back(number: u128, job: u128, attempt: u32) -> Step {
    ended(number, job, attempt, End::Returned { willing: false })
}

fn handed_back(number: u128, job: u128, attempt: u32) -> Step {
    ended(number, job, attempt, End::Returned { willing: true })
}

/// A worker says, confirmed, that it begins an attempt.
fn started(number: u128, job: u128, attempt: u32) -> Step {
    started_via(Via::Results, number, job, attempt)
}

fn started_via(via: Via, number: u128, job: u128, attempt: u32) -> Step {
    change(move |stage| {
        let attempt = Attempt { term: stage.term, number: attempt };
        let seq = stage.cast.get(&worker(number)).map_or(0, |cast| cast.beat.seq);
        let jobs = vec![StartedJob { key: key(job), attempt }];
        let started = Started { worker: worker(number), seq, jobs };
        stage.feed(Event::Started { user: workers(), started, via });
    })
}

/// The link is lost, and another term of ours begins on the next one.
fn next_term() -> Step {
    change(|stage| {
        stage.feed(Event::LinkDown);
        stage.feed(Event::LinkUp);
        stage.term = Term(stage.term.0 + 1);
        stage.feed(Event::Leading { term: stage.term });
        for cast in stage.cast.values_mut().filter(|cast| cast.next != Duration::MAX) {
            cast.beat.generation = cast.beat.generation.next();
            cast.next = stage.now;
        }
    })
}

fn echoes(echoes: bool) -> Step {
    change(move |stage| stage.echoes = echoes)
}

fn nothing() -> Step {
    change(|_| {})
}

// What is wanted of it.

fn place(job: u128, attempt: u32) -> Seen {
    Seen::Placed { job, attempt, alone: false }
}

fn place_alone(job: u128, attempt: u32) -> Seen {
    Seen::Placed { job, attempt, alone: true }
}

fn answer(job: u128, kind: &'static str) -> Seen {
    Seen::Answered { job, kind }
}

fn struck(job: u128, mark: bool, strikes: &[u128]) -> Seen {
    Seen::Struck { job, mark, strikes: strikes.to_vec() }
}

fn marked(job: u128) -> Seen {
    struck(job, true, &[])
}

fn cancel(worker: u128, job: u128) -> Seen {
    Seen::Cancel { worker, jobs: vec![job] }
}
