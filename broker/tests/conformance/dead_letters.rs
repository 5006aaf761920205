//! Dead letters: why, where to, and the story they carry.

use std::time::Duration;

use lapin::{
    BasicProperties, Channel,
    message::BasicGetMessage,
    options::BasicRejectOptions,
    types::{AMQPValue, FieldTable},
};

use crate::fixture::*;

/// A queue whose dead letters go to another one, which is named second.
async fn grave(
    server: &Server,
    channel: &Channel,
    more: impl IntoIterator<Item = (&'static str, AMQPValue)>,
) -> (String, String) {
    let (queue, dead) = (server.name("queue"), server.queue(channel, "dead").await);
    let mut arguments =
        args([("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text(&dead))]);
    for (name, value) in more {
        arguments.insert(name.into(), value);
    }
    declare(channel, &queue, arguments).await;
    (queue, dead)
}

fn deaths(message: &BasicGetMessage) -> Vec<FieldTable> {
    let headers = message.properties.headers().clone().unwrap();
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else {
        panic!("no story: {headers:?}");
    };
    let table = |death: &AMQPValue| match death {
        AMQPValue::FieldTable(table) => table.clone(),
        other => panic!("no table: {other:?}"),
    };
    deaths.as_slice().iter().map(table).collect()
}

fn held<'a>(table: &'a FieldTable, name: &str) -> &'a AMQPValue {
    table.inner().get(name).unwrap_or_else(|| panic!("no {name} in {table:?}"))
}

#[test]
fn what_is_rejected_goes_to_the_dead_letters() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (queue, dead) = grave(server, &channel, []).await;
        let properties = BasicProperties::default()
            .with_message_id("kept".into())
            .with_user_id("guest".into())
            .with_headers(args([("own", int(1))]));
        publish_to(&channel, "", &queue, "rejected", properties).await;
        get(&channel, &queue).await.reject(BasicRejectOptions::default()).await.unwrap();
        let letter = get(&channel, &dead).await;
        assert_eq!(letter.data, b"rejected");
        // It was delivered before it was rejected, and 4.3 remembers.
        assert_eq!(letter.redelivered, server.version().await >= (4, 3));
        assert_eq!(letter.routing_key.as_str(), dead);
        assert_eq!(letter.properties.message_id(), &Some("kept".into()));
        assert_eq!(letter.properties.user_id(), &Some("guest".into()));
        let deaths = deaths(&letter);
        assert_eq!(deaths.len(), 1);
        for (name, value) in [
            ("reason", text("rejected")),
            ("queue", text(&queue)),
            ("exchange", text("")),
            ("count", AMQPValue::LongLongInt(1)),
            ("routing-keys", AMQPValue::FieldArray(vec![text(&queue)].into())),
        ] {
            assert_eq!(held(&deaths[0], name), &value, "{name}");
        }
        assert!(matches!(held(&deaths[0], "time"), AMQPValue::Timestamp(1_700_000_000..)));
        let headers = letter.properties.headers().clone().unwrap();
        assert_eq!(held(&headers, "own"), &int(1));
        assert_eq!(held(&headers, "x-first-death-reason"), &text("rejected"));
        assert_eq!(held(&headers, "x-first-death-queue"), &text(&queue));
        assert_eq!(held(&headers, "x-first-death-exchange"), &text(""));
    });
}

#[test]
fn what_expires_goes_to_the_dead_letters_and_expires_no_more() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (queue, dead) = grave(server, &channel, []).await;
        let properties = BasicProperties::default().with_expiration("50".into());
        publish_to(&channel, "", &queue, "expired", properties).await;
        let letter = get(&channel, &dead).await;
        assert_eq!(letter.properties.expiration(), &None);
        let deaths = deaths(&letter);
        assert_eq!(held(&deaths[0], "reason"), &text("expired"));
        assert_eq!(held(&deaths[0], "original-expiration"), &text("50"));
    });
}

