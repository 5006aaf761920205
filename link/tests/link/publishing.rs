//! What is published, and what becomes of it.

use super::*;

#[tokio::test]
async fn items_travel_as_lists_and_arrive_signed() {
    let installation = Installation::new().await;
    let topology = &installation.topology;
    let consume = vec![consumed(1, &topology.control())];
    let mut tested = Tested::start(Plan { declare: topology.shared(), consume });
    let session = tested.up().await;
    let route = Arc::new(Route {
        exchange: topology.submit(),
        key: topology.control_key(),
        mandatory: true,
        envelope: Some(codec::envelope(&ask(vec![]))),
    });
    let sent: Vec<JobId> = (0..1000).map(JobId::from_u128).collect();
    for (token, id) in (0..).zip(&sent) {
        let body = codec::encode_message(id).into();
        let item = outgoing(&route, token, Lane::Control);
        session.publish(Outgoing { body, ..item }).unwrap();
    }

    let (mut came, mut messages, mut outcomes) = (vec![], 0, BTreeMap::new());
    while came.len() < sent.len() || outcomes.len() < sent.len() {
        match tested.next().await {
            Event::Delivery(delivery) => {
                assert_eq!(delivery.user.as_ref(), Some(session.user()));
                assert_eq!(delivery.version, Some(VERSION));
                assert_eq!((delivery.tag, delivery.redelivered), (ConsumerTag(1), false));
                let FromClient::Ask(ask) = codec::decode(&delivery.body).unwrap() else { panic!() };
                came.extend(ask.ids);
                messages += 1;
                delivery.receipt.ack();
            }
            Event::Settled(settled) => {
                outcomes.extend(settled.tokens.into_iter().map(|token| (token, settled.outcome)));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(came, sent);
    // Ten, where what publishes them is not interrupted.
    assert!(messages <= 100, "1000 items in {messages} messages");
    assert!(outcomes.values().all(|outcome| *outcome == Outcome::Confirmed));
    tested.link.close().await;

    let mut after = Tested::start(nothing());
    let depth = after.up().await.depth(topology.control()).await.unwrap();
    assert_eq!(depth, Some(Depth { messages: 0, consumers: 0 }), "all are acked");
    after.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn outcomes_never_swap_however_much_is_under_way() {
    let mut installation = Installation::new().await;
    let (open, mut full, missing) =
        (installation.queue(1), installation.queue(2), installation.queue(3));
    full.arguments = vec![
        ("x-max-length", ArgumentValue::Number(1)),
        ("x-overflow", ArgumentValue::Text("reject-publish")),
    ];
    let mut tested = Tested::start(declared(&[&open, &full]));
    let session = tested.up().await;
    session.publish(outgoing(&installation.route(&full.name), 0, Lane::Jobs)).unwrap();
    assert_eq!(tested.settled(1).await[&0], Outcome::Confirmed);

    let routes = [&open, &full, &missing].map(|queue| installation.route(&queue.name));
    let expected = [Outcome::Confirmed, Outcome::Refused, Outcome::Returned];
    let count = 6000;
    for token in 0..count {
        let lane = if token % 2 == 0 { Lane::Jobs } else { Lane::Control };
        session.publish(outgoing(&routes[kind(token)], token, lane)).unwrap();
    }
    let outcomes = tested.settled(usize::try_from(count).unwrap()).await;
    for (token, outcome) in outcomes {
        assert_eq!(outcome, expected[kind(token)], "of {token}");
    }
    tested.nothing_follows().await;
    tested.link.close().await;
    installation.sweep().await;
}

/// Which of three, without a pattern that a window could have.
fn kind(token: u64) -> usize {
    usize::try_from(token.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).unwrap() % 3
}

#[tokio::test]
async fn only_what_reaches_no_queue_is_returned() {
    let mut installation = Installation::new().await;
    let (there, missing) = (installation.queue(1), installation.queue(2));
    let mut tested = Tested::start(declared(&[&there]));
    let session = tested.up().await;
    let routes = [&there, &missing].map(|queue| installation.route(&queue.name));
    for token in 0..600 {
        let route = &routes[usize::from(token % 10 == 7)];
        session.publish(outgoing(route, token, Lane::Jobs)).unwrap();
    }
    for (token, outcome) in tested.settled(600).await {
        let expected = if token % 10 == 7 { Outcome::Returned } else { Outcome::Confirmed };
        assert_eq!(outcome, expected, "of {token}");
    }
    tested.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn what_is_unconfirmed_does_not_hold_up_what_comes_after() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let missing = installation.queue(2);
    let mut observer = Tested::start(declared(&[&queue]));
    let observing = observer.up().await;
    let cable = Cable::lay().await;
    let mut tested = Tested::start_at(&cable.url, |_| nothing());
    let session = tested.up().await;
    cable.hold(true);
    for (token, name, arrived) in [(1, &queue.name, 1), (2, &missing.name, 1), (3, &queue.name, 2)]
    {
        session.publish(outgoing(&installation.route(name), token, Lane::Jobs)).unwrap();
        let leaves = async {
            let there = Some(Depth { messages: arrived, consumers: 0 });
            while observing.depth(queue.name.clone()).await.unwrap() != there {}
        };
        timeout(LIMIT, leaves).await.expect("it leaves");
    }
    tested.nothing_follows().await;
    cable.hold(false);
    let (confirmed, returned) = (Outcome::Confirmed, Outcome::Returned);
    let outcomes = HashMap::from([(1, confirmed), (2, returned), (3, confirmed)]);
    assert_eq!(tested.settled(3).await, outcomes);
    tested.link.close().await;
    observer.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn closing_publishes_what_waits() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let mut tested = Tested::start(declared(&[&queue]));
    let session = tested.up().await;
    let route = installation.route(&queue.name);
    for token in 0..2000 {
        session.publish(outgoing(&route, token, Lane::Jobs)).unwrap();
    }
    tested.link.close().await;
    session.publish(outgoing(&route, 0, Lane::Jobs)).expect_err("it is closed");
    let mut after = Tested::start(nothing());
    let depth = after.up().await.depth(queue.name.clone()).await;
    assert_eq!(depth, Ok(Some(Depth { messages: 2000, consumers: 0 })));
    after.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_for_the_broker_is_refused_from_the_second_time_on() {
    let small = Broker::builder().max_message_size(1000).start().await.unwrap();
    let topology = Topology::new("small", QueueKind::Classic).unwrap();
    let queue = topology.pool(PoolId::of(&["function@1".parse().unwrap()], false));
    let plan = Plan { declare: vec![Declaration::Queue(queue.clone())], consume: vec![] };
    let mut tested = Tested::start_at(small.url(), move |_| plan.clone());
    let of = |token, size| Outgoing {
        route: Arc::new(Route {
            exchange: topology.default_exchange(),
            key: queue.name.clone(),
            mandatory: true,
            envelope: None,
        }),
        body: Bytes::from(vec![0; size]).into(),
        work: Duration::ZERO,
        token: Some(token),
        lane: Lane::Jobs,
    };
    tested.up().await.publish(of(1, 1001)).unwrap();
    assert!(matches!(tested.down().await, Reason::Refused(_)));
    let session = tested.up().await;
    session.publish(of(1, 1001)).unwrap();
    session.publish(of(2, 1000)).unwrap();
    let outcomes = tested.settled(2).await;
    assert_eq!(outcomes, HashMap::from([(1, Outcome::Refused), (2, Outcome::Confirmed)]));
    tested.link.close().await;
}

#[tokio::test]
async fn a_publisher_takes_so_many_bytes_and_the_other_lane_goes_on() {
    let broker = Broker::builder().memory_mark(1).start().await.unwrap();
    let topology = Topology::new("full", QueueKind::Classic).unwrap();
    let queue = topology.pool(PoolId::of(&["function@1".parse().unwrap()], false));
    let plan = Plan { declare: vec![Declaration::Queue(queue.clone())], consume: vec![] };
    let mut tested = Tested::start_at(broker.url(), move |_| plan.clone());
    let session = tested.up().await;
    let megabyte = Bytes::from(vec![0; 1024 * 1024]);
    let of = |lane| Outgoing {
        route: Arc::new(Route {
            exchange: topology.default_exchange(),
            key: queue.name.clone(),
            mandatory: true,
            envelope: None,
        }),
        body: megabyte.clone().into(),
        work: Duration::ZERO,
        token: None,
        lane,
    };
    // The first of them blocks the connection; none is confirmed.
    let taken = (0..400).take_while(|_| session.publish(of(Lane::Jobs)).is_ok()).count();
    // And what is confirmed meanwhile, if this thread is held up.
    assert!((256..264).contains(&taken), "{taken}");
    assert_eq!(session.publish(of(Lane::Control)), Ok(()));
    tested.link.close().await;
}
