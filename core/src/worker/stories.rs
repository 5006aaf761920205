//! Stories on the executor: what happens, and what a worker does about it.

mod anything;
mod ends;
mod killed;
mod leaving;
mod lending;
mod link;
mod lists;
mod marked;
mod progress;
mod stuck;

use std::collections::HashMap;

use bytes::Bytes;
use simple_dist_protocol::message::{
    Answer, Control, Crash, End, Held, Place, Placement, Progress, ProgressedJob, WorkerState,
};
use simple_dist_protocol::{Attempt, JobId, JobKey, Outcome, Term};

use super::*;

/// What a story may say of a job: its number, which is its id.
type J = u128;

/// How many places a story's worker lends.
const LENDS: usize = 16;

/// One thing that happens, at so many milliseconds.
struct Step(u64, What);

enum What {
    Event(Event),
    /// A slot ran a job in so many milliseconds.
    Ran(usize, J, u64),
    /// Its process ended of it.
    Crashed(usize, J),
    /// The last publication of a job was settled.
    Settled(J, Outcome),
    /// What a slot runs waits for a call of its own.
    Waits(usize, J),
    Resumes(usize, J),
    /// Jobs are so far.
    Progressed(Vec<(J, f32)>),
}

/// One thing that is done.
#[derive(Debug, PartialEq)]
enum Action {
    Run(usize, Vec<J>),
    Recall(usize),
    Stop(usize, J),
    Kill(usize, J),
    Lend(usize, bool),
    Beat(WorkerState, Vec<(J, Option<u32>)>),
    Goodbye(Vec<J>),
    Running(Vec<J>),
    CollectProgress,
    Progress(Vec<(J, f32)>),
    Begins(J),
    Ended(J, End),
    Ack(u64),
    Consume(Consumer),
    /// More messages than slots are taken ahead.
    Ahead(usize),
    Cancel(Consumer),
}

struct Story {
    executor: Executor,
    start: Duration,
    tokens: HashMap<J, Token>,
    numbers: HashMap<J, Number>,
}

impl Story {
    fn new(slots: usize) -> Self {
        let start = Duration::from_secs(1);
        let profile = Profile {
            isolated: false,
            worker: WorkerId::from_u128(1),
            host: "here".to_owned(),
            functions: vec!["fib@1".parse().unwrap()],
            deterministic: vec![],
            memo: vec![],
            slots,
            lends: LENDS,
            exits_when_stuck: false,
            grace: Duration::from_secs(30),
        };
        let executor = Executor::new(profile, start);
        Self { executor, start, tokens: HashMap::new(), numbers: HashMap::new() }
    }

    /// With a link, and welcome.
    fn live(slots: usize) -> Self {
        Self::new(slots).linked()
    }

    /// The same, of a worker whose slots are processes.
    fn isolated(slots: usize) -> Self {
        let mut story = Self::new(slots);
        story.executor.profile.isolated = true;
        story.linked()
    }

    fn linked(mut self) -> Self {
        let story = &mut self;
        story.play(up(0, 1));
        story.play(welcome(0));
        self
    }

    fn play(&mut self, Step(millis, what): Step) -> Vec<Action> {
        let event = match what {
            What::Event(event) => event,
            What::Ran(slot, job, took) => Event::Ran {
                slot,
                number: self.numbers[&job],
                answer: value(),
                took: Duration::from_millis(took),
            },
            What::Crashed(slot, job) => {
                let (number, took) = (self.numbers[&job], Duration::from_millis(1));
                Event::Crashed { slot, number, crash: crash(), took }
            }
            What::Waits(slot, job) => Event::Waits { slot, number: self.numbers[&job] },
            What::Resumes(slot, job) => Event::Resumes { slot, number: self.numbers[&job] },
            What::Progressed(news) => {
                let told = |(job, fraction)| (self.numbers[&job], Progress::new(fraction, ""));
                Event::Progressed(news.into_iter().map(told).collect())
            }
            What::Settled(job, outcome) => Event::Settled { token: self.tokens[&job], outcome },
        };
        let effects = self.executor.apply(event, self.start + Duration::from_millis(millis));
        effects.into_iter().map(|effect| self.action(effect)).collect()
    }

