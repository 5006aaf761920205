//! Waiting for calls on threads of every kind.

use super::*;

#[test]
fn a_program_without_a_runtime_can_wait() {
    let (client, _link) = offline();
    let double = client.function(DOUBLE);
    assert_eq!(double.call(4).blocking(), Ok(8));
    let sum = double.map(0..100).in_flight(7).blocking().sum::<Result<u64, _>>();
    assert_eq!(sum, Ok(9_900));
}

/// What waiting for a value gives here.
fn waited(client: &Client) -> Result<u64, CallError> {
    client.function(DOUBLE).call(4).blocking()
}

#[tokio::test]
async fn the_one_thread_of_a_runtime_can_wait() {
    let (client, _link) = offline();
    // More often than a task has budget for.
    (0..1_000).for_each(|_| assert_eq!(waited(&client), Ok(8)));
    let values = client.function(DOUBLE).map(0..1_000).blocking();
    assert_eq!(values.sum::<Result<u64, _>>(), Ok(999_000));
    assert!(tokio::task::coop::has_budget_remaining());
    let local = tokio::task::LocalSet::new();
    let spawned = local.spawn_local(async move { waited(&client) });
    assert_eq!(local.run_until(spawned).await.unwrap(), Ok(8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_kind_of_thread_can_wait() {
    let (client, _link) = offline();
    let task = |client: Client| async move { waited(&client) };
    let mut spawned = tokio::task::JoinSet::new();
    spawned.spawn(task(client.clone()));
    assert_eq!(spawned.join_all().await, [Ok(8)]);
    assert_eq!(tokio::task::block_in_place(|| waited(&client)), Ok(8));
    let nested = client.clone();
    let (free, within) = tokio::task::spawn_blocking(move || {
        (waited(&nested), tokio::runtime::Handle::current().block_on(task(nested)))
    })
    .await
    .unwrap();
    assert_eq!((free, within), (Ok(8), Ok(8)));
    let runtime = tokio::runtime::Handle::current();
    let entered = std::thread::spawn(move || {
        let _entered = runtime.enter();
        waited(&client)
    });
    assert_eq!(entered.join().unwrap(), Ok(8));
}
