//! The lock of the one that leads.

use super::*;

#[tokio::test]
async fn an_exclusive_queue_is_claimed_by_one_and_free_when_it_leaves() {
    let installation = Installation::new().await;
    let leader = installation.topology.leader();
    let (mut one, mut other) = (Tested::start(nothing()), Tested::start(nothing()));
    let (first, second) = (one.up().await, other.up().await);
    let (a, b) = tokio::join!(first.claim(&leader), second.claim(&leader));
    let claims = [a.unwrap(), b.unwrap()];
    assert!(claims[0] != claims[1], "one of them: {claims:?}");
    let (holder, mut standby, session) =
        if claims[0] { (one, other, second) } else { (other, one, first) };
    for _ in 0..3 {
        assert_eq!(session.claim(&leader).await, Ok(false));
    }
    holder.link.close().await;
    // RabbitMQ 4.3 says goodbye to a connection before it takes its queues away.
    let free = async {
        while !session.claim(&leader).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LIMIT, free).await.expect("it becomes free");
    for _ in 0..3 {
        assert_eq!(session.claim(&leader).await, Ok(false), "it is ours already");
    }
    // Any of them: one that was just being deleted looks stale.
    let mut held = Vec::new();
    for lock in &leader {
        if session.depth(lock.name.clone()).await.unwrap().is_some() {
            held.push(&lock.name);
        }
    }
    assert_eq!(held.len(), 1, "{held:?}");
    session.consume(consumed(1, held[0])).await.unwrap();
    // Asking has left no messages in it.
    standby.nothing_follows().await;
    standby.link.close().await;
}

#[tokio::test]
async fn a_lock_that_the_broker_cannot_reach_is_passed_over() {
    let installation = Installation::new().await;
    let leader = installation.topology.leader();
    // A queue that refuses every message looks as one whose node is down.
    let full = QueueSpec {
        name: leader[0].name.clone(),
        exclusive: false,
        arguments: vec![
            ("x-max-length", ArgumentValue::Number(0)),
            ("x-overflow", ArgumentValue::Text("reject-publish")),
        ],
    };
    let mut one = Tested::start(declared(&[&full]));
    let mut other = Tested::start(nothing());
    let (first, second) = (one.up().await, other.up().await);
    assert_eq!(first.claim(&leader).await, Ok(true));
    assert_eq!(second.claim(&leader).await, Ok(false));
    // The node is back, and its queue is gone: the lock that is held counts all the same.
    installation.delete(&full.name).await;
    assert_eq!(second.claim(&leader).await, Ok(false));
    one.link.close().await;
    let claimed = async { while second.claim(&leader).await != Ok(true) {} };
    timeout(LIMIT, claimed).await.expect("it becomes free");
    other.link.close().await;
}

#[tokio::test]
async fn of_two_that_take_different_locks_at_once_at_most_one_leads() {
    let installation = Installation::new().await;
    let leader = installation.topology.leader();
    let mut backwards = leader.clone();
    backwards.reverse();
    for _ in 0..20 {
        let (mut one, mut other) = (Tested::start(nothing()), Tested::start(nothing()));
        let (first, second) = (one.up().await, other.up().await);
        let (a, b) = tokio::join!(first.claim(&leader), second.claim(&backwards));
        assert!((&a, &b) != (&Ok(true), &Ok(true)), "both lead");
        tokio::join!(one.link.close(), other.link.close());
    }
}

#[tokio::test]
async fn without_a_lock_that_can_be_reached_nobody_leads() {
    let installation = Installation::new().await;
    let leader = installation.topology.leader();
    let mut tested = Tested::start(nothing());
    let session = tested.up().await;
    assert!(matches!(session.claim(&[]).await, Err(Reason::Lost(_))));
    assert_eq!(session.claim(&leader).await, Ok(true), "the link has not suffered");
    tested.link.close().await;
}

#[tokio::test]
async fn a_dropped_link_leaves_at_once() {
    let installation = Installation::new().await;
    let leader = installation.topology.leader();
    let (mut holder, mut standby) = (Tested::start(nothing()), Tested::start(nothing()));
    let (first, second) = (holder.up().await, standby.up().await);
    assert_eq!(first.claim(&leader).await, Ok(true));
    drop(holder);
    let claimed = async { while second.claim(&leader).await != Ok(true) {} };
    timeout(LIMIT, claimed).await.expect("the connection is gone though its session is held");
    assert!(matches!(first.claim(&leader).await, Err(Reason::Lost(_))));
    standby.link.close().await;
}