    fn job(&self, number: Number) -> J {
        let job = self.numbers.iter().find(|(_, known)| **known == number);
        *job.expect("it was given to the slot").0
    }

    fn action(&mut self, effect: Effect) -> Action {
        match effect {
            Effect::Run { slot, jobs } => {
                self.numbers.extend(jobs.iter().map(|work| (number(&work.key), work.number)));
                Action::Run(slot, jobs.iter().map(|work| number(&work.key)).collect())
            }
            Effect::Recall { slot } => Action::Recall(slot),
            Effect::Lend { slot, number: _, lent } => Action::Lend(slot, lent),
            Effect::Stop { slot, number } => Action::Stop(slot, self.job(number)),
            Effect::Kill { slot, number } => Action::Kill(slot, self.job(number)),
            Effect::Ack(DeliveryId(delivery)) => Action::Ack(delivery),
            Effect::Consume { consumer: Consumer::LookAhead, messages, .. }
                if messages > self.executor.profile.slots =>
            {
                Action::Ahead(messages)
            }
            Effect::Consume { consumer, .. } => Action::Consume(consumer),
            Effect::Cancel(consumer) => Action::Cancel(consumer),
            Effect::Publish(Publication::Beat(beat)) => {
                if beat.leaves {
                    return Action::Goodbye(beat.held.iter().map(|it| number(&it.key)).collect());
                }
                let held = |held: &Held| (number(&held.key), held.slot);
                Action::Beat(beat.state, beat.held.iter().map(held).collect())
            }
            Effect::Publish(Publication::Running(started)) => {
                Action::Running(started.jobs.iter().map(|job| number(&job.key)).collect())
            }
            Effect::CollectProgress => Action::CollectProgress,
            Effect::Publish(Publication::Progress(told)) => {
                let job = |job: &ProgressedJob| (number(&job.key), job.progress.fraction);
                Action::Progress(told.jobs.iter().map(job).collect())
            }
            Effect::Publish(Publication::Begins { started, token }) => {
                let job = number(&started.jobs[0].key);
                self.tokens.insert(job, token);
                Action::Begins(job)
            }
            Effect::Publish(Publication::Ended { ended, token }) => {
                let job = number(&ended.key);
                self.tokens.insert(job, token);
                Action::Ended(job, ended.end)
            }
        }
    }
}

/// Whatever happens, just this is done beside beats.
#[track_caller]
fn check(mut story: Story, steps: impl IntoIterator<Item = Step>, actions: impl Into<Vec<Action>>) {
    let done: Vec<Action> = steps.into_iter().flat_map(|step| story.play(step)).collect();
    let done: Vec<Action> =
        done.into_iter().filter(|action| !matches!(action, Action::Beat(..))).collect();
    assert_eq!(done, actions.into());
}

/// Whatever happens, just these beats are sent.
#[track_caller]
fn check_beats(
    mut story: Story,
    steps: impl IntoIterator<Item = Step>,
    beats: impl Into<Vec<Action>>,
) {
    let done: Vec<Action> = steps.into_iter().flat_map(|step| story.play(step)).collect();
    let done: Vec<Action> =
        done.into_iter().filter(|action| matches!(action, Action::Beat(..))).collect();
    assert_eq!(done, beats.into());
}

fn number(key: &JobKey) -> J {
    (1..100).find(|number| JobId::from_u128(*number) == key.id).expect("a job of the story")
}

fn key(job: J) -> JobKey {
    JobKey { user: "u".parse().unwrap(), id: JobId::from_u128(job) }
}

fn placement(job: J) -> Placement {
    Placement {
        key: key(job),
        function: "fib@1".parse().unwrap(),
        args: Bytes::from_static(&[20]),
        budget_ms: 60_000,
        attempt: 1,
        start_confirmed: false,
        trace: None,
    }
}

fn event(millis: u64, event: Event) -> Step {
    Step(millis, What::Event(event))
}

fn up(millis: u64, generation: u32) -> Step {
    event(millis, Event::Up(Generation(generation)))
}

fn down(millis: u64) -> Step {
    event(millis, Event::Down)
}

fn control(millis: u64, control: Control) -> Step {
    event(millis, Event::Control(control))
}

