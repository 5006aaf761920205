//! How a story is told: times in milliseconds, jobs as numbers, one local slot.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{
    Answer, Answered, Bound, Crash, Delivered, Deliveries, Delivery, Marks, Presence, Progress,
};
use simple_dist_protocol::{Attempt, DistributorId, JobId, Term, WorkerId};

use super::super::{
    Begin, CallError, CallOptions, Caller, Effect, Event, Failed, Fallback, LocalRun, Obstacle,
    Ran, Reason, Retry, Target,
};

/// What happens.
pub(super) enum What {
    Call {
        job: u128,
        target: Target,
        args: Result<Bytes, Obstacle>,
        options: CallOptions,
    },
    Settle {
        job: u128,
        outcome: Outcome,
    },
    Deliver {
        job: u128,
        body: Delivered,
    },
    /// The publisher did not take the job.
    Full {
        job: u128,
    },
    Event(Event),
    /// The publisher has so much before it that nothing is written until it says so.
    Backlog(bool),
    /// Since the last look this process stood still.
    StoodStill,
    /// For so many milliseconds from now more comes than is taken in.
    Behind(u64),
    /// Only time passes.
    Nothing,
}

/// What is seen to follow.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Submitted(u128),
    Cancelled(Vec<u128>),
    Asked(Vec<u128>),
    Noted(u128, Marks),
    Reported(u64),
    /// A local run begins.
    Runs(u128, Reason),
    /// It goes on without its call.
    LeftBehind(u128),
    /// It will be tried again.
    Retried(u128),
    Progress(u128, f32),
    Value(u128, Ran),
    Failed(u128, CallError<Failed>),
}

pub(super) type Told = (u64, What);

/// Tells a story and holds what is seen against what is expected.
#[track_caller]
pub(super) fn check(
    story: impl IntoIterator<Item = Told>,
    expected: impl IntoIterator<Item = Seen>,
) {
    assert_eq!(tell(story), expected.into_iter().collect::<Vec<_>>());
}

/// Tells a story, the clock going on by itself as the machine asks; what is seen, in order.
pub(super) fn tell(story: impl IntoIterator<Item = Told>) -> Vec<Seen> {
    let mut story: Vec<Told> = story.into_iter().collect();
    story.sort_by_key(|(at, _)| *at);
    let start = Duration::ZERO;
    let mut teller = Teller {
        caller: Caller::new(1, start),
        tokens: HashMap::new(),
        unconfirmed: HashSet::new(),
        backlog: false,
        progress: start,
        behind: start,
        seen: Vec::new(),
    };
    let mut now = start;
    for (at, what) in story {
        let then = start + Duration::from_millis(at);
        if !matches!(what, What::StoodStill) {
            teller.look_until(then, now);
        }
        now = then;
        teller.happen(what, now);
        teller.look(now);
    }
    teller.seen
}

struct Teller {
    caller: Caller,
    tokens: HashMap<u128, u64>,
    /// What the publisher waits for, whether nothing of it is written, and when it last heard.
    unconfirmed: HashSet<u64>,
    backlog: bool,
    progress: Duration,
    /// Until when news wait to be taken in.
    behind: Duration,
    seen: Vec<Seen>,
}

impl Teller {
    fn happen(&mut self, what: What, now: Duration) {
        let event = match what {
            What::Call { job, target, args, options } => {
                let target = Arc::new(target);
                Event::Begin(Begin { id: id(job), target, args, options, at: now })
            }
            What::Settle { job, outcome } => {
                let token = self.tokens[&job];
                if outcome == Outcome::Returned {
                    self.tokens.remove(&job); // it was as good as never sent
                }
                self.unconfirmed.remove(&token);
                self.progress = now;
                Event::Settled { tokens: vec![token], outcome }
            }
            What::Deliver { job, body } => {
                if let Some(token) = self.tokens.get(&job) {
                    self.unconfirmed.remove(token); // its confirm came before
                }
                let jobs = vec![Delivery { id: id(job), body }];
                Event::Deliveries(Deliveries { term: Term(1), jobs })
            }
            What::Full { job } => Event::NotTaken { token: self.tokens[&job] },
            What::Event(event) => event,
            What::Backlog(backlog) => {
                (self.backlog, self.progress) = (backlog, now);
                return;
            }
            What::Behind(ms) => {
                self.behind = now + Duration::from_millis(ms);
                return;
            }
            What::StoodStill | What::Nothing => return,
        };
        if matches!(event, Event::Down(_) | Event::Unblocked) {
            self.unconfirmed.retain(|_| matches!(event, Event::Unblocked));
            self.progress = now;
        }
        self.caller.apply(event, now);
    }

    /// Looks whenever the machine asks for it.
    fn look_until(&mut self, then: Duration, mut now: Duration) {
        while self.caller.wake(now) <= then {
            now = self.caller.wake(now).max(now);
            self.look(now);
        }
    }

