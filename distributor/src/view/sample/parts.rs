//! Parts that the sample views are made of: workers, functions, jobs, and what their slots ran.

use std::collections::BTreeMap;

use simple_dist_protocol::{ClientId, JobId, PoolId, UserName, WorkerId};

use super::super::{
    Bar, BarEnd, CancelledBy, Failure, Function, FunctionSample, HeldJob, JobCounts, JobEvent,
    Lane, Percentiles, Progress, RecentEndings, RecentJob, Seconds, Shadow, ShadowExample,
    TimelineEntry, View, Worker, WorkerState,
};

/// The functions of the samples: name, how long one runs in milliseconds.
pub(super) const FUNCTIONS: [(&str, u64); 5] = [
    ("fib@1", 3200),
    ("primes@1", 4800),
    ("mandelbrot@1", 6100),
    ("echo@1", 700),
    ("sleep@1", 3000),
];

pub(crate) fn worker_id(number: u128) -> WorkerId {
    WorkerId::from_u128(number.wrapping_mul(0x3f9a_81c2_c07d_e55b_1234_5678_9abc_def1))
}

pub(crate) fn job_id(number: u128) -> JobId {
    let low = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0xffff_ffff_ffff_ffff;
    JobId::from_u128((0x0193_c1a2_7000 << 80) + low)
}

pub(super) fn user() -> UserName {
    "guest".parse().expect("it is one")
}

pub(super) fn client() -> ClientId {
    ClientId::from_u128(0xc11e_4711)
}

pub(super) fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(kind, number)| (kind.to_owned(), number)).into()
}

pub(super) fn worker(number: u128) -> Worker {
    Worker {
        id: worker_id(number),
        user: "worker".parse().expect("it is a name"),
        host: format!("node-{}", number.div_ceil(2)),
        version: "4.2.0".to_owned(),
        state: WorkerState::Live,
        age: Seconds(7400.0),
        silent: Seconds(0.2 * number as f64),
        functions: FUNCTIONS.map(|(name, _)| name.into()).into(),
        pool: Some(PoolId::of(&[], false)),
        isolated: false,
        load: None,
        slots: 4,
        busy: 0,
        abandoned: 0,
        holds: 0,
        held: Vec::new(),
        done: 1204 - 17 * (number as u64 % 60),
        failed: number as u64 % 2,
        gave_back: 0,
        printed: Default::default(),
        outvoted: None,
    }
}

pub(super) fn function(name: &str) -> Function {
    Function {
        name: name.into(),
        workers: 4,
        slots: 16,
        versions: vec![1],
        unversioned: 1.0,
        queued: 0,
        placed: 0,
        running: 0,
        done: 0,
        failed: 0,
        timed_out: 0,
        cancelled: 0,
        lately: RecentEndings::default(),
        answers: BTreeMap::new(),
        local: BTreeMap::new(),
        local_share: 0.0,
        refuted: false,
        saved: Default::default(),
        rate: 0.0,
        wait: Percentiles::default(),
        run: Percentiles::default(),
        waits: super::super::Distribution::default(),
        runs: super::super::Distribution::default(),
        look: None,
        series: Default::default(),
    }
}

pub(super) fn work(function: &mut Function, number: u64) {
    let three = |unit: f64| Percentiles {
        p50: Some(Seconds(unit)),
        p95: Some(Seconds(unit * 3.5)),
        p99: Some(Seconds(unit * 5.5)),
        count: 100 * number,
    };
    function.queued = 40 / (1 + number as usize);
    function.placed = 1;
    function.running = 5 - number as usize % 4;
    function.done = 1900 / number;
    function.failed = if number == 3 { 3 } else { 0 };
    function.rate = 2.1 / number as f64;
    function.wait = three(if number == 5 { 0.002 } else { 0.4 });
    function.run = three(2.2);
    function.local_share = if number == 1 { 0.009 } else { 0.0 };
    function.local = if number == 1 { counts([("timeout", 14)]) } else { BTreeMap::new() };
    let second = |place: u64| FunctionSample {
        done: (place / 7 % 5) as u32,
        failed: u32::from(number == 3 && place.is_multiple_of(40)),
        wait_p95: 1.4 + (place % 30) as f32 / 20.0,
        run_p95: 7.7 - (place % 50) as f32 / 20.0,
    };
    function.series = std::sync::Arc::new((0..120).map(second).collect());
    function.answers = counts([("value", 1900 / number), ("panicked", function.failed)]);
}

pub(super) fn books(queued: u64, placed: u64, running: u64, done: u64, failed: u64) -> JobCounts {
    JobCounts {
        accepted: queued + placed + running + done + failed,
        queued,
        placed,
        running,
        done,
        failed,
        failed_by: counts([("panicked", failed)]),
        refused_by: counts([("busy", 2)]),
        ..JobCounts::default()
    }
}

pub(super) fn lanes(workers: &[Worker], bars: impl Fn(WorkerId, u32) -> Vec<Bar>) -> Vec<Lane> {
    let slots = workers.iter().flat_map(|worker| (0..worker.slots).map(|slot| (worker.id, slot)));
    slots
        .map(|(worker, slot)| Lane { worker, slot, lost: None, bars: bars(worker, slot) })
        .collect()
}

