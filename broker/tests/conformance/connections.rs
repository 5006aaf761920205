//! Connections and channels: who gets in, how they end.

use std::time::Duration;

use lapin::{Connection, ConnectionProperties, options::BasicPublishOptions};

use crate::fixture::*;

#[test]
fn a_wrong_password_is_refused() {
    run(async |server| {
        for login in ["guest:wrong", "nobody:guest"] {
            let url = server.url_as(login);
            let refused = Connection::connect(&url, ConnectionProperties::default()).await;
            assert_eq!(code(refused), 403);
        }
    });
}

#[test]
fn a_vhost_that_is_not_there_is_refused() {
    run(async |server| {
        let url = format!("{}nowhere", server.url_as("guest:guest"));
        let refused = Connection::connect(&url, ConnectionProperties::default()).await;
        assert_eq!(code(refused), 530);
    });
}

#[test]
fn a_connection_closes_in_due_form() {
    run(async |server| {
        let (connection, channel) = server.open().await;
        channel.close(200, "done".into()).await.unwrap();
        connection.close(200, "done".into()).await.unwrap();
        assert!(!connection.status().connected());
    });
}

#[test]
fn channels_fail_alone() {
    run(async |server| {
        let (connection, good) = server.open().await;
        let bad = connection.create_channel().await.unwrap();
        assert_eq!(code(try_consume(&bad, &server.name("missing")).await), 404);
        assert!(!bad.status().connected());
        server.queue(&good, "queue").await;
        let again = connection.create_channel().await.unwrap();
        server.queue(&again, "queue").await;
    });
}

#[test]
fn what_was_published_on_a_channel_that_closes_is_kept() {
    run(async |server| {
        let (_connection, channel) = server.open().await;
        let queue = server.queue(&channel, "queue").await;
        for _ in 0..20 {
            let options = BasicPublishOptions::default();
            let key = queue.as_str().into();
            channel
                .basic_publish("".into(), key, options, b"kept", Default::default())
                .await
                .unwrap();
        }
        channel.close(200, "done".into()).await.unwrap();
        let (_connection, channel) = server.open().await;
        until_depth(&channel, &queue, 20).await;
    });
}

#[test]
fn many_channels_work_side_by_side() {
    run(async |server| {
        let (connection, channel) = server.open().await;
        let queue = server.queue(&channel, "queue").await;
        let mut channels = Vec::new();
        for _ in 0..50 {
            channels.push(connection.create_channel().await.unwrap());
        }
        for channel in &channels {
            let options = BasicPublishOptions::default();
            let key = queue.as_str().into();
            channel
                .basic_publish("".into(), key, options, b"one", Default::default())
                .await
                .unwrap();
        }
        until_depth(&channel, &queue, 50).await;
    });
}

#[test]
fn heartbeats_keep_an_idle_connection() {
    run(async |server| {
        let url = format!("{}%2f?heartbeat=2", server.url_as("guest:guest"));
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(6_500)).await;
        assert!(connection.status().connected());
        connection.create_channel().await.unwrap();
    });
}
