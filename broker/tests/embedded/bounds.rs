//! What clients can make the broker keep has a bound.

use std::time::Duration;

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use simple_dist_broker::{Broker, Error, Handle, Stats};

use crate::raw::{Raw, frame, header, method, publish as publish_to};

async fn open(broker: &Handle) -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(broker.url(), properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}

async fn declare(channel: &Channel, name: &str, arguments: FieldTable) {
    let options = QueueDeclareOptions::default();
    channel.queue_declare(name.into(), options, arguments).await.unwrap();
}

/// Publishes many messages; says how many were accepted.
async fn publish(channel: &Channel, queue: &str, count: usize, body: &[u8]) -> usize {
    let mut accepted = 0;
    let mut confirms = std::collections::VecDeque::new();
    for _ in 0..count {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let confirm = channel.basic_publish("".into(), queue.into(), options, body, properties);
        confirms.push_back(confirm.await.unwrap());
        if confirms.len() == 1_000 {
            let confirm = confirms.pop_front().unwrap().await.unwrap();
            accepted += usize::from(matches!(confirm, Confirmation::Ack(None)));
        }
    }
    for confirm in confirms {
        accepted += usize::from(matches!(confirm.await.unwrap(), Confirmation::Ack(None)));
    }
    accepted
}

async fn until(broker: &Handle, is_so: impl Fn(&Stats) -> bool) -> Stats {
    let waiting = async {
        loop {
            let stats = broker.stats().await.unwrap();
            if is_so(&stats) {
                return stats;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it becomes so")
}

#[tokio::test]
async fn a_full_queue_keeps_its_bound_under_100_000_messages() {
    let broker = Broker::builder().start().await.unwrap();
    let (_connection, channel) = open(&broker).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongInt(100_000));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    declare(&channel, "full", arguments).await;
    assert_eq!(publish(&channel, "full", 100_000, &[7; 100]).await, 1_000);
    let stats = broker.stats().await.unwrap();
    assert_eq!(stats.queues["full"].ready, 1_000);
    assert!(stats.memory < 1_000_000, "{} bytes", stats.memory);
    assert_eq!(stats.outbound, 0);
}

#[tokio::test]
async fn a_consumer_that_never_reads_gets_no_more_than_its_sockets_hold() {
    let broker = Broker::builder().start().await.unwrap();
    let (_connection, channel) = open(&broker).await;
    declare(&channel, "endless", FieldTable::default()).await;
    let mut deaf = Raw::open_channel(&broker).await;
    // no_ack, so that only the socket holds it back.
    deaf.send(&method(1, 60, 20, b"\0\0\x07endless\0\x02\0\0\0\0")).await;
    assert_eq!(publish(&channel, "endless", 100_000, &[7; 1_000]).await, 100_000);
    let stats = broker.stats().await.unwrap();
    assert!(stats.outbound < 3_000_000, "{} bytes wait", stats.outbound);
    assert!(stats.queues["endless"].ready > 80_000, "{:?}", stats.queues);
    // Its end gives nothing back, but the rest is still there for others.
    drop(deaf);
    let stats = until(&broker, |stats| stats.connections == 1).await;
    assert_eq!(stats.outbound, 0);
}

#[tokio::test]
async fn a_client_that_asks_and_never_listens_is_not_read_any_more() {
    let broker = Broker::builder().start().await.unwrap();
    let mut deaf = Raw::open_channel(&broker).await;
    let question = method(1, 50, 10, b"\0\0\x01q\0\0\0\0\0").repeat(1_000);
    let asking = async {
        loop {
            deaf.send(&question).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(2), asking).await.is_err());
    let stats = broker.stats().await.unwrap();
    assert!(stats.outbound < 8_000_000, "{} bytes wait", stats.outbound);
    Raw::open_channel(&broker).await;
}

#[tokio::test]
async fn publishers_are_blocked_at_the_memory_mark_until_it_is_worked_off() {
    let broker = Broker::builder().memory_mark(1_000_000).start().await.unwrap();
    let (_connection, channel) = open(&broker).await;
    declare(&channel, "backlog", FieldTable::default()).await;
    let publishing = publish(&channel, "backlog", 2_000, &[7; 1_000]);
    tokio::pin!(publishing);
    tokio::select! {
        _accepted = &mut publishing => panic!("not blocked"),
        _alarmed = until(&broker, |stats| stats.alarmed) => {}
    }
    let blocked = tokio::time::timeout(Duration::from_millis(500), &mut publishing).await;
    assert!(blocked.is_err(), "not blocked");
    let stats = broker.stats().await.unwrap();
    assert!(stats.memory < 1_500_000, "{} bytes", stats.memory);
    // A connection that only consumes is not blocked, and ends the alarm.
    let (_second, reader) = open(&broker).await;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let table = FieldTable::default();
    let _consumer =
        reader.basic_consume("backlog".into(), "".into(), options, table).await.unwrap();
    assert_eq!(publishing.await, 2_000);
    until(&broker, |stats| !stats.alarmed).await;
}

#[tokio::test]
async fn a_publisher_that_dies_while_it_is_blocked_frees_what_it_sent() {
    let broker = Broker::builder().memory_mark(1_000_000).start().await.unwrap();
    // The heartbeat that `Raw` agrees to is none, and its message is never whole.
    let mut publisher = Raw::open_channel(&broker).await;
    publisher.send(&publish_to(1, "nowhere")).await;
    publisher.send(&header(1, 16_000_000, &[0, 0])).await;
    let part = frame(3, 1, &[7; 4_000]);
    let mut publishing = Box::pin(async {
        loop {
            publisher.send(&part).await;
        }
    });
    tokio::select! {
        () = &mut publishing => unreachable!("it goes on"),
        _alarmed = until(&broker, |stats| stats.alarmed) => {}
    }
    // Until the sockets' buffers are full: its end will lie behind them.
    assert!(tokio::time::timeout(Duration::from_secs(1), publishing).await.is_err());
    drop(publisher);
    let stats = until(&broker, |stats| stats.connections == 0).await;
    assert!(!stats.alarmed);
    assert_eq!(stats.memory, 0);
}

#[tokio::test]
async fn a_client_without_heartbeats_lives_through_an_alarm() {
    let broker = Broker::builder().memory_mark(1_000_000).start().await.unwrap();
    let url = format!("{}?heartbeat=0", broker.url());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    declare(&channel, "backlog", FieldTable::default()).await;
    let publishing = publish(&channel, "backlog", 1_200, &[7; 1_000]);
    tokio::pin!(publishing);
    // Some heartbeats come meanwhile, which it never asked for.
    let blocked = tokio::time::timeout(Duration::from_millis(2_500), &mut publishing).await;
    assert!(blocked.is_err(), "not blocked");
    let other = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let other = other.create_channel().await.unwrap();
    other.queue_purge("backlog".into(), Default::default()).await.unwrap();
    assert_eq!(publishing.await, 1_200);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_sent_away() {
    let broker = Broker::builder().max_connections(2).start().await.unwrap();
    let first = Raw::open(&broker).await;
    let _second = Raw::open(&broker).await;
    let mut third = Raw::connect(&broker).await;
    assert!(third.read().await.is_none());
    drop(first);
    until(&broker, |stats| stats.connections == 1).await;
    // The place is free once the task has ended, which may be a moment later.
    loop {
        let mut raw = Raw::connect(&broker).await;
        let _ = tokio::io::AsyncWriteExt::write_all(&mut raw.stream, b"AMQP\x00\x00\x09\x01").await;
        if raw.read().await.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn queues_beyond_the_limit_are_refused() {
    let broker = Broker::builder().max_queues(1).start().await.unwrap();
    let (_connection, channel) = open(&broker).await;
    declare(&channel, "one", FieldTable::default()).await;
    declare(&channel, "one", FieldTable::default()).await;
    let (options, table) = (QueueDeclareOptions::default(), FieldTable::default());
    assert!(channel.queue_declare("two".into(), options, table).await.is_err());
}

#[tokio::test]
async fn a_broker_for_other_machines_needs_a_password() {
    let refused = Broker::builder().bind("0.0.0.0:0").start().await;
    assert!(matches!(refused, Err(Error::NotLoopback(_))));
    let taken = Broker::builder().bind("0.0.0.0:0").user("me", "secret").start().await;
    taken.unwrap().stop().await;
    let empty = Broker::builder().user("me", "").start().await;
    assert!(matches!(empty, Err(Error::BadUser)));
}

#[tokio::test]
async fn memory_is_free_again_after_the_work() {
    let broker = Broker::builder().start().await.unwrap();
    let (connection, channel) = open(&broker).await;
    declare(&channel, "queue", FieldTable::default()).await;
    publish(&channel, "queue", 10_000, &[7; 500]).await;
    assert!(broker.stats().await.unwrap().memory > 5_000_000);
    let purged = channel.queue_purge("queue".into(), Default::default()).await.unwrap();
    assert_eq!(purged, 10_000);
    connection.close(200, "done".into()).await.unwrap();
    let stats = until(&broker, |stats| stats.connections == 0).await;
    assert_eq!((stats.memory, stats.outbound), (0, 0));
}
