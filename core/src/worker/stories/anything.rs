//! Whatever happens, in whatever order: nothing runs twice, nothing is acked too early, and
//! nothing is held for ever.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SLOTS: usize = 2;
/// Threads that are looked at: those beyond the slots stand in for some that wait.
const THREADS: usize = 6;

/// Something that may happen; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Op {
    Place {
        jobs: usize,
        marked: bool,
        redelivered: bool,
    },
    /// A slot's thread begins the next job of its run, or ends the one it has begun.
    Slot(usize),
    /// What a slot runs waits for a call of its own, or does so no longer.
    Call(usize),
    /// What a slot runs ends its process.
    Crash(usize),
    Settle {
        which: usize,
        outcome: Outcome,
    },
    /// One of the newest jobs is cancelled.
    Cancel(u64),
    Drain,
    Resume,
    Down,
    Up,
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Confirmed),
        1 => Just(Outcome::Returned),
        1 => Just(Outcome::Refused),
    ];
    prop_oneof![
        4 => (1..5_usize, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(jobs, marked, redelivered)| Op::Place { jobs, marked, redelivered }),
        8 => (0..THREADS).prop_map(Op::Slot),
        4 => (0..THREADS).prop_map(Op::Call),
        1 => (0..THREADS).prop_map(Op::Crash),
        8 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Op::Settle { which, outcome }),
        2 => (0..10_u64).prop_map(Op::Cancel),
        1 => Just(Op::Drain),
        1 => Just(Op::Resume),
        1 => Just(Op::Down),
        2 => Just(Op::Up),
        3 => (1..300_u64).prop_map(Op::Wait),
    ]
}

/// A slot's thread.
#[derive(Debug, Default)]
struct Thread {
    run: VecDeque<Work>,
    /// The job that runs.
    now: Option<Work>,
    begun: usize,
    /// It waits for a call of its own, and has lent its place.
    waits: bool,
}

/// Everything around an executor: threads, a broker, a clock.
struct World {
    executor: Executor,
    now: Duration,
    link: Option<u32>,
    generations: u32,
    last_job: u64,
    last_delivery: u64,
    threads: Vec<Thread>,
    /// What ran while its place was lent: its delivery is let go.
    lent: BTreeSet<u64>,
    /// What is published and not settled.
    unsettled: Vec<(Token, u64)>,
    /// The jobs of the deliveries of this link that are not acked.
    deliveries: HashMap<DeliveryId, Vec<u64>>,
    confirmed: BTreeSet<u64>,
    ran: BTreeSet<u64>,
    never: BTreeSet<u64>,
}

impl World {
    fn new(isolated: bool) -> Self {
        let mut story = Story::new(SLOTS);
        story.executor.profile.isolated = isolated;
        Self {
            executor: story.executor,
            now: story.start,
            link: None,
            generations: 0,
            last_job: 0,
            last_delivery: 0,
            threads: vec![],
            lent: BTreeSet::new(),
            unsettled: vec![],
            deliveries: HashMap::new(),
            confirmed: BTreeSet::new(),
            ran: BTreeSet::new(),
            never: BTreeSet::new(),
        }
    }

    fn happen(&mut self, op: Op) {
        match op {
            Op::Place { jobs, marked, redelivered } => self.place(jobs, marked, redelivered),
            Op::Slot(slot) => self.turn(slot),
            Op::Call(slot) => self.call(slot),
            Op::Crash(slot) => self.crash(slot),
            Op::Settle { which, outcome } => {
                if self.link.is_some() && !self.unsettled.is_empty() {
                    let (token, job) = self.unsettled.remove(which % self.unsettled.len());
                    if outcome == Outcome::Confirmed && matches!(token, Token::Ended(_)) {
                        self.confirmed.insert(job);
                    }
                    self.apply(Event::Settled { token, outcome });
                }
            }
            Op::Cancel(age) => {
                // The next two are yet to come.
                let job = (self.last_job + 2).saturating_sub(age);
                if job > self.last_job {
                    self.never.insert(job);
                }
                let (keys, attempt) = (vec![key(job.into())], Attempt { term: Term(1), number: 1 });
                self.apply(Event::Control(Control::Cancel { keys, attempts: vec![attempt] }));
            }
            Op::Drain => self.apply(Event::Control(Control::Drain)),
            Op::Resume => self.apply(Event::Control(Control::Resume)),
            Op::Down => {
                self.link = None;
                self.unsettled.clear();
                self.deliveries.clear();
                self.apply(Event::Down);
            }
            Op::Up if self.link.is_none() => {
                self.generations += 1;
                self.link = Some(self.generations);
                self.apply(Event::Up(Generation(self.generations)));
            }
            Op::Up => {}
            Op::Wait(millis) => {
                self.now += Duration::from_millis(millis);
                self.apply(Event::Tick);
            }
        }
    }

    fn place(&mut self, jobs: usize, marked: bool, redelivered: bool) {
        if self.link.is_none() {
            return;
        }
        let ids: Vec<u64> = (0..jobs as u64).map(|job| self.last_job + job + 1).collect();
        self.last_job += jobs as u64;
        if redelivered {
            self.never.extend(&ids);
        }
        self.last_delivery += 1;
        let delivery = DeliveryId(self.last_delivery);
        self.deliveries.insert(delivery, ids.clone());
        let placement =
            |job: &u64| Placement { start_confirmed: marked, ..placement(u128::from(*job)) };
        let place = Place { term: Term(1), jobs: ids.iter().map(placement).collect() };
        self.apply(Event::Placed { delivery, consumer: Consumer::Pool, redelivered, place });
    }