    fn look(&mut self, now: Duration) {
        let waits = !self.unconfirmed.is_empty() && !self.backlog;
        let unconfirmed = if waits { now.saturating_sub(self.progress) } else { Duration::ZERO };
        self.caller.apply(Event::Look { unconfirmed, caught_up: now >= self.behind }, now);
        for effect in self.caller.effects(now) {
            let seen = match effect {
                Effect::Submit { submission, token } => {
                    let job = number(submission.id);
                    let before = self.tokens.insert(job, token);
                    assert_eq!(submission.first, before.is_none(), "{job} is sent, or again");
                    if self.unconfirmed.is_empty() {
                        self.progress = now;
                    }
                    self.unconfirmed.insert(token);
                    Seen::Submitted(job)
                }
                Effect::Cancel(ids) => Seen::Cancelled(numbers(ids)),
                Effect::Ask(ids) => Seen::Asked(numbers(ids)),
                Effect::Noted { id, marks } => Seen::Noted(number(id), marks),
                Effect::Report(runs) => {
                    Seen::Reported(runs.values().flat_map(|reasons| reasons.values()).sum())
                }
                Effect::Run { id, reason, .. } => Seen::Runs(number(id), reason),
                Effect::Progress { id, progress } => Seen::Progress(number(id), progress.fraction),
                Effect::Retry(id) => Seen::Retried(number(id)),
                Effect::LeftBehind(id) => Seen::LeftBehind(number(id)),
                Effect::End { id, end: Ok(ended) } => Seen::Value(number(id), ended.ran),
                Effect::End { id, end: Err(error) } => Seen::Failed(number(id), error),
                Effect::NoRoom(_) => continue,
            };
            self.seen.push(seen);
        }
    }
}

fn id(job: u128) -> JobId {
    JobId::from_u128(job)
}

fn number(id: JobId) -> u128 {
    (0..1_000).find(|number| JobId::from_u128(*number) == id).unwrap()
}

