//! Dead letters: where what a queue drops goes.

use lapin::{
    Channel, ExchangeKind,
    options::{
        BasicAckOptions, BasicQosOptions, BasicRejectOptions, ExchangeDeclareOptions,
        QueueDeclareOptions, QueuePurgeOptions,
    },
    types::{AMQPValue, FieldTable},
};

use crate::fixture::*;

/// Declares an exchange with a queue bound by the key `dead`, and a queue with these arguments
/// whose dead letters go there under that key.
async fn mourned<const N: usize>(
    server: &Server,
    channel: &Channel,
    arguments: [(&str, AMQPValue); N],
) -> (String, String) {
    let (exchange, dead) = (server.name("exchange"), server.queue(channel, "dead").await);
    let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
    let kind = ExchangeKind::Direct;
    channel.exchange_declare(exchange.as_str().into(), kind, options, none).await.unwrap();
    bind(channel, &dead, &exchange, "dead").await;
    let queue = server.name("queue");
    let mut table = args(arguments);
    table.insert("x-dead-letter-exchange".into(), text(&exchange));
    table.insert("x-dead-letter-routing-key".into(), text("dead"));
    declare(channel, &queue, table).await;
    (queue, dead)
}

#[test]
fn what_a_connection_held_is_a_dead_letter_at_its_end_if_it_has_no_time_left() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (queue, dead) = mourned(server, &channel, [("x-message-ttl", int(0))]).await;
        let (holding, held) = server.open().await;
        held.basic_qos(2, BasicQosOptions::default()).await.unwrap();
        let mut consumer = consume(&held, &queue).await;
        publish(&channel, &queue, "first").await;
        let first = next(&mut consumer).await;
        publish(&channel, &queue, "second").await;
        next(&mut consumer).await;
        first.ack(BasicAckOptions::default()).await.unwrap();
        let mut mourner = consume(&channel, &dead).await;
        assert!(nothing(&mut mourner).await);
        holding.close(200, "done".into()).await.unwrap();
        let letter = next(&mut mourner).await;
        assert_eq!((body(&letter), letter.redelivered), ("second", false));
        assert_eq!(letter.routing_key.as_str(), "dead");
        assert!(nothing(&mut mourner).await);
    });
}

#[test]
fn what_nobody_takes_in_time_is_a_dead_letter() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (queue, dead) = mourned(server, &channel, [("x-message-ttl", int(0))]).await;
        publish(&channel, &queue, "late").await;
        assert_eq!(get(&channel, &dead).await.data, b"late");
    });
}

#[test]
fn what_is_rejected_or_does_not_fit_is_a_dead_letter() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (queue, dead) = mourned(server, &channel, [("x-max-length", int(1))]).await;
        publish(&channel, &queue, "dropped").await;
        publish(&channel, &queue, "rejected").await;
        assert_eq!(get(&channel, &dead).await.data, b"dropped");
        let rejected = get(&channel, &queue).await;
        rejected.reject(BasicRejectOptions { requeue: false }).await.unwrap();
        assert_eq!(get(&channel, &dead).await.data, b"rejected");
    });
}

#[test]
fn what_is_purged_or_acked_is_none() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (queue, dead) = mourned(server, &channel, []).await;
        publish(&channel, &queue, "acked").await;
        get(&channel, &queue).await.ack(BasicAckOptions::default()).await.unwrap();
        publish(&channel, &queue, "purged").await;
        channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default()).await.unwrap();
        let mut mourner = consume(&channel, &dead).await;
        assert!(nothing(&mut mourner).await);
    });
}

#[test]
fn a_dead_letter_does_not_go_round() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (one, two) = (server.name("one"), server.name("two"));
        for (queue, other) in [(&one, &two), (&two, &one)] {
            let table = args([
                ("x-message-ttl", int(0)),
                ("x-dead-letter-exchange", text("")),
                ("x-dead-letter-routing-key", text(other)),
            ]);
            declare(&channel, queue, table).await;
        }
        publish(&channel, &one, "round").await;
        until_depth(&channel, &one, 0).await;
        until_depth(&channel, &two, 0).await;
    });
}

#[test]
fn without_their_exchange_they_are_dropped() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        let table = args([
            ("x-message-ttl", int(0)),
            ("x-dead-letter-exchange", text(&server.name("nowhere"))),
        ]);
        declare(&channel, &queue, table).await;
        publish(&channel, &queue, "lost").await;
        until_depth(&channel, &queue, 0).await;
    });
}

#[test]
fn a_key_for_dead_letters_needs_an_exchange() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let table = args([("x-dead-letter-routing-key", text("dead"))]);
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        let queue = server.name("queue");
        assert_eq!(code(channel.queue_declare(queue.as_str().into(), options, table).await), 406);
    });
}