fn welcome(millis: u64) -> Step {
    let pool = PoolId::of(&["fib@1".parse().unwrap()], false);
    control(millis, Control::Welcome { term: Term(1), pool })
}

/// By an old distributor, which names no attempts.
fn cancel(millis: u64, job: J) -> Step {
    control(millis, Control::Cancel { keys: vec![key(job)], attempts: vec![] })
}

fn cancel_attempts<const N: usize>(millis: u64, attempts: [(J, u32); N]) -> Step {
    let keys = attempts.map(|(job, _)| key(job)).into();
    let attempts = attempts.map(|(_, number)| Attempt { term: Term(1), number }).into();
    control(millis, Control::Cancel { keys, attempts })
}

fn shutdown(millis: u64) -> Step {
    event(millis, Event::Shutdown)
}

fn tick(millis: u64) -> Step {
    event(millis, Event::Tick)
}

fn recalled(millis: u64, slot: usize, begun: usize) -> Step {
    event(millis, Event::Recalled { slot, begun })
}

/// A beat is confirmed.
fn beat_confirmed(millis: u64, seq: u64) -> Step {
    event(millis, Event::Settled { token: Token::Beat(seq), outcome: Outcome::Confirmed })
}

/// Jobs come as one list.
fn placed<const N: usize>(millis: u64, delivery: u64, jobs: [J; N]) -> Step {
    list(millis, delivery, jobs.map(placement))
}

fn list<const N: usize>(millis: u64, delivery: u64, jobs: [Placement; N]) -> Step {
    let place = Place { term: Term(1), jobs: jobs.into() };
    let (delivery, consumer) = (DeliveryId(delivery), Consumer::Pool);
    event(millis, Event::Placed { delivery, consumer, redelivered: false, place })
}

fn redelivered<const N: usize>(millis: u64, delivery: u64, jobs: [J; N]) -> Step {
    let place = Place { term: Term(1), jobs: jobs.map(placement).into() };
    let (delivery, consumer) = (DeliveryId(delivery), Consumer::Pool);
    event(millis, Event::Placed { delivery, consumer, redelivered: true, place })
}

fn ran(millis: u64, slot: usize, job: J) -> Step {
    Step(millis, What::Ran(slot, job, 1))
}

fn ran_for(millis: u64, slot: usize, job: J, took: u64) -> Step {
    Step(millis, What::Ran(slot, job, took))
}

fn crashed(millis: u64, slot: usize, job: J) -> Step {
    Step(millis, What::Crashed(slot, job))
}

fn crash() -> Crash {
    Crash {
        worker: WorkerId::from_u128(1),
        attempt: Attempt { term: Term(1), number: 1 },
        signal: Some(11),
        code: None,
        memory_bytes: 0,
        output: String::new(),
        note: None,
    }
}

fn waits(millis: u64, slot: usize, job: J) -> Step {
    Step(millis, What::Waits(slot, job))
}

fn resumes(millis: u64, slot: usize, job: J) -> Step {
    Step(millis, What::Resumes(slot, job))
}

fn progresses(millis: u64) -> Step {
    event(millis, Event::Progresses)
}

fn progressed<const N: usize>(millis: u64, news: [(J, f32); N]) -> Step {
    Step(millis, What::Progressed(news.into()))
}

fn confirmed(millis: u64, job: J) -> Step {
    Step(millis, What::Settled(job, Outcome::Confirmed))
}

fn refused(millis: u64, job: J) -> Step {
    Step(millis, What::Settled(job, Outcome::Refused))
}

fn value() -> Answer {
    Answer::Value(Bytes::from_static(&[7]))
}

fn answered(job: J) -> Action {
    Action::Ended(job, End::Answer(value()))
}

fn ended(job: J, answer: Answer) -> Action {
    Action::Ended(job, End::Answer(answer))
}

fn back(job: J) -> Action {
    Action::Ended(job, End::Returned { willing: true })
}

fn back_unwilling(job: J) -> Action {
    Action::Ended(job, End::Returned { willing: false })
}

fn run<const N: usize>(slot: usize, jobs: [J; N]) -> Action {
    Action::Run(slot, jobs.into())
}
