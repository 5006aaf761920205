//! Limits: time to live, length, size, and what happens beyond them.

use std::time::Duration;

use lapin::{
    BasicProperties, Confirmation, ExchangeKind,
    options::{BasicAckOptions, BasicNackOptions, BasicQosOptions, ExchangeDeclareOptions},
    types::FieldTable,
};

use crate::fixture::*;

#[test]
fn a_queues_messages_expire() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        // Longer than it takes to look.
        declare(&channel, &queue, args([("x-message-ttl", int(3_000))])).await;
        publish(&channel, &queue, "short-lived").await;
        assert_eq!(depth(&channel, &queue).await, 1);
        until_depth(&channel, &queue, 0).await;
    });
}

#[test]
fn a_message_expires_by_its_own_time() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        let properties = BasicProperties::default().with_expiration("200".into());
        publish_to(&channel, "", &queue, "short-lived", properties).await;
        publish(&channel, &queue, "stays").await;
        until_depth(&channel, &queue, 1).await;
        assert_eq!(get(&channel, &queue).await.data, b"stays");
    });
}

#[test]
fn the_shorter_time_to_live_counts() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        declare(&channel, &queue, args([("x-message-ttl", int(200))])).await;
        let properties = BasicProperties::default().with_expiration("60000".into());
        publish_to(&channel, "", &queue, "short-lived", properties).await;
        until_depth(&channel, &queue, 0).await;
    });
}

#[test]
fn a_message_expires_at_the_head_of_its_queue_only() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        publish(&channel, &queue, "stays").await;
        let properties = BasicProperties::default().with_expiration("50".into());
        publish_to(&channel, "", &queue, "short-lived", properties).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(depth(&channel, &queue).await, 2);
        assert_eq!(get(&channel, &queue).await.data, b"stays");
        until_depth(&channel, &queue, 0).await;
    });
}

#[test]
fn time_goes_on_for_what_is_given_back() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        // Longer than it takes to get it.
        declare(&channel, &queue, args([("x-message-ttl", int(3_000))])).await;
        publish(&channel, &queue, "short-lived").await;
        let held = get(&channel, &queue).await;
        tokio::time::sleep(Duration::from_millis(3_100)).await;
        held.nack(BasicNackOptions { requeue: true, ..Default::default() }).await.unwrap();
        let mut consumer = consume(&channel, &queue).await;
        assert!(nothing(&mut consumer).await);
    });
}

#[test]
fn a_message_without_time_to_live_needs_a_waiting_consumer() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        declare(&channel, &queue, args([("x-message-ttl", int(0))])).await;
        publish(&channel, &queue, "nobody waits").await;
        until_depth(&channel, &queue, 0).await;
        let mut consumer = consume(&channel, &queue).await;
        publish(&channel, &queue, "for you").await;
        assert_eq!(body(&next(&mut consumer).await), "for you");
    });
}

#[test]
fn a_full_queue_drops_its_oldest() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        declare(&channel, &queue, args([("x-max-length", int(2))])).await;
        for number in 0..5 {
            let confirmation = publish(&channel, &queue, &number.to_string()).await;
            assert!(matches!(confirmation, Confirmation::Ack(None)));
        }
        assert_eq!(depth(&channel, &queue).await, 2);
        assert_eq!(get(&channel, &queue).await.data, b"3");
    });
}

#[test]
fn a_full_queue_refuses_if_told_so() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        let arguments = args([("x-max-length", int(2)), ("x-overflow", text("reject-publish"))]);
        declare(&channel, &queue, arguments).await;
        for number in 0..4 {
            let confirmation = publish(&channel, &queue, &number.to_string()).await;
            let is_taken = matches!(confirmation, Confirmation::Ack(None));
            assert_eq!(is_taken, number < 2, "{confirmation:?}");
        }
        get(&channel, &queue).await.ack(BasicAckOptions::default()).await.unwrap();
        let confirmation = publish(&channel, &queue, "room again").await;
        assert!(matches!(confirmation, Confirmation::Ack(None)));
    });
}

#[test]
fn a_queue_is_full_by_bytes() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        let arguments =
            args([("x-max-length-bytes", int(10)), ("x-overflow", text("reject-publish"))]);
        declare(&channel, &queue, arguments).await;
        for (body, expected) in [("12345", true), ("1234567", false), ("12345", true), ("", true)] {
            let confirmation = publish(&channel, &queue, body).await;
            assert_eq!(matches!(confirmation, Confirmation::Ack(None)), expected, "{body}");
        }
    });
}

#[test]
fn a_queue_drops_its_oldest_by_bytes() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        declare(&channel, &queue, args([("x-max-length-bytes", int(10))])).await;
        for body in ["11111", "22222", "33333"] {
            publish(&channel, &queue, body).await;
        }
        assert_eq!(depth(&channel, &queue).await, 2);
        publish(&channel, &queue, "too long for the queue").await;
        until_depth(&channel, &queue, 0).await;
    });
}

#[test]
fn only_what_waits_counts_towards_the_length() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        let arguments = args([("x-max-length", int(1)), ("x-overflow", text("reject-publish"))]);
        declare(&channel, &queue, arguments).await;
        channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        let mut consumer = consume(&channel, &queue).await;
        for (number, expected) in [(0, true), (1, true), (2, false)] {
            let confirmation = publish(&channel, &queue, &number.to_string()).await;
            assert_eq!(matches!(confirmation, Confirmation::Ack(None)), expected);
            if number == 0 {
                next(&mut consumer).await;
            }
        }
    });
}

#[test]
fn a_refusal_by_one_queue_of_several_is_a_refusal() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (open, full) = (server.queue(&channel, "open").await, server.name("full"));
        let arguments = args([("x-max-length", int(0)), ("x-overflow", text("reject-publish"))]);
        declare(&channel, &full, arguments).await;
        let name = server.name("exchange");
        let (options, table) = (ExchangeDeclareOptions::default(), FieldTable::default());
        let declared =
            channel.exchange_declare(name.as_str().into(), ExchangeKind::Direct, options, table);
        declared.await.unwrap();
        for queue in [&open, &full] {
            bind(&channel, queue, &name, "key").await;
        }
        let properties = BasicProperties::default();
        let confirmation = publish_to(&channel, &name, "key", "both", properties).await;
        assert!(matches!(confirmation, Confirmation::Nack(_)));
        assert_eq!(depth(&channel, &open).await, 1);
    });
}
