//! Bytes that no client sends: an error code and a closed connection, and the broker lives on.

use simple_dist_broker::{Broker, Handle};

use crate::raw::{Raw, frame, header, method, nested_table, publish};

async fn broker() -> Handle {
    Broker::builder().start().await.unwrap()
}

/// Sends bytes on an open channel; they close the connection with this code.
#[track_caller]
fn check(bytes: impl Into<Vec<u8>>, code: u16) {
    let bytes = bytes.into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let closed_with = runtime.block_on(async {
        let broker = broker().await;
        let mut raw = Raw::open_channel(&broker).await;
        raw.send(&bytes).await;
        let closed_with = raw.closed_with().await;
        // Others are served as before.
        Raw::open_channel(&broker).await;
        closed_with
    });
    assert_eq!(closed_with, code);
}

#[test]
fn an_unknown_frame_type_is_a_frame_error() {
    check(frame(7, 1, b"payload"), 501);
}

#[test]
fn a_frame_above_the_negotiated_size_is_a_frame_error() {
    check(frame(3, 1, &[0; 65_536]), 501);
    check([1, 0, 1, 0xff, 0xff, 0xff, 0xff], 501);
}

#[test]
fn a_frame_without_its_end_is_a_frame_error() {
    let mut bytes = method(1, 60, 10, &[0, 0, 0, 0, 0, 1, 0]);
    *bytes.last_mut().unwrap() = 0;
    check(bytes, 501);
}

#[test]
fn a_heartbeat_on_a_channel_is_a_frame_error() {
    check(frame(8, 1, b""), 501);
    check(frame(8, 0, b"beat"), 501);
}

#[test]
fn truncated_arguments_are_a_syntax_error() {
    check(method(1, 50, 10, b"\0\0\x20short"), 502);
    check(method(1, 60, 40, b""), 502);
    check(frame(1, 1, b"\0"), 502);
    check(frame(1, 1, b""), 502);
}

#[test]
fn bytes_after_the_arguments_are_a_syntax_error() {
    check(method(1, 60, 80, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 2, 3]), 502);
}

#[test]
fn names_that_are_no_text_are_a_syntax_error() {
    check(method(1, 50, 10, b"\0\0\x02\xff\xfe\0\0\0\0\0"), 502);
}

#[test]
fn a_table_longer_than_its_frame_is_a_syntax_error() {
    check(method(1, 50, 10, b"\0\0\0\0\xff\xff\xff\xff"), 502);
}

#[test]
fn a_table_nested_thousands_deep_is_a_syntax_error() {
    for depth in [100, 2_000, 9_000] {
        let mut arguments = b"\0\0\0\0".to_vec();
        arguments.extend(nested_table(depth));
        check(method(1, 50, 10, &arguments), 502);
        let mut properties = vec![0x20, 0];
        properties.extend(nested_table(depth));
        let mut bytes = publish(1, "key");
        bytes.extend(header(1, 0, &properties));
        check(bytes, 502);
    }
}

#[test]
fn an_unknown_method_is_an_invalid_command() {
    check(method(1, 60, 99, b""), 503);
    check(method(1, 999, 1, b""), 503);
}

#[test]
fn a_servers_method_is_an_invalid_command() {
    check(method(1, 60, 11, b""), 503);
    check(method(1, 50, 11, b"\0\0\0\0\0\0\0\0\0"), 503);
}

#[test]
fn methods_of_channels_and_connections_do_not_mix() {
    check(method(0, 60, 10, &[0, 0, 0, 0, 0, 1, 0]), 503);
    check(method(1, 10, 51, b""), 503);
}

#[test]
fn a_channel_has_to_be_opened_once() {
    check(method(2, 60, 10, &[0, 0, 0, 0, 0, 1, 0]), 504);
    check(method(1, 20, 10, b"\0"), 504);
    check(header(2, 1, &[0, 0]), 504);
    check(frame(3, 2, b"body"), 504);
}

#[test]
fn a_channel_above_the_negotiated_number_is_not_allowed() {
    check(method(11, 20, 10, b"\0"), 530);
}

