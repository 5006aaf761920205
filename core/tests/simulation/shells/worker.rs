//! A worker: `worker/src/service.rs`, `broker_calls.rs`, `wire.rs`, and the threads of `slots.rs`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use simple_dist_core::worker::{
    Consumer, DeliveryId, Effect, Event, Executor, Number, Profile, Publication, Token, Work,
};
use simple_dist_protocol::message::{Answer, Answers, Crash, End, FromWorker, Memo, WorkerBeat};
use simple_dist_protocol::{Address, Attempt, Generation, JobKey, MemoPolicy, Outcome, WorkerId};

use super::{Act, Alarm, CONTROL, Down, Happening, JOBS, Site, Up};
use crate::broker::{Body, Name, Route};
use crate::judge::lie;
use crate::publisher::Item;
use crate::random::Span;
use crate::script::Kind;

/// After so long a thread's news reach the worker's task.
const NEWS: Span = (0, 2);

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    executor: Executor,
    /// Whether jobs make calls of their own.
    calls: bool,
    /// Whether each slot is a process of its own.
    isolated: bool,
    /// Whether it lies every other time.
    lies: bool,
    pub(crate) slots: Vec<Slot>,
    wakes: Option<Duration>,
    deliveries: u64,
    tags: HashMap<DeliveryId, u64>,
    pub(crate) last_beat: Option<WorkerBeat>,
    has_left: bool,
    /// The ends of attempts that are published and not confirmed.
    unsettled: BTreeMap<u64, JobKey>,
    /// When the last news of a thread is looked at.
    news: Duration,
}

/// A thread.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    run: VecDeque<Work>,
    begun: usize,
    /// Nothing more of the run is to begin.
    is_shut: bool,
    /// How many jobs it has begun in its life: two looks tell whether it did anything between.
    pub(crate) count: u64,
    pub(crate) is_busy: bool,
    began: Duration,
    /// What it runs waits for a call of its own, and has lent its place.
    lent: bool,
    is_called: bool,
    /// How long what it runs takes.
    span: Duration,
}

impl Worker {
    pub(crate) fn new(
        id: u128,
        functions: Vec<Address>,
        slots: usize,
        grace: Duration,
        (calls, isolated, declares, memo, lies): (bool, bool, bool, Option<MemoPolicy>, bool),
    ) -> Self {
        let id = WorkerId::from_u128(id);
        let profile = Profile {
            worker: id,
            host: "host".into(),
            deterministic: if declares { functions.clone() } else { vec![] },
            memo: memo
                .iter()
                .flat_map(|memo| functions.iter().map(|it| Memo::of(it, *memo)))
                .collect(),
            functions,
            slots,
            isolated,
            lends: 8,
            exits_when_stuck: false,
            grace,
        };
        Self {
            id,
            executor: Executor::new(profile, Duration::ZERO),
            calls,
            isolated,
            lies,
            slots: (0..slots).map(|_| Slot::default()).collect(),
            wakes: None,
            deliveries: 0,
            tags: HashMap::new(),
            last_beat: None,
            has_left: false,
            unsettled: BTreeMap::new(),
            news: Duration::ZERO,
        }
    }

    pub(crate) fn happens(&mut self, happening: Happening, site: &mut Site<'_>) {
        match happening {
            Happening::Begins => {}
            Happening::Up(generation) => self.apply(Event::Up(Generation(generation)), site),
            Happening::LinkDown => {
                self.tags.clear();
                self.apply(Event::Down, site);
            }
            Happening::Heard(down) => self.hear(down, site),
            Happening::Settled(tokens, outcome) => {
                for token in tokens.into_iter().map(Token::from) {
                    if outcome == Outcome::Confirmed {
                        self.unsettled.remove(&token.into());
                    }
                    self.apply(Event::Settled { token, outcome }, site);
                }
            }
            Happening::Alarm(Alarm::Wake(at)) if self.wakes == Some(at) => {
                self.wakes = None;
                self.apply(Event::Tick, site);
            }
            Happening::Alarm(Alarm::Wake(_)) => {}
            Happening::Alarm(Alarm::SlotEnds { slot, run }) => self.slot_ends(slot, run, site),
            Happening::Alarm(Alarm::SlotCalls { slot, run }) => self.slot_calls(slot, run, site),
            Happening::Alarm(Alarm::Ran(event)) => self.apply(event, site),
            Happening::Stopped => self.apply(Event::Shutdown, site),
            other => panic!("not for a worker: {other:?}"),
        }
        if !self.has_left && self.executor.may_leave(site.now) {
            self.has_left = true;
            self.apply(Event::Leaves, site);
            site.act(Act::Leave);
        }
    }

