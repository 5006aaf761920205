//! Calls from their first poll to their end, and their options.

use std::pin::pin;

use super::*;

#[tokio::test]
async fn an_error_of_a_worker_is_read_as_what_its_caller_declared() {
    const FAIL: Function<u64, u64, String> = Function::new("double", 1);
    let (client, mut seat) = detached();
    let mut answer = || {
        let error = Value::Encoded(codec::encode("no").unwrap().into());
        let failed = Failed { text: "no".to_owned(), error };
        seat.begun().pop().unwrap().reply.send(Err(CallError::Function(failed))).unwrap();
    };
    let mut declared = client.function(FAIL).call(1);
    assert!((&mut declared).now_or_never().is_none());
    answer();
    assert_eq!(declared.await, Err(CallError::Function("no".to_owned())));
    let mut undeclared = client.function(DOUBLE).call(1);
    assert!((&mut undeclared).now_or_never().is_none());
    answer();
    let Err(CallError::BadValue { message }) = undeclared.await else { panic!("it cannot fail") };
    assert!(message.contains("the function failed: no"), "{message}");
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error() {
    let (client, mut seat) = detached();
    let mut call = client.function(DOUBLE).call(1);
    assert!((&mut call).now_or_never().is_none());
    let begin = seat.begun().pop().unwrap();
    let value = Value::Encoded(codec::encode("two").unwrap().into());
    let ran = Ran::Remote { worker: WorkerId::from_u128(7), attempt: 1 };
    let (waited, took) = (Duration::ZERO, Duration::ZERO);
    begin.reply.send(Ok(Answer { value, ran, waited, took })).unwrap();
    let Err(CallError::BadValue { message }) = call.await else { panic!("it is not a number") };
    assert!(message.contains(&WorkerId::from_u128(7).to_string()), "{message}");
}

#[tokio::test]
async fn a_calls_options_win_over_its_handles_and_those_over_its_clients() {
    let client = Client::builder("amqp://127.0.0.1:1").fallback(Fallback::Wait).priority(1);
    let client = client.deadline(Duration::from_secs(9)).connect().unwrap();
    let handle = client.function(DOUBLE).priority(2);
    assert_eq!((handle.options.fallback, handle.options.priority), (Fallback::Wait, 2));
    assert_eq!(client.function(DOUBLE).options.priority, 1);
    let deadline = |call: &mut crate::Call<u64, u64>| call.options_mut().deadline;
    assert_eq!(deadline(&mut handle.call(1)), Some(Duration::from_secs(9)));
    let own = Duration::from_secs(5);
    assert_eq!(deadline(&mut handle.call(1).deadline(own)), Some(own));

    let (client, mut seat) = detached();
    let urgent = client.function(DOUBLE).priority(7);
    let mut one = urgent.clone().locally(|n| n).call(1);
    let mut other = urgent.call(2).priority(8);
    let mut many = urgent.map([3]);
    assert!((&mut one).now_or_never().is_none() && (&mut other).now_or_never().is_none());
    assert!(many.next().now_or_never().is_none());
    let priorities: Vec<u8> = seat.begun().iter().map(|call| call.options.priority).collect();
    assert_eq!(priorities, [7, 8, 7]);
}

#[tokio::test]
async fn a_closed_client_ends_its_calls() {
    let (events, link) = mpsc::channel(1);
    let client = Client::with_link(link, 1);
    let double = client.function(DOUBLE);
    let mut waiting = double.call(1);
    assert!((&mut waiting).now_or_never().is_none());
    client.close().await;
    assert_eq!(waiting.await, Err(CallError::Closed));
    assert_eq!(double.call(2).await, Err(CallError::Closed));
    assert!(events.is_closed());
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    let (client, link) = offline();
    let double = client.function(DOUBLE);
    drop(client);
    assert_eq!(double.call(1).blocking(), Ok(2));
    drop(double);
    let ends = (0..20_000).any(|_| {
        std::thread::sleep(Duration::from_millis(1));
        link.is_closed()
    });
    assert!(ends, "the thread goes on");
}

#[tokio::test]
async fn a_call_begins_at_its_first_poll() {
    let (client, mut seat) = detached();
    let mut call = client.function(DOUBLE).call(4).priority(9);
    assert!(seat.begun().is_empty());
    assert!((&mut call).now_or_never().is_none());
    let begin = seat.begun().pop().unwrap();
    assert_eq!((begin.options.priority, begin.stub.target.name.as_ref()), (9, "double@1"));
    answer(begin);
    assert_eq!(call.await, Ok(8));
}

#[tokio::test]
async fn dropping_a_call_cancels_it_once_it_has_begun() {
    let (client, mut seat) = detached();
    let double = client.function(DOUBLE);
    drop(double.call(1));
    assert!(seat.shared.dropped.take().is_empty());

    let mut call = double.call(1);
    assert!((&mut call).now_or_never().is_none());
    let begin = seat.begun().pop().unwrap();
    drop(call);
    assert!(begin.reply.is_closed());
    assert_eq!(seat.shared.dropped.take(), [begin.id]);

    let mut call = double.call(1);
    assert!((&mut call).now_or_never().is_none());
    answer(seat.begun().pop().unwrap());
    assert_eq!((&mut call).await, Ok(2));
    drop(call);
    assert!(seat.shared.dropped.take().is_empty());
}

#[tokio::test]
async fn bad_options_are_not_sent() {
    let (client, seat) = detached();
    let end = client.function(DOUBLE).call(1).timeout(Duration::ZERO).await;
    assert!(matches!(end, Err(CallError::BadOptions { .. })));
    assert!(seat.begins.is_empty());
}

#[tokio::test]
async fn calls_wait_when_the_clients_thread_has_much_to_take_in() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map(0..5_000).in_flight(5_000).ordered();
    assert!(values.next().now_or_never().is_none());
    let mut taken = seat.begun();
    assert!(taken.len() < 5_000);
    while taken.len() < 5_000 {
        tokio::task::yield_now().await;
        assert!(values.next().now_or_never().is_none());
        taken.extend(seat.begun());
    }
    taken.into_iter().rev().for_each(answer);
    let values: Vec<u64> = values.try_collect().await.unwrap();
    assert!(values.into_iter().eq((0..5_000).map(|n| n * 2)));
}

#[tokio::test]
async fn a_client_is_connected_after_no_failed_try_and_nobody_waits_for_one_that_is_closed() {
    let (client, _link) = offline();
    assert_eq!(client.function(DOUBLE).call(4).await, Ok(8), "its try has failed by then");
    let waiting = client.clone();
    let mut connected = pin!(waiting.connected());
    assert!(connected.as_mut().now_or_never().is_none());
    client.close().await;
    timeout(LIMIT, connected).await.expect("it is closed");
}
