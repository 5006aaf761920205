//! What child processes cost.

use super::*;

/// What isolation costs: `cargo test -p simple-dist --test isolated --release -- figures`.
pub(crate) async fn print_figures() {
    for isolation in [Isolation::Thread, Isolation::Process] {
        let site = Site::new(|worker| worker.isolation(isolation)).await;
        let mut times = vec![];
        for _ in 0..2000 {
            let began = Instant::now();
            site.call(ECHO, Bytes::from_static(b"there")).await.unwrap();
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let began = Instant::now();
        let bytes = std::iter::repeat_n(Bytes::from_static(b"there"), 200_000);
        let mut calls = site.function(ECHO).map(bytes).in_flight(10_000).unordered();
        while calls.next().await.is_some() {}
        let rate = 200_000.0 / began.elapsed().as_secs_f64();
        println!("{isolation:?}: p50 {:?}, p99 {:?}, {rate:.0}/s", times[1000], times[1980]);
        for child in children_of(process::id()) {
            let pid = child.split_whitespace().nth(1).unwrap();
            let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
            let lines =
                memory.lines().filter(|it| it.starts_with("Rss:") || it.starts_with("Pss:"));
            println!("  child {pid}: {}", lines.collect::<Vec<_>>().join(", "));
        }
        site.stop().await;
    }
    for isolation in [Isolation::Thread, Isolation::Process] {
        let client = Client::builder(NOBODY).local_isolation(isolation).local_slots(1);
        let client = client.connect().unwrap();
        let echo = client.function(ECHO).locally(|bytes| bytes);
        let mut times = vec![];
        for _ in 0..2000 {
            let began = Instant::now();
            echo.call(Bytes::from_static(b"here")).await.unwrap();
            times.push(began.elapsed());
        }
        println!("here, {isolation:?}: first {:?}", times[0]);
        times.sort_unstable();
        println!("here, {isolation:?}: p50 {:?}, p99 {:?}", times[1000], times[1980]);
        client.close().await;
    }
}