    fn hear(&mut self, down: Down, site: &mut Site<'_>) {
        match down {
            Down::Delivery { consumer, tag, letter, .. } => match letter.body {
                Body::Place(place) => {
                    self.deliveries += 1;
                    let (delivery, redelivered) = (DeliveryId(self.deliveries), letter.redelivered);
                    self.tags.insert(delivery, tag);
                    let consumer = of_number(consumer);
                    self.apply(Event::Placed { delivery, consumer, redelivered, place }, site);
                }
                Body::Control(control) => {
                    site.act(Act::Ask(Up::Ack(tag)));
                    self.apply(Event::Control(control), site);
                }
                other => panic!("not for a worker: {other:?}"),
            },
            Down::Consumed { consumer, is_there: false, .. } => {
                self.apply(Event::NotConsuming(of_number(consumer)), site);
            }
            Down::Consumed { .. } | Down::Blocked(_) => {}
            other => panic!("not for a worker: {other:?}"),
        }
    }

    fn apply(&mut self, event: Event, site: &mut Site<'_>) {
        let mut effects = VecDeque::from(self.executor.apply(event, site.now));
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Run { slot, jobs } => {
                    let threads = self.slots.len().max(slot + 1);
                    self.slots.resize_with(threads, Slot::default);
                    let thread = &mut self.slots[slot];
                    (thread.run, thread.begun, thread.is_shut) = (jobs.into(), 0, false);
                    self.begin_next(slot, site);
                }
                Effect::Recall { slot } => {
                    let thread = &mut self.slots[slot];
                    thread.is_shut = true;
                    let begun = thread.begun;
                    effects.extend(self.executor.apply(Event::Recalled { slot, begun }, site.now));
                }
                // Nothing says how far it is.
                Effect::CollectProgress => {}
                // Nothing here heeds that.
                Effect::Stop { .. } => {}
                Effect::Kill { slot, number } => self.slot_is_killed(slot, number, site),
                Effect::Lend { slot, number: _, lent } => {
                    let thread = &mut self.slots[slot];
                    thread.lent = lent;
                    let (run, span) = (thread.count, thread.span);
                    // The call, which runs in place if the place is not lent.
                    site.after(span / 2, Alarm::SlotCalls { slot, run });
                }
                Effect::Publish(publication) => self.publish(publication, site),
                Effect::Ack(delivery) => {
                    let tag = self.tags.remove(&delivery);
                    site.acts.extend(tag.map(|tag| Act::Ask(Up::Ack(tag))));
                }
                Effect::Consume { consumer, pool, messages: prefetch } => {
                    let queue = Name::Pool(pool);
                    let consumer = number(consumer);
                    site.act(Act::Ask(Up::Consume { queue, consumer, prefetch }));
                }
                Effect::Cancel(consumer) => {
                    site.act(Act::Ask(Up::Cancel { consumer: number(consumer) }));
                }
            }
        }
        // A timer of the runtime is never finer than a millisecond.
        let due = self.executor.next_wake().map(|due| due.max(site.now + Duration::from_millis(1)));
        if due != self.wakes
            && let Some(due) = due
        {
            site.after(due - site.now, Alarm::Wake(due));
        }
        self.wakes = due;
    }

    fn begin_next(&mut self, slot: usize, site: &mut Site<'_>) {
        let thread = &mut self.slots[slot];
        thread.is_busy = !thread.is_shut && !thread.run.is_empty();
        if let Some(work) = thread.run.front().filter(|_| thread.is_busy) {
            thread.begun += 1;
            thread.count += 1;
            thread.began = site.now;
            let run = thread.count;
            thread.span = match work.key.is_trial() {
                true => site.judge.tries(work),
                false => site.judge.begins(work.key.id),
            };
            (thread.lent, thread.is_called) = (false, false);
            let (span, calls) = (thread.span, self.calls && site.random.once_in(2));
            if calls {
                site.after(span / 4, Alarm::SlotCalls { slot, run });
            } else {
                site.after(span, Alarm::SlotEnds { slot, run });
            }
        }
    }

    /// What a thread runs waits for a call of its own, or has its value.
    fn slot_calls(&mut self, slot: usize, run: u64, site: &mut Site<'_>) {
        let thread = &mut self.slots[slot];
        let Some(work) = thread.run.front().filter(|_| thread.count == run) else { return };
        let number = work.number;
        if !std::mem::replace(&mut thread.is_called, true) {
            return self.tell(Event::Waits { slot, number }, site);
        }
        site.after(thread.span / 4, Alarm::SlotEnds { slot, run });
        if std::mem::take(&mut thread.lent) {
            self.tell(Event::Resumes { slot, number }, site);
        }
    }

    /// A thread's news, in the order of their coming.
    fn tell(&mut self, news: Event, site: &mut Site<'_>) {
        self.news = self.news.max(site.now + site.random.within(NEWS));
        site.after(self.news - site.now, Alarm::Ran(news));
    }

    /// A process can be killed, whatever it does.
    fn slot_is_killed(&mut self, slot: usize, number: Number, site: &mut Site<'_>) {
        let thread = &mut self.slots[slot];
        let Some(work) = thread.run.pop_front_if(|work| thread.is_busy && work.number == number)
        else {
            return;
        };
        thread.count += 1; // what was to come of this run comes no more
        let took = site.now - thread.began;
        self.tell(Event::Crashed { slot, number, crash: self.crash(work.attempt), took }, site);
        self.begin_next(slot, site);
    }

    fn slot_ends(&mut self, slot: usize, run: u64, site: &mut Site<'_>) {
        let thread = &mut self.slots[slot];
        if thread.count != run {
            return;
        }
        let Some(work) = thread.run.pop_front() else { return };
        let (kind, value) = site.judge.outcome(&work);
        match kind {
            Kind::Wrecker => return site.act(Act::Die),
            Kind::Killer if !self.isolated => return site.act(Act::Die),
            Kind::Killer | Kind::Calm => {}
        }
        let took = site.now - thread.began;
        let number = work.number;
        let end = if kind.kills() {
            Event::Crashed { slot, number, crash: self.crash(work.attempt), took }
        } else {
            let lies = self.lies && site.random.once_in(2);
            let value = if lies { lie(&value, self.id) } else { value };
            let answer = Answer::Value(value);
            Event::Ran { slot, number, answer, took }
        };
        self.tell(end, site);
        self.begin_next(slot, site);
    }

    /// How the child of an isolated worker ends that runs a killer.
    fn crash(&self, attempt: Attempt) -> Crash {
        Crash {
            worker: self.id,
            attempt,
            signal: Some(9),
            code: None,
            memory_bytes: 0,
            output: String::new(),
            note: None,
        }
    }

    fn publish(&mut self, publication: Publication, site: &mut Site<'_>) {
        let token = publication.token();
        let (lane, route, message) = match publication {
            Publication::Beat(beat) => {
                let is_named = |key: &JobKey| beat.held.iter().any(|held| held.key == *key);
                let unnamed = self.unsettled.values().find(|key| !is_named(key));
                site.judge.demand(unnamed.is_none(), || format!("no beat names {unnamed:?}"));
                self.last_beat = Some((*beat).clone());
                (CONTROL, Route::Beats, FromWorker::Beat(beat))
            }
            Publication::Running(started) => (CONTROL, Route::Beats, FromWorker::Started(started)),
            Publication::Progress(told) => (CONTROL, Route::Beats, FromWorker::Progress(told)),
            Publication::Begins { started, .. } => {
                (JOBS, Route::To(Name::Answers), FromWorker::Started(started))
            }
            Publication::Ended { ended, token } => {
                self.unsettled.insert(token.into(), ended.key.clone());
                if matches!(ended.end, End::Returned { .. }) && !ended.key.is_trial() {
                    site.judge.handed_back(ended.key.id);
                    let runs = |slot: &Slot| slot.run.front().is_some_and(|it| it.key == ended.key);
                    if self.slots.iter().any(|slot| slot.is_busy && runs(slot)) {
                        // Its grace time is over.
                        site.judge.allow_one_more(ended.key.id);
                    }
                }
                let answers = Answers { worker: self.id, jobs: vec![ended] };
                (JOBS, Route::To(Name::Answers), FromWorker::Answers(answers))
            }
        };
        let tokens = token.into_iter().map(u64::from).collect();
        let (body, work) = (Body::Worker(message), Duration::ZERO);
        site.act(Act::Publish { lane, item: Item { route, body, tokens, work } });
    }
}

fn number(consumer: Consumer) -> u8 {
    match consumer {
        Consumer::Pool => 1,
        Consumer::LookAhead => 2,
    }
}

fn of_number(number: u8) -> Consumer {
    if number == 1 { Consumer::Pool } else { Consumer::LookAhead }
}
