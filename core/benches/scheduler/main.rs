//! What a job costs the scheduler: submitted, placed, answered and confirmed, in lists of 100, with so
//! many waiting.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

mod run;

use criterion::{Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use simple_dist_protocol::UserName;

use run::{LIST, Run};

fn jobs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scheduler");
    group.throughput(Throughput::Elements(u64::try_from(LIST).unwrap()));
    for waiting in [100, 10_000, 100_000, 900_000] {
        group.bench_with_input(BenchmarkId::from_parameter(waiting), &waiting, measure);
    }
}

fn measure(bencher: &mut Bencher<'_>, waiting: &u64) {
    let mut run = Run::new(8);
    let users: Vec<UserName> = (0..4).map(|n| format!("u{n}").parse().unwrap()).collect();
    let mut turn = users.iter().cycle();
    while run.scheduler.counters().under_way() < *waiting {
        run.submit(turn.next().unwrap());
        run.settle();
    }
    bencher.iter(|| {
        run.submit(turn.next().unwrap());
        run.settle();
        run.answer();
        run.settle();
    });
}

criterion_group!(benches, jobs);
criterion_main!(benches);