#[test]
fn what_does_not_fit_goes_to_the_dead_letters() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (queue, dead) = grave(server, &channel, [("x-max-length", int(1))]).await;
        publish(&channel, &queue, "old").await;
        publish(&channel, &queue, "new").await;
        let letter = get(&channel, &dead).await;
        assert_eq!(letter.data, b"old");
        assert_eq!(held(&deaths(&letter)[0], "reason"), &text("maxlen"));
        assert_eq!(get(&channel, &queue).await.data, b"new");
    });
}

#[test]
fn what_is_refused_goes_to_the_dead_letters_if_told_so() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let more = [("x-max-length", int(1)), ("x-overflow", text("reject-publish-dlx"))];
        let (queue, dead) = grave(server, &channel, more).await;
        publish(&channel, &queue, "old").await;
        let confirmation = publish(&channel, &queue, "new").await;
        assert!(matches!(confirmation, lapin::Confirmation::Nack(_)));
        assert_eq!(get(&channel, &dead).await.data, b"new");
    });
}

#[test]
fn what_comes_back_too_often_goes_to_the_dead_letters() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let more = [("x-queue-type", text("quorum")), ("x-delivery-limit", int(1))];
        let (queue, dead) = grave(server, &channel, more).await;
        publish(&channel, &queue, "poison").await;
        for _ in 0..2 {
            let message = get(&channel, &queue).await;
            message.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        }
        let letter = get(&channel, &dead).await;
        assert_eq!(held(&deaths(&letter)[0], "reason"), &text("delivery_limit"));
    });
}

#[test]
fn without_a_key_of_their_own_dead_letters_keep_theirs() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (queue, dead) = (server.name("queue"), server.queue(&channel, "dead").await);
        let key = server.name("key");
        let arguments = args([("x-dead-letter-exchange", text("amq.direct"))]);
        declare(&channel, &queue, arguments).await;
        bind(&channel, &queue, "amq.topic", &key).await;
        bind(&channel, &dead, "amq.direct", &key).await;
        publish_to(&channel, "amq.topic", &key, "rejected", BasicProperties::default()).await;
        get(&channel, &queue).await.reject(BasicRejectOptions::default()).await.unwrap();
        let letter = get(&channel, &dead).await;
        assert_eq!(letter.exchange.as_str(), "amq.direct");
        assert_eq!(letter.routing_key.as_str(), key);
        assert_eq!(held(&deaths(&letter)[0], "exchange"), &text("amq.topic"));
    });
}

#[test]
fn deaths_in_one_queue_are_counted() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let (retry, work) = (server.name("retry"), server.name("work"));
        let to = |queue: &str| {
            args([("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text(queue))])
        };
        let mut pause = to(&work);
        pause.insert("x-message-ttl".into(), int(20));
        declare(&channel, &work, to(&retry)).await;
        declare(&channel, &retry, pause).await;
        publish(&channel, &work, "again").await;
        for round in 0..3 {
            let message = get(&channel, &work).await;
            if round > 0 {
                let deaths = deaths(&message);
                assert_eq!(deaths.len(), 2);
                assert_eq!(held(&deaths[0], "queue"), &text(&retry));
                for death in &deaths {
                    assert_eq!(held(death, "count"), &AMQPValue::LongLongInt(round));
                }
            }
            message.reject(BasicRejectOptions::default()).await.unwrap();
        }
    });
}

#[test]
fn a_circle_without_rejection_is_cut() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        let arguments = args([
            ("x-message-ttl", int(50)),
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(&queue)),
        ]);
        declare(&channel, &queue, arguments).await;
        publish(&channel, &queue, "round and round").await;
        until_depth(&channel, &queue, 0).await;
        // On the way round it is nowhere for a moment as well.
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(depth(&channel, &queue).await, 0);
        }
    });
}

#[test]
fn a_missing_dead_letter_exchange_loses_the_message() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.name("queue");
        let missing = server.name("missing");
        declare(&channel, &queue, args([("x-dead-letter-exchange", text(&missing))])).await;
        publish(&channel, &queue, "lost").await;
        get(&channel, &queue).await.reject(BasicRejectOptions::default()).await.unwrap();
        until_depth(&channel, &queue, 0).await;
        assert!(channel.status().connected());
    });
}
