//! What others can do to a link through a broker that passes everything on, as RabbitMQ does.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not know as such")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use simple_dist_broker::{Broker, Handle};
use simple_dist_link::{Consume, ConsumerTag, Event, Link, Options, Plan};
use simple_dist_protocol::PoolId;
use simple_dist_protocol::topology::{Declaration, QueueKind, QueueSpec, Topology};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

/// Header properties with this table, from the guest.
fn headers(table: &[u8]) -> Vec<u8> {
    let length = u32::try_from(table.len()).unwrap().to_be_bytes();
    [&[0x20, 0x10], length.as_slice(), table, &short(b"guest")].concat()
}

fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |table, _| {
        let length = u32::try_from(table.len()).unwrap().to_be_bytes();
        [b"\x01aF", length.as_slice(), &table].concat()
    })
}

/// Properties that RabbitMQ passes on and the client library cannot read, all of the guest.
fn hostile() -> Vec<Vec<u8>> {
    vec![
        headers(&nested(1_200)),
        headers(&nested(15_000)),
        headers(b"\x01\xffI\0\0\0\x01"),
        headers(b"\x04sd-v?"),
        headers(b"\x04sd-vS\0\0\0\x02\xff\xfe"),
        // A correlation id and a reply-to that are no text.
        b"\x06\x10\x01\xff\x01\xfe\x05guest".to_vec(),
    ]
}

/// Between a link and its broker; writes the next hostile properties into each message that comes.
async fn tamper(broker: &Handle, tasks: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    let address = broker.addr();
    let messages = Arc::new(Mutex::new(hostile().into_iter()));
    tasks.spawn(async move {
        let mut pipes = JoinSet::new();
        while let Ok((here, _)) = listener.accept().await {
            let (mut from, to) = here.into_split();
            let (back, mut there) = TcpStream::connect(address).await.unwrap().into_split();
            pipes.spawn(async move {
                tokio::io::copy(&mut from, &mut there).await.ok();
            });
            pipes.spawn(forward(back, to, messages.clone()));
        }
    });
    url
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    messages: Arc<Mutex<std::vec::IntoIter<Vec<u8>>>>,
) {
    let mut start = [0; 7];
    while from.read_exact(&mut start).await.is_ok() {
        let size = u32::from_be_bytes([start[3], start[4], start[5], start[6]]);
        let mut payload = vec![0; size as usize + 1];
        from.read_exact(&mut payload).await.unwrap();
        payload.pop();
        if start[0] == 2 {
            payload.truncate(12);
            payload.extend(messages.lock().unwrap().next().unwrap());
        }
        if start[0] == 1 && payload.starts_with(&[0, 60, 0, 60]) {
            // The key is last: the queue's name, made no text.
            *payload.last_mut().unwrap() = 0xff;
        }
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&start[..3], size.as_slice(), &payload, &[0xCE]].concat();
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
}

fn queue(number: u32) -> QueueSpec {
    let function = format!("function@{number}").parse().unwrap();
    topology().pool(PoolId::of(&[function], false))
}

fn topology() -> Topology {
    Topology::new("hostile", QueueKind::Classic).unwrap()
}

fn start(url: &str, plan: Plan) -> (Link, mpsc::Receiver<Event>) {
    Link::start(Options {
        url: url.parse().unwrap(),
        name: "simple-dist test".to_owned(),
        signed: true,
        plan: Box::new(move |_| plan.clone()),
    })
}

async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
    timeout(LIMIT, events.recv()).await.expect("an event in time").expect("a link")
}

#[tokio::test]
async fn no_message_ends_a_link_or_stays_in_its_way() {
    let broker = Broker::builder().start().await.unwrap();
    let mut tasks = JoinSet::new();
    let url = tamper(&broker, &mut tasks).await;
    let consume =
        Consume { tag: ConsumerTag(1), queue: queue(1).name, prefetch: 10, exclusive: false };
    let plan = Plan { declare: vec![Declaration::Queue(queue(1))], consume: vec![consume] };
    let (link, mut events) = start(&url, plan);
    assert!(matches!(next(&mut events).await, Event::Up(_)));
    let other = Connection::connect(broker.url(), ConnectionProperties::default()).await.unwrap();
    let channel = other.create_channel().await.unwrap();
    for number in 0..hostile().len() {
        let (exchange, key) = (ShortString::default(), queue(1).name.as_str().into());
        let (options, body) = (BasicPublishOptions::default(), [u8::try_from(number).unwrap()]);
        let properties = BasicProperties::default();
        channel.basic_publish(exchange, key, options, &body, properties).await.unwrap();
        match next(&mut events).await {
            Event::Delivery(delivery) => {
                assert_eq!(delivery.body, Bytes::copy_from_slice(&body));
                let user = delivery.user.unwrap();
                assert_eq!((user.as_str(), delivery.version), ("guest", None));
                delivery.receipt.ack();
            }
            other => panic!("a delivery, not {other:?}"),
        }
    }
    link.close().await;
}
