//! A peer that accepts connections and never says a word. Alone in its process, whose threads
//! are counted.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not know as such")]

use std::time::Duration;

use simple_dist_link::{Event, Link, Options, Plan, Reason};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn a_silent_peer_is_told_in_time_and_costs_no_threads() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}", silent.local_addr().unwrap());
    let mut accepted = tokio::task::JoinSet::new();
    accepted.spawn(async move {
        let mut held = Vec::new();
        while let Ok(connection) = silent.accept().await {
            held.push(connection);
        }
    });
    let began = Instant::now();
    let (link, mut events) = Link::start(Options {
        url: url.parse().unwrap(),
        name: "simple-dist test".to_owned(),
        signed: false,
        plan: Box::new(|_| Plan { declare: vec![], consume: vec![] }),
    });
    for _ in 0..2 {
        let event = timeout(Duration::from_secs(20), events.recv()).await.unwrap();
        assert!(matches!(event, Some(Event::Down(Reason::Unreachable { .. }))), "{event:?}");
    }
    // Three seconds each, where the broker would be given eight for a connection.
    assert!(began.elapsed() < Duration::from_secs(14));
    assert_eq!(io_threads(), 0);
    let began = Instant::now();
    link.close().await;
    assert!(began.elapsed() < Duration::from_secs(2), "closing does not wait for the peer");
}

/// Threads of the client library's connections.
fn io_threads() -> usize {
    let names = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
    names.filter(|name| name.starts_with("lapin")).count()
}
