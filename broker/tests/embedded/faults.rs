//! Every fault does what it says, and ends when it is told to.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
};
use simple_dist_broker::{Broker, Handle};
use tokio::time::{Instant, timeout};

/// Long enough for what happens to happen, on a loaded machine.
const SOON: Duration = Duration::from_secs(20);
/// Long enough to say that something does not happen.
const WHILE: Duration = Duration::from_millis(300);

async fn open(broker: &Handle) -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connecting = Connection::connect(broker.url(), properties);
    let connection = timeout(SOON, connecting).await.expect("it connects").unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}

async fn declare(channel: &Channel, name: &str) {
    let options = QueueDeclareOptions::default();
    channel.queue_declare(name.into(), options, FieldTable::default()).await.unwrap();
}

async fn publish(channel: &Channel, queue: &str) -> Result<Confirmation, lapin::Error> {
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    channel.basic_publish("".into(), queue.into(), options, b"body", properties).await?.await
}

async fn until_down(connection: &Connection) {
    let down = async {
        while connection.status().connected() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, down).await.expect("the cut is noticed");
}

#[tokio::test]
async fn a_block_stops_publishers_and_nobody_else() {
    let broker = Broker::builder().start().await.unwrap();
    let (publisher, channel) = open(&broker).await;
    let (_reader, reading) = open(&broker).await;
    declare(&channel, "queue").await;
    let faults = broker.faults();
    faults.block().await.unwrap();
    // The first publish still counts, as on RabbitMQ.
    publish(&channel, "queue").await.unwrap();
    let blocked = async {
        while !publisher.status().blocked() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, blocked).await.expect("the publisher is told");
    let mut held = Box::pin(publish(&channel, "queue"));
    assert!(timeout(WHILE, &mut held).await.is_err());
    let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer =
        reading.basic_consume("queue".into(), "".into(), options, table).await.unwrap();
    consumer.next().await.unwrap().unwrap();
    faults.unblock().await.unwrap();
    assert!(timeout(SOON, held).await.expect("it flows again").is_ok());
    consumer.next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_restart_loses_everything() {
    let broker = Broker::builder().start().await.unwrap();
    let (connection, channel) = open(&broker).await;
    declare(&channel, "queue").await;
    publish(&channel, "queue").await.unwrap();
    broker.faults().restart().await.unwrap();
    until_down(&connection).await;
    assert!(broker.stats().await.unwrap().queues.is_empty());
    let (_connection, channel) = open(&broker).await;
    declare(&channel, "queue").await;
}

#[tokio::test]
async fn a_queue_can_be_deleted_from_outside() {
    let broker = Broker::builder().start().await.unwrap();
    let (_connection, channel) = open(&broker).await;
    declare(&channel, "queue").await;
    let faults = broker.faults();
    let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer =
        channel.basic_consume("queue".into(), "".into(), options, table).await.unwrap();
    assert!(faults.delete_queue("queue").await.unwrap());
    assert!(!faults.delete_queue("queue").await.unwrap());
    assert!(timeout(SOON, consumer.next()).await.expect("it is told").is_none());
}

#[tokio::test]
async fn stop_takes_leave_of_everybody() {
    let broker = Broker::builder().start().await.unwrap();
    let addr = broker.addr();
    let (connection, channel) = open(&broker).await;
    let mut stalled = crate::raw::Raw::open(&broker).await;
    let start = Instant::now();
    broker.stop().await;
    assert!(start.elapsed() < SOON);
    until_down(&connection).await;
    let error = publish(&channel, "queue").await.unwrap_err();
    assert!(!error.is_io_error(), "told, not cut: {error:?}");
    assert_eq!(stalled.read().await.unwrap().method(), (10, 50));
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_dropped_handle_stops_the_broker() {
    let broker = Broker::builder().start().await.unwrap();
    let addr = broker.addr();
    let faults = broker.faults();
    let (connection, _channel) = open(&broker).await;
    drop(broker);
    until_down(&connection).await;
    let gone = async { while tokio::net::TcpStream::connect(addr).await.is_ok() {} };
    timeout(SOON, gone).await.expect("nobody listens any more");
    assert!(faults.block().await.is_err());
}
