//! Sample views of imaginary services, for tests of whatever shows views, and to look at.

use std::sync::Arc;

use simple_dist_protocol::{DistributorId, JobId, PoolId, WorkerId};

use super::{
    Bar, BarEnd, Broker, CancelledBy, Client, Distributor, Job, JobCounts, JobEvent, Lane, Phase,
    Place, Printed, RecentEndings, Sample, Seconds, Stream, TimelineEntry, Totals, UnfinishedJob,
    View, WorkerState,
};

mod parts;

pub(crate) use parts::worker_id;

use parts::*;

fn worker_job(row: u32) -> JobId {
    JobId::from_u128(0x0193_c1aa_0000_0000_0000_0000_0000_0000 + u128::from(row / 3))
}

/// A new active distributor with nothing to do yet.
pub(crate) fn empty(unix_ms: u64) -> View {
    View {
        sequence: unix_ms / 250,
        unix_ms,
        distributor: Distributor {
            id: DistributorId::from_u128(0x4be1_9a77),
            version: "0.1.0".to_owned(),
            up: Seconds(8123.0),
            prefix: "sd".to_owned(),
            phase: Phase::Active { term: "4be19a77c0ffee00".to_owned(), age: Seconds(8000.0) },
        },
        broker: Broker {
            address: "localhost:5672".to_owned(),
            since: Seconds(8122.0),
            up: true,
            blocked: false,
            sure: true,
            connections: 1,
        },
        series: vec![Sample::default(); 120],
        ..View::default()
    }
}

/// Four idle workers of four slots.
pub(crate) fn idle(unix_ms: u64) -> View {
    let mut view = empty(unix_ms);
    view.workers = (1..=4).map(worker).collect();
    view.functions = FUNCTIONS.map(|(name, _)| function(name)).into();
    view.stream.lanes = lanes(&view.workers, |_, _| Vec::new());
    view.totals = Totals { workers: 4, slots: 16, ..Totals::default() };
    for sample in &mut view.series {
        sample.slots = 16;
    }
    view
}

/// The same under `map`: most slots busy, jobs waiting, some failed.
pub(crate) fn busy(unix_ms: u64) -> View {
    let mut view = idle(unix_ms);
    view.stream.lanes = lanes(&view.workers, |worker, slot| history(unix_ms, worker, slot));
    let mut count = 0;
    for worker in &mut view.workers {
        worker.held = held(&view.stream.lanes, worker.id);
        worker.busy = worker.held.len() as u32;
        worker.holds = worker.held.len();
        count += worker.busy;
    }
    view.workers[2].state = WorkerState::Draining;
    let printed = |row: u32| Printed {
        job: worker_job(row),
        function: "mandelbrot@1".to_owned(),
        line: format!("row {row} of 480: 1,204 iterations"),
    };
    view.workers[0].printed = (1..=6).map(printed).collect();
    if let Some(job) = view.workers[1].held.get_mut(1) {
        job.attempt = 2;
    }
    let seconds = unix_ms / 1000;
    for (place, sample) in view.series.iter_mut().enumerate() {
        let at = (seconds + place as u64) as f64 / 9.0;
        sample.busy = 12 + (at.sin() * 3.9) as u32;
        sample.queued = 40 + (at.cos() * 22.0) as u64 + place as u64 % 3;
        sample.done = 4 + (at.sin() * 3.0).abs() as u64;
        sample.local = u64::from(place % 37 == 4);
        sample.wait_p95 = Some(Seconds(1.4 + at.sin() * 0.5));
    }
    view.totals = Totals {
        busy: count,
        queued: 40,
        oldest: Some(Seconds(1.2)),
        rate: 4.6,
        empty_in: Some(Seconds(9.0)),
        wait_p95: Some(Seconds(1.4)),
        local_share: 0.004,
        argument_bytes: 81_234,
        ..view.totals
    };
    view.books = books(40, 4, u64::from(count), 3758, 3);
    view.recent = Arc::new(recent(unix_ms));
    view.clients =
        vec![Client { id: client(), user: user(), jobs: 56, local: 14, silent: Seconds(0.2) }];
    for (place, function) in view.functions.iter_mut().enumerate() {
        work(function, place as u64 + 1);
    }
    view
}

