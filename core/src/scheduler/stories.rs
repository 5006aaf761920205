//! The rules as stories: steps that happen in a small [`world`], and what the scheduler should do
//! about them.
//!
//! The world's broker is well-behaved: it confirms, declares, echoes presence and finds the queues
//! empty, and living workers beat every second, until a story says otherwise.

mod admission;
mod bounds;
mod clients;
mod cross_check;
mod deaths;
mod forged;
mod hedging;
mod isolation;
mod memo;
mod orphans;
mod pools;
mod progress;
mod reach;
mod relief;
mod rollout;
mod shadowing;
mod shares;
mod sharing;
mod sweeps;
mod terms;
mod traces;
mod trials;
mod views;
mod world;

use world::{LiveWorker, Seen, World};

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{
    Answer, Answers, Bound, Control, Crash, Delivered, End, Ended, Held, Ids, Marks, Memo, Noted,
    Presence, Started, StartedJob, Submission, Submit, WorkerBeat, WorkerState,
};
use simple_dist_protocol::{
    Address, Attempt, ClientId, DistributorId, Generation, JobId, JobKey, Term, UserName, WorkerId,
};

use super::{Config, Effect, Event, Hedging, Scheduler, TICK, Via};

type Step = Box<dyn Fn(&mut World)>;

/// A step, `time` seconds after the story begins.
struct TimedStep {
    time: f64,
    step: Step,
}

fn at(time: f64, step: Step) -> TimedStep {
    TimedStep { time, step }
}

/// Plays a story and compares what the scheduler did.
#[track_caller]
fn check(story: impl IntoIterator<Item = TimedStep>, expected: impl IntoIterator<Item = Seen>) {
    let world = play(story);
    let expected: Vec<Seen> = expected.into_iter().collect();
    assert_eq!(world.seen, expected);
}

/// Plays a story whose term began five seconds ago.
fn play(story: impl IntoIterator<Item = TimedStep>) -> World {
    let mut world = World::new(Config::new(US));
    world.feed(Event::LinkUp);
    world.feed(Event::Leading { term: world.term });
    world.go_to(OPEN);
    world.play(story);
    world
}

const US: DistributorId = DistributorId::from_u128(1);
const OPEN: Duration = Duration::from_secs(5);

// Ids.

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

// Steps: what happens.

fn event(event: Event) -> Step {
    Box::new(move |world| world.feed(event.clone()))
}

fn change(change: impl Fn(&mut World) + 'static) -> Step {
    Box::new(change)
}

/// A worker of `fib@1` starts to beat.
fn lives(number: u128, slots: u32) -> Step {
    serves(number, slots, &["fib@1"])
}

fn serves(number: u128, slots: u32, functions: &'static [&'static str]) -> Step {
    begins(number, slots, functions, false)
}

/// A worker of `fib@1` that runs each job in a process of its own starts to beat.
fn isolated(number: u128, slots: u32) -> Step {
    begins(number, slots, &["fib@1"], true)
}

fn begins(number: u128, slots: u32, functions: &'static [&'static str], isolated: bool) -> Step {
    declaring(number, slots, (functions, isolated), (vec![], vec![]))
}

fn declaring(
    number: u128,
    slots: u32,
    (functions, isolated): (&'static [&'static str], bool),
    (deterministic, memo): (Vec<Address>, Vec<Memo>),
) -> Step {
    change(move |world| {
        let id = worker(number);
        let live = world.workers.entry(id).or_insert_with(|| LiveWorker {
            next: Duration::ZERO,
            beat: WorkerBeat {
                worker: id,
                seq: 0,
                generation: Generation(1),
                host: "host".into(),
                version: "1".into(),
                functions: functions.iter().map(|text| text.parse().unwrap()).collect(),
                slots,
                state: WorkerState::Live,
                held: vec![],
                isolated,
                term: None,
                leaves: false,
                deterministic: deterministic.clone(),
                load: None,
                memo: memo.clone(),
                round_trip_us: None,
                printed: vec![],
            },
        });
        live.next = world.now;
        world.beat(id);
    })
}

/// A worker stops beating; `lives` wakes it again, as it was.
fn falls_silent(number: u128) -> Step {
    change(move |world| {
        if let Some(live) = world.workers.get_mut(&worker(number)) {
            live.next = Duration::MAX;
        }
    })
}

/// From its next beat on, a worker holds an attempt, running in a slot.
fn holds(number: u128, job: u128, attempt: u32) -> Step {
    change(move |world| {
        let attempt = Attempt { term: world.term, number: attempt };
        let held = Held {
            key: key(job),
            function: "fib@1".parse().unwrap(),
            attempt,
            slot: Some(0),
            age_ms: 10,
        };
        world.workers.get_mut(&worker(number)).unwrap().beat.held.push(held);
    })
}

/// From its next beat on, it holds nothing.
fn lets_go(number: u128) -> Step {
    change(move |world| world.workers.get_mut(&worker(number)).unwrap().beat.held.clear())
}