    fn turn(&mut self, slot: usize) {
        let Some(thread) = self.threads.get_mut(slot).filter(|thread| !thread.waits) else {
            return;
        };
        if let Some(work) = thread.now.take() {
            let took = Duration::from_millis(1);
            self.apply(Event::Ran { slot, number: work.number, answer: value(), took });
        } else if let Some(work) = thread.run.pop_front() {
            thread.begun += 1;
            let job = id(&work.key);
            assert!(!self.never.contains(&job), "{job} was redelivered or cancelled, and runs");
            assert!(self.ran.insert(job), "{job} runs twice");
            thread.now = Some(work);
        }
    }

    fn call(&mut self, slot: usize) {
        let Some(thread) = self.threads.get_mut(slot) else { return };
        let Some(work) = &thread.now else { return };
        let number = work.number;
        if std::mem::take(&mut thread.waits) {
            self.apply(Event::Resumes { slot, number });
        } else {
            self.apply(Event::Waits { slot, number });
        }
    }

    /// A thread's process ends, if it has one.
    fn crash(&mut self, slot: usize) {
        let Some(thread) = self.threads.get_mut(slot) else { return };
        let isolated = self.executor.profile.isolated;
        let Some(number) = thread.now.take_if(|_| isolated).map(|work| work.number) else { return };
        if std::mem::take(&mut thread.waits) {
            self.apply(Event::Resumes { slot, number });
        }
        self.apply(Event::Crashed { slot, number, crash: crash(), took: Duration::from_millis(1) });
    }

    fn apply(&mut self, event: Event) {
        let mut killed = vec![];
        let mut effects = VecDeque::from(self.executor.apply(event, self.now));
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Run { slot, jobs } => {
                    let threads = self.threads.len().max(slot + 1);
                    self.threads.resize_with(threads, Thread::default);
                    let thread = &mut self.threads[slot];
                    assert!(thread.now.is_none() && thread.run.is_empty(), "one run at a time");
                    *thread = Thread { run: jobs.into(), now: None, begun: 0, waits: false };
                }
                Effect::Recall { slot } => {
                    self.threads[slot].run.clear();
                    let begun = self.threads[slot].begun;
                    effects.extend(self.executor.apply(Event::Recalled { slot, begun }, self.now));
                }
                Effect::Lend { slot, number: _, lent } => {
                    let thread = &mut self.threads[slot];
                    thread.waits = lent;
                    self.lent.extend(thread.now.iter().filter(|_| lent).map(|work| id(&work.key)));
                }
                Effect::Publish(Publication::Begins { started, token }) => {
                    self.unsettled.push((token, id(&started.jobs[0].key)));
                }
                Effect::Publish(Publication::Ended { ended, token }) => {
                    self.unsettled.push((token, id(&ended.key)));
                }
                Effect::Publish(
                    Publication::Beat(_) | Publication::Running(_) | Publication::Progress(_),
                ) => {
                    assert!(self.link.is_some(), "nothing is published without a link");
                }
                Effect::Ack(delivery) => {
                    let jobs = self.deliveries.remove(&delivery).expect("of this link, and once");
                    let confirmed = |job| self.confirmed.contains(job) || self.lent.contains(job);
                    assert!(jobs.iter().all(confirmed), "acked before its ends are confirmed");
                }
                Effect::Kill { slot, number } => {
                    let now = self.threads[slot].now.as_ref();
                    assert!(self.executor.profile.isolated);
                    killed.extend(now.filter(|work| work.number == number).map(|_| slot));
                }
                Effect::CollectProgress
                | Effect::Stop { .. }
                | Effect::Consume { .. }
                | Effect::Cancel(_) => {}
            }
        }
        assert!(self.unsettled.is_empty() || self.link.is_some());
        killed.into_iter().for_each(|slot| self.crash(slot));
    }

    /// Everything that is under way comes to its end.
    fn settle_all(&mut self) {
        self.happen(Op::Up);
        for _ in 0..1000 {
            for slot in 0..self.threads.len() {
                if self.threads[slot].waits {
                    self.call(slot);
                }
                self.turn(slot);
            }
            self.happen(Op::Settle { which: 0, outcome: Outcome::Confirmed });
            self.happen(Op::Wait(1000));
        }
    }
}

fn id(key: &JobKey) -> u64 {
    (1..100_000).find(|job| JobId::from_u128(u128::from(*job)) == key.id).expect("a job of ours")
}

proptest! {
    #[test]
    fn every_job_ends_once_and_every_delivery_is_acked(
        ops in prop::collection::vec(op(), 0..120),
        isolated: bool,
    ) {
        let mut world = World::new(isolated);
        world.happen(Op::Up);
        for op in ops {
            world.happen(op);
        }
        world.settle_all();
        prop_assert!(world.executor.jobs.is_empty(), "{:?}", world.executor.jobs);
        prop_assert!(world.executor.slots.iter().all(Option::is_none));
        prop_assert_eq!(world.executor.free.len(), world.executor.slots.len());
        prop_assert_eq!((world.executor.lent, world.executor.slots_due.len()), (0, 0));
        prop_assert!(world.deliveries.is_empty(), "{:?}", world.deliveries);
    }
}
