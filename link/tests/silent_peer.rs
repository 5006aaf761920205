//! A peer that accepts connections and never says a word, or only its first. Alone in its process,
//! whose threads are counted.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not know as such")]

use std::time::Duration;

use simple_dist_link::{Event, Link, Options, Plan, Reason};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

/// `connection.start`.
const START: &[u8] =
    b"\x01\0\0\0\0\0\x1c\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US\xce";

#[tokio::test]
async fn a_silent_peer_is_told_in_time_and_costs_no_threads() {
    // Three seconds for each attempt, where the broker would be given eight for a connection.
    told_without_threads(b"", Duration::from_secs(14)).await;
    told_without_threads(START, Duration::from_secs(40)).await;
}

/// Tries twice to connect to a peer that says this and no more.
async fn told_without_threads(says: &'static [u8], limit: Duration) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}", silent.local_addr().unwrap());
    let mut accepted = tokio::task::JoinSet::new();
    accepted.spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut connection, _)) = silent.accept().await {
            connection.write_all(says).await.unwrap();
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
    assert!(began.elapsed() < limit);
    let began = Instant::now();
    link.close().await;
    assert!(began.elapsed() < Duration::from_secs(2), "closing does not wait for the peer");
    let gone = async {
        while io_threads() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.expect("its threads end");
}

/// Threads of the client library's connections.
fn io_threads() -> usize {
    let names = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
    names.filter(|name| name.starts_with("lapin")).count()
}
