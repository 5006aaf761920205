//! A sample service to draw: busy, with a lost worker, a function without workers, another in two
//! versions, and failed jobs.

use std::sync::Arc;

use simple_dist_distributor::view::{
    Broker, Counts, Distributor, Function, HeldJob, JobCounts, JobEvent, Percentiles, Phase,
    Problem, ProblemKind, RecentEndings, RecentJob, Sample, Seconds, Severity, Status,
    TimelineEntry, Totals, Worker, WorkerState,
};
use simple_dist_protocol::{ClientId, DistributorId, JobId, UserName, WorkerId};

use super::data::Data;

pub(crate) fn worker_id(number: u128) -> WorkerId {
    WorkerId::from_u128(0x81c2_0000 + number)
}

/// The sample as the view with this number.
pub(crate) fn data(sequence: u64) -> Data {
    Data {
        status: Status { sequence, ..status() },
        workers: vec![
            Worker { held: held(&["fib@1", "fib@1", "primes@1", "mandelbrot@1"]), ..worker(1) },
            Worker { held: held(&["primes@1", "fib@1", "sleep@1"]), busy: 3, ..worker(2) },
            Worker {
                state: WorkerState::Draining,
                held: held(&["mandelbrot@1", "fib@1", "fib@1", "primes@1", "echo@1"]),
                failed: 2,
                ..worker(3)
            },
            Worker {
                state: WorkerState::Lost,
                silent: Seconds(34.0),
                gave_back: 4,
                busy: 0,
                ..worker(4)
            },
            Worker { held: Vec::new(), holds: 0, busy: 0, ..worker(5) },
        ]
        .into_iter()
        .map(|worker| Worker { holds: worker.held.len(), ..worker })
        .collect(),
        functions: vec![
            Function { queued: 22, running: 5, rate: 2.1, ..function("fib@1") },
            Function { queued: 7, running: 2, failed: 2, ..function("mandelbrot@1") },
            Function { queued: 11, running: 3, rate: 1.2, ..function("primes@1") },
            Function {
                workers: 0,
                versions: Vec::new(),
                local_share: 1.0,
                wait: Percentiles::default(),
                run: Percentiles::default(),
                rate: 0.0,
                ..function("render@3")
            },
            Function { versions: vec![1, 2], running: 1, rate: 0.5, ..function("sleep@1") },
        ],
        failed: vec![
            failed(1, "panicked", Some("width is 0, and \u{1b}[31mthis is no colour"), 4),
            failed(2, "poisoned", Some("lost with w-81c20004, w-81c20007"), 61),
            failed(3, "bad_arguments", None, 75),
        ],
    }
}

fn status() -> Status {
    Status {
        counts: Counts::default(),
        sequence: 1,
        unix_ms: 1_764_000_000_000,
        distributor: Distributor {
            id: DistributorId::from_u128(0x4be1_0001),
            up: Seconds(250.0),
            phase: Phase::Active { term: "12ab".to_owned(), age: Seconds(245.0) },
            ..Distributor::default()
        },
        broker: Broker {
            address: "127.0.0.1:5672".to_owned(),
            since: Seconds(250.0),
            up: true,
            sure: true,
            connections: 1,
            ..Broker::default()
        },
        books: JobCounts {
            accepted: 1_404,
            queued: 40,
            placed: 3,
            running: 12,
            done: 1_346,
            failed: 3,
            failed_by: [("panicked", 1), ("poisoned", 1), ("bad_arguments", 1)]
                .map(|(kind, count)| (kind.to_owned(), count))
                .into(),
            ..JobCounts::default()
        },
        problems: vec![
            problem(
                ProblemKind::Unserved,
                Severity::Critical,
                "render@3 is called, but no worker serves it.",
            ),
            problem(
                ProblemKind::WorkersLost,
                Severity::Warning,
                "One worker was lost 34 s ago; 4 jobs were placed again.",
            ),
        ],
        totals: Totals {
            workers: 4,
            slots: 16,
            busy: 12,
            queued: 40,
            oldest: Some(Seconds(1.2)),
            rate: 4.6,
            empty_in: Some(Seconds(9.0)),
            wait_p95: Some(Seconds(1.4)),
            local_share: 0.004,
            lost: 1,
            argument_bytes: 4096,
            ..Totals::default()
        },
        series: (0..120)
            .map(|second| Sample {
                slots: 16,
                busy: (second * 7 % 13) as u32,
                queued: second % 50,
                done: second * 11 % 7,
                failed: u64::from(second == 116),
                local: u64::from(second % 40 == 0),
                wait_p95: Some(Seconds(second as f64 / 100.0)),
                ..Sample::default()
            })
            .collect(),
        ..Status::default()
    }
}