/// The same, 34 seconds after the fourth worker was killed.
pub(crate) fn lost(unix_ms: u64) -> View {
    let mut view = busy(unix_ms);
    let worker = &mut view.workers[3];
    let gone = u64::from(worker.busy);
    worker.state = WorkerState::Lost;
    worker.silent = Seconds(34.2);
    worker.gave_back = 4;
    (worker.busy, worker.holds, worker.held) = (0, 0, Vec::new());
    let id = worker.id;
    for lane in view.stream.lanes.iter_mut().filter(|lane| lane.worker == id) {
        lane.lost = Some(Seconds(34.2));
        lane.bars.retain(|bar| bar.from.0 > 34.5);
        if let Some(bar) = lane.bars.last_mut() {
            (bar.to, bar.end) = (Seconds(34.2), BarEnd::Lost);
        }
    }
    view.stream.local = [(33.0, 31.0, 3), (30.5, 28.0, 5), (88.0, 86.0, 1)]
        .map(|(from, to, count)| Bar {
            function: "fib@1".into(),
            from: Seconds(from),
            to: Seconds(to),
            count,
            end: BarEnd::Value,
        })
        .into();
    view.totals = Totals {
        workers: 3,
        slots: 12,
        busy: view.totals.busy - gone as u32,
        lost: 1,
        lost_gave_back: 4,
        ..view.totals
    };
    view.books = books(40, 4, u64::from(view.totals.busy), 3758, 3);
    view
}

/// Busy, with a function that is called but not served, and one in two versions, which are compared.
pub(crate) fn unserved(unix_ms: u64) -> View {
    let mut view = busy(unix_ms);
    let mut render = function("render@3");
    render.workers = 0;
    render.slots = 0;
    render.queued = 3;
    render.versions = Vec::new();
    render.local_share = 1.0;
    render.rate = 0.1;
    render.local = counts([("not_served", 12)]);
    view.functions.push(render);
    let mut newer = function("sleep@2");
    newer.workers = 1;
    for function in view.functions.iter_mut().filter(|function| &*function.name == "sleep@1") {
        function.versions = vec![1, 2];
        function.unversioned = 0.9;
    }
    newer.versions = vec![1, 2];
    newer.unversioned = 0.1;
    view.shadows = vec![shadow("sleep@1", "sleep@2", unix_ms)];
    view.functions.push(newer);
    view.functions.sort_by(|one, two| one.name.cmp(&two.name));
    view.totals.local_share = 0.06;
    view
}

/// Busy, with all kinds of problems: a failing function, timeouts, cancelled jobs, an unserved
/// function that nobody calls, an abandoned job, 300 lost workers, and a growing queue.
pub(crate) fn failing(unix_ms: u64) -> View {
    let mut view = lost(unix_ms);
    let (failing, late) = (&mut view.functions[1], 4);
    (failing.failed, failing.lately) = (31, RecentEndings { ended: 40, failed: 31, timed_out: 0 });
    let late = &mut view.functions[late];
    (late.timed_out, late.cancelled) = (12, 3);
    late.lately = RecentEndings { ended: 90, failed: 0, timed_out: 12 };
    let mut quiet = function("retired@1");
    (quiet.workers, quiet.slots, quiet.versions) = (0, 0, Vec::new());
    view.functions.push(quiet);
    (view.totals.lost, view.totals.lost_gave_back) = (300, 812);
    (view.totals.empty_in, view.totals.grows) = (None, true);
    view.totals.abandoned = 1;
    view.failures = failures(&view);
    for (place, sample) in view.series.iter_mut().enumerate().skip(70) {
        sample.failed = place as u64 % 3;
    }
    view.workers[0].abandoned = 1;
    if let Some(job) = view.workers[0].held.first_mut() {
        job.abandoned = true;
    }
    let books = &mut view.books;
    (books.failed, books.timed_out, books.cancelled) = (34, 12, 3);
    books.failed_by = counts([("panicked", 34)]);
    books.cancelled_by =
        [(CancelledBy::Caller, 1), (CancelledBy::Operator, 1), (CancelledBy::ClientGone, 1)].into();
    books.accepted += 31 + 12 + 3;
    view
}

