//! What a link writes to the log of its program: at no level a payload, and no complaints
//! while everything is well. Alone in its process, whose log is one.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not know as such")]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use simple_dist_broker::Broker;
use simple_dist_link::{Consume, ConsumerTag, Event, Lane, Link, Options, Outgoing, Plan, Route};
use simple_dist_protocol::topology::{Declaration, Name, QueueKind, Topology};
use simple_dist_protocol::{ClientId, Generation, Outcome, PoolId};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing_subscriber::fmt::MakeWriter;

const LIMIT: Duration = Duration::from_secs(20);
/// The payload that no log is to have.
const SECRET: &str = "not for logs";

/// All that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
    timeout(LIMIT, events.recv()).await.expect("an event in time").expect("a link")
}

fn secret(topology: &Topology, key: Name, token: u64) -> Outgoing {
    let exchange = topology.default_exchange();
    Outgoing {
        route: Arc::new(Route { exchange, key, mandatory: true, envelope: None }),
        body: Bytes::from_static(SECRET.as_bytes()).into(),
        work: Duration::ZERO,
        token: Some(token),
        lane: Lane::Jobs,
    }
}

#[tokio::test]
async fn no_log_has_a_payload_or_a_complaint_of_the_client_library() {
    let log = Log::default();
    let level = tracing_subscriber::filter::LevelFilter::TRACE;
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(log.clone());
    subscriber.with_ansi(false).init();
    let broker = Broker::builder().start().await.unwrap();
    let topology = Topology::new("quiet", QueueKind::Classic).unwrap();
    let ours = topology.client(&"guest".parse().unwrap(), ClientId::new(), Generation(1));
    let queue = ours.name.clone();
    let consume =
        Consume { tag: ConsumerTag(1), queue: queue.clone(), prefetch: 10, exclusive: false };
    let (link, mut events) = Link::start(Options {
        url: broker.url().parse().unwrap(),
        name: "simple-dist test".to_owned(),
        signed: true,
        plan: Box::new(move |_| Plan {
            declare: vec![Declaration::Queue(ours.clone())],
            consume: vec![consume.clone()],
        }),
    });
    let Event::Up(session) = next(&mut events).await else { panic!("it is up") };
    let nowhere = topology.pool(PoolId::of(&["nobody@1".parse().unwrap()], false)).name;
    session.publish(secret(&topology, nowhere, 1)).unwrap();
    let Event::Settled(settled) = next(&mut events).await else { panic!("it is settled") };
    assert_eq!(settled.outcome, Outcome::Returned);
    session.publish(secret(&topology, queue, 2)).unwrap();
    let delivered = loop {
        if let Event::Delivery(delivery) = next(&mut events).await {
            break delivery;
        }
    };
    delivered.receipt.ack();
    assert_eq!(session.claim(&topology.leader()).await, Ok(true));
    link.close().await;
    broker.stop().await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("connected"), "it is the log: {text}");
    let debug = format!("{:?}", SECRET.as_bytes());
    for line in text.lines() {
        assert!(!line.contains(SECRET) && !line.contains(debug.trim_matches(['[', ']'])), "{line}");
        let complaint = line.contains("ERROR") || line.contains("WARN");
        assert!(!(complaint && line.contains("lapin")), "{line}");
    }
}