/// What a slot ran, the same whenever it is asked: as it moves, ended bars stay.
pub(super) fn history(unix_ms: u64, worker: WorkerId, slot: u32) -> Vec<Bar> {
    let name = format!("{worker}{slot}");
    let mut dice = name.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    let mut at = unix_ms / 600_000 * 600_000 - 130_000 + roll(3000);
    let mut bars = Vec::new();
    while at < unix_ms {
        let (function, long) = FUNCTIONS[roll(5) as usize];
        let end = at + long / 2 + roll(long);
        let failed = roll(40) == 0;
        let before = |moment: u64| Seconds(unix_ms.saturating_sub(moment) as f64 / 1e3);
        if unix_ms.saturating_sub(end) < 120_000 {
            bars.push(Bar {
                function: function.into(),
                from: before(at),
                to: before(end),
                count: 1,
                end: match (end > unix_ms, failed) {
                    (true, _) => BarEnd::Running,
                    (false, true) => BarEnd::Failed,
                    (false, false) => BarEnd::Value,
                },
            });
        }
        at = end + 30 + roll(600);
    }
    bars
}

pub(super) fn held(lanes: &[Lane], worker: WorkerId) -> Vec<HeldJob> {
    let running = lanes.iter().filter(|lane| lane.worker == worker).filter_map(|lane| {
        let bar = lane.bars.last().filter(|bar| bar.end == BarEnd::Running)?;
        Some(held_job(worker, lane.slot, &bar.function, bar.from.0))
    });
    running.collect()
}

pub(super) fn held_job(worker: WorkerId, slot: u32, function: &str, age: f64) -> HeldJob {
    let number = worker
        .short()
        .bytes()
        .fold(u128::from(slot), |sum, byte| sum.wrapping_mul(31).wrapping_add(u128::from(byte)));
    HeldJob {
        id: job_id(number),
        user: user(),
        function: function.into(),
        attempt: 1,
        slot: Some(slot),
        age: Seconds(age),
        progress: progress(function, age),
        abandoned: false,
        trial: None,
    }
}

/// A panic, an error and what ran out of time.
pub(super) fn failures(view: &View) -> Vec<Failure> {
    let group = |number: u32, function: &str, kind: &str, message: Option<&str>| Failure {
        function: function.into(),
        kind: kind.to_owned(),
        message: message.map(str::to_owned),
        location: (kind == "panicked").then(|| "src/picture.rs:141:9".to_owned()),
        rest: false,
        count: u64::from(31 / (number + 1)),
        lately: u64::from(28 / (number + 1)),
        first: Seconds(110.0 * f64::from(number + 1)),
        last: Seconds(0.4 + f64::from(number)),
        job: view.recent[number as usize].id,
        worker: view.workers.first().map(|worker| worker.id),
        arguments: (number == 0).then(|| "[0,80,24]".to_owned()),
    };
    vec![
        group(
            0,
            "primes@1",
            "panicked",
            Some("index out of bounds: the len is 80, the index is 80"),
        ),
        group(1, "primes@1", "failed", Some("the table of 2026-11-28 is not there yet")),
        group(2, "sleep@1", "expired", None),
    ]
}

/// Long jobs say how far they are.
fn progress(function: &str, age: f64) -> Option<Progress> {
    let row = (age * 10.0) as u32;
    let text = format!("row {row} of 60");
    function.starts_with("mandelbrot").then(|| Progress { fraction: row as f32 / 60.0, text })
}

pub(super) fn recent(unix_ms: u64) -> Vec<RecentJob> {
    let newest = unix_ms / 400;
    let job = |number: u64| {
        let (function, long) = FUNCTIONS[(number * 7 % 5) as usize];
        let (answer, detail) = match number % 23 {
            3 => ("panicked", Some("width is 0")),
            11 => ("cancelled", None),
            17 => ("expired", None),
            _ => ("value", None),
        };
        let pool = PoolId::of(&[], false);
        let moment = |after, what| TimelineEntry { after: Seconds(after), what };
        RecentJob {
            id: job_id(u128::from(number)),
            user: user(),
            client: client(),
            function: function.into(),
            answer: answer.to_owned(),
            cancelled_by: (answer == "cancelled").then_some(CancelledBy::Operator),
            detail: detail.map(str::to_owned),
            crashes: Vec::new(),
            arguments: None,
            worker: (answer != "expired").then(|| worker_id(u128::from(number % 4) + 1)),
            attempts: if number % 19 == 5 { 2 } else { 1 },
            answered_by: None,
            waited: Seconds(0.1 + (number % 13) as f64 / 10.0),
            ran: (answer != "expired").then(|| Seconds(long as f64 / 1e3)),
            ended_unix_ms: number * 400,
            timeline: vec![
                moment(0.0, JobEvent::Submitted),
                moment(0.1, JobEvent::Placed { attempt: 1, pool }),
                moment(1.3 + long as f64 / 1e3, JobEvent::Ended),
            ],
        }
    };
    (0..1000).map(|back| job(newest - back)).collect()
}

/// A function and its shadow, which differ at times.
pub(super) fn shadow(live: &str, shadow: &str, unix_ms: u64) -> Shadow {
    let example = |job: u128, arguments: &str, said: &str| ShadowExample {
        job: job_id(job),
        unix_ms,
        arguments: Some(arguments.to_owned()),
        live: format!("value {arguments}"),
        shadow: said.to_owned(),
    };
    Shadow {
        live: live.into(),
        shadow: shadow.into(),
        share: 0.05,
        equal: 1190,
        differ: 14,
        failed: 1,
        skipped: 33,
        faster: 900,
        slower: 12,
        live_mean: Some(Seconds(0.412)),
        shadow_mean: Some(Seconds(0.207)),
        examples: vec![
            example(1, "1500", "value 1499"),
            example(
                2,
                "[\"<b>\"]",
                "panicked: index out of bounds: the len is 3 but the index is 7",
            ),
        ],
        ..Shadow::default()
    }
}
