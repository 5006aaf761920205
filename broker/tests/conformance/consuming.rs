//! Consuming: order, turns, prefetch, exclusivity, cancels, `basic.get`.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::{
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions,
        QueueDeleteOptions,
    },
    types::FieldTable,
};

use crate::fixture::*;

#[test]
fn messages_come_in_order() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        for number in 0..50 {
            publish(&channel, &queue, &number.to_string()).await;
        }
        let mut consumer = consume(&channel, &queue).await;
        for number in 0..50 {
            let delivery = next(&mut consumer).await;
            assert_eq!(body(&delivery), number.to_string());
            assert_eq!(delivery.delivery_tag, number + 1);
        }
    });
}

#[test]
fn consumers_take_turns() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        let mut one = consume(&channel, &queue).await;
        let mut two = consume(&channel, &queue).await;
        for _ in 0..10 {
            publish(&channel, &queue, "one each").await;
        }
        for _ in 0..5 {
            next(&mut one).await;
            next(&mut two).await;
        }
    });
}

#[test]
fn prefetch_limits_each_consumer() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        for _ in 0..5 {
            publish(&channel, &queue, "waits").await;
        }
        channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
        let mut consumer = consume(&channel, &queue).await;
        let first = next(&mut consumer).await;
        next(&mut consumer).await;
        assert!(nothing(&mut consumer).await);
        assert_eq!(depth(&channel, &queue).await, 3);
        first.ack(BasicAckOptions::default()).await.unwrap();
        next(&mut consumer).await;
        assert!(nothing(&mut consumer).await);
    });
}

#[test]
fn prefetch_is_that_of_the_time_of_the_consume() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        for _ in 0..5 {
            publish(&channel, &queue, "waits").await;
        }
        channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        let mut one = consume(&channel, &queue).await;
        next(&mut one).await;
        channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
        let mut two = consume(&channel, &queue).await;
        next(&mut two).await;
        next(&mut two).await;
        assert!(nothing(&mut one).await);
        assert_eq!(depth(&channel, &queue).await, 2);
    });
}

#[test]
fn a_consumer_without_acks_gets_all() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let mut consumer = consume_with(&channel, &queue, options).await;
        for _ in 0..10 {
            publish(&channel, &queue, "gone").await;
            next(&mut consumer).await;
        }
        channel.close(200, "done".into()).await.unwrap();
        let (_connection, channel) = server.open().await;
        assert_eq!(depth(&channel, &queue).await, 0);
    });
}

#[test]
fn an_exclusive_consumer_stays_alone() {
    run(async |server| {
        let (connection, channel) = server.open().await;
        let queue = server.queue(&channel, "queue").await;
        let options = BasicConsumeOptions { exclusive: true, ..Default::default() };
        let consumer = consume_with(&channel, &queue, options).await;
        let second = connection.create_channel().await.unwrap();
        assert_eq!(code(try_consume(&second, &queue).await), 403);
        channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
        let second = connection.create_channel().await.unwrap();
        let _shared = consume(&second, &queue).await;
        let third = connection.create_channel().await.unwrap();
        let refused = third
            .basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default())
            .await;
        assert_eq!(code(refused), 403);
    });
}

#[test]
fn consumer_tags_are_unique_on_a_channel() {
    run(async |server| {
        let (connection, channel) = server.open().await;
        let queue = server.queue(&channel, "queue").await;
        let consume = |channel: lapin::Channel| {
            let queue = queue.as_str().into();
            let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
            async move { channel.basic_consume(queue, "tag".into(), options, table).await }
        };
        let _first = consume(channel.clone()).await.unwrap();
        let other = connection.create_channel().await.unwrap();
        let _second = consume(other).await.unwrap();
        assert_eq!(code(consume(channel).await), 530);
    });
}

#[test]
fn nothing_is_consumed_from_a_queue_that_is_not_there() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        assert_eq!(code(try_consume(&channel, &server.name("queue")).await), 404);
    });
}

#[test]
fn a_cancelled_consumer_gets_nothing_more_and_keeps_what_it_has() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        let mut consumer = consume(&channel, &queue).await;
        publish(&channel, &queue, "held").await;
        let held = next(&mut consumer).await;
        channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
        publish(&channel, &queue, "waits").await;
        assert_eq!(depth(&channel, &queue).await, 1);
        assert!(held.ack(BasicAckOptions::default()).await.unwrap());
        let unknown = channel.basic_cancel("unknown".into(), BasicCancelOptions::default());
        unknown.await.unwrap();
    });
}

#[test]
fn consumers_are_told_that_their_queue_was_deleted() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let queue = server.queue(&channel, "queue").await;
        let mut consumer = consume(&channel, &queue).await;
        let (_second, other) = server.open().await;
        let options = QueueDeleteOptions::default();
        other.queue_delete(queue.as_str().into(), options).await.unwrap();
        assert!(consumer.next().await.is_none());
        assert!(channel.status().connected());
    });
}

#[test]
fn an_ack_after_the_end_of_the_queue_is_no_mistake() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        publish(&channel, &queue, "held").await;
        let held = get(&channel, &queue).await;
        let options = QueueDeleteOptions::default();
        channel.queue_delete(queue.as_str().into(), options).await.unwrap();
        held.ack(BasicAckOptions::default()).await.unwrap();
        let again = server.queue(&channel, "queue").await;
        assert_eq!(depth(&channel, &again).await, 0);
    });
}

#[test]
fn get_fetches_one_message_and_counts_the_rest() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        let options = BasicGetOptions { no_ack: true };
        let empty = channel.basic_get(queue.as_str().into(), options).await.unwrap();
        assert!(empty.is_none());
        publish(&channel, &queue, "one").await;
        publish(&channel, &queue, "two").await;
        let got = channel.basic_get(queue.as_str().into(), options).await.unwrap().unwrap();
        assert_eq!((got.data.as_slice(), got.message_count), (&b"one"[..], 1));
        assert_eq!(depth(&channel, &queue).await, 1);
    });
}

#[test]
fn a_waiting_consumer_is_served_at_once() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        let mut consumer = consume(&channel, &queue).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        publish(&channel, &queue, "now").await;
        assert_eq!(body(&next(&mut consumer).await), "now");
    });
}
