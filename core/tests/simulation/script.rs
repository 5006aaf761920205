//! What is played: which processes there are, how slow the network is, who calls what, and what
//! goes wrong. All of it is drawn from the seed in advance, so that parts of it can be left out.

use std::time::Duration;

use simple_dist_core::caller::Fallback;
use simple_dist_core::scheduler::{Hedging, Rollout, Sharing};
use simple_dist_protocol::{JobId, MemoPolicy};

use crate::broker::{Left, Trouble};
use crate::random::{Random, Span};

/// Faults and calls happen before, all faults are over soon after.
pub(crate) const FAULTS_END: Duration = Duration::from_secs(40);
/// From then on all must be well: the last freeze has ended, heartbeats have found every dead link,
/// a new term has begun.
pub(crate) const CALM: Duration = Duration::from_secs(70);
/// The last calls are made.
pub(crate) const CALLS_END: Duration = Duration::from_secs(85);
/// The timeout of calls that should end by their answer.
pub(crate) const PATIENT: Duration = Duration::from_secs(600);

/// Separate random streams for time limits, for what runs in processes of its own, and
/// for second attempts.
const LIMITS: u64 = 0x11_317;
const ISOLATION: u64 = 0x150_1a7e;
/// And for what callers with idle slots do.
const IDLE: u64 = 0x1d1e;
const HEDGING: u64 = 0x004e_d9e5;
const RELIEF: u64 = 0x03e1_1ef0;
const SHARING: u64 = 0x5a_1e;
const MEMO: u64 = 0x003e_3055;
const ROLLOUT: u64 = 0x0110_7007;
const CHECK: u64 = 0x00c0_ffee;

/// The functions of each pool.
pub(crate) const POOLS: [&[&str]; 3] = [
    &["mixed@1", "shadow@1", "short@1"],
    &["long@1", "mixed@1"],
    &["long@1", "short@1", "short@2"],
];

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) way: Way,
    pub(crate) distributors: usize,
    /// The pool, the slots and the grace time of each worker.
    pub(crate) workers: Vec<(usize, usize, Duration)>,
    /// Which of them run each job in a process of its own.
    pub(crate) isolated: Vec<bool>,
    /// In half of the seeds none, in the others as many and as soon as possible.
    pub(crate) hedging: Hedging,
    /// Whether what a draining worker runs is placed elsewhere.
    pub(crate) relief: bool,
    /// Which of them declare their functions deterministic.
    pub(crate) declare: Vec<bool>,
    /// Whose equal calls share runs and answers.
    pub(crate) sharing: Sharing,
    /// How long answers are kept, and in how many bytes, if they are.
    pub(crate) memo: Option<MemoPolicy>,
    /// In half of the seeds calls also run as others, in half those without a version are divided.
    pub(crate) rollout: Rollout,
    /// Whether what runs as the shadow of `short@1` kills its process.
    pub(crate) shadow_kills: bool,
    /// How many in 1,000 calls of deterministic functions are checked: none in half of the seeds, all in
    /// the others.
    pub(crate) cross_check: u16,
    /// The worker that lies every other time, if any does.
    pub(crate) liar: Option<usize>,
    /// The user and the local slots of each client.
    pub(crate) clients: Vec<(usize, usize)>,
    pub(crate) actions: Vec<(Duration, Action)>,
}

/// How long a hop takes, and in addition the answer to a question about a queue.
///
/// The limit is what the rules themselves require: a distributor neither declares workers lost nor
/// places jobs unless its own presence is back within a second, a client runs locally what is
/// unconfirmed for a second, and a worker is lost after 2.5 s without a beat. On a slower network,
/// safety must hold and calls must end in time, but progress is not promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Quick,
    /// Round trips take up to 0.8 s, those of workers 1 s, questions up to 2 s more.
    Slow,
    /// Up to 2 s a hop.
    Awful,
}

