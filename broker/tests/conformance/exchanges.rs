//! Exchanges: kinds, bindings, names, equivalence.

use lapin::{
    BasicProperties, Channel, Confirmation, ExchangeKind,
    options::{ExchangeDeclareOptions, ExchangeDeleteOptions},
    types::FieldTable,
};

use crate::fixture::*;

async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind) {
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await.unwrap();
}

async fn is_there(server: &Server, name: &str) -> bool {
    let (_connection, channel) = server.open().await;
    let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
    let kind = ExchangeKind::Direct;
    channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await.is_ok()
}

#[test]
fn a_direct_exchange_compares_keys() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (name, queue) = (server.name("exchange"), server.queue(&channel, "queue").await);
        exchange(&channel, &name, ExchangeKind::Direct).await;
        bind(&channel, &queue, &name, "key").await;
        let properties = BasicProperties::default;
        let hit = publish_to(&channel, &name, "key", "hit", properties()).await;
        assert!(matches!(hit, Confirmation::Ack(None)));
        let missed = publish_to(&channel, &name, "other", "missed", properties()).await;
        assert!(matches!(missed, Confirmation::Ack(Some(_))));
        let message = get(&channel, &queue).await;
        assert_eq!(message.data, b"hit");
        assert_eq!(message.exchange.as_str(), name);
        assert_eq!(message.routing_key.as_str(), "key");
        assert_eq!(depth(&channel, &queue).await, 0);
    });
}

#[test]
fn a_fanout_exchange_copies_to_every_queue() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let name = server.name("exchange");
        let queues = [server.queue(&channel, "one").await, server.queue(&channel, "two").await];
        exchange(&channel, &name, ExchangeKind::Fanout).await;
        for queue in &queues {
            bind(&channel, queue, &name, "ignored").await;
        }
        publish_to(&channel, &name, "any", "all", BasicProperties::default()).await;
        for queue in &queues {
            assert_eq!(get(&channel, queue).await.data, b"all");
        }
    });
}

#[test]
fn a_queue_bound_twice_gets_a_message_once() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (name, queue) = (server.name("exchange"), server.queue(&channel, "queue").await);
        exchange(&channel, &name, ExchangeKind::Fanout).await;
        for key in ["a", "a", "b", ""] {
            bind(&channel, &queue, &name, key).await;
        }
        publish_to(&channel, &name, "a", "once", BasicProperties::default()).await;
        assert_eq!(depth(&channel, &queue).await, 1);
    });
}

#[test]
fn a_passive_declare_of_what_is_not_there_is_refused() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let name = server.name("exchange");
        let declared = channel.exchange_declare(
            name.as_str().into(),
            ExchangeKind::Direct,
            options,
            FieldTable::default(),
        );
        assert_eq!(code(declared.await), 404);
    });
}

#[test]
fn reserved_names_are_refused() {
    run(async |server| {
        for (name, kind) in [("amq.mine", ExchangeKind::Direct), ("", ExchangeKind::Direct)] {
            let (_connection, channel) = server.open().await;
            let options = ExchangeDeclareOptions::default();
            let table = FieldTable::default();
            let declared = channel.exchange_declare(name.into(), kind, options, table).await;
            assert_eq!(code(declared), 403, "'{name}'");
        }
    });
}

#[test]
fn an_exchange_is_not_declared_in_two_ways() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let name = server.name("exchange");
        exchange(&channel, &name, ExchangeKind::Direct).await;
        exchange(&channel, &name, ExchangeKind::Direct).await;
        for (kind, durable) in [(ExchangeKind::Fanout, true), (ExchangeKind::Direct, false)] {
            let (_connection, channel) = server.open().await;
            let options = ExchangeDeclareOptions { durable, ..Default::default() };
            let table = FieldTable::default();
            let again = channel.exchange_declare(name.as_str().into(), kind, options, table);
            assert_eq!(code(again.await), 406);
        }
    });
}

#[test]
fn an_exchange_in_use_is_not_deleted_if_unused() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let (name, queue) = (server.name("exchange"), server.queue(&channel, "queue").await);
        exchange(&channel, &name, ExchangeKind::Direct).await;
        bind(&channel, &queue, &name, "key").await;
        let options = ExchangeDeleteOptions { if_unused: true, ..Default::default() };
        let refused = channel.exchange_delete(name.as_str().into(), options).await;
        assert_eq!(code(refused), 406);
        let (_connection, channel) = server.open().await;
        let options = ExchangeDeleteOptions::default();
        for _ in 0..2 {
            channel.exchange_delete(name.as_str().into(), options).await.unwrap();
        }
        assert!(!is_there(server, &name).await);
    });
}

#[test]
fn bindings_need_both_ends_and_no_default_exchange() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let (name, queue) = (server.name("exchange"), server.queue(&channel, "queue").await);
        let missing = server.name("missing");
        exchange(&channel, &name, ExchangeKind::Direct).await;
        for (queue, exchange, expected) in [
            (queue.as_str(), missing.as_str(), 404),
            (missing.as_str(), name.as_str(), 404),
            (queue.as_str(), "", 403),
        ] {
            let (_connection, channel) = server.open().await;
            assert_eq!(code(try_bind(&channel, queue, exchange, "key").await), expected);
        }
    });
}
