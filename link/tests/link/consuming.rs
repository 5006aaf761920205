//! What is consumed, and asked.

use super::*;

#[tokio::test]
async fn asking_after_what_is_missing_disturbs_nothing() {
    let mut installation = Installation::new().await;
    let (there, missing) = (installation.queue(1), installation.queue(2));
    let consume = vec![consumed(1, &there.name)];
    let mut tested = Tested::start(Plan { consume, ..declared(&[&there]) });
    let session = tested.up().await;
    for _ in 0..3 {
        assert_eq!(session.depth(missing.name.clone()).await, Ok(None));
        let purged = session.drain_queue(missing.name.clone()).await;
        assert!(matches!(purged, Err(Reason::Missing(_))));
        let consumed = session.consume(consumed(2, &missing.name)).await;
        assert!(matches!(consumed, Err(Reason::Missing(_))));
        let mut otherwise = there.clone();
        otherwise.arguments.push(("x-max-length", ArgumentValue::Number(5)));
        let declared = session.declare(Declaration::Queue(otherwise)).await;
        assert!(matches!(declared, Err(Reason::Mismatch(_))));
        let depth = session.depth(there.name.clone()).await;
        assert_eq!(depth, Ok(Some(Depth { messages: 0, consumers: 1 })));
    }
    tested.nothing_follows().await;
    tested.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn a_cancelled_source_is_silent_acks_what_it_had_and_can_be_consumed_again() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let mut tested = Tested::start(declared(&[&queue]));
    let session = tested.up().await;
    let route = installation.route(&queue.name);
    let ahead = Consume { prefetch: 1, ..consumed(2, &queue.name) };
    for round in 0..3 {
        session.consume(ahead.clone()).await.unwrap();
        session.publish(outgoing(&route, round, Lane::Jobs)).unwrap();
        let mut delivery = None;
        let mut settled = false;
        while delivery.is_none() || !settled {
            match tested.next().await {
                Event::Delivery(came) => delivery = Some(came),
                Event::Settled(_) => settled = true,
                other => panic!("{other:?}"),
            }
        }
        session.cancel(ConsumerTag(2)).await.unwrap();
        delivery.unwrap().receipt.ack();
        session.publish(outgoing(&route, round, Lane::Jobs)).unwrap();
        assert_eq!(tested.settled(1).await[&round], Outcome::Confirmed);
        tested.nothing_follows().await;
        session.drain_queue(queue.name.clone()).await.unwrap();
    }
    tested.link.close().await;
    let mut after = Tested::start(nothing());
    let depth = after.up().await.depth(queue.name.clone()).await;
    assert_eq!(depth, Ok(Some(Depth { messages: 0, consumers: 0 })));
    after.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn acks_leave_by_themselves() {
    const MESSAGES: u64 = 64;
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let consume = vec![Consume { prefetch: 1, ..consumed(1, &queue.name) }];
    let mut publishing = Tested::start(declared(&[&queue]));
    let mut consuming = Tested::start(Plan { consume, ..declared(&[&queue]) });
    let (session, route) = (publishing.up().await, installation.route(&queue.name));
    for item in 0..MESSAGES {
        session.publish(outgoing(&route, item, Lane::Jobs)).unwrap();
        publishing.settled(1).await;
    }
    consuming.up().await;
    // Heartbeats would take them along, one every few seconds.
    let all = async {
        for _ in 0..MESSAGES {
            match consuming.next().await {
                Event::Delivery(came) => came.receipt.ack(),
                other => panic!("{other:?}"),
            }
        }
    };
    timeout(LIMIT, all).await.expect("each ack makes the next message come");
    publishing.link.close().await;
    consuming.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn what_is_unacked_comes_again_and_says_so() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let consume = vec![consumed(1, &queue.name)];
    let plan = Plan { consume, ..declared(&[&queue]) };
    let mut tested = Tested::start(plan.clone());
    let session = tested.up().await;
    let route = installation.route(&queue.name);
    for token in 0..3 {
        let item = outgoing(&route, token, Lane::Jobs);
        session.publish(Outgoing { token: None, ..item }).unwrap();
    }
    for token in 0_u64..3 {
        let Event::Delivery(delivery) = tested.next().await else { panic!("a delivery") };
        assert_eq!((delivery.redelivered, &delivery.body[..]), (false, &token.to_be_bytes()[..]));
        if token != 1 {
            delivery.receipt.ack();
        }
    }
    tested.link.close().await;
    let mut after = Tested::start(plan);
    after.up().await;
    let Event::Delivery(delivery) = after.next().await else { panic!("a delivery") };
    assert_eq!((delivery.redelivered, &delivery.body[..]), (true, &1_u64.to_be_bytes()[..]));
    delivery.receipt.ack();
    after.nothing_follows().await;
    after.link.close().await;
    installation.sweep().await;
}