/// Which workers run each job in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    Nobody,
    Some,
    Everybody,
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    Call(usize, Call),
    Drop(usize, JobId),
    Fault(Fault),
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) id: JobId,
    pub(crate) function: &'static str,
    /// Calls of one function with the same one have the same value.
    pub(crate) argument: u128,
    pub(crate) fresh: bool,
    pub(crate) timeout: Duration,
    pub(crate) deadline: Option<Duration>,
    pub(crate) priority: u8,
    pub(crate) fallback: Fallback,
    /// Whether it runs here beside busy workers.
    pub(crate) when_busy: bool,
    pub(crate) runs_here: bool,
    /// How long it runs.
    pub(crate) span: Duration,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Calm,
    /// It kills the process that runs it: its worker, or the child of an isolated one.
    Killer,
    /// It kills its worker, even an isolated one.
    Wrecker,
}

impl Kind {
    pub(crate) fn kills(self) -> bool {
        self != Self::Calm
    }
}

/// A process, by its index: distributors, then workers, then clients.
pub(crate) type Who = usize;

#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Kill(Who),
    /// A link is dead from now on. When the broker finds that, and when the process does.
    Cut(Who, Duration, Duration),
    Freeze(Who, Duration),
    /// Messages of the process take up to 2 s a hop.
    Slow(Who, Duration),
    /// A worker is told to stop.
    Stop(Who),
    /// An operator drains a worker for this long.
    Drain(Who, Duration),
    Restart(Left, Duration),
    Purge,
    Trouble(Trouble, Duration),
}

impl Script {
    /// Whether jobs make calls of their own, for which their workers lend places: in one of four.
    pub(crate) fn calls(&self) -> bool {
        self.seed % 4 == 2
    }

    /// Whether jobs are placed again beside attempts that go on.
    pub(crate) fn beside(&self) -> bool {
        self.hedging.share > 0.0 || self.relief
    }

