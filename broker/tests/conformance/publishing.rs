//! Publishing: routes, confirms, returns, checks of what a publisher claims.

use lapin::{
    BasicProperties, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldArray},
};

use crate::fixture::*;

#[test]
fn a_message_goes_to_the_queue_of_its_key_and_is_confirmed() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        assert!(matches!(publish(&channel, &queue, "one").await, Confirmation::Ack(None)));
        let mut consumer = consume(&channel, &queue).await;
        let delivery = next(&mut consumer).await;
        assert_eq!(body(&delivery), "one");
        assert_eq!(delivery.routing_key.as_str(), queue);
        assert_eq!(delivery.exchange.as_str(), "");
        assert!(!delivery.redelivered);
    });
}

#[test]
fn properties_and_headers_arrive_unchanged() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        let inner = args([("flag", AMQPValue::Boolean(true)), ("nothing", AMQPValue::Void)]);
        let list = FieldArray::from(vec![int(1), text("two"), AMQPValue::Double(0.5)]);
        let headers = args([
            ("table", AMQPValue::FieldTable(inner)),
            ("list", AMQPValue::FieldArray(list)),
            ("long", AMQPValue::LongLongInt(-5)),
            ("time", AMQPValue::Timestamp(1_700_000_000)),
            ("bytes", AMQPValue::ByteArray(vec![0, 255].into())),
        ]);
        let properties = BasicProperties::default()
            .with_content_type("application/msgpack".into())
            .with_content_encoding("identity".into())
            .with_headers(headers)
            .with_delivery_mode(2)
            .with_priority(3)
            .with_correlation_id("correlation".into())
            .with_reply_to("reply".into())
            .with_message_id("message".into())
            .with_timestamp(1_700_000_000)
            .with_type("kind".into())
            .with_user_id("guest".into())
            .with_app_id("app".into());
        publish_to(&channel, "", &queue, "body", properties.clone()).await;
        assert_eq!(get(&channel, &queue).await.properties, properties);
    });
}

#[test]
fn bodies_of_all_sizes_arrive_whole() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        for size in [0, 1, 131_063, 131_064, 131_065, 131_072, 1_000_000, 8_000_000] {
            let sent: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let options = BasicPublishOptions::default();
            let key = queue.as_str().into();
            let properties = BasicProperties::default();
            let confirm = channel.basic_publish("".into(), key, options, &sent, properties).await;
            assert!(matches!(confirm.unwrap().await.unwrap(), Confirmation::Ack(None)));
            assert!(get(&channel, &queue).await.data == sent, "{size} bytes");
        }
    });
}

#[test]
fn an_unroutable_mandatory_message_comes_back_before_its_confirm() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let confirmation = publish(&channel, &server.name("nobody"), "back").await;
        let Confirmation::Ack(Some(returned)) = confirmation else {
            panic!("not returned: {confirmation:?}");
        };
        assert_eq!(returned.reply_code, 312);
        assert_eq!(returned.delivery.data, b"back");
    });
}

#[test]
fn an_unroutable_message_that_is_not_mandatory_is_confirmed() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let confirmation = publish_optional(&channel, "", &server.name("nobody"), "gone").await;
        assert!(matches!(confirmation, Confirmation::Ack(None)));
    });
}

#[test]
fn every_publish_is_confirmed_once() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        let mut confirms = Vec::new();
        for number in 0..1_000 {
            let key = queue.as_str().into();
            let payload = format!("{number}");
            let options = BasicPublishOptions::default();
            let properties = BasicProperties::default();
            let confirm =
                channel.basic_publish("".into(), key, options, payload.as_bytes(), properties);
            confirms.push(confirm.await.unwrap());
        }
        for confirm in confirms {
            assert!(matches!(confirm.await.unwrap(), Confirmation::Ack(None)));
        }
        assert_eq!(depth(&channel, &queue).await, 1_000);
    });
}

#[test]
fn a_channel_without_confirms_confirms_nothing() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let queue = server.queue(&channel, "queue").await;
        assert!(matches!(publish(&channel, &queue, "one").await, Confirmation::NotRequested));
        get(&channel, &queue).await;
    });
}

#[test]
fn confirms_can_be_selected_twice() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        assert!(matches!(publish(&channel, &queue, "one").await, Confirmation::Ack(None)));
    });
}

#[test]
fn a_user_may_name_itself_and_nobody_else() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        let own = BasicProperties::default().with_user_id("guest".into());
        let confirmation = publish_to(&channel, "", &queue, "own", own).await;
        assert!(matches!(confirmation, Confirmation::Ack(None)));
        let forged = BasicProperties::default().with_user_id("somebody".into());
        assert_eq!(code(try_publish(&channel, "", &queue, forged).await), 406);
        assert!(!channel.status().connected());
    });
}

#[test]
fn an_exchange_that_is_not_there_closes_the_channel() {
    run(async |server| {
        let (connection, channel) = server.open_confirming().await;
        let exchange = server.name("exchange");
        let properties = BasicProperties::default();
        assert_eq!(code(try_publish(&channel, &exchange, "key", properties).await), 404);
        assert!(connection.status().connected());
        assert!(connection.create_channel().await.is_ok());
    });
}

#[test]
fn an_invalid_expiration_is_refused() {
    run(async |server| {
        for expiration in ["soon", "-1", "1.5", ""] {
            let (_connection, channel) = server.open_confirming().await;
            let properties = BasicProperties::default().with_expiration(expiration.into());
            assert_eq!(code(try_publish(&channel, "", "key", properties).await), 406);
        }
    });
}

#[test]
fn immediate_is_not_implemented() {
    run(async |server| {
        let (connection, channel) = server.open_confirming().await;
        let options = BasicPublishOptions { immediate: true, ..Default::default() };
        let properties = BasicProperties::default();
        let confirm = channel.basic_publish("".into(), "key".into(), options, b"", properties);
        let result = match confirm.await {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
        assert_eq!(code(result), 540);
        until(|| !connection.status().connected()).await;
    });
}

#[test]
fn a_fast_reply_without_its_consumer_is_refused() {
    run(async |server| {
        let (_connection, channel) = server.open_confirming().await;
        let queue = server.queue(&channel, "queue").await;
        let properties = BasicProperties::default().with_reply_to("amq.rabbitmq.reply-to".into());
        assert_eq!(code(try_publish(&channel, "", &queue, properties).await), 406);
    });
}
