//! Acknowledging, rejecting, giving back, and what becomes of deliveries that were neither.

use lapin::options::{BasicAckOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions};

use crate::fixture::*;

fn requeue() -> BasicNackOptions {
    BasicNackOptions { requeue: true, ..Default::default() }
}

#[test]
fn what_is_given_back_comes_again_and_says_so() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        publish(&channel, &queue, "again").await;
        let mut consumer = consume(&channel, &queue).await;
        let first = next(&mut consumer).await;
        assert!(!first.redelivered);
        first.nack(requeue()).await.unwrap();
        let second = next(&mut consumer).await;
        assert!(second.redelivered);
        second.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        let third = next(&mut consumer).await;
        assert!(third.redelivered);
        third.ack(BasicAckOptions::default()).await.unwrap();
        assert!(nothing(&mut consumer).await);
    });
}

#[test]
fn what_is_given_back_keeps_its_place() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        for number in 0..4 {
            publish(&channel, &queue, &number.to_string()).await;
        }
        let first = get(&channel, &queue).await;
        let second = get(&channel, &queue).await;
        second.nack(requeue()).await.unwrap();
        first.nack(requeue()).await.unwrap();
        for number in 0..4 {
            assert_eq!(get(&channel, &queue).await.data, number.to_string().as_bytes());
        }
    });
}

#[test]
fn what_is_rejected_is_gone() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        for _ in 0..2 {
            publish(&channel, &queue, "unwanted").await;
        }
        get(&channel, &queue).await.reject(BasicRejectOptions::default()).await.unwrap();
        get(&channel, &queue).await.nack(BasicNackOptions::default()).await.unwrap();
        channel.close(200, "done".into()).await.unwrap();
        let (_connection, channel) = server.open().await;
        assert_eq!(depth(&channel, &queue).await, 0);
    });
}

#[test]
fn multiple_settles_all_up_to_the_tag() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        for _ in 0..6 {
            publish(&channel, &queue, "one").await;
        }
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(get(&channel, &queue).await);
        }
        let multiple = BasicAckOptions { multiple: true };
        held[1].ack(multiple).await.unwrap();
        let back = BasicNackOptions { requeue: true, multiple: true };
        held[3].nack(back).await.unwrap();
        until_depth(&channel, &queue, 2).await;
        channel.basic_ack(0, multiple).await.unwrap();
        channel.close(200, "done".into()).await.unwrap();
        let (_connection, channel) = server.open().await;
        assert_eq!(depth(&channel, &queue).await, 2);
    });
}

#[test]
fn an_unknown_tag_closes_the_channel() {
    run(async |server| {
        for (tag, multiple) in [(7, false), (7, true), (0, false)] {
            let (connection, channel) = server.open().await;
            channel.basic_ack(tag, BasicAckOptions { multiple }).await.unwrap();
            until(|| !channel.status().connected()).await;
            assert!(connection.status().connected());
        }
    });
}

#[test]
fn a_tag_is_settled_once() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        publish(&channel, &queue, "one").await;
        let held = get(&channel, &queue).await;
        channel.basic_ack(held.delivery_tag, BasicAckOptions::default()).await.unwrap();
        channel.basic_ack(held.delivery_tag, BasicAckOptions::default()).await.unwrap();
        until(|| !channel.status().connected()).await;
    });
}

#[test]
fn what_a_closed_channel_held_comes_again_in_order() {
    run(async |server| {
        let (connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        for number in 0..5 {
            publish(&channel, &queue, &number.to_string()).await;
        }
        let holder = connection.create_channel().await.unwrap();
        holder.basic_qos(3, BasicQosOptions::default()).await.unwrap();
        let mut consumer = consume(&holder, &queue).await;
        for _ in 0..3 {
            next(&mut consumer).await;
        }
        holder.close(200, "done".into()).await.unwrap();
        until_depth(&channel, &queue, 5).await;
        for number in 0..5 {
            let message = get(&channel, &queue).await;
            assert_eq!(message.data, number.to_string().as_bytes());
            assert_eq!(message.redelivered, number < 3);
        }
    });
}

#[test]
fn what_a_lost_connection_held_comes_again() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        publish(&channel, &queue, "held").await;
        let (holder, held) = server.open().await;
        let mut consumer = consume(&held, &queue).await;
        next(&mut consumer).await;
        holder.close(200, "done".into()).await.unwrap();
        let message = get(&channel, &queue).await;
        assert!(message.redelivered);
    });
}

#[test]
fn transactions_are_refused_or_served_but_never_ignored() {
    run(async |server| {
        let (connection, channel) = server.open().await;
        if channel.tx_select().await.is_err() {
            until(|| !connection.status().connected()).await;
        }
    });
}

#[test]
fn a_delivery_limit_ends_what_comes_back_too_often() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        let arguments = args([("x-queue-type", text("quorum")), ("x-delivery-limit", int(2))]);
        declare(&channel, &queue, arguments).await;
        publish(&channel, &queue, "poison").await;
        let mut consumer = {
            channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
            consume(&channel, &queue).await
        };
        for count in 0..3 {
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.redelivered, count > 0);
            delivery.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        }
        assert!(nothing(&mut consumer).await);
        assert_eq!(depth(&channel, &queue).await, 0);
    });
}

#[test]
fn without_a_limit_of_its_own_a_quorum_queue_has_that_of_its_version() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        declare(&channel, &queue, args([("x-queue-type", text("quorum"))])).await;
        publish(&channel, &queue, "poison").await;
        for _ in 0..21 {
            let message = get(&channel, &queue).await;
            message.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        }
        // None before 4.0, 20 since.
        let left = u32::from(server.version().await < (4, 0));
        until_depth(&channel, &queue, left).await;
    });
}

#[test]
fn what_is_given_back_by_nack_counts_towards_the_limit_before_4_3() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        let arguments = args([("x-queue-type", text("quorum")), ("x-delivery-limit", int(2))]);
        declare(&channel, &queue, arguments).await;
        publish(&channel, &queue, "again").await;
        for _ in 0..3 {
            get(&channel, &queue).await.nack(requeue()).await.unwrap();
        }
        let left = u32::from(server.version().await >= (4, 3));
        until_depth(&channel, &queue, left).await;
    });
}