/// A worker sends its last beat, holding nothing any more.
fn leaves(number: u128) -> Step {
    change(move |world| {
        let live = world.workers.get_mut(&worker(number)).unwrap();
        live.beat.state = WorkerState::Draining;
        live.beat.leaves = true;
        live.beat.held.clear();
        world.beat(worker(number));
        world.workers.get_mut(&worker(number)).unwrap().next = Duration::MAX;
    })
}

fn drains(number: u128) -> Step {
    change(move |world| {
        world.workers.get_mut(&worker(number)).unwrap().beat.state = WorkerState::Draining;
        world.beat(worker(number));
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
        progress: false,
        has_fallback: false,
        fresh: false,
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

/// Resent by a client that knows these marks.
fn submitted_with(job: u128, mark: bool, strikes: &[u128]) -> Step {
    submit_as(1, Submission { marks: marks(mark, strikes), ..submission(job) })
}

fn marks(mark: bool, strikes: &[u128]) -> Marks {
    let strikes = strikes.iter().map(|number| worker(*number)).collect();
    Marks { mark, strikes, crashes: vec![] }
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
    change(move |world| {
        let attempt = Attempt { term: world.term, number: attempt };
        let ended = Ended { key: key(job), attempt, end: end.clone(), took_us: 1000 };
        let answers = Answers { worker: worker(number), jobs: vec![ended] };
        world.feed(Event::Answers { user: workers(), answers });
    })
}

/// A worker answers after a run of so many microseconds.
fn took(number: u128, job: u128, took_us: u64) -> Step {
    change(move |world| {
        let attempt = Attempt { term: world.term, number: 1 };
        let end = End::Answer(Answer::Value(Bytes::from_static(b"\x2a")));
        let ended = Ended { key: key(job), attempt, end, took_us };
        let answers = Answers { worker: worker(number), jobs: vec![ended] };
        world.feed(Event::Answers { user: workers(), answers });
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

/// The child process of an isolated worker that ran an attempt was killed by SIGSEGV.
fn crashed(number: u128, job: u128, attempt: u32) -> Step {
    change(move |world| {
        let attempt = Attempt { term: world.term, number: attempt };
        let end = End::Crashed(crash(number, attempt));
        let ended = Ended { key: key(job), attempt, end, took_us: 1000 };
        let answers = Answers { worker: worker(number), jobs: vec![ended] };
        world.feed(Event::Answers { user: workers(), answers });
    })
}

fn crash(number: u128, attempt: Attempt) -> Crash {
    Crash {
        worker: worker(number),
        attempt,
        signal: Some(11),
        code: None,
        memory_bytes: 4096,
        output: "stack overflow".into(),
        note: None,
    }
}

/// The client knows these crashes, by attempt, all at one worker.
fn noted_crashes(job: u128, number: u128, attempts: &'static [u32]) -> Step {
    change(move |world| {
        let term = world.term;
        let crash = |number_of: &u32| crash(number, Attempt { term, number: *number_of });
        let marks = Marks { crashes: attempts.iter().map(crash).collect(), ..Marks::default() };
        let (client, id) = (client(1), JobId::from_u128(job));
        let noted = Noted { client, generation: Generation(1), id, marks };
        world.feed(Event::Noted { user: user(1), noted });
    })
}

/// A worker reports a confirmed start of an attempt.
fn started(number: u128, job: u128, attempt: u32) -> Step {
    started_via(Via::Results, number, job, attempt)
}

fn started_via(via: Via, number: u128, job: u128, attempt: u32) -> Step {
    change(move |world| {
        let attempt = Attempt { term: world.term, number: attempt };
        let seq = world.workers.get(&worker(number)).map_or(0, |live| live.beat.seq);
        let jobs = vec![StartedJob { key: key(job), attempt }];
        let started = Started { worker: worker(number), seq, jobs };
        world.feed(Event::Started { user: workers(), started, via });
    })
}

/// The link is lost, and another term of ours begins on the next one.
fn next_term() -> Step {
    change(|world| {
        world.feed(Event::LinkDown);
        world.feed(Event::LinkUp);
        world.term = Term(world.term.0 + 1);
        world.feed(Event::Leading { term: world.term });
        for live in world.workers.values_mut().filter(|live| live.next != Duration::MAX) {
            live.beat.generation = live.beat.generation.next();
            live.next = world.now;
        }
    })
}

/// From now on the broker returns what is sent to workers: their control queues are gone.
fn unreachable(are: bool) -> Step {
    change(move |world| {
        world.controls = if are { Outcome::Returned } else { Outcome::Confirmed };
    })
}

/// A worker's link ends, and its will says so.
fn cut(number: u128) -> Step {
    change(move |world| {
        let live = world.workers.get_mut(&worker(number)).unwrap();
        live.next = Duration::MAX;
        let (worker, generation) = (worker(number), live.beat.generation);
        world.feed(Event::LinkEnded { worker, generation });
    })
}

fn echoes(echoes: bool) -> Step {
    change(move |world| world.echoes = echoes)
}

fn nothing() -> Step {
    change(|_| {})
}

// What the scheduler should do.

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
