//! How a link comes up, and again.

use super::*;

#[tokio::test]
async fn a_deleted_queue_ends_the_generation_and_the_next_has_it_again() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let consume = vec![consumed(1, &queue.name)];
    let mut tested = Tested::start(Plan { consume, ..declared(&[&queue]) });
    let first = tested.up().await;
    installation.delete(&queue.name).await;
    assert!(matches!(tested.down().await, Reason::Lost(_)));
    let second = tested.up_again().await;
    assert_eq!(second.generation(), first.generation().next());

    let route = installation.route(&queue.name);
    first.publish(outgoing(&route, 1, Lane::Jobs)).expect_err("its generation is over");
    assert!(matches!(first.depth(queue.name.clone()).await, Err(Reason::Lost(_))));
    second.publish(outgoing(&route, 2, Lane::Jobs)).unwrap();
    let delivered = async {
        loop {
            if let Event::Delivery(delivery) = tested.next().await {
                return delivery.receipt.ack();
            }
        }
    };
    delivered.await;
    tested.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn a_cut_is_followed_by_another_generation_with_queues_of_its_own() {
    let mut installation = Installation::new().await;
    let queue = installation.queue(1);
    let cable = Cable::lay().await;
    let topology = installation.topology.clone();
    let (shared, user) = (queue.clone(), "guest".parse().unwrap());
    let worker = simple_dist_protocol::WorkerId::new();
    let mut tested = Tested::start_at(&cable.url, move |generation| {
        let own = topology.worker(&user, worker, generation);
        let consume = vec![consumed(1, &own.name)];
        Plan { consume, ..declared(&[&shared, &own]) }
    });
    for number in 1..=3 {
        let session = tested.up_again().await;
        assert_eq!(session.generation(), Generation(number));
        let route = installation.route(&queue.name);
        session.publish(outgoing(&route, 1, Lane::Jobs)).unwrap();
        assert_eq!(tested.settled(1).await[&1], Outcome::Confirmed);
        cable.cut();
        assert!(matches!(tested.down().await, Reason::Lost(_)));
    }
    tested.up_again().await;
    tested.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn what_others_have_not_declared_yet_is_waited_for() {
    let installation = Installation::new().await;
    let topology = installation.topology.clone();
    let (user, client) = ("guest".parse().unwrap(), ClientId::new());
    let mut tested = Tested::start_at(&broker(), move |generation| {
        let own = topology.client_presence(&user, client, generation);
        let binding = topology.bound_to_presence(&own);
        let consume = vec![consumed(1, &own.name)];
        Plan { declare: vec![Declaration::Queue(own), binding], consume }
    });
    for _ in 0..2 {
        assert!(matches!(tested.down().await, Reason::Missing(_)));
    }
    let shared = Plan { declare: installation.topology.shared(), consume: vec![] };
    let mut distributor = Tested::start(shared);
    distributor.up().await;
    let session = tested.up_again().await;
    assert_eq!(session.generation(), Generation(1), "it is no other connection");
    tested.link.close().await;
    distributor.link.close().await;
    installation.sweep().await;
}

#[tokio::test]
async fn a_wrong_password_is_told() {
    let far: simple_dist_link::BrokerUrl = broker().parse().unwrap();
    let url = format!("amqp://guest:wrong@{}", far.address());
    let mut tested = Tested::start_at(&url, |_| nothing());
    for _ in 0..2 {
        assert!(matches!(tested.down().await, Reason::Refused(_)));
    }
    tested.link.close().await;
}

/// A port where nobody listens, nor will as long as the socket has it.
fn dead_port() -> (TcpSocket, u16) {
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = taken.local_addr().unwrap().port();
    (taken, port)
}

#[tokio::test]
async fn another_address_is_tried_when_one_is_dead() {
    let (_taken, port) = dead_port();
    let login = broker().split_once("://").unwrap().1.rsplit_once('@').unwrap().0.to_owned();
    let list = format!("amqp://{login}@127.0.0.1:{port},{}", broker());
    let mut tested = Tested::start_at(&list, |_| nothing());
    // Down is told when none of them is to be had: callers would take it for an outage.
    let session = tested.up().await;
    session.give_up("to see where it goes");
    assert!(matches!(tested.down().await, Reason::Lost(_)));
    assert_eq!(tested.up().await.generation(), Generation(2), "the one that worked, at once");
    tested.link.close().await;
}

#[tokio::test]
async fn a_broker_that_allows_too_few_channels_is_refused_by_name() {
    let tight = Broker::builder().channel_max(8).start().await.unwrap();
    let mut tested = Tested::start_at(tight.url(), |_| nothing());
    let Reason::Refused(problem) = tested.down().await else { panic!("it is refused") };
    assert!(problem.contains("8 channels"), "{problem}");
    tested.link.close().await;
}

#[tokio::test]
async fn nobody_there_is_told_each_time() {
    let (_taken, port) = dead_port();
    let url = format!("amqp://127.0.0.1:{port}");
    let mut tested = Tested::start_at(&url, |_| nothing());
    for _ in 0..3 {
        assert!(matches!(tested.down().await, Reason::Unreachable { .. }));
    }
    tested.link.close().await;
}

/// At first often: who declares it has mostly begun at the same moment. Then ever more rarely.
#[tokio::test]
async fn what_is_missing_is_asked_for_soon_and_then_more_rarely() {
    let missing = Topology::new(&format!("t{}", JobId::new().short()), QueueKind::Classic).unwrap();
    let consume = vec![consumed(1, &missing.control())];
    let mut soonest = LIMIT;
    for _ in 0..3 {
        let began = Instant::now();
        let mut tested = Tested::start(Plan { declare: vec![], consume: consume.clone() });
        let mut tries = vec![];
        while tries.len() < 6 {
            assert!(matches!(tested.down().await, Reason::Missing(_)));
            tries.push(Instant::now());
        }
        soonest = soonest.min(tries[1] - tries[0]);
        // 8 + 16 + 32 + 64 + 128 ms.
        assert!(tries[5] - began >= Duration::from_millis(248), "{began:?} {tries:?}");
        tested.link.close().await;
    }
    // The longest pause is 256 ms.
    assert!(soonest < Duration::from_millis(150), "{soonest:?}");
}
