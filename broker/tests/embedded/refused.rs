//! What the broker does not serve it refuses, as an error that nobody overlooks: it closes the
//! connection with 540.

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Error, ErrorKind, ExchangeKind,
    options::{
        BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, BasicRecoverOptions,
        ConfirmSelectOptions, ExchangeBindOptions, ExchangeDeclareOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use simple_dist_broker::Broker;

/// What a client asks for on a channel in confirm mode, with a queue `there`, is refused.
async fn refused<T>(ask: impl AsyncFnOnce(Channel) -> Result<T, Error>) {
    let broker = Broker::builder().start().await.unwrap();
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(broker.url(), properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    declared(&channel, "there", QueueDeclareOptions::default(), none()).await.unwrap();
    let Err(error) = ask(channel).await else { panic!("it is served") };
    let ErrorKind::ProtocolError(error) = error.kind() else { panic!("{error:?}") };
    assert_eq!(error.get_id(), 540, "{error:?}");
}

async fn declared(
    channel: &Channel,
    name: &str,
    options: QueueDeclareOptions,
    arguments: FieldTable,
) -> Result<(), Error> {
    channel.queue_declare(name.into(), options, arguments).await.map(drop)
}

fn none() -> FieldTable {
    FieldTable::default()
}

fn one(name: &str, value: AMQPValue) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert(name.into(), value);
    table
}

#[tokio::test]
async fn exchanges_other_than_direct_and_fanout() {
    let plain = ExchangeDeclareOptions::default();
    let auto_delete = ExchangeDeclareOptions { auto_delete: true, ..plain };
    let internal = ExchangeDeclareOptions { internal: true, ..plain };
    let alternate = || one("alternate-exchange", AMQPValue::LongString("other".into()));
    for (kind, options, arguments) in [
        (ExchangeKind::Topic, plain, none()),
        (ExchangeKind::Headers, plain, none()),
        (ExchangeKind::Custom("x-delayed".to_owned()), plain, none()),
        (ExchangeKind::Direct, auto_delete, none()),
        (ExchangeKind::Direct, internal, none()),
        (ExchangeKind::Direct, plain, alternate()),
    ] {
        refused(async |channel| {
            channel.exchange_declare("exchange".into(), kind, options, arguments).await
        })
        .await;
    }
    let options = ExchangeBindOptions::default();
    refused(async |channel| {
        channel.exchange_bind("one".into(), "two".into(), "key".into(), options, none()).await
    })
    .await;
}

#[tokio::test]
async fn queues_that_vanish_bear_no_name_or_have_other_arguments() {
    let plain = QueueDeclareOptions::default();
    let auto_delete = QueueDeclareOptions { auto_delete: true, ..plain };
    refused(async |channel| declared(&channel, "queue", auto_delete, none()).await).await;
    refused(async |channel| declared(&channel, "", plain, none()).await).await;
    for name in ["x-queue-mode", "x-single-active-consumer"] {
        let arguments = one(name, AMQPValue::LongString("any".into()));
        refused(async |channel| declared(&channel, "queue", plain, arguments).await).await;
    }
    let arguments = one("x-max-priority", AMQPValue::LongInt(5));
    refused(async |channel| declared(&channel, "queue", plain, arguments).await).await;
    refused(async |channel| {
        channel.queue_unbind("there".into(), "any".into(), "key".into(), none()).await
    })
    .await;
}

#[tokio::test]
async fn messages_that_go_to_further_queues() {
    let copies = || AMQPValue::FieldArray(vec![AMQPValue::LongString("there".into())].into());
    for properties in [
        BasicProperties::default().with_headers(one("CC", copies())),
        BasicProperties::default().with_headers(one("BCC", copies())),
    ] {
        refused(async |channel| {
            let options = BasicPublishOptions::default();
            channel.basic_publish("".into(), "there".into(), options, b"", properties).await?.await
        })
        .await;
    }
}

#[tokio::test]
async fn consumers_with_priorities_a_global_prefetch_and_recover() {
    refused(async |channel| {
        let arguments = one("x-priority", AMQPValue::LongInt(5));
        let options = BasicConsumeOptions::default();
        channel.basic_consume("there".into(), "".into(), options, arguments).await
    })
    .await;
    refused(async |channel| channel.basic_qos(3, BasicQosOptions { global: true }).await).await;
    let options = BasicRecoverOptions { requeue: true };
    refused(async |channel| channel.basic_recover(options).await).await;
}