fn problem(kind: ProblemKind, severity: Severity, text: &str) -> Problem {
    let (headline, text) = (text.to_owned(), text.to_owned());
    Problem { kind, severity, blocks: false, headline, text, functions: Vec::new() }
}

fn worker(number: u128) -> Worker {
    Worker {
        id: worker_id(number),
        user: user(),
        host: format!("node-{}", number.div_ceil(2)),
        version: "4.2.0".to_owned(),
        state: WorkerState::Live,
        age: Seconds(240.0),
        silent: Seconds(0.4),
        functions: ["fib@1", "mandelbrot@1", "primes@1", "sleep@1"].map(Arc::from).into(),
        pool: None,
        isolated: false,
        load: None,
        slots: 4,
        busy: 4,
        abandoned: 0,
        holds: 0,
        held: Vec::new(),
        done: 1_204 - number as u64,
        failed: 0,
        gave_back: 0,
        printed: Default::default(),
        outvoted: None,
    }
}

fn held(functions: &[&str]) -> Vec<HeldJob> {
    let job = |(place, function): (u32, &&str)| HeldJob {
        id: JobId::from_u128(0x0193_c100 + u128::from(place)),
        user: user(),
        function: Arc::from(*function),
        attempt: if place == 1 { 2 } else { 1 },
        slot: (place < 4).then_some(place),
        age: Seconds(12.4 / f64::from(place + 1)),
        progress: None,
        abandoned: false,
        trial: None,
    };
    (0..).zip(functions).map(job).collect()
}

fn function(name: &str) -> Function {
    let times = Percentiles {
        p50: Some(Seconds(0.4)),
        p95: Some(Seconds(1.4)),
        p99: Some(Seconds(2.2)),
        count: 120,
    };
    Function {
        name: Arc::from(name),
        workers: 4,
        slots: 16,
        versions: vec![1],
        unversioned: 1.0,
        queued: 0,
        placed: 0,
        running: 0,
        done: 700,
        failed: 0,
        timed_out: 0,
        cancelled: 0,
        lately: RecentEndings::default(),
        answers: [("value".to_owned(), 700)].into(),
        local: [("no_worker".to_owned(), 3)].into(),
        local_share: 0.0,
        refuted: false,
        saved: Default::default(),
        rate: 0.8,
        wait: times,
        run: times,
        waits: Default::default(),
        runs: Default::default(),
        look: None,
        series: Default::default(),
    }
}

fn failed(number: u128, answer: &str, detail: Option<&str>, seconds_ago: u64) -> RecentJob {
    RecentJob {
        id: JobId::from_u128(0x0193_c200 + number),
        user: user(),
        client: ClientId::from_u128(7),
        function: Arc::from("mandelbrot@1"),
        answer: answer.to_owned(),
        cancelled_by: None,
        detail: detail.map(str::to_owned),
        crashes: Vec::new(),
        arguments: None,
        worker: Some(worker_id(2)),
        attempts: number as u32,
        answered_by: None,
        waited: Seconds(0.2),
        ran: Some(Seconds(0.003)),
        ended_unix_ms: 1_764_000_000_000 - seconds_ago * 1000,
        timeline: vec![
            TimelineEntry { after: Seconds(0.0), what: JobEvent::Submitted },
            TimelineEntry {
                after: Seconds(0.2),
                what: JobEvent::Started { attempt: 1, worker: worker_id(2) },
            },
            TimelineEntry { after: Seconds(0.203), what: JobEvent::Ended },
        ],
    }
}

fn user() -> UserName {
    "guest".parse().expect("it is a name")
}
