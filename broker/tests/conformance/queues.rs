//! Queues: names, arguments, owners, how they end.

use std::time::Duration;

use lapin::{
    Channel,
    options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions},
    types::{AMQPValue, FieldTable},
};

use crate::fixture::*;

async fn declared(
    channel: &Channel,
    name: &str,
    options: QueueDeclareOptions,
    arguments: FieldTable,
) -> Result<lapin::Queue, lapin::Error> {
    channel.queue_declare(name.into(), options, arguments).await
}

fn durable() -> QueueDeclareOptions {
    QueueDeclareOptions { durable: true, ..Default::default() }
}

fn exclusive() -> QueueDeclareOptions {
    QueueDeclareOptions { exclusive: true, ..Default::default() }
}

#[test]
fn a_declare_says_how_many_wait_and_read() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        for _ in 0..3 {
            publish(&channel, &queue, "waits").await;
        }
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let seen = declared(&channel, &queue, options, FieldTable::default()).await.unwrap();
        assert_eq!((seen.message_count(), seen.consumer_count()), (3, 0));
        let (_connection, other) = server.open().await;
        let _consumer = consume(&other, &queue).await;
        let seen = declared(&channel, &queue, durable(), FieldTable::default()).await.unwrap();
        assert_eq!((seen.message_count(), seen.consumer_count()), (0, 1));
    });
}

#[test]
fn a_passive_declare_of_what_is_not_there_is_refused() {
    run(async |server| {
        let (connection, channel) = server.open().await;
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let name = server.name("queue");
        assert_eq!(code(declared(&channel, &name, options, FieldTable::default()).await), 404);
        assert!(!channel.status().connected());
        assert!(connection.status().connected());
    });
}

#[test]
fn reserved_names_are_refused() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let made = declared(&channel, "amq.mine", durable(), FieldTable::default()).await;
        assert_eq!(code(made), 403);
    });
}

#[test]
fn a_queue_is_not_declared_in_two_ways() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let name = server.name("queue");
        let limit = || args([("x-max-length", int(5))]);
        declare(&channel, &name, limit()).await;
        let wider = args([("x-max-length", AMQPValue::LongLongInt(5))]);
        declared(&channel, &name, durable(), wider).await.unwrap();
        for (options, arguments) in [
            (durable(), FieldTable::default()),
            (durable(), args([("x-max-length", int(6))])),
            (durable(), args([("x-max-length", int(5)), ("x-message-ttl", int(5))])),
            (QueueDeclareOptions::default(), limit()),
        ] {
            let (_connection, channel) = server.open().await;
            assert_eq!(code(declared(&channel, &name, options, arguments).await), 406);
        }
    });
}

#[test]
fn arguments_are_checked() {
    run(async |server| {
        for (name, value) in [
            ("x-message-ttl", int(-1)),
            ("x-message-ttl", text("soon")),
            ("x-expires", int(0)),
            ("x-expires", int(-5)),
            ("x-max-length", int(-1)),
            ("x-max-length-bytes", text("many")),
            ("x-overflow", text("spill")),
            ("x-overflow", int(1)),
            ("x-queue-type", text("heap")),
            ("x-delivery-limit", int(3)),
        ] {
            let (_connection, channel) = server.open().await;
            let queue = server.name("queue");
            let made = declared(&channel, &queue, durable(), args([(name, value)])).await;
            assert_eq!(code(made), 406, "{name}");
        }
    });
}

#[test]
fn a_quorum_queue_is_durable_and_shared() {
    run(async |server| {
        let quorum = || args([("x-queue-type", text("quorum"))]);
        for options in [
            QueueDeclareOptions::default(),
            QueueDeclareOptions { durable: true, exclusive: true, ..Default::default() },
        ] {
            let (_connection, channel) = server.open().await;
            let made = declared(&channel, &server.name("queue"), options, quorum()).await;
            assert_eq!(code(made), 406);
        }
        let (_connection, channel) = server.open().await;
        declare(&channel, &server.name("good"), quorum()).await;
    });
}

