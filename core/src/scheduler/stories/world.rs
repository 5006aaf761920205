//! The surroundings of the scheduler in a story: workers that beat, and a broker that does what it
//! should unless the story says otherwise.

use super::*;

/// What a story asserts on. Presence, questions, declarations and receipts are handled by the
/// world.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    Placed { job: u128, attempt: u32, alone: bool },
    Answered { job: u128, kind: &'static str },
    Struck { job: u128, mark: bool, strikes: Vec<u128> },
    Unknown { job: u128 },
    Progress { job: u128, fraction: f32 },
    Cancel { worker: u128, jobs: Vec<u128> },
    Drain { worker: u128 },
    Resume { worker: u128 },
    Refused { worker: u128, bound: Bound },
    Purged,
}

pub(super) struct World {
    pub(super) scheduler: Scheduler,
    pub(super) now: Duration,
    pub(super) term: Term,
    pub(super) seen: Vec<Seen>,
    pub(super) effects: Vec<Effect>,
    pub(super) workers: BTreeMap<WorkerId, LiveWorker>,
    pub(super) echoes: bool,
    /// The number of messages in every pool's queue, and in `sd.answers`.
    pub(super) depths: (Option<u32>, u32),
    /// How long the broker takes to report them, and the reports on their way.
    pub(super) depths_take: Duration,
    pub(super) on_their_way: Vec<(Duration, Event)>,
    /// The attempts that a purge finds never delivered.
    pub(super) untouched: Vec<(JobKey, Attempt)>,
    pub(super) placements: Outcome,
    pub(super) deliveries: Outcome,
    /// Whether the broker reports the outcome of deliveries to clients.
    pub(super) reads: bool,
    pub(super) controls: Outcome,
    pub(super) declares: bool,
}

/// A living worker.
pub(super) struct LiveWorker {
    pub(super) beat: WorkerBeat,
    pub(super) next: Duration,
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        Self {
            scheduler: Scheduler::new(config),
            now: Duration::ZERO,
            term: Term(1),
            seen: vec![],
            effects: vec![],
            workers: BTreeMap::new(),
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

    pub(super) fn play(&mut self, story: impl IntoIterator<Item = TimedStep>) {
        for TimedStep { time, step } in story {
            self.go_to(OPEN + Duration::from_secs_f64(time));
            step(self);
        }
    }

    pub(super) fn go_to(&mut self, time: Duration) {
        while self.now + TICK <= time {
            self.now += TICK;
            let due: Vec<WorkerId> = self
                .workers
                .iter()
                .filter(|(_, live)| live.next <= self.now)
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

    pub(super) fn beat(&mut self, worker: WorkerId) {
        let now = self.now;
        let Some(live) = self.workers.get_mut(&worker) else { return };
        live.beat.seq += 1;
        live.next = now + Duration::from_secs(1);
        let beat = live.beat.clone();
        self.feed(Event::Beat { user: workers(), beat });
    }

    pub(super) fn feed(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let effects: Vec<Effect> = self.scheduler.apply(event, self.now).collect();
            assert!(self.scheduler.counters().balance(), "{:?}", self.scheduler.counters());
            for effect in effects {
                self.seen.extend(seen(&effect));
                events.extend(self.reply(&effect));
                self.effects.push(effect);
            }
        }
    }

    /// The broker's reaction to an effect.
    pub(super) fn reply(&mut self, effect: &Effect) -> Option<Event> {
        let settled = |token, outcome| Some(Event::Settled { tokens: vec![token], outcome });
        match effect {
            Effect::DeclarePool(pool) => {
                Some(Event::PoolDeclared { pool: *pool, declared: self.declares })
            }
            Effect::StepDown => Some(Event::LinkDown),
            Effect::Will { .. } | Effect::Trace(_) => None,
            Effect::Purge(_) => Some(Event::Purged { untouched: self.untouched.clone() }),
            Effect::Place { token, .. } => settled(*token, self.placements),
            Effect::Deliver { token, .. } => {
                self.reads.then(|| settled(*token, self.deliveries)).flatten()
            }
            Effect::ProbeClient { token, .. } => settled(*token, self.deliveries),
            Effect::Control { token, .. } => settled(*token, self.controls),
            Effect::Presence(presence) => {
                self.echoes.then(|| Event::PresenceSeen(presence.clone()))
            }
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

    pub(super) fn presences(&self) -> Vec<&Presence> {
        let shown = self.effects.iter().filter_map(|effect| match effect {
            Effect::Presence(presence) => Some(presence),
            _ => None,
        });
        shown.collect()
    }

    pub(super) fn controls(&self, wanted: impl Fn(&Control) -> bool) -> usize {
        let told = self
            .effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Control { control, .. } if wanted(control)));
        told.count()
    }
}

pub(super) fn seen(effect: &Effect) -> Option<Seen> {
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
                Delivered::Progress(progress) => {
                    Seen::Progress { job, fraction: progress.fraction }
                }
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
        | Effect::Will { .. }
        | Effect::Trace(_)
        | Effect::StepDown => None,
    }
}
