//! A view with something in every list.

use std::sync::Arc;

use simple_dist_protocol::{ClientId, JobId, PoolId, UserName, WorkerId};

use crate::view::{
    Broker, CancelledBy, Client, Distribution, Function, HeldJob, Job, Percentiles, Phase, Place,
    Pool, Progress, RecentEndings, RecentJob, Seconds, UnfinishedJob, View, Worker, WorkerState,
};

pub(in crate::web) const LIVE: WorkerId = WorkerId::from_u128(1);
pub(in crate::web) const LOST: WorkerId = WorkerId::from_u128(2);

/// Two workers, one of them lost; `fib@1`, `fib@2` without workers, `gone@1` served once.
pub(in crate::web) fn view() -> View {
    let mut view = View { sequence: 7, unix_ms: 1_800_000_000_000, ..View::default() };
    view.distributor.phase = Phase::Active { term: "ab".to_owned(), age: Seconds(60.0) };
    view.broker =
        Broker { address: "localhost:5672".to_owned(), up: true, sure: true, ..view.broker };
    view.books.accepted = 12;
    view.books.done = 7;
    view.books.failed = 2;
    view.books.timed_out = 1;
    view.books.cancelled = 1;
    view.books.cancelled_by.insert(CancelledBy::Operator, 1);
    view.books.queued = 1;
    view.books.failed_by.insert("panicked".to_owned(), 2);
    view.books.refused_by.insert("busy".to_owned(), 3);
    view.books.events.insert("swept".to_owned(), 1);
    view.totals.workers = 1;
    view.workers =
        vec![worker(LIVE, WorkerState::Live, "fib@1"), worker(LOST, WorkerState::Lost, "gone@1")];
    view.functions = vec![function("fib@1", 1), function("fib@2", 0), function("slow@1", 1)];
    view.pools = vec![Pool {
        id: PoolId::of(&[], false),
        functions: vec!["fib@1".into()],
        workers: 1,
        slots: 2,
        in_flight: 1,
        abandoned: 0,
    }];
    view.clients = vec![Client {
        id: ClientId::from_u128(1),
        user: user(),
        jobs: 1,
        local: 0,
        silent: Seconds(0.1),
    }];
    view.recent = Arc::new(vec![
        ended(3, "fib@1", "value", Some(LIVE)),
        ended(2, "fib@2", "panicked", Some(LOST)),
        ended(1, "slow@1", "cancelled", None),
    ]);
    view
}

fn user() -> UserName {
    "guest".parse().unwrap()
}

fn worker(id: WorkerId, state: WorkerState, function: &str) -> Worker {
    let held = HeldJob {
        id: JobId::from_u128(9),
        user: user(),
        function: function.into(),
        attempt: 1,
        slot: Some(0),
        age: Seconds(0.5),
        progress: None,
        abandoned: false,
        trial: None,
    };
    Worker {
        id,
        user: user(),
        host: "<script>".to_owned(),
        version: "0.1.0".to_owned(),
        state,
        age: Seconds(10.0),
        silent: Seconds(0.2),
        functions: vec![function.into()],
        pool: None,
        isolated: false,
        load: None,
        slots: 2,
        busy: 1,
        abandoned: 0,
        holds: 1,
        held: vec![held],
        done: 5,
        failed: 1,
        gave_back: 0,
        printed: Default::default(),
        outvoted: None,
    }
}

pub(in crate::web) fn function(name: &str, workers: usize) -> Function {
    let distribution = Distribution { buckets: vec![(0.01, 2), (0.1, 4)], count: 5, sum: 1.5 };
    Function {
        name: name.into(),
        workers,
        slots: 2,
        versions: vec![1],
        unversioned: 1.0,
        queued: 1,
        placed: 0,
        running: 1,
        done: 7,
        failed: 2,
        timed_out: 0,
        cancelled: 0,
        lately: RecentEndings { ended: 9, failed: 2, timed_out: 0 },
        answers: [("value".to_owned(), 7), ("panicked".to_owned(), 2)].into(),
        local: [("unavailable".to_owned(), 4)].into(),
        local_share: 0.1,
        refuted: false,
        saved: Default::default(),
        rate: 1.0,
        wait: Percentiles { p50: Some(Seconds(0.1)), p95: None, p99: None, count: 5 },
        run: Percentiles::default(),
        waits: distribution.clone(),
        runs: distribution,
        look: None,
        series: Default::default(),
    }
}

pub(in crate::web) fn ended(
    id: u128,
    function: &str,
    answer: &str,
    worker: Option<WorkerId>,
) -> RecentJob {
    RecentJob {
        id: JobId::from_u128(id),
        user: user(),
        client: ClientId::from_u128(1),
        function: function.into(),
        answer: answer.to_owned(),
        cancelled_by: None,
        detail: None,
        crashes: Vec::new(),
        arguments: None,
        worker,
        attempts: 1,
        answered_by: worker.map(|_| 1),
        waited: Seconds(0.1),
        ran: Some(Seconds(0.2)),
        ended_unix_ms: 1_800_000_000_000,
        timeline: Vec::new(),
    }
}

pub(in crate::web) fn under_way(id: u128, function: &str, place: Place) -> Job {
    Job::UnderWay(UnfinishedJob {
        id: JobId::from_u128(id),
        user: user(),
        client: ClientId::from_u128(1),
        function: function.into(),
        priority: 4,
        age: Seconds(1.0),
        left: Seconds(59.0),
        place,
        place_age: Seconds(0.5),
        worker: (place == Place::Running).then_some(LIVE),
        slot: None,
        progress: (place == Place::Running)
            .then(|| Progress { fraction: 0.4, text: "row <40>".to_owned() }),
        attempts: 1,
        mark: false,
        strikes: Vec::new(),
        crashes: Vec::new(),
        arguments: None,
        timeline: Vec::new(),
    })
}
