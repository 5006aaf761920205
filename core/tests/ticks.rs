//! How long a scheduler's ticks take with many workers. A measurement, not a check, so it is ignored by
//! default: `cargo test --release -p simple-dist-core --test ticks -- --ignored --nocapture`. What
//! a job costs is measured by `cargo bench -p simple-dist-core`.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

#[expect(dead_code, reason = "what the bench of jobs plays, ticks do without")]
#[path = "../benches/scheduler/run.rs"]
mod run;

use std::time::{Duration, Instant};

use simple_dist_core::scheduler::Event;
use simple_dist_protocol::WorkerId;
use simple_dist_protocol::message::{Ended, Held};

use run::Run;

/// The slots of each worker.
const SLOTS: u32 = 8;

/// Ten seconds with this many workers, all slots busy: the mean and the longest tick.
fn measure(workers: u32) -> (Duration, Duration) {
    let mut run = Run::new(SLOTS);
    let ids: Vec<_> = (1..=u128::from(workers)).map(WorkerId::from_u128).collect();
    ids.iter().for_each(|id| run.beat(*id, SLOTS, vec![]));
    let slots = u64::from(workers * SLOTS);
    while run.scheduler.counters().under_way() < slots {
        run.submit(&"u".parse().unwrap());
        run.settle();
    }
    let placed = std::mem::take(&mut run.answers);
    let held: Vec<Vec<Held>> = placed
        .chunks(SLOTS as usize)
        .map(|jobs| jobs.iter().map(|job| held(job, jobs)).collect())
        .collect();
    let (mut longest, mut all, mut count) = (Duration::ZERO, Duration::ZERO, 0);
    for _ in 0..10 {
        for (id, held) in ids.iter().zip(&held) {
            run.beat(*id, SLOTS, held.clone());
        }
        for _ in 0..10 {
            run.now += Duration::from_millis(100);
            #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
            let began = Instant::now();
            run.feed(Event::Tick);
            longest = longest.max(began.elapsed());
            all += began.elapsed();
            count += 1;
        }
    }
    assert!(run.scheduler.counters().running >= slots - 1);
    (all / count, longest)
}

/// One of these jobs, running in the slot with its index.
fn held(job: &Ended, jobs: &[Ended]) -> Held {
    let slot = jobs.iter().position(|other| other.key == job.key).unwrap();
    Held {
        key: job.key.clone(),
        function: "f@1".parse().unwrap(),
        attempt: job.attempt,
        slot: Some(u32::try_from(slot).unwrap()),
        age_ms: 1000,
    }
}

/// Ten times the workers should cost ten times the tick.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "its figures are its purpose")]
fn ticks_by_workers() {
    let mut first = None;
    for workers in [256, 1024, 4096] {
        let (mean, longest) = measure(workers);
        let (least, time) = *first.get_or_insert((workers, longest));
        let times = longest.as_secs_f64() / time.as_secs_f64();
        eprintln!(
            "{workers:>5} workers of {SLOTS} slots: mean tick {mean:>9.1?}, longest {longest:>9.1?} \
             ({times:.1} times that of {least}, with {} times the workers)",
            workers / least
        );
    }
}