fn numbers(ids: Vec<JobId>) -> Vec<u128> {
    let mut numbers: Vec<u128> = ids.into_iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

pub(super) fn at(ms: u64, what: What) -> Told {
    (ms, what)
}

pub(super) fn call(job: u128) -> What {
    call_as(job, Fallback::WhenUnavailable, 60_000)
}

pub(super) fn call_as(job: u128, fallback: Fallback, timeout: u64) -> What {
    let timeout = Duration::from_millis(timeout);
    let options = CallOptions { fallback, timeout, ..CallOptions::default() };
    What::Call { job, target: fib(LocalRun::Typed), args: written(), options }
}

pub(super) fn call_with(job: u128, options: CallOptions) -> What {
    What::Call { job, target: fib(LocalRun::Typed), args: written(), options }
}

/// A call with a deadline, in milliseconds as all is.
pub(super) fn call_until(job: u128, fallback: Fallback, timeout: u64, deadline: u64) -> What {
    let [timeout, deadline] = [timeout, deadline].map(Duration::from_millis);
    let options =
        CallOptions { fallback, timeout, deadline: Some(deadline), ..CallOptions::default() };
    What::Call { job, target: fib(LocalRun::Typed), args: written(), options }
}

/// A call that is tried again.
pub(super) fn call_again(job: u128, retry: Retry, fallback: Fallback, timeout: u64) -> What {
    let timeout = Duration::from_millis(timeout);
    let options = CallOptions { retry, fallback, timeout, ..CallOptions::default() };
    What::Call { job, target: fib(LocalRun::Typed), args: written(), options }
}

pub(super) fn call_unknown(job: u128) -> What {
    call_of(job, LocalRun::No, written())
}

/// A call with an argument that may not travel, of a function that may run here in some way.
pub(super) fn call_of(job: u128, local: LocalRun, args: Result<Bytes, Obstacle>) -> What {
    What::Call { job, target: fib(local), args, options: CallOptions::default() }
}

/// The same call, run in a child where it runs here.
pub(super) fn in_child(call: What) -> What {
    match call {
        What::Call { job, target, args, options } => {
            What::Call { job, target: Target { isolated: true, ..target }, args, options }
        }
        other => other,
    }
}

fn fib(local: LocalRun) -> Target {
    Target::new("fib@1".parse().unwrap(), local)
}

pub(super) fn written() -> Result<Bytes, Obstacle> {
    Ok(Bytes::from_static(&[20]))
}

pub(super) fn dropped(job: u128) -> What {
    What::Event(Event::Dropped(id(job)))
}

pub(super) fn up() -> What {
    What::Event(Event::Up)
}

pub(super) fn down() -> What {
    What::Event(Event::Down(Reason::NoConnection))
}

pub(super) fn missing() -> What {
    What::Event(Event::Down(Reason::NoDistributor))
}

pub(super) fn blocked() -> What {
    What::Event(Event::Blocked)
}

pub(super) fn unblocked() -> What {
    What::Event(Event::Unblocked)
}

pub(super) fn closed() -> What {
    What::Event(Event::Close)
}

pub(super) fn full(job: u128) -> What {
    What::Full { job }
}

pub(super) fn confirmed(job: u128) -> What {
    What::Settle { job, outcome: Outcome::Confirmed }
}

pub(super) fn returned(job: u128) -> What {
    What::Settle { job, outcome: Outcome::Returned }
}

pub(super) fn refused(job: u128) -> What {
    What::Settle { job, outcome: Outcome::Refused }
}

pub(super) fn backlog(backlog: bool) -> What {
    What::Backlog(backlog)
}

pub(super) fn stood_still() -> What {
    What::StoodStill
}

pub(super) fn behind(ms: u64) -> What {
    What::Behind(ms)
}

pub(super) fn nothing() -> What {
    What::Nothing
}

pub(super) fn answered(job: u128, answer: Answer) -> What {
    let worker = Some(worker(7));
    let bound = matches!(answer, Answer::Busy).then_some(Bound::Jobs);
    let body = Answered {
        answer,
        worker,
        attempt: 1,
        waited_ms: 2,
        took_us: 3,
        bound,
        coalesced: false,
        memo_age_ms: None,
    };
    What::Deliver { job, body: Delivered::Answer(body) }
}

pub(super) fn value(job: u128) -> What {
    answered(job, Answer::Value(Bytes::from_static(&[20])))
}

/// A value that took a worker so many milliseconds.
pub(super) fn value_after(job: u128, ms: u64) -> What {
    let What::Deliver { body: Delivered::Answer(answered), .. } = value(job) else {
        unreachable!()
    };
    What::Deliver { job, body: Delivered::Answer(Answered { took_us: ms * 1_000, ..answered }) }
}

pub(super) fn unknown(job: u128) -> What {
    What::Deliver { job, body: Delivered::Unknown }
}

pub(super) fn progress(job: u128, fraction: f32) -> What {
    What::Deliver { job, body: Delivered::Progress(Progress::new(fraction, "")) }
}

pub(super) fn struck(job: u128, marks: Marks) -> What {
    What::Deliver { job, body: Delivered::Struck(marks) }
}

pub(super) fn ran(job: u128) -> What {
    ran_after(job, 0)
}

/// A local run that took so many milliseconds.
pub(super) fn ran_after(job: u128, ms: u64) -> What {
    What::Event(Event::Ran { id: id(job), end: Ok(()), took: Duration::from_millis(ms) })
}

pub(super) fn ran_badly(job: u128, error: CallError<Failed>) -> What {
    What::Event(Event::Ran { id: id(job), end: Err(error), took: Duration::ZERO })
}

/// A beat of the distributor that lists `fib@1` as served.
pub(super) fn presence(term: u64) -> What {
    presence_with(term, true, true)
}

pub(super) fn presence_with(term: u64, served: bool, room: bool) -> What {
    What::Event(Event::Presence(Presence {
        distributor: DistributorId::from_u128(1),
        term: Term(term),
        seq: 1,
        functions: served.then(|| "fib@1".parse().unwrap()).into_iter().collect(),
        expected: vec![],
        backlog: 0,
        room,
        bound: (!room).then_some(Bound::Jobs),
        past: None,
    }))
}

/// A beat of term 1 that says that all workers of the function are out of reach.
pub(super) fn out_of_reach() -> What {
    let What::Event(Event::Presence(presence)) = presence_with(1, false, true) else {
        unreachable!("it is one")
    };
    What::Event(Event::Presence(Presence { expected: vec!["fib@1".parse().unwrap()], ..presence }))
}

/// Beats of term 1 every second, from 0 to `until`.
pub(super) fn beats(until: u64) -> impl Iterator<Item = Told> {
    (0..=until).step_by(1_000).map(|ms| at(ms, presence(1)))
}

pub(super) fn worker(number: u128) -> WorkerId {
    WorkerId::from_u128(number)
}

pub(super) fn marked() -> Marks {
    Marks { mark: true, ..Marks::default() }
}

pub(super) fn strike() -> Marks {
    Marks { strikes: vec![worker(7)], ..Marks::default() }
}

/// An isolated worker's child ended with the job.
pub(super) fn crash() -> Marks {
    let attempt = Attempt { term: Term(1), number: 1 };
    let (worker, output) = (worker(7), String::new());
    let (signal, code, note) = (Some(11), None, None);
    let crash = Crash { worker, attempt, signal, code, memory_bytes: 0, output, note };
    Marks { crashes: vec![crash], ..Marks::default() }
}

/// The value of a job from a worker.
pub(super) fn remote(job: u128) -> Seen {
    Seen::Value(job, Ran::Remote { worker: worker(7), attempt: 1 })
}

pub(super) fn local(job: u128, reason: Reason) -> Seen {
    Seen::Value(job, Ran::Local { reason })
}

pub(super) fn unavailable(job: u128, reason: Reason) -> Seen {
    Seen::Failed(job, CallError::Unavailable { reason })
}

pub(super) fn past_deadline(job: u128) -> Seen {
    Seen::Failed(job, CallError::Deadline)
}

pub(super) fn timed_out(job: u128) -> Seen {
    Seen::Failed(job, CallError::Timeout)
}
