//! The link against a real broker: an embedded one, or that of `AMQP_URL`.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not know as such")]

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
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

fn nothing() -> Plan {
    Plan { declare: vec![], consume: vec![] }
}

/// Nothing here takes longer, unless it is broken.
const LIMIT: Duration = Duration::from_secs(20);

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
    let body = Bytes::from(token.to_be_bytes().to_vec());
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

#[tokio::test]
async fn items_travel_as_lists_and_arrive_signed() {
    let installation = Installation::new().await;
    let topology = &installation.topology;
    let consume = vec![consumed(1, &topology.control())];
    let mut tested = Tested::start(Plan { declare: topology.shared(), consume });
    let session = tested.up().await;
    let route = Arc::new(Route {
        exchange: topology.submit(),
        key: topology.control_key(),
        mandatory: true,
        envelope: Some(codec::envelope(&ask(vec![]))),
    });
    let sent: Vec<JobId> = (0..1000).map(JobId::from_u128).collect();
    for (token, id) in (0..).zip(&sent) {
        let body = codec::encode(id).unwrap().into();
        let item = outgoing(&route, token, Lane::Control);
        session.publish(Outgoing { body, ..item }).unwrap();
    }

    let (mut came, mut messages, mut outcomes) = (vec![], 0, BTreeMap::new());
    while came.len() < sent.len() || outcomes.len() < sent.len() {
        match tested.next().await {
            Event::Delivery(delivery) => {
                assert_eq!(delivery.user.as_ref(), Some(session.user()));
                assert_eq!(delivery.version, Some(VERSION));
                assert_eq!((delivery.tag, delivery.redelivered), (ConsumerTag(1), false));
                let FromClient::Ask(ask) = codec::decode(&delivery.body).unwrap() else { panic!() };
                came.extend(ask.ids);
                messages += 1;
                delivery.receipt.ack();
            }
            Event::Settled(settled) => {
                outcomes.extend(settled.tokens.into_iter().map(|token| (token, settled.outcome)));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(came, sent);
    assert!(messages <= 10, "1000 items in {messages} messages");
    assert!(outcomes.values().all(|outcome| *outcome == Outcome::Confirmed));
    tested.link.close().await;

    let mut after = Tested::start(nothing());
    let depth = after.up().await.depth(topology.control()).await.unwrap();
    assert_eq!(depth, Some(Depth { messages: 0, consumers: 0 }), "all are acked");
    after.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn outcomes_never_swap_however_much_is_under_way() {
    let mut installation = Installation::new().await;
    let (open, mut full, missing) =
        (installation.queue(1), installation.queue(2), installation.queue(3));
    full.arguments = vec![
        ("x-max-length", ArgumentValue::Number(1)),
        ("x-overflow", ArgumentValue::Text("reject-publish")),
    ];
    let mut tested = Tested::start(declared(&[&open, &full]));
    let session = tested.up().await;
    session.publish(outgoing(&installation.route(&full.name), 0, Lane::Jobs)).unwrap();
    assert_eq!(tested.settled(1).await[&0], Outcome::Confirmed);

    let routes = [&open, &full, &missing].map(|queue| installation.route(&queue.name));
    let expected = [Outcome::Confirmed, Outcome::Refused, Outcome::Returned];
    let count = 6000;
    for token in 0..count {
        let lane = if token % 2 == 0 { Lane::Jobs } else { Lane::Control };
        session.publish(outgoing(&routes[kind(token)], token, lane)).unwrap();
    }
    let outcomes = tested.settled(usize::try_from(count).unwrap()).await;
    for (token, outcome) in outcomes {
        assert_eq!(outcome, expected[kind(token)], "of {token}");
    }
    tested.nothing_follows().await;
    tested.link.close().await;
    installation.sweep().await;
}

/// Which of three, without a pattern that a window could have.
fn kind(token: u64) -> usize {
    usize::try_from(token.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).unwrap() % 3
}

#[tokio::test]
async fn only_what_reaches_no_queue_is_returned() {
    let mut installation = Installation::new().await;
    let (there, missing) = (installation.queue(1), installation.queue(2));
    let mut tested = Tested::start(declared(&[&there]));
    let session = tested.up().await;
    let routes = [&there, &missing].map(|queue| installation.route(&queue.name));
    for token in 0..600 {
        let route = &routes[usize::from(token % 10 == 7)];
        session.publish(outgoing(route, token, Lane::Jobs)).unwrap();
    }
    for (token, outcome) in tested.settled(600).await {
        let expected = if token % 10 == 7 { Outcome::Returned } else { Outcome::Confirmed };
        assert_eq!(outcome, expected, "of {token}");
    }
    tested.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn a_deleted_queue_ends_the_generation_and_the_next_has_it_again() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let consume = vec![consumed(1, &queue.name)];
    let mut tested = Tested::start(Plan { consume, ..declared(&[&queue]) });
    let first = tested.up().await;
    installation.delete(&queue.name).await;
    assert!(matches!(tested.down().await, Reason::Lost(_)));
    let second = tested.up_again().await;
    assert_eq!(second.generation(), first.generation().next());

    let route = installation.route(&queue.name);
    first.publish(outgoing(&route, 1, Lane::Jobs)).expect_err("its generation is over");
    assert!(matches!(first.depth(queue.name.clone()).await, Err(Reason::Lost(_))));
    second.publish(outgoing(&route, 2, Lane::Jobs)).unwrap();
    let delivered = async {
        loop {
            if let Event::Delivery(delivery) = tested.next().await {
                return delivery.receipt.ack();
            }
        }
    };
    delivered.await;
    tested.link.close().await;
    installation.sweep().await;
}

/// Stands between a link and the broker, and can cut all connections at once, or hold back what the
/// broker says.
struct Cable {
    url: String,
    cut: watch::Sender<u32>,
    held: watch::Sender<bool>,
    _connections: JoinSet<()>,
}

impl Cable {
    async fn lay() -> Self {
        let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far: simple_dist_link::BrokerUrl = broker().parse().unwrap();
        let own = near.local_addr().unwrap().to_string();
        let url = broker().replace(&far.address(), &own);
        assert_ne!(url, broker(), "AMQP_URL names its port");
        let (cut, cuts) = watch::channel(0);
        let (held, holds) = watch::channel(false);
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut pipes = JoinSet::new();
            while let Ok((here, _)) = near.accept().await {
                let (address, mut cuts, holds) = (far.address(), cuts.clone(), holds.clone());
                cuts.mark_unchanged();
                pipes.spawn(async move {
                    let there = TcpStream::connect(address).await.unwrap();
                    let (mut asked, answers) = here.into_split();
                    let (said, mut questions) = there.into_split();
                    tokio::select! {
                        _ended = copy(&mut asked, &mut questions) => {}
                        () = copy_unheld(said, answers, holds) => {}
                        _cut = cuts.changed() => {}
                    }
                });
            }
        });
        Self { url, cut, held, _connections: connections }
    }

    /// Holds back what the broker says, or no longer.
    fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn copy_unheld(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut held: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await
        && held.wait_for(|held| !held).await.is_ok()
        && to.write_all(&buffer[..count]).await.is_ok()
    {}
}

#[tokio::test]
async fn what_is_unconfirmed_does_not_hold_up_what_comes_after() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let missing = installation.queue(2);
    let mut observer = Tested::start(declared(&[&queue]));
    let observing = observer.up().await;
    let cable = Cable::lay().await;
    let mut tested = Tested::start_at(&cable.url, |_| nothing());
    let session = tested.up().await;
    cable.hold(true);
    for (token, name, arrived) in [(1, &queue.name, 1), (2, &missing.name, 1), (3, &queue.name, 2)]
    {
        session.publish(outgoing(&installation.route(name), token, Lane::Jobs)).unwrap();
        let leaves = async {
            let there = Some(Depth { messages: arrived, consumers: 0 });
            while observing.depth(queue.name.clone()).await.unwrap() != there {}
        };
        timeout(LIMIT, leaves).await.expect("it leaves");
    }
    tested.nothing_follows().await;
    cable.hold(false);
    let (confirmed, returned) = (Outcome::Confirmed, Outcome::Returned);
    let outcomes = HashMap::from([(1, confirmed), (2, returned), (3, confirmed)]);
    assert_eq!(tested.settled(3).await, outcomes);
    tested.link.close().await;
    observer.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn a_cut_is_followed_by_another_generation_with_queues_of_its_own() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let cable = Cable::lay().await;
    let topology = installation.topology.clone();
    let (shared, user) = (queue.clone(), "guest".parse().unwrap());
    let worker = simple_dist_protocol::WorkerId::new();
    let mut tested = Tested::start_at(&cable.url, move |generation| {
        let own = topology.worker(&user, worker, generation);
        let consume = vec![consumed(1, &own.name)];
        Plan { consume, ..declared(&[&shared, &own]) }
    });
    for number in 1..=3 {
        let session = tested.up_again().await;
        assert_eq!(session.generation(), Generation(number));
        let route = installation.route(&queue.name);
        session.publish(outgoing(&route, 1, Lane::Jobs)).unwrap();
        assert_eq!(tested.settled(1).await[&1], Outcome::Confirmed);
        cable.cut();
        assert!(matches!(tested.down().await, Reason::Lost(_)));
    }
    tested.up_again().await;
    tested.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn an_exclusive_queue_is_claimed_by_one_and_free_when_it_leaves() {
    let installation = Installation::new().await;
    let leader = installation.topology.leader();
    let (mut one, mut other) = (Tested::start(nothing()), Tested::start(nothing()));
    let (first, second) = (one.up().await, other.up().await);
    let (a, b) = tokio::join!(first.claim(&leader), second.claim(&leader));
    let claims = [a.unwrap(), b.unwrap()];
    assert!(claims[0] != claims[1], "one of them: {claims:?}");
    let (holder, mut standby, session) =
        if claims[0] { (one, other, second) } else { (other, one, first) };
    for _ in 0..3 {
        assert_eq!(session.claim(&leader).await, Ok(false));
    }
    holder.link.close().await;
    // RabbitMQ 4.3 says goodbye to a connection before it takes its queues away.
    let free = async {
        while !session.claim(&leader).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LIMIT, free).await.expect("it becomes free");
    for _ in 0..3 {
        assert_eq!(session.claim(&leader).await, Ok(false), "it is ours already");
    }
    // Any of them: one that was just being deleted looks stale.
    let mut held = Vec::new();
    for lock in &leader {
        if session.depth(lock.name.clone()).await.unwrap().is_some() {
            held.push(&lock.name);
        }
    }
    assert_eq!(held.len(), 1, "{held:?}");
    session.consume(consumed(1, held[0])).await.unwrap();
    // Asking has left no messages in it.
    standby.nothing_follows().await;
    standby.link.close().await;
}

#[tokio::test]
async fn a_lock_that_the_broker_cannot_reach_is_passed_over() {
    let installation = Installation::new().await;
    let leader = installation.topology.leader();
    // A queue that refuses every message looks as one whose node is down.
    let full = QueueSpec {
        name: leader[0].name.clone(),
        exclusive: false,
        arguments: vec![
            ("x-max-length", ArgumentValue::Number(0)),
            ("x-overflow", ArgumentValue::Text("reject-publish")),
        ],
    };
    let mut one = Tested::start(declared(&[&full]));
    let mut other = Tested::start(nothing());
    let (first, second) = (one.up().await, other.up().await);
    assert_eq!(first.claim(&leader).await, Ok(true));
    assert_eq!(second.claim(&leader).await, Ok(false));
    // The node is back, and its queue is gone: the lock that is held counts all the same.
    installation.delete(&full.name).await;
    assert_eq!(second.claim(&leader).await, Ok(false));
    one.link.close().await;
    let claimed = async { while second.claim(&leader).await != Ok(true) {} };
    timeout(LIMIT, claimed).await.expect("it becomes free");
    other.link.close().await;
}

#[tokio::test]
async fn of_two_that_take_different_locks_at_once_at_most_one_leads() {
    let installation = Installation::new().await;
    let leader = installation.topology.leader();
    let mut backwards = leader.clone();
    backwards.reverse();
    for _ in 0..20 {
        let (mut one, mut other) = (Tested::start(nothing()), Tested::start(nothing()));
        let (first, second) = (one.up().await, other.up().await);
        let (a, b) = tokio::join!(first.claim(&leader), second.claim(&backwards));
        assert!((&a, &b) != (&Ok(true), &Ok(true)), "both lead");
        tokio::join!(one.link.close(), other.link.close());
    }
}

#[tokio::test]
async fn without_a_lock_that_can_be_reached_nobody_leads() {
    let installation = Installation::new().await;
    let leader = installation.topology.leader();
    let mut tested = Tested::start(nothing());
    let session = tested.up().await;
    assert!(matches!(session.claim(&[]).await, Err(Reason::Lost(_))));
    assert_eq!(session.claim(&leader).await, Ok(true), "the link has not suffered");
    tested.link.close().await;
}

#[tokio::test]
async fn a_dropped_link_leaves_at_once() {
    let installation = Installation::new().await;
    let leader = installation.topology.leader();
    let (mut holder, mut standby) = (Tested::start(nothing()), Tested::start(nothing()));
    let (first, second) = (holder.up().await, standby.up().await);
    assert_eq!(first.claim(&leader).await, Ok(true));
    drop(holder);
    let claimed = async { while second.claim(&leader).await != Ok(true) {} };
    timeout(LIMIT, claimed).await.expect("the connection is gone though its session is held");
    assert!(matches!(first.claim(&leader).await, Err(Reason::Lost(_))));
    standby.link.close().await;
}

#[tokio::test]
async fn asking_after_what_is_missing_disturbs_nothing() {
    let mut installation = Installation::new().await;
    let (there, missing) = (installation.queue(1), installation.queue(2));
    let consume = vec![consumed(1, &there.name)];
    let mut tested = Tested::start(Plan { consume, ..declared(&[&there]) });
    let session = tested.up().await;
    for _ in 0..3 {
        assert_eq!(session.depth(missing.name.clone()).await, Ok(None));
        let purged = session.drain_queue(missing.name.clone()).await;
        assert!(matches!(purged, Err(Reason::Missing(_))));
        let consumed = session.consume(consumed(2, &missing.name)).await;
        assert!(matches!(consumed, Err(Reason::Missing(_))));
        let mut otherwise = there.clone();
        otherwise.arguments.push(("x-max-length", ArgumentValue::Number(5)));
        let declared = session.declare(Declaration::Queue(otherwise)).await;
        assert!(matches!(declared, Err(Reason::Mismatch(_))));
        let depth = session.depth(there.name.clone()).await;
        assert_eq!(depth, Ok(Some(Depth { messages: 0, consumers: 1 })));
    }
    tested.nothing_follows().await;
    tested.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn a_cancelled_source_is_silent_acks_what_it_had_and_can_be_consumed_again() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let mut tested = Tested::start(declared(&[&queue]));
    let session = tested.up().await;
    let route = installation.route(&queue.name);
    let ahead = Consume { prefetch: 1, ..consumed(2, &queue.name) };
    for round in 0..3 {
        session.consume(ahead.clone()).await.unwrap();
        session.publish(outgoing(&route, round, Lane::Jobs)).unwrap();
        let mut delivery = None;
        let mut settled = false;
        while delivery.is_none() || !settled {
            match tested.next().await {
                Event::Delivery(came) => delivery = Some(came),
                Event::Settled(_) => settled = true,
                other => panic!("{other:?}"),
            }
        }
        session.cancel(ConsumerTag(2)).await.unwrap();
        delivery.unwrap().receipt.ack();
        session.publish(outgoing(&route, round, Lane::Jobs)).unwrap();
        assert_eq!(tested.settled(1).await[&round], Outcome::Confirmed);
        tested.nothing_follows().await;
        session.drain_queue(queue.name.clone()).await.unwrap();
    }
    tested.link.close().await;
    let mut after = Tested::start(nothing());
    let depth = after.up().await.depth(queue.name.clone()).await;
    assert_eq!(depth, Ok(Some(Depth { messages: 0, consumers: 0 })));
    after.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn what_is_unacked_comes_again_and_says_so() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let consume = vec![consumed(1, &queue.name)];
    let plan = Plan { consume, ..declared(&[&queue]) };
    let mut tested = Tested::start(plan.clone());
    let session = tested.up().await;
    let route = installation.route(&queue.name);
    for token in 0..3 {
        let item = outgoing(&route, token, Lane::Jobs);
        session.publish(Outgoing { token: None, ..item }).unwrap();
    }
    for token in 0_u64..3 {
        let Event::Delivery(delivery) = tested.next().await else { panic!("a delivery") };
        assert_eq!((delivery.redelivered, &delivery.body[..]), (false, &token.to_be_bytes()[..]));
        if token != 1 {
            delivery.receipt.ack();
        }
    }
    tested.link.close().await;
    let mut after = Tested::start(plan);
    after.up().await;
    let Event::Delivery(delivery) = after.next().await else { panic!("a delivery") };
    assert_eq!((delivery.redelivered, &delivery.body[..]), (true, &1_u64.to_be_bytes()[..]));
    delivery.receipt.ack();
    after.nothing_follows().await;
    after.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn closing_publishes_what_waits() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let mut tested = Tested::start(declared(&[&queue]));
    let session = tested.up().await;
    let route = installation.route(&queue.name);
    for token in 0..2000 {
        session.publish(outgoing(&route, token, Lane::Jobs)).unwrap();
    }
    tested.link.close().await;
    session.publish(outgoing(&route, 0, Lane::Jobs)).expect_err("it is closed");
    let mut after = Tested::start(nothing());
    let depth = after.up().await.depth(queue.name.clone()).await;
    assert_eq!(depth, Ok(Some(Depth { messages: 2000, consumers: 0 })));
    after.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn what_others_have_not_declared_yet_is_waited_for() {
    let installation = Installation::new().await;
    let topology = installation.topology.clone();
    let (user, client) = ("guest".parse().unwrap(), ClientId::new());
    let mut tested = Tested::start_at(&broker(), move |generation| {
        let own = topology.client_presence(&user, client, generation);
        let binding = topology.bound_to_presence(&own);
        let consume = vec![consumed(1, &own.name)];
        Plan { declare: vec![Declaration::Queue(own), binding], consume }
    });
    for _ in 0..2 {
        assert!(matches!(tested.down().await, Reason::Missing(_)));
    }
    let shared = Plan { declare: installation.topology.shared(), consume: vec![] };
    let mut distributor = Tested::start(shared);
    distributor.up().await;
    let session = tested.up_again().await;
    assert_eq!(session.generation(), Generation(1), "it is no other connection");
    tested.link.close().await;
    distributor.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn a_wrong_password_is_told() {
    let far: simple_dist_link::BrokerUrl = broker().parse().unwrap();
    let url = format!("amqp://guest:wrong@{}", far.address());
    let mut tested = Tested::start_at(&url, |_| nothing());
    for _ in 0..2 {
        assert!(matches!(tested.down().await, Reason::Refused(_)));
    }
    tested.link.close().await;
}

#[tokio::test]
async fn another_address_is_tried_when_one_is_dead() {
    let port = {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        gone.local_addr().unwrap().port()
    };
    let login = broker().split_once("://").unwrap().1.rsplit_once('@').unwrap().0.to_owned();
    let list = format!("amqp://{login}@127.0.0.1:{port},{}", broker());
    let mut tested = Tested::start_at(&list, |_| nothing());
    // Down is told when none of them is to be had: callers would take it for an outage.
    let session = tested.up().await;
    session.give_up("to see where it goes");
    assert!(matches!(tested.down().await, Reason::Lost(_)));
    assert_eq!(tested.up().await.generation(), Generation(2), "the one that worked, at once");
    tested.link.close().await;
}

#[tokio::test]
async fn a_broker_that_allows_too_few_channels_is_refused_by_name() {
    let tight = Broker::builder().channel_max(8).start().await.unwrap();
    let mut tested = Tested::start_at(tight.url(), |_| nothing());
    let Reason::Refused(problem) = tested.down().await else { panic!("it is refused") };
    assert!(problem.contains("8 channels"), "{problem}");
    tested.link.close().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_for_the_broker_is_refused_from_the_second_time_on() {
    let small = Broker::builder().max_message_size(1000).start().await.unwrap();
    let topology = Topology::new("small", QueueKind::Classic).unwrap();
    let queue = topology.pool(PoolId::of(&["function@1".parse().unwrap()], false));
    let plan = Plan { declare: vec![Declaration::Queue(queue.clone())], consume: vec![] };
    let mut tested = Tested::start_at(small.url(), move |_| plan.clone());
    let of = |token, size| Outgoing {
        route: Arc::new(Route {
            exchange: topology.default_exchange(),
            key: queue.name.clone(),
            mandatory: true,
            envelope: None,
        }),
        body: Bytes::from(vec![0; size]),
        work: Duration::ZERO,
        token: Some(token),
        lane: Lane::Jobs,
    };
    tested.up().await.publish(of(1, 1001)).unwrap();
    assert!(matches!(tested.down().await, Reason::Refused(_)));
    let session = tested.up().await;
    session.publish(of(1, 1001)).unwrap();
    session.publish(of(2, 1000)).unwrap();
    let outcomes = tested.settled(2).await;
    assert_eq!(outcomes, HashMap::from([(1, Outcome::Refused), (2, Outcome::Confirmed)]));
    tested.link.close().await;
}

#[tokio::test]
async fn a_publisher_takes_so_many_bytes_and_the_other_lane_goes_on() {
    let broker = Broker::builder().memory_mark(1).start().await.unwrap();
    let topology = Topology::new("full", QueueKind::Classic).unwrap();
    let queue = topology.pool(PoolId::of(&["function@1".parse().unwrap()], false));
    let plan = Plan { declare: vec![Declaration::Queue(queue.clone())], consume: vec![] };
    let mut tested = Tested::start_at(broker.url(), move |_| plan.clone());
    let session = tested.up().await;
    let megabyte = Bytes::from(vec![0; 1024 * 1024]);
    let of = |lane| Outgoing {
        route: Arc::new(Route {
            exchange: topology.default_exchange(),
            key: queue.name.clone(),
            mandatory: true,
            envelope: None,
        }),
        body: megabyte.clone(),
        work: Duration::ZERO,
        token: None,
        lane,
    };
    // The first of them blocks the connection; none is confirmed.
    let taken = (0..400).take_while(|_| session.publish(of(Lane::Jobs)).is_ok()).count();
    assert_eq!(taken, 256);
    assert_eq!(session.publish(of(Lane::Control)), Ok(()));
    tested.link.close().await;
}

#[tokio::test]
async fn nobody_there_is_told_each_time() {
    let port = {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        gone.local_addr().unwrap().port()
    };
    let url = format!("amqp://127.0.0.1:{port}");
    let mut tested = Tested::start_at(&url, |_| nothing());
    for _ in 0..3 {
        assert!(matches!(tested.down().await, Reason::Unreachable { .. }));
    }
    tested.link.close().await;
}