/// Busy, with 40 functions.
pub(crate) fn many(unix_ms: u64) -> View {
    let mut view = busy(unix_ms);
    let name = |number: usize| -> Arc<str> { format!("function-{number:02}@1").into() };
    view.functions = (0..40).map(|number| function(&name(number))).collect();
    let bars = view.stream.lanes.iter_mut().flat_map(|lane| &mut lane.bars);
    for (place, bar) in bars.enumerate() {
        bar.function = name(place % 40);
    }
    let held = view.workers.iter_mut().flat_map(|worker| &mut worker.held);
    for (place, job) in held.enumerate() {
        job.function = name(place % 40);
    }
    view
}

/// Busy until the broker went away twelve seconds ago.
pub(crate) fn down(unix_ms: u64) -> View {
    let mut view = busy(unix_ms);
    view.distributor.phase = Phase::Down;
    view.broker = Broker { up: false, sure: false, since: Seconds(12.4), ..view.broker };
    for worker in &mut view.workers {
        worker.silent = Seconds(13.0);
        worker.state = WorkerState::Late;
    }
    view
}

/// On standby.
pub(crate) fn standby(unix_ms: u64) -> View {
    let mut view = busy(unix_ms);
    let active = Some("d-0c7d81c2".to_owned());
    view.distributor.phase = Phase::Standby { active, backlog: Some(40) };
    view.books = JobCounts::default();
    view.recent = Arc::default();
    view.totals.queued = 0;
    view.totals.oldest = None;
    view
}

/// Names, versions and messages that contain HTML.
pub(crate) fn hostile(unix_ms: u64) -> View {
    let evil: Arc<str> = "<script>alert(1)</script>\"'&@1".into();
    let mut view = lost(unix_ms);
    view.broker.address = format!("{evil}:5672");
    for worker in &mut view.workers {
        worker.host = format!("{evil}\r\ndata: x\u{1b}[2J\u{202e}\0\u{7}{}", "x".repeat(10_000));
        worker.version = "<img src=x onerror=alert(1)>".to_owned();
        worker.functions = vec![Arc::clone(&evil)];
        let printed = Printed {
            job: worker_job(1),
            function: evil.to_string(),
            line: format!("{evil}\u{1b}[2J\u{202e}"),
        };
        worker.printed = [printed].into();
        for job in &mut worker.held {
            job.function = Arc::clone(&evil);
        }
    }
    for bar in view.stream.lanes.iter_mut().flat_map(|lane| &mut lane.bars) {
        bar.function = Arc::clone(&evil);
    }
    view.functions[0].name = Arc::clone(&evil);
    view.functions[0].workers = 0;
    view.functions[0].answers = counts([("<b>panicked</b>", 2)]);
    view.books.failed_by = counts([("<b>panicked</b>", 3)]);
    let recent = Arc::make_mut(&mut view.recent);
    for job in recent {
        job.function = Arc::clone(&evil);
        "panicked".clone_into(&mut job.answer);
        job.detail = Some(
            "</td></table><script>alert(2)</script>\r\n\nevent: view\u{1b}]0;x\u{7}\u{2066}\u{9b}"
                .to_owned(),
        );
        job.arguments = Some("[\"<script>\"]".to_owned());
    }
    view
}

