//! Stories on the executor: what happens, and what a worker does about it.

mod anything;
mod ends;
mod leaving;
mod lending;
mod link;
mod lists;
mod marked;

use std::collections::HashMap;

use bytes::Bytes;
use simple_dist_protocol::message::{Answer, Control, End, Held, Place, Placement, WorkerState};
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
    /// The last publication of a job was settled.
    Settled(J, Outcome),
    /// What a slot runs waits for a call of its own.
    Waits(usize, J),
    Resumes(usize, J),
}

/// One thing that is done.
#[derive(Debug, PartialEq)]
enum Deed {
    Run(usize, Vec<J>),
    Recall(usize),
    Stop(usize, J),
    Lend(usize, bool),
    Beat(WorkerState, Vec<(J, Option<u32>)>),
    Goodbye(Vec<J>),
    Running(Vec<J>),
    Begins(J),
    Ended(J, End),
    Ack(u64),
    Consume(Consumer),
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
            worker: WorkerId::from_u128(1),
            host: "here".to_owned(),
            functions: vec!["fib@1".parse().unwrap()],
            slots,
            lends: LENDS,
            grace: Duration::from_secs(30),
        };
        let executor = Executor::new(profile, start);
        Self { executor, start, tokens: HashMap::new(), numbers: HashMap::new() }
    }

    /// With a link, and welcome.
    fn live(slots: usize) -> Self {
        let mut story = Self::new(slots);
        story.play(up(0, 1));
        story.play(welcome(0));
        story
    }

    fn play(&mut self, Step(millis, what): Step) -> Vec<Deed> {
        let event = match what {
            What::Event(event) => event,
            What::Ran(slot, job, took) => Event::Ran {
                slot,
                number: self.numbers[&job],
                answer: value(),
                took: Duration::from_millis(took),
            },
            What::Waits(slot, job) => Event::Waits { slot, number: self.numbers[&job] },
            What::Resumes(slot, job) => Event::Resumes { slot, number: self.numbers[&job] },
            What::Settled(job, outcome) => Event::Settled { token: self.tokens[&job], outcome },
        };
        let effects = self.executor.apply(event, self.start + Duration::from_millis(millis));
        effects.into_iter().map(|effect| self.deed(effect)).collect()
    }

    fn deed(&mut self, effect: Effect) -> Deed {
        match effect {
            Effect::Run { slot, jobs } => {
                self.numbers.extend(jobs.iter().map(|work| (number(&work.key), work.number)));
                Deed::Run(slot, jobs.iter().map(|work| number(&work.key)).collect())
            }
            Effect::Recall { slot } => Deed::Recall(slot),
            Effect::Lend { slot, lent } => Deed::Lend(slot, lent),
            Effect::Stop { slot, number } => {
                let job = self.numbers.iter().find(|(_, known)| **known == number);
                Deed::Stop(slot, *job.expect("it was given to the slot").0)
            }
            Effect::Ack(DeliveryId(delivery)) => Deed::Ack(delivery),
            Effect::Consume { consumer, .. } => Deed::Consume(consumer),
            Effect::Cancel(consumer) => Deed::Cancel(consumer),
            Effect::Publish(Publication::Beat(beat)) => {
                if beat.leaves {
                    return Deed::Goodbye(beat.held.iter().map(|it| number(&it.key)).collect());
                }
                let held = |held: &Held| (number(&held.key), held.slot);
                Deed::Beat(beat.state, beat.held.iter().map(held).collect())
            }
            Effect::Publish(Publication::Running(started)) => {
                Deed::Running(started.jobs.iter().map(|job| number(&job.key)).collect())
            }
            Effect::Publish(Publication::Begins { started, token }) => {
                let job = number(&started.jobs[0].key);
                self.tokens.insert(job, token);
                Deed::Begins(job)
            }
            Effect::Publish(Publication::Ended { ended, token }) => {
                let job = number(&ended.key);
                self.tokens.insert(job, token);
                Deed::Ended(job, ended.end)
            }
        }
    }
}

/// Whatever happens, just this is done beside beats.
#[track_caller]
fn check(mut story: Story, steps: impl IntoIterator<Item = Step>, deeds: impl Into<Vec<Deed>>) {
    let done: Vec<Deed> = steps.into_iter().flat_map(|step| story.play(step)).collect();
    let done: Vec<Deed> = done.into_iter().filter(|deed| !matches!(deed, Deed::Beat(..))).collect();
    assert_eq!(done, deeds.into());
}

/// Whatever happens, just these beats are sent.
#[track_caller]
fn check_beats(
    mut story: Story,
    steps: impl IntoIterator<Item = Step>,
    beats: impl Into<Vec<Deed>>,
) {
    let done: Vec<Deed> = steps.into_iter().flat_map(|step| story.play(step)).collect();
    let done: Vec<Deed> = done.into_iter().filter(|deed| matches!(deed, Deed::Beat(..))).collect();
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
    let pool = PoolId::of(&["fib@1".parse().unwrap()]);
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

fn waits(millis: u64, slot: usize, job: J) -> Step {
    Step(millis, What::Waits(slot, job))
}

fn resumes(millis: u64, slot: usize, job: J) -> Step {
    Step(millis, What::Resumes(slot, job))
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

fn answered(job: J) -> Deed {
    Deed::Ended(job, End::Answer(value()))
}

fn ended(job: J, answer: Answer) -> Deed {
    Deed::Ended(job, End::Answer(answer))
}

fn back(job: J) -> Deed {
    Deed::Ended(job, End::Returned { willing: true })
}

fn back_unwilling(job: J) -> Deed {
    Deed::Ended(job, End::Returned { willing: false })
}

fn run<const N: usize>(slot: usize, jobs: [J; N]) -> Deed {
    Deed::Run(slot, jobs.into())
}