#[test]
fn nobody_else_touches_an_exclusive_queue() {
    run(async |server| {
        let (_owner, channel) = server.open().await;
        let name = server.name("queue");
        declared(&channel, &name, exclusive(), FieldTable::default()).await.unwrap();
        declared(&channel, &name, exclusive(), FieldTable::default()).await.unwrap();
        let other = server.connect().await;
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        for options in [exclusive(), passive, QueueDeclareOptions::default()] {
            let channel = other.create_channel().await.unwrap();
            let made = declared(&channel, &name, options, FieldTable::default()).await;
            assert_eq!(code(made), 405);
        }
        let channel = other.create_channel().await.unwrap();
        assert_eq!(code(try_consume(&channel, &name).await), 405);
        let channel = other.create_channel().await.unwrap();
        let purged = channel.queue_purge(name.as_str().into(), QueuePurgeOptions::default());
        assert_eq!(code(purged.await), 405);
        let channel = other.create_channel().await.unwrap();
        let deleted = channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default());
        assert_eq!(code(deleted.await), 405);
        let channel = other.create_channel().await.unwrap();
        let got = channel.basic_get(name.as_str().into(), Default::default()).await;
        assert_eq!(code(got), 405);
        let channel = other.create_channel().await.unwrap();
        assert_eq!(code(try_bind(&channel, &name, "amq.direct", "key").await), 405);
    });
}

#[test]
fn anybody_publishes_to_an_exclusive_queue() {
    run(async |server| {
        let (_owner, channel) = server.open().await;
        let name = server.name("queue");
        declared(&channel, &name, exclusive(), FieldTable::default()).await.unwrap();
        let (_connection, other) = server.open_confirming().await;
        publish(&other, &name, "for you").await;
        assert_eq!(get(&channel, &name).await.data, b"for you");
    });
}

#[test]
fn a_shared_queue_cannot_be_made_exclusive() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let name = server.name("queue");
        declared(&channel, &name, QueueDeclareOptions::default(), FieldTable::default())
            .await
            .unwrap();
        let made = declared(&channel, &name, exclusive(), FieldTable::default()).await;
        assert_eq!(code(made), 405);
    });
}

#[test]
fn an_exclusive_queue_ends_with_its_connection() {
    run(async |server| {
        let (owner, channel) = server.open().await;
        let name = server.name("queue");
        declared(&channel, &name, exclusive(), FieldTable::default()).await.unwrap();
        owner.close(200, "done".into()).await.unwrap();
        eventually_gone(server, &name, SELDOM).await;
    });
}

#[test]
fn an_unused_queue_expires() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (used, unused) = (server.name("used"), server.name("unused"));
        // Longer than it takes to use it.
        for (name, expires) in [(&used, 3_000), (&unused, 300)] {
            declare(&channel, name, args([("x-expires", int(expires))])).await;
        }
        let _consumer = consume(&channel, &used).await;
        publish(&channel, &unused, "keeps nothing alive").await;
        eventually_gone(server, &unused, SELDOM).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(depth(&channel, &used).await, 0);
    });
}

#[test]
fn use_puts_off_the_end_of_a_queue() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let name = server.name("queue");
        const EXPIRES: i32 = 3_000;
        declare(&channel, &name, args([("x-expires", int(EXPIRES))])).await;
        for round in 0..6 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            if round % 2 == 0 {
                let got = channel.basic_get(name.as_str().into(), Default::default()).await;
                assert!(got.unwrap().is_none());
            } else {
                declare(&channel, &name, args([("x-expires", int(EXPIRES))])).await;
            }
        }
        eventually_gone(server, &name, SELDOM * 3).await;
    });
}

#[test]
fn a_purge_drops_what_waits_and_says_how_much() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        for _ in 0..3 {
            publish(&channel, &queue, "waits").await;
        }
        let held = get(&channel, &queue).await;
        let options = QueuePurgeOptions::default();
        assert_eq!(channel.queue_purge(queue.as_str().into(), options).await.unwrap(), 2);
        assert_eq!(depth(&channel, &queue).await, 0);
        held.nack(lapin::options::BasicNackOptions { requeue: true, ..Default::default() })
            .await
            .unwrap();
        assert_eq!(get(&channel, &queue).await.data, b"waits");
    });
}

#[test]
fn a_delete_has_conditions() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        publish(&channel, &queue, "waits").await;
        let (_second, other) = server.open().await;
        let if_empty = QueueDeleteOptions { if_empty: true, ..Default::default() };
        let deleted = other.queue_delete(queue.as_str().into(), if_empty).await;
        assert_eq!(code(deleted), 406);
        let (_third, reader) = server.open().await;
        let _consumer = consume(&reader, &queue).await;
        let (_second, other) = server.open().await;
        let if_unused = QueueDeleteOptions { if_unused: true, ..Default::default() };
        let deleted = other.queue_delete(queue.as_str().into(), if_unused).await;
        assert_eq!(code(deleted), 406);
        let options = QueueDeleteOptions::default();
        channel.queue_delete(queue.as_str().into(), options).await.unwrap();
        let again = channel.queue_delete(queue.as_str().into(), options).await.unwrap();
        assert_eq!(again, 0);
    });
}