    pub(crate) fn isolation(&self) -> Isolation {
        match self.isolated.iter().filter(|isolated| **isolated).count() {
            0 => Isolation::Nobody,
            some if some < self.isolated.len() => Isolation::Some,
            _ => Isolation::Everybody,
        }
    }

    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let random = &mut random;
        let way = [Way::Quick, Way::Quick, Way::Slow, Way::Slow, Way::Awful][random.place(5)];
        let pools = 2 + random.place(2);
        let worker = |place: usize, random: &mut Random| {
            let pool = if place < pools { place } else { random.place(pools) };
            (pool, 1 + random.place(3), random.within((0, 6000)))
        };
        let mut script = Self {
            seed,
            way,
            distributors: 2 + usize::from(random.once_in(3)),
            workers: (0..pools + random.place(4)).map(|place| worker(place, random)).collect(),
            isolated: vec![],
            hedging: Hedging { share: 0.0, fewest: 2 },
            relief: false,
            declare: vec![],
            sharing: Sharing::All,
            memo: None,
            rollout: Rollout::default(),
            shadow_kills: false,
            cross_check: 0,
            liar: None,
            clients: (0..2 + random.place(2)).map(|at| (at % 2, 1 + random.place(2))).collect(),
            actions: vec![],
        };
        let crowds = [(); 3].map(|()| random.within((2000, 34_000)));
        let late_crowd = random.within((to_ms(CALM), to_ms(CALLS_END)));
        script.call(&crowds, late_crowd, random);
        let pools: Vec<usize> = script.workers.iter().map(|(pool, ..)| *pool).collect();
        let place = random.place(pools.len());
        if pools.iter().filter(|pool| **pool == pools[place]).count() > 1 {
            // A draining worker that returns its waiting jobs is no accident.
            let worker = script.distributors + place;
            let drain = Fault::Drain(worker, random.within((100, 800)));
            let at = late_crowd + random.within((5, 300));
            script.actions.push((at, Action::Fault(drain)));
        }
        for _ in 0..random.below(12) {
            let at = match random.below(2) {
                0 => random.within((3000, 34_000)),
                _ => random.pick(&crowds) + random.within((0, 500)),
            };
            let fault = script.fault(at, random);
            script.actions.push((at, Action::Fault(fault)));
        }
        script.limit(&mut Random(seed ^ LIMITS));
        script.isolate(&mut Random(seed ^ ISOLATION));
        script.hurry(&mut Random(seed ^ IDLE));
        if Random(seed ^ HEDGING).once_in(2) {
            script.hedging.share = 1.0;
        }
        script.relief = Random(seed ^ RELIEF).once_in(2);
        script.share(&mut Random(seed ^ SHARING));
        script.keep(&mut Random(seed ^ MEMO));
        script.roll_out(&mut Random(seed ^ ROLLOUT));
        script.check(&mut Random(seed ^ CHECK));
        script.actions.sort_by_key(|(at, _)| *at);
        script
    }

    /// In some seeds all workers are isolated, in some a few.
    fn isolate(&mut self, random: &mut Random) {
        let seed = self.seed;
        let isolated = |_: &_| match seed % 8 {
            2 | 3 => true,
            4..=6 => random.once_in(2),
            _ => false,
        };
        self.isolated = self.workers.iter().map(isolated).collect();
        for (_, action) in &mut self.actions {
            if let Action::Call(_, call) = action
                && call.kind == Kind::Killer
                && random.once_in(4)
            {
                call.kind = Kind::Wrecker;
            }
        }
    }

    /// In every other seed functions are deterministic and few arguments are called again and again.
    fn share(&mut self, random: &mut Random) {
        let shares = random.once_in(2);
        let all = !random.once_in(4);
        let declares = |_: &_| shares && (all || random.once_in(2));
        self.declare = self.workers.iter().map(declares).collect();
        for (_, action) in &mut self.actions {
            let Action::Call(_, call) = action else { continue };
            if shares {
                // What kills does so whoever calls it.
                call.argument = call.kind as u128 * 100 + u128::from(random.below(4));
                call.fresh = random.once_in(8);
            }
        }
    }

    /// In most of those their answers are kept: a few, or all, for a moment or longer.
    fn keep(&mut self, random: &mut Random) {
        if random.once_in(3) {
            self.sharing = Sharing::User;
        }
        if !random.once_in(4) {
            let span = random.pick(&[(50, 1000), (1000, 60_000)]);
            let ttl = random.within(span);
            self.memo = Some(MemoPolicy { ttl, bytes: random.pick(&[1200, 1 << 20]) });
        }
    }

    /// The one of the shadows always says the same, the other never.
    fn roll_out(&mut self, random: &mut Random) {
        let promotions: &[&str] = if random.once_in(2) { &["short@2:50%"] } else { &[] };
        let shadows: &[&str] =
            if random.once_in(2) { &["short@1=shadow@1", "mixed@1=long@1:50%"] } else { &[] };
        let promotions = promotions.iter().map(|text| text.parse().unwrap()).collect();
        let shadows = shadows.iter().map(|text| text.parse().unwrap()).collect();
        self.rollout = Rollout::new(promotions, shadows).unwrap();
        self.shadow_kills = random.once_in(4);
    }

    /// In every other seed answers are checked, and in half of those one worker lies.
    fn check(&mut self, random: &mut Random) {
        if random.once_in(2) {
            self.cross_check = 1000;
            let liar = random.place(self.workers.len());
            self.liar = Some(liar).filter(|_| random.once_in(2));
        }
    }

    /// Some calls wait outages out, some have a deadline.
    fn limit(&mut self, random: &mut Random) {
        for (_, action) in &mut self.actions {
            let Action::Call(_, call) = action else { continue };
            if random.once_in(8) {
                call.fallback = Fallback::Wait;
            }
            if random.once_in(8) {
                call.deadline = Some(random.within((200, 8000)));
            }
        }
    }

    /// In half of the seeds some calls are races, in half many run at their clients while workers are
    /// busy.
    fn hurry(&mut self, random: &mut Random) {
        let (races, when_busy) = (random.once_in(2), random.once_in(2));
        for (_, action) in &mut self.actions {
            let Action::Call(_, call) = action else { continue };
            let is_race = random.once_in(4) && races;
            if is_race && call.fallback == Fallback::WhenUnavailable {
                call.fallback = Fallback::Race;
            }
            call.when_busy = !random.once_in(4) && when_busy;
        }
    }

    fn call(&mut self, crowds: &[Duration], late_crowd: Duration, random: &mut Random) {
        let killers = random.below(4).saturating_sub(1);
        for number in 0..80 {
            let id = JobId::from_u128(number + 1);
            let kills = number < killers.into();
            // Some come alone, some in crowds, some when all is well again.
            let at = match random.below(10) {
                0..4 => random.within((0, 35_000)),
                // While all is well nobody dies.
                4..7 => random.pick(crowds),
                _ if kills => random.pick(crowds),
                7 | 8 => late_crowd,
                _ => random.within((to_ms(CALM), to_ms(CALLS_END))),
            };
            let client = random.place(self.clients.len());
            let argument = 1000 + number;
            let call = Call { id, argument, ..self.one_call(kills, random) };
            self.actions.push((at, Action::Call(client, call)));
            if random.once_in(10) {
                let after = random.within((1, 4000));
                self.actions.push((at + after, Action::Drop(client, id)));
            }
        }
    }

    fn one_call(&self, kills: bool, random: &mut Random) -> Call {
        let (function, span): (_, Span) = match random.below(20) {
            0 => ("long@1", (2000, 8000)),
            1..5 => ("mixed@1", (500, 5000)),
            5..10 => ("mixed@1", (1, 50)),
            10..12 => ("short", (1, 10)),
            _ => ("short@1", (1, 10)),
        };
        let hasty = random.once_in(6);
        let fallback = match random.below(6) {
            0 => Fallback::Never,
            1 => Fallback::After(random.within((100, 3000))),
            _ => Fallback::WhenUnavailable,
        };
        Call {
            id: JobId::from_u128(0),
            function,
            argument: 0,
            fresh: false,
            timeout: if hasty { random.within((200, 8000)) } else { PATIENT },
            deadline: None,
            priority: random.pick(&[4, 4, 4, 0, 9]),
            fallback,
            when_busy: false,
            runs_here: !random.once_in(4),
            span: random.within(span),
            kind: if kills { Kind::Killer } else { Kind::Calm },
        }
    }

    fn fault(&self, at: Duration, random: &mut Random) -> Fault {
        let (distributors, workers) = (self.distributors, self.workers.len());
        let distributor = random.place(distributors);
        let worker = distributors + random.place(workers);
        let client = distributors + workers + random.place(self.clients.len());
        let anybody = random.pick(&[distributor, worker, worker, client]);
        let left = FAULTS_END - at;
        let span = |from, to, random: &mut Random| random.within((from, to)).min(left);
        let heartbeats = (8000, 12_000);
        match random.below(16) {
            0 => Fault::Kill(random.pick(&[distributor, worker, worker, client])),
            1 => Fault::Kill(worker),
            2..5 => {
                let (broker, process) = random.pick(&[(0, 0), (0, 1), (1, 0), (1, 1)]);
                let find = |late, random: &mut Random| match late {
                    0 => Duration::ZERO,
                    _ => random.within(heartbeats),
                };
                Fault::Cut(anybody, find(broker, random), find(process, random))
            }
            5 | 6 => Fault::Freeze(anybody, span(500, 15_000, random)),
            7 => Fault::Slow(anybody, span(1000, 10_000, random)),
            8 => Fault::Stop(worker),
            9 => Fault::Drain(worker, span(500, 15_000, random)),
            10 => {
                let left = random.pick(&[Left::All, Left::Queues, Left::Queues, Left::Nothing]);
                Fault::Restart(left, random.within((1, 3000)))
            }
            11 => Fault::Purge,
            _ => {
                let trouble = random.pick(&[
                    Trouble::Loses,
                    Trouble::Loses,
                    Trouble::Doubles,
                    Trouble::Refuses,
                    Trouble::HidesPresence,
                    Trouble::ConfirmsLate,
                    Trouble::ConfirmsLost,
                    Trouble::Deaf,
                    Trouble::Blocks,
                ]);
                Fault::Trouble(trouble, span(300, 6000, random))
            }
        }
    }
}

fn to_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

impl Way {
    /// The span of one hop.
    pub(crate) fn hop(self, is_worker: bool, random: &mut Random) -> Span {
        match (self, is_worker) {
            (Self::Quick, _) => random.pick(&[(0, 2), (1, 8)]),
            (Self::Slow, false) => random.pick(&[(0, 2), (1, 8), (100, 400)]),
            (Self::Slow, true) => random.pick(&[(1, 8), (100, 500)]),
            (Self::Awful, _) => random.pick(&[(1, 8), (100, 700), (0, 2000)]),
        }
    }

    /// The span of an answer to a question.
    pub(crate) fn question(self) -> Span {
        match self {
            Self::Quick => (0, 3),
            Self::Slow | Self::Awful => (0, 2000),
        }
    }
}
