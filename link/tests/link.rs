//! The link against a real broker: an embedded one, or that of `AMQP_URL`.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not know as such")]

#[path = "link/cable.rs"]
mod cable;
#[path = "link/connecting.rs"]
mod connecting;
#[path = "link/consuming.rs"]
mod consuming;
#[path = "link/lock.rs"]
mod lock;
#[path = "link/publishing.rs"]
mod publishing;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use simple_dist_broker::{Broker, Handle};
use simple_dist_link::{
    Consume, ConsumerTag, Depth, Event, Lane, Link, Options, Outgoing, Plan, Reason, Route, Session,
};
use simple_dist_protocol::message::{FromClient, Ids, VERSION};
use simple_dist_protocol::topology::{
    ArgumentValue, Declaration, Name, QueueKind, QueueSpec, Topology,
};
use simple_dist_protocol::{ClientId, Generation, JobId, Outcome, PoolId, codec};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use self::cable::Cable;

fn nothing() -> Plan {
    Plan { declare: vec![], consume: vec![] }
}

/// Nothing here takes longer, unless it is broken.
const LIMIT: Duration = Duration::from_secs(30);

/// The broker of `AMQP_URL`, or an embedded one for all tests of this process.
fn broker() -> String {
    static EMBEDDED: OnceLock<Handle> = OnceLock::new();
    let embedded = || {
        let start = || Runtime::new().unwrap().block_on(Broker::builder().start()).unwrap();
        std::thread::spawn(start).join().unwrap()
    };
    std::env::var("AMQP_URL").unwrap_or_else(|_| EMBEDDED.get_or_init(embedded).url().to_owned())
}

/// A separate installation at the broker, deleted at the end.
struct Installation {
    topology: Topology,
    admin: Connection,
    queues: Vec<Name>,
}

impl Installation {
    async fn new() -> Self {
        let prefix = format!("t{}", JobId::new().short());
        let topology = Topology::new(&prefix, QueueKind::Classic).unwrap();
        let properties = ConnectionProperties::default();
        let admin = Connection::connect(&broker(), properties).await.unwrap();
        Self { topology, admin, queues: Vec::new() }
    }

    /// A pool's queue: not exclusive, so that all can see it.
    fn queue(&mut self, number: u32) -> QueueSpec {
        let function = format!("function@{number}").parse().unwrap();
        let queue = self.topology.pool(PoolId::of(&[function], false));
        self.queues.push(queue.name.clone());
        queue
    }

    async fn delete(&self, queue: &Name) {
        let channel = self.admin.create_channel().await.unwrap();
        let options = QueueDeleteOptions::default();
        channel.queue_delete(queue.as_str().into(), options).await.unwrap();
    }

    async fn sweep(self) {
        let shared = [
            self.topology.submissions(),
            self.topology.control(),
            self.topology.answers(),
            self.topology.parked(),
        ];
        for queue in self.queues.iter().chain(&shared) {
            self.delete(queue).await;
        }
        let channel = self.admin.create_channel().await.unwrap();
        for exchange in [
            self.topology.submit(),
            self.topology.results(),
            self.topology.beats(),
            self.topology.presence(),
        ] {
            let options = ExchangeDeleteOptions::default();
            channel.exchange_delete(exchange.as_str().into(), options).await.unwrap();
        }
        self.admin.close(200, "OK".into()).await.unwrap();
    }

    /// Straight to a queue, each message alone.
    fn route(&self, queue: &Name) -> Arc<Route> {
        Arc::new(Route {
            exchange: self.topology.default_exchange(),
            key: queue.clone(),
            mandatory: true,
            envelope: None,
        })
    }
}

/// A link under test.
struct Tested {
    link: Link,
    events: mpsc::Receiver<Event>,
}

impl Tested {
    fn start_at(url: &str, plan: impl Fn(Generation) -> Plan + Send + Sync + 'static) -> Self {
        let (link, events) = Link::start(Options {
            url: url.parse().unwrap(),
            name: "simple-dist test".to_owned(),
            signed: true,
            plan: Box::new(plan),
        });
        Self { link, events }
    }

    fn start(plan: Plan) -> Self {
        Self::start_at(&broker(), move |_| plan.clone())
    }

    async fn next(&mut self) -> Event {
        timeout(LIMIT, self.events.recv()).await.expect("an event in time").expect("a link")
    }

    async fn up(&mut self) -> Session {
        match self.next().await {
            Event::Up(session) => session,
            other => panic!("up, not {other:?}"),
        }
    }

    /// Waits through further tries.
    async fn up_again(&mut self) -> Session {
        loop {
            match self.next().await {
                Event::Up(session) => return session,
                Event::Down(_) => {}
                other => panic!("up or down, not {other:?}"),
            }
        }
    }

    async fn down(&mut self) -> Reason {
        match self.next().await {
            Event::Down(reason) => reason,
            other => panic!("down, not {other:?}"),
        }
    }

    /// What became of this many tokens.
    async fn settled(&mut self, count: usize) -> HashMap<u64, Outcome> {
        let mut outcomes = HashMap::new();
        while outcomes.len() < count {
            match self.next().await {
                Event::Settled(settled) => {
                    for token in settled.tokens {
                        assert_eq!(outcomes.insert(token, settled.outcome), None, "{token} twice");
                    }
                }
                other => panic!("settled, not {other:?}"),
            }
        }
        outcomes
    }

    async fn nothing_follows(&mut self) {
        let silence = timeout(Duration::from_millis(300), self.events.recv()).await;
        assert!(silence.is_err(), "nothing, not {silence:?}");
    }
}

fn declared(queues: &[&QueueSpec]) -> Plan {
    let declare = queues.iter().map(|queue| Declaration::Queue((*queue).clone())).collect();
    Plan { declare, consume: vec![] }
}

fn consumed(tag: usize, queue: &Name) -> Consume {
    Consume { tag: ConsumerTag(tag), queue: queue.clone(), prefetch: 100, exclusive: false }
}

fn outgoing(route: &Arc<Route>, token: u64, lane: Lane) -> Outgoing {
    let body = Bytes::from(token.to_be_bytes().to_vec()).into();
    Outgoing { route: route.clone(), body, work: Duration::ZERO, token: Some(token), lane }
}

fn ask(ids: Vec<JobId>) -> FromClient {
    FromClient::Ask(Ids { client: ClientId::from_u128(1), generation: Generation(1), ids })
}

/// Owners ask from tasks of their own.
#[expect(dead_code, reason = "that it compiles is the test")]
fn questions_can_be_asked_from_any_thread(
    session: &'static Session,
    consume: Consume,
    queue: QueueSpec,
) {
    fn is_send(_: impl Send) {}
    is_send(session.depth(queue.name.clone()));
    is_send(session.drain_queue(queue.name.clone()));
    is_send(session.declare(Declaration::Queue(queue.clone())));
    is_send(session.claim(&[queue]));
    is_send(session.cancel(consume.tag));
    is_send(session.consume(consume));
}