#[test]
fn content_out_of_turn_is_unexpected() {
    check(header(1, 1, &[0, 0]), 505);
    check(frame(3, 1, b"body"), 505);
    check([publish(1, "key"), frame(3, 1, b"body")].concat(), 505);
    check([publish(1, "key"), publish(1, "key")].concat(), 505);
    let twice = [publish(1, "key"), header(1, 1, &[0, 0]), header(1, 1, &[0, 0])].concat();
    check(twice, 505);
}

#[test]
fn a_body_longer_than_announced_is_a_frame_error() {
    check([publish(1, "key"), header(1, 3, &[0, 0]), frame(3, 1, b"four")].concat(), 501);
}

#[test]
fn malformed_properties_are_a_syntax_error() {
    for properties in [&b""[..], &[0x80, 0], &[0x80, 0, 5, b'a'], &[0, 1], &[0, 0, 9]] {
        check([publish(1, "key"), header(1, 0, properties)].concat(), 502);
    }
}

#[test]
fn prefetch_by_size_and_transactions_are_not_implemented() {
    check(method(1, 60, 10, &[0, 0, 1, 0, 0, 1, 0]), 540);
    check(method(1, 90, 10, b""), 540);
    check(method(1, 40, 30, b"\0\0\x01a\x01b\x01c\0\0\0\0\0"), 540);
}

#[tokio::test]
async fn another_protocol_is_told_the_right_one() {
    let broker = broker().await;
    for hello in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"AMQP\x00\x01\x00\x00", b"\0\0\0\0\0\0\0\0"] {
        let mut raw = Raw::connect(&broker).await;
        raw.send(hello).await;
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut raw.stream, &mut answer).await.unwrap();
        assert_eq!(answer, b"AMQP\x00\x00\x09\x01");
    }
}

#[tokio::test]
async fn the_handshake_has_an_order() {
    let broker = broker().await;
    for bytes in [
        method(0, 10, 40, b"\x01/\0\0"),
        method(1, 20, 10, b"\0"),
        publish(1, "key"),
        frame(3, 1, b"body"),
    ] {
        let mut raw = Raw::connect(&broker).await;
        raw.send(b"AMQP\x00\x00\x09\x01").await;
        raw.read().await.unwrap();
        raw.send(&bytes).await;
        assert_eq!(raw.closed_with().await, 503);
    }
}

#[tokio::test]
async fn a_message_above_the_limit_closes_its_channel_only() {
    let broker = Broker::builder().max_message_size(1_000).start().await.unwrap();
    let mut raw = Raw::open_channel(&broker).await;
    raw.send(&[publish(1, "key"), header(1, 1_001, &[0, 0])].concat()).await;
    let close = raw.read().await.unwrap();
    assert_eq!(close.method(), (20, 40));
    assert_eq!(close.payload[4..6], 406_u16.to_be_bytes());
    // The rest of the content is ignored, then the channel can be had again.
    raw.send(&frame(3, 1, &[0; 1_001])).await;
    raw.send(&method(1, 20, 41, b"")).await;
    raw.send(&method(1, 20, 10, b"\0")).await;
    assert_eq!(raw.read().await.unwrap().method(), (20, 11));
}

#[tokio::test]
async fn a_flood_of_random_bytes_is_survived() {
    let broker = broker().await;
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    for _ in 0..200 {
        let mut raw = Raw::open_channel(&broker).await;
        let mut bytes = Vec::new();
        for _ in 0..64 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let random = seed.to_be_bytes();
            // Frames that are well-formed outside and nonsense inside.
            let kind = random[0] % 3 + 1;
            let classes = [10, 20, 30, 40, 50, 60, 85, 90];
            let mut payload = vec![0, classes[usize::from(random[1]) % classes.len()], 0];
            payload.push([10, 11, 20, 30, 40, 50, 60, 70, 80, 90][usize::from(random[2]) % 10]);
            payload.extend(&random[..usize::from(random[3] % 9)]);
            bytes.extend(frame(kind, u16::from(random[4] % 3), &payload));
        }
        // It may be closed while we are still talking.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut raw.stream, &bytes).await;
    }
    Raw::open_channel(&broker).await;
    assert!(broker.stats().await.is_ok());
}
