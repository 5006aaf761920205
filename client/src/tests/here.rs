//! Calls that run in their caller's process, for want of a worker.

use super::*;

#[tokio::test]
async fn a_declaration_runs_here_only_by_a_body_of_the_callers() {
    const SHIFT: Function<u64, u64> = Function::new("shift", 1);
    let (client, _link) = offline();
    let remote = client.function(SHIFT);
    let by = 21;
    let local = remote.clone().locally(move |n| n + by);
    assert_eq!(local.call(21).await, Ok(42));
    let reason = Reason::NoConnection;
    assert_eq!(remote.call(21).await, Err(CallError::Unavailable { reason }));
    client.close().await;
}

#[tokio::test]
async fn without_a_broker_a_call_runs_here() {
    let (client, _link) = offline();
    let answer = client.function(DOUBLE).call(21).detailed().await.unwrap();
    assert_eq!((answer.value, answer.ran), (42, Ran::Local { reason: Reason::NoConnection }));
    assert!(matches!(client.problem(), Some(link::Reason::Unreachable { .. })));
    client.close().await;
}

#[tokio::test]
async fn without_a_fallback_it_is_unavailable() {
    let (client, _link) = offline();
    let end = client.function(DOUBLE).call(21).fallback(Fallback::Never).await;
    assert_eq!(end, Err(CallError::Unavailable { reason: Reason::NoConnection }));
}

#[tokio::test]
async fn a_deadline_ends_a_call_whose_run_here_goes_on() {
    const STUCK: PureFunction<u8, u8> = Function::pure("stuck", 1, |n| {
        TOGETHER.wait();
        n
    });
    static TOGETHER: Barrier = Barrier::new(2);
    let (client, _link) = offline_with(1);
    // Long enough to begin.
    let stuck = client.function(STUCK).call(1).deadline(Duration::from_secs(2));
    assert_eq!(stuck.await, Err(CallError::Deadline));
    let waits = client.function(DOUBLE).call(1).deadline(Duration::from_millis(50));
    assert_eq!(waits.await, Err(CallError::Deadline));
    TOGETHER.wait(); // the slot is free again
    assert_eq!(client.function(DOUBLE).call(4).await, Ok(8));
}

#[tokio::test]
async fn an_outage_is_waited_out_and_never_unavailable() {
    let (client, _link) = offline();
    let call = client.function(DOUBLE).call(1).fallback(Fallback::Wait);
    assert_eq!(call.timeout(Duration::from_millis(50)).await, Err(CallError::Timeout));
}

#[tokio::test]
async fn a_panic_here_is_an_error() {
    let (client, _link) = offline();
    let end = client.function(NEVER).call(3).await;
    assert_eq!(end, Err(CallError::Panicked { message: "not 3".to_owned() }));
}

#[tokio::test]
async fn an_error_here_is_the_functions_own() {
    let (client, _link) = offline();
    let div = client.function(DIV);
    assert_eq!(div.call((6, 3)).await, Ok(2));
    assert_eq!(div.call((1, 0)).await, Err(CallError::Function("by zero".to_owned())));
    let ends: Vec<_> = div.map([(1, 0), (4, 2)]).collect().await;
    assert_eq!(ends, [Err(CallError::Function("by zero".to_owned())), Ok(2)]);
    let local = client.function(DIV.declaration()).locally(|(a, b)| Err(format!("{a} by {b}")));
    assert_eq!(local.call((6, 3)).await, Err(CallError::Function("6 by 3".to_owned())));
}

#[tokio::test]
async fn what_fails_here_is_tried_again_here() {
    const FLAKY: Function<u32, u32, String> = Function::new("flaky", 1);
    let (client, _link) = offline();
    let runs = AtomicU32::new(0);
    let flaky = client.function(FLAKY).locally(move |from| {
        let run = runs.fetch_add(1, Ordering::Relaxed) + 1;
        if run >= from { Ok(run) } else { Err(format!("run {run}")) }
    });
    let again = Retry::times(2).backoff(Duration::from_millis(1));
    assert_eq!(flaky.call(3).retry(again).await, Ok(3));
    assert_eq!(flaky.call(9).retry(again).await, Err(CallError::Function("run 6".to_owned())));
    assert_eq!(flaky.call(9).await, Err(CallError::Function("run 7".to_owned())));
}

/// An error that cannot travel, of a function that runs here.
#[tokio::test]
async fn an_error_here_is_never_written() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Odd(Nested);
    impl std::fmt::Display for Odd {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("odd")
        }
    }
    const FAIL: PureFunction<Nested, (), Odd> =
        Function::pure("fail", 1, |nested| Err(Odd(nested)));
    let (client, _link) = offline();
    for nested in [None, Some(None)] {
        let end = client.function(FAIL).call(nested).await;
        assert_eq!(end, Err(CallError::Function(Odd(nested))));
    }
}

/// An argument or a value that panics when it is dropped, and that no worker can have.
#[derive(Serialize, Deserialize)]
struct Bomb(Option<Sharp>, Nested);

#[tokio::test]
async fn what_panics_when_it_is_dropped_harms_nobody() {
    const KEEP: PureFunction<Bomb, ()> = Function::pure("keep", 1, std::mem::forget);
    const DROP: PureFunction<Bomb, ()> = Function::pure("drop", 1, drop);
    /// Twice for each run: it has begun, it may end.
    static TOGETHER: Barrier = Barrier::new(2);
    const MAKE: PureFunction<u8, Bomb> = Function::pure("make", 1, |_| {
        TOGETHER.wait();
        TOGETHER.wait();
        Bomb(Some(Sharp), None)
    });
    let bomb = |nested| Bomb(Some(Sharp), nested);
    let (client, _link) = offline_with(1);
    let (keep, drop_it) = (client.function(KEEP), client.function(DROP));
    // Written and dropped at once; kept, and run; kept, and never run.
    assert_eq!(keep.call(bomb(None)).await, Ok(()));
    assert_eq!(keep.call(bomb(Some(None))).await, Ok(()));
    let never = keep.call(bomb(Some(None))).fallback(Fallback::Never).await;
    assert!(matches!(never, Err(CallError::Unsendable { .. })), "{never:?}");
    for nested in [None, Some(None)] {
        let end = drop_it.call(bomb(nested)).await;
        assert!(matches!(end, Err(CallError::Panicked { .. })), "{end:?}");
    }
    // A value that its caller does not take any more: what is behind it runs once it is gone.
    let mut call = client.function(MAKE).call(1);
    assert!((&mut call).now_or_never().is_none());
    TOGETHER.wait();
    drop(call);
    TOGETHER.wait();
    assert_eq!(client.function(DOUBLE).call(4).await, Ok(8));
}

#[tokio::test]
async fn a_body_whose_state_panics_when_it_is_dropped_harms_nobody() {
    const HELD: Function<u8, u8> = Function::new("held", 1);
    /// Twice for the run: it has begun, it may end.
    static TOGETHER: Barrier = Barrier::new(2);
    let (client, _link) = offline_with(1);
    let state = Sharp;
    let held = client.function(HELD).locally(move |n| {
        let _state = &state;
        TOGETHER.wait();
        TOGETHER.wait();
        n
    });
    let mut call = held.call(1);
    assert!((&mut call).now_or_never().is_none());
    TOGETHER.wait();
    drop(held);
    drop(call);
    TOGETHER.wait(); // the run has it last
    let next = timeout(LIMIT, client.function(DOUBLE).call(4));
    assert_eq!(next.await.expect("the thread of the run lives"), Ok(8));
}
