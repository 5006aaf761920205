//! Clients nobody here wrote.

use std::process::Command;

use deadpool_lapin::{Config, Runtime};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Confirmation,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};
use simple_dist_broker::Broker;

#[tokio::test]
async fn a_pool_of_connections_works_on_it() {
    let broker = Broker::builder().start().await.unwrap();
    let config = Config { url: Some(broker.url().to_owned()), ..Config::default() };
    let pool = config.create_pool(lapin::ConnectionProperties::default, Runtime::Tokio1).unwrap();
    let mut working = tokio::task::JoinSet::new();
    for number in 0..8 {
        let pool = pool.clone();
        working.spawn(async move {
            let connection = pool.get().await.unwrap();
            let channel = connection.create_channel().await.unwrap();
            channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
            let queue = format!("queue-{number}");
            let (options, table) = (QueueDeclareOptions::default(), FieldTable::default());
            channel.queue_declare(queue.as_str().into(), options, table).await.unwrap();
            let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
            let key = queue.as_str();
            let consumer = channel.basic_consume(key.into(), "".into(), options, table);
            let mut consumer = consumer.await.unwrap();
            for round in 0..20_u8 {
                let options = BasicPublishOptions { mandatory: true, ..Default::default() };
                let (properties, body) = (BasicProperties::default(), [round]);
                let confirm =
                    channel.basic_publish("".into(), key.into(), options, &body, properties);
                let confirm = confirm.await.unwrap().await.unwrap();
                assert!(matches!(confirm, Confirmation::Ack(None)));
                let delivery = consumer.next().await.unwrap().unwrap();
                assert_eq!(delivery.data, [round]);
                delivery.ack(BasicAckOptions::default()).await.unwrap();
            }
        });
    }
    while let Some(worked) = working.join_next().await {
        worked.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs python3 with pika: cargo test -- --ignored"]
async fn pika_works_on_it() {
    let broker = Broker::builder().start().await.unwrap();
    let (url, script) =
        (broker.url().to_owned(), concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pika_client.py"));
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python).arg(script).arg(url).output().unwrap()
    });
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert_eq!(said.lines().last(), Some("all is well"));
}
