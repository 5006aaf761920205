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
use simple_dist_broker::{Broker, Connections, Handle, Keep};
use tokio::time::{Instant, timeout};

/// Long enough for what happens to happen, on a loaded machine.
const SOON: Duration = Duration::from_secs(5);
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

async fn declare(channel: &Channel, name: &str, durable: bool) {
    let options = QueueDeclareOptions { durable, ..Default::default() };
    channel.queue_declare(name.into(), options, FieldTable::default()).await.unwrap();
}

async fn publish(
    channel: &Channel,
    queue: &str,
    delivery_mode: u8,
) -> Result<Confirmation, lapin::Error> {
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default().with_delivery_mode(delivery_mode);
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
async fn a_cut_strikes_whom_it_names() {
    let broker = Broker::builder().user("ann", "one").user("bob", "two").start().await.unwrap();
    let (ann, _) = open(&broker).await;
    let url = broker.url().replace("ann:one", "bob:two");
    let bob = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let (second, _) = open(&broker).await;
    let faults = broker.faults();
    assert_eq!(faults.cut(Connections::OfUser("bob".to_owned())).await.unwrap(), 1);
    until_down(&bob).await;
    assert!(ann.status().connected());
    assert_eq!(faults.cut(Connections::Nth(1)).await.unwrap(), 1);
    until_down(&second).await;
    assert!(ann.status().connected());
    assert_eq!(faults.cut(Connections::All).await.unwrap(), 1);
    until_down(&ann).await;
    open(&broker).await;
}

#[tokio::test]
async fn stalled_connections_stay_open_and_silent() {
    let broker = Broker::builder().start().await.unwrap();
    let (connection, channel) = open(&broker).await;
    declare(&channel, "queue", true).await;
    let faults = broker.faults();
    assert_eq!(faults.stall(Connections::All).await.unwrap(), 1);
    let mut publishing = Box::pin(publish(&channel, "queue", 1));
    assert!(timeout(WHILE, &mut publishing).await.is_err());
    // Whoever comes now is stalled as well: accepted, and not answered.
    let connecting = Connection::connect(broker.url(), ConnectionProperties::default());
    assert!(timeout(WHILE, connecting).await.is_err());
    assert!(connection.status().connected());
    faults.resume().await.unwrap();
    let confirm = timeout(SOON, publishing).await.expect("it goes on").unwrap();
    assert!(matches!(confirm, Confirmation::Ack(None)));
    open(&broker).await;
}

#[tokio::test]
async fn dropped_confirms_never_come() {
    let broker = Broker::builder().start().await.unwrap();
    let (_connection, channel) = open(&broker).await;
    declare(&channel, "queue", true).await;
    let faults = broker.faults();
    faults.drop_confirms().await.unwrap();
    let mut dropped = Box::pin(publish(&channel, "queue", 1));
    assert!(timeout(WHILE, &mut dropped).await.is_err());
    faults.pass_confirms().await.unwrap();
    assert!(timeout(SOON, publish(&channel, "queue", 1)).await.expect("it passes").is_ok());
    assert!(timeout(WHILE, &mut dropped).await.is_err(), "a later confirm does not cover it");
    assert_eq!(broker.stats().await.unwrap().queues["queue"].ready, 2);
}

#[tokio::test]
async fn delayed_confirms_come_late() {
    let broker = Broker::builder().start().await.unwrap();
    let (_connection, channel) = open(&broker).await;
    declare(&channel, "queue", true).await;
    broker.faults().delay_confirms(WHILE).await.unwrap();
    let start = Instant::now();
    publish(&channel, "queue", 1).await.unwrap();
    assert!(start.elapsed() >= WHILE);
}

#[tokio::test]
async fn refused_connections_do_not_get_in() {
    let broker = Broker::builder().start().await.unwrap();
    let (old, _) = open(&broker).await;
    let faults = broker.faults();
    faults.refuse_connections();
    let connecting = Connection::connect(broker.url(), ConnectionProperties::default());
    assert!(timeout(SOON, connecting).await.expect("it is told").is_err());
    assert!(old.status().connected());
    faults.accept_connections();
    open(&broker).await;
}

#[tokio::test]
async fn a_block_stops_publishers_and_nobody_else() {
    let broker = Broker::builder().start().await.unwrap();
    let (publisher, channel) = open(&broker).await;
    let (_reader, reading) = open(&broker).await;
    declare(&channel, "queue", true).await;
    let faults = broker.faults();
    faults.block().await.unwrap();
    // The first publish still counts, as on RabbitMQ.
    publish(&channel, "queue", 1).await.unwrap();
    let blocked = async {
        while !publisher.status().blocked() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, blocked).await.expect("the publisher is told");
    let mut held = Box::pin(publish(&channel, "queue", 1));
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
async fn a_restart_keeps_what_it_is_told_to() {
    for (keep, expected) in [
        (Keep::Messages, Some(2)),
        (Keep::PersistentMessages, Some(1)),
        (Keep::Queues, Some(0)),
        (Keep::Nothing, None),
    ] {
        let broker = Broker::builder().start().await.unwrap();
        let (connection, channel) = open(&broker).await;
        declare(&channel, "durable", true).await;
        declare(&channel, "transient", false).await;
        for delivery_mode in [1, 2] {
            publish(&channel, "durable", delivery_mode).await.unwrap();
        }
        broker.faults().restart(keep).await.unwrap();
        until_down(&connection).await;
        let stats = broker.stats().await.unwrap();
        assert_eq!(stats.queues.get("durable").map(|queue| queue.ready), expected, "{keep:?}");
        assert!(!stats.queues.contains_key("transient"));
        let (_connection, channel) = open(&broker).await;
        declare(&channel, "durable", true).await;
        let got = channel.basic_get("durable".into(), Default::default()).await.unwrap();
        assert_eq!(
            got.map(|got| got.redelivered),
            expected.filter(|count| *count > 0).map(|_| true)
        );
    }
}

#[tokio::test]
async fn a_queue_can_be_purged_and_deleted_from_outside() {
    let broker = Broker::builder().start().await.unwrap();
    let (_connection, channel) = open(&broker).await;
    declare(&channel, "queue", true).await;
    publish(&channel, "queue", 1).await.unwrap();
    let faults = broker.faults();
    assert_eq!(faults.purge("queue").await.unwrap(), 1);
    assert_eq!(faults.purge("other").await.unwrap(), 0);
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
    let error = publish(&channel, "queue", 1).await.unwrap_err();
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
