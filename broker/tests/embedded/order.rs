//! What a client relies on that RabbitMQ leaves open.

use simple_dist_broker::Broker;

use super::raw::{Raw, header, method, publish};

/// A client that pairs returns with confirms by their order is right: an earlier publish of the
/// same batch is confirmed before the return, not together with the one that came back.
#[tokio::test]
async fn a_return_stands_right_before_its_own_confirm() {
    let broker = Broker::builder().start().await.unwrap();
    let mut raw = Raw::open_channel(&broker).await;
    raw.send(&method(1, 85, 10, b"\0")).await;
    assert_eq!(raw.read().await.unwrap().method(), (85, 11));
    let mandatory = method(1, 60, 40, b"\0\0\0\x06nobody\x01");
    let empty = header(1, 0, &[0, 0]);
    raw.send(&[publish(1, "nobody"), empty.clone(), mandatory, empty].concat()).await;
    let ack = |tag| [&[0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0][..], &[tag, 0]].concat();
    assert_eq!(raw.read().await.unwrap().payload, ack(1));
    assert_eq!(raw.read().await.unwrap().method(), (60, 50));
    assert_eq!(raw.read().await.unwrap().kind, 2, "the header of what came back");
    assert_eq!(raw.read().await.unwrap().payload, ack(2));
    broker.stop().await;
}