/// Sixteen machines of 64 cores with short jobs: the most that a picture has to hold.
pub(crate) fn large(unix_ms: u64) -> View {
    let mut view = busy(unix_ms);
    view.workers = (1..=16).map(worker).collect();
    for worker in &mut view.workers {
        (worker.slots, worker.busy, worker.holds) = (64, 60, 90);
    }
    let shown = (1..=2).flat_map(|number| (0..64).map(move |slot| (worker_id(number), slot)));
    let lane = |(worker, slot): (WorkerId, u32)| {
        let bar = |place: u32| Bar {
            function: FUNCTIONS[(place + slot) as usize % 5].0.into(),
            from: Seconds(120.0 - f64::from(place) * 0.23),
            to: Seconds(120.0 - f64::from(place) * 0.23 - 0.2),
            count: 1,
            end: BarEnd::Value,
        };
        Lane { worker, slot, lost: None, bars: (0..512).map(bar).collect() }
    };
    view.stream = Stream { lanes: shown.map(lane).collect(), local: Vec::new(), more: 896 };
    for worker in &mut view.workers {
        worker.held = (0..64).map(|slot| held_job(worker.id, slot, "fib@1", 0.2)).collect();
    }
    view.totals = Totals { workers: 16, slots: 1024, busy: 960, ..view.totals };
    view
}

/// A thousand workers, most of them idle, and two hundred functions.
pub(crate) fn thousand(unix_ms: u64) -> View {
    let mut view = busy(unix_ms);
    let (lanes, held) = (view.stream.lanes.clone(), view.workers[0].held.clone());
    view.workers = (1..=1000).map(worker).collect();
    for (place, worker) in view.workers.iter_mut().enumerate() {
        worker.silent = Seconds(0.4);
        worker.version = "4.2.0".to_owned();
        match place {
            ..97 => (worker.held, worker.busy, worker.holds) = (held.clone(), 3, held.len()),
            97 => worker.state = WorkerState::Late,
            98 => worker.state = WorkerState::Lost,
            99 => worker.state = WorkerState::Degraded,
            _ => {}
        }
    }
    let shown =
        (1..=32).flat_map(|number| lanes.iter().take(4).zip(0..).map(move |it| (number, it)));
    let lane = |(number, (lane, slot)): (u128, (&Lane, u32))| Lane {
        worker: worker_id(number),
        slot,
        bars: history(unix_ms, worker_id(number), slot),
        ..lane.clone()
    };
    view.stream = Stream { lanes: shown.map(lane).collect(), local: Vec::new(), more: 3872 };
    let name = |number: usize| -> Arc<str> { format!("pipeline.step-{number:03}@1").into() };
    let more = (0..195).map(|number| function(&name(number)));
    view.functions.extend(more);
    for (place, function) in view.functions.iter_mut().enumerate() {
        work(function, place as u64 % 7 + 1);
    }
    view.totals = Totals { workers: 999, slots: 3996, busy: 291, lost: 1, ..view.totals };
    view
}

/// Some jobs as a scheduler reports them: one in its second attempt, and one that ended.
pub(crate) fn jobs(view: &View) -> Vec<Job> {
    let under_way = view.workers.iter().flat_map(|worker| {
        worker.held.iter().map(move |held| {
            let started = held.age.0;
            let moment = |after, what| TimelineEntry { after: Seconds(after), what };
            let (attempt, pool) = (held.attempt, PoolId::of(&[], false));
            let first = JobEvent::Placed { attempt: 1, pool };
            let mut timeline = vec![moment(0.0, JobEvent::Submitted), moment(0.4, first)];
            if attempt > 1 {
                let worker = worker_id(9);
                timeline.push(moment(0.5, JobEvent::Started { attempt: 1, worker }));
                timeline.push(moment(3.7, JobEvent::Struck { attempt: 1, worker }));
                timeline.push(moment(3.8, JobEvent::Placed { attempt, pool }));
            }
            timeline.push(moment(4.0, JobEvent::Started { attempt, worker: worker.id }));
            Job::UnderWay(UnfinishedJob {
                id: held.id,
                user: user(),
                client: client(),
                function: Arc::clone(&held.function),
                priority: 4,
                age: Seconds(started + 4.0),
                left: Seconds(26.0),
                place: Place::Running,
                place_age: held.age,
                worker: Some(worker.id),
                slot: held.slot,
                progress: held.progress.clone(),
                attempts: attempt,
                mark: false,
                strikes: if attempt > 1 { vec![worker_id(9).to_string()] } else { Vec::new() },
                crashes: Vec::new(),
                arguments: None,
                timeline,
            })
        })
    });
    under_way.chain(view.recent.iter().cloned().map(Job::Ended)).collect()
}
