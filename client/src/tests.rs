//! Calls as their callers see them, without a broker: the test plays the link, or the whole
//! thread behind the handle.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::json;
use simple_dist_link as link;
use simple_dist_protocol::{Argument, Function, PureFunction, WorkerId, codec, limits};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::answer::{Failed, Value};
use crate::dropped::Shared;
use crate::erased_value::tests::Sharp;
use crate::new_call::{Arguments, NewCall};
use crate::{Answer, CallError, Client, Fallback, Ran, Reason, Retry};

/// As long as anything here may take before the test is red.
const LIMIT: Duration = Duration::from_secs(20);

const DOUBLE: PureFunction<u64, u64> = Function::pure("double", 1, |n| n * 2);
const LENGTH: PureFunction<Vec<u8>, usize> = Function::pure("length", 1, |bytes| bytes.len());
const NEVER: PureFunction<u64, u64> = Function::pure("never", 1, |n| panic!("not {n}"));
const DIV: PureFunction<(i64, i64), i64, String> =
    Function::pure("div", 1, |(a, b)| a.checked_div(b).ok_or_else(|| "by zero".to_owned()));

/// A client whose first connection has failed; it lives as long as the sender.
fn offline() -> (Client, mpsc::Sender<link::Event>) {
    offline_with(2)
}

fn offline_with(local_slots: usize) -> (Client, mpsc::Sender<link::Event>) {
    let (events, link) = mpsc::channel(16);
    let problem = "refused".to_owned();
    let reason = link::Reason::Unreachable { address: "localhost:1".to_owned(), problem };
    events.try_send(link::Event::Down(reason)).unwrap();
    (Client::with_link(link, local_slots), events)
}

/// What a client's thread would see.
struct Seat {
    begins: mpsc::Receiver<NewCall>,
    shared: Arc<Shared>,
}

impl Seat {
    fn begun(&mut self) -> Vec<NewCall> {
        std::iter::from_fn(|| self.begins.try_recv().ok()).collect()
    }
}

fn detached() -> (Client, Seat) {
    let (client, begins, shared) = Client::detached();
    (client, Seat { begins, shared })
}

/// Answers a call of `DOUBLE` as a worker would.
fn answer(begin: NewCall) {
    let Arguments::Encoded(args) = &begin.arguments else { panic!("it cannot travel") };
    let value = Value::Encoded(DOUBLE.erased().run(args).unwrap().into());
    let ran = Ran::Remote { worker: WorkerId::from_u128(7), attempt: 1 };
    let (waited, took) = (Duration::ZERO, Duration::ZERO);
    begin.reply.send(Ok(Answer { value, ran, waited, took })).unwrap();
}

/// The argument of a call of `DOUBLE`.
fn number(begin: &NewCall) -> u64 {
    let Arguments::Encoded(args) = &begin.arguments else { panic!("it cannot travel") };
    codec::decode(args).unwrap()
}

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
    let soon = Duration::from_millis(50);
    let stuck = client.function(STUCK).call(1).deadline(soon);
    assert_eq!(stuck.await, Err(CallError::Deadline));
    let waits = client.function(DOUBLE).call(1).deadline(soon);
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
async fn a_call_by_json_runs_here_if_the_function_is_known() {
    let (client, _link) = offline();
    let div = client.dynamic_with(DIV.erased());
    assert_eq!(div.call_args(&[json!(6), json!(3)]).await, Ok(json!(2)));
    let Err(CallError::Function(failed)) = div.call_args(&[json!(1), json!(0)]).await else {
        panic!("it fails")
    };
    assert_eq!((failed.text.as_str(), failed.error), ("by zero", json!("by zero")));
    let wrong = div.call(json!("six")).await;
    assert!(matches!(wrong, Err(CallError::BadArguments { .. })), "{wrong:?}");
    let unknown = client.dynamic("div").unwrap().call(json!([6, 3])).await;
    assert_eq!(unknown, Err(CallError::Unavailable { reason: Reason::NoConnection }));
    assert!(client.dynamic("Not A Name").is_err());
}

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
    let mut by_json = client.dynamic("double").unwrap().priority(9).call(json!(4));
    assert!((&mut one).now_or_never().is_none() && (&mut other).now_or_never().is_none());
    assert!(many.next().now_or_never().is_none() && (&mut by_json).now_or_never().is_none());
    let priorities: Vec<u8> = seat.begun().iter().map(|call| call.options.priority).collect();
    assert_eq!(priorities, [7, 8, 7, 9]);
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
    assert!(link.is_closed());
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

type Nested = Option<Option<u8>>;

/// What MessagePack cannot carry, as argument and as value.
const SAME: PureFunction<Nested, Nested> = Function::pure("same", 1, |nested| nested);
const UNIT: PureFunction<Option<()>, Option<()>> = Function::pure("unit", 1, |unit| unit);
const DEEPER: PureFunction<Deep, Deep> = Function::pure("deeper", 1, |deep| Deep(vec![deep]));

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Deep(Vec<Self>);

impl Deep {
    fn of(levels: usize) -> Self {
        (1..levels).fold(Self::default(), |deep, _| Self(vec![deep]))
    }
}

/// A call gives what the function gives, also where it has to run here for it.
async fn gives<A, R>(client: &Client, function: PureFunction<A, R>, argument: impl Fn() -> A)
where
    A: Argument,
    R: Argument + std::fmt::Debug + PartialEq,
{
    let answer = client.function(function).call(argument()).detailed().await.unwrap();
    assert_eq!(answer.value, function.run(argument()));
    assert!(matches!(answer.ran, Ran::Local { .. }), "{:?}", answer.ran);
}

#[tokio::test]
async fn what_cannot_be_sent_runs_here_as_it_is() {
    let (client, _link) = offline();
    gives(&client, SAME, || Some(None)).await;
    gives(&client, UNIT, || Some(())).await;
    gives(&client, DEEPER, || Deep::of(limits::DEPTH)).await;
    gives(&client, DEEPER, || Deep::of(limits::DEPTH + 1)).await;
    let answer = client.function(SAME).call(Some(None)).detailed().await.unwrap();
    assert_eq!(answer.ran, Ran::Local { reason: Reason::Unsendable });
    let values: Vec<_> = client.function(SAME).map([None, Some(None)]).collect().await;
    assert_eq!(values, [Ok(None), Ok(Some(None))]);
}

#[tokio::test]
async fn what_cannot_be_sent_is_an_error_where_it_is_not_to_run() {
    let (client, _link) = offline();
    let end = client.function(SAME).call(Some(None)).fallback(Fallback::Never).await;
    let Err(CallError::Unsendable { message }) = end else { panic!("{end:?}") };
    assert!(message.contains("struct"), "it names a way out: {message}");
    let deep = Deep::of(limits::DEPTH + 1);
    let end = client.function(DEEPER).call(deep).fallback(Fallback::Never).await;
    let Err(CallError::Unsendable { message }) = end else { panic!("{end:?}") };
    assert!(message.contains("128"), "it names the limit: {message}");
}

/// JSON has the limits of MessagePack: there is no call by JSON that needs neither.
#[tokio::test]
async fn by_json_a_value_that_cannot_be_written_is_an_error() {
    const NOTHING: PureFunction<(), Nested> = Function::pure("nothing", 1, |()| Some(None));
    let (client, _link) = offline();
    let end = client.dynamic_with(NOTHING.erased()).call_args(&[]).await;
    assert!(matches!(end, Err(CallError::Unsendable { .. })), "{end:?}");
}

/// A run here that needs no wire, of an argument that is too large for it, written or not.
#[tokio::test]
async fn by_json_an_argument_that_is_too_large_runs_here() {
    let (client, _link) = offline();
    let text = "x".repeat(limits::ARGUMENT_BYTES);
    const CHARS: PureFunction<String, usize> = Function::pure("chars", 1, |text| text.len());
    let answer = client.dynamic_with(CHARS.erased()).call(json!(text)).detailed().await.unwrap();
    assert_eq!(answer.value, json!(limits::ARGUMENT_BYTES));
    assert_eq!(answer.ran, Ran::Local { reason: Reason::TooLarge });
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

#[tokio::test]
async fn what_is_too_large_to_travel_runs_here_or_is_refused() {
    let (client, _link) = offline();
    let length = client.function(LENGTH);
    let call = || length.call(vec![200; 7_000_000]);
    let answer = call().detailed().await.unwrap();
    assert_eq!((answer.value, answer.ran), (7_000_000, Ran::Local { reason: Reason::TooLarge }));
    let refused = call().fallback(Fallback::Never).await;
    let limit = limits::ARGUMENT_BYTES as u64;
    assert_eq!(refused, Err(CallError::TooLarge { bytes: 14_000_005, limit }));
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
async fn a_map_keeps_the_order_of_its_arguments_and_says_how_many_are_left() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map(0..5).in_flight(2).ordered();
    assert_eq!(values.size_hint(), (5, Some(5)));
    assert!(values.next().now_or_never().is_none());
    let mut begun = seat.begun();
    assert_eq!(begun.len(), 2);
    answer(begun.pop().unwrap());
    assert!(values.next().now_or_never().is_none());
    assert!(seat.begun().is_empty(), "the second waits for the first and counts as in flight");
    answer(begun.pop().unwrap());
    assert_eq!(values.next().await, Some(Ok(0)));
    assert_eq!(values.next().await, Some(Ok(2)));
    assert_eq!(values.size_hint(), (3, Some(3)));
}

#[tokio::test]
async fn an_unordered_map_gives_values_as_they_come() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map(1..=2).unordered();
    assert!(values.next().now_or_never().is_none());
    let mut begun = seat.begun();
    answer(begun.pop().unwrap());
    assert_eq!(values.next().await, Some(Ok(4)));
    answer(begun.pop().unwrap());
    assert_eq!(values.next().await, Some(Ok(2)));
    assert_eq!(values.next().await, None);
}

#[tokio::test]
async fn where_costs_are_known_the_longest_calls_begin_first_and_values_keep_their_order() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map([3, 9, 1, 9, 5]).cost(|n| *n).in_flight(2);
    let mut waves = vec![];
    let mut items = vec![];
    while items.len() < 5 {
        match values.next().now_or_never() {
            Some(item) => items.push(item.unwrap().unwrap()),
            None => {
                let begun = seat.begun();
                waves.push(begun.iter().map(number).collect::<Vec<_>>());
                begun.into_iter().for_each(answer);
                let left = 5 - items.len();
                assert_eq!(values.size_hint(), (left, Some(left)));
            }
        }
    }
    assert_eq!(waves, [vec![9, 9], vec![5, 3], vec![1]]);
    assert_eq!(items, [6, 18, 2, 18, 10]);
    assert_eq!(values.next().await, None);
}

#[tokio::test]
async fn a_map_by_cost_holds_two_windows_at_most() {
    let (client, mut seat) = detached();
    let taken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let arguments = (0..5_000).inspect(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let mut values = client.function(DOUBLE).map(arguments).cost(|n| *n).in_flight(16);
    // The first value, the cheapest of its window, does not come.
    let (mut first, mut done) = (None, 0);
    let mut quiet = 0;
    while done < 5_000 {
        match values.next().now_or_never() {
            Some(item) => {
                assert_eq!(item, Some(Ok(done * 2)));
                done += 1;
            }
            None => {
                let (held, others): (Vec<_>, Vec<_>) =
                    seat.begun().into_iter().partition(|begin| number(begin) == 0);
                first = held.into_iter().next().or(first);
                quiet = if others.is_empty() { quiet + 1 } else { 0 };
                others.into_iter().for_each(answer);
                if quiet == 3 {
                    let taken = taken.load(std::sync::atomic::Ordering::Relaxed);
                    assert_eq!(taken, 2 * 1024);
                    answer(first.take().unwrap());
                }
                tokio::task::yield_now().await;
            }
        }
    }
    assert_eq!(values.next().await, None);
}

#[tokio::test]
async fn a_map_by_cost_does_not_wait_for_a_window_to_be_full() {
    let (client, mut seat) = detached();
    let arguments = futures_util::stream::iter([1, 2]).chain(futures_util::stream::pending());
    let mut values = client.function(DOUBLE).map_stream(arguments).cost(|n| *n).unordered();
    assert!(values.next().now_or_never().is_none());
    assert_eq!(seat.begun().iter().map(number).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn a_failed_call_does_not_end_its_map() {
    let (client, _link) = offline();
    const ODD: PureFunction<u64, u64> = Function::pure("odd", 1, |n| {
        assert!(n % 2 == 1, "even");
        n
    });
    let items: Vec<_> = client.function(ODD).map(1..=3).collect().await;
    assert!(matches!(items[..], [Ok(1), Err(CallError::Panicked { .. }), Ok(3)]));
}

#[tokio::test]
async fn a_dropped_map_cancels_its_calls() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map(0..9).in_flight(3);
    assert!(values.next().now_or_never().is_none());
    assert_eq!(seat.begun().len(), 3);
    drop(values);
    assert_eq!(seat.shared.dropped.take().len(), 3);
}

#[tokio::test]
async fn keyed_items_say_which_argument_they_are_of() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map([7, 8]).unordered().keyed();
    assert!(values.next().now_or_never().is_none());
    let mut begun = seat.begun();
    answer(begun.pop().unwrap());
    assert_eq!(values.next().await, Some(((1, 8), Ok(16))));
    begun.pop().unwrap().reply.send(Err(CallError::Cancelled)).unwrap();
    assert_eq!(values.next().await, Some(((0, 7), Err(CallError::Cancelled))));
    assert_eq!(values.next().await, None);

    let (client, _link) = offline();
    let named = client.function(DOUBLE).map([7, 8]).keyed_by(|place, n| format!("{place}: {n}"));
    let named: Vec<_> = named.blocking().collect();
    assert_eq!(named, [("0: 7".to_owned(), Ok(14)), ("1: 8".to_owned(), Ok(16))]);
    let mut detailed = client.function(DOUBLE).map([7]).keyed().detailed().blocking();
    let (key, answer) = detailed.next().unwrap();
    assert!(matches!(
        (key, answer),
        ((0, 7), Ok(Answer { value: 14, ran: Ran::Local { .. }, .. }))
    ));
}

#[tokio::test]
async fn a_map_takes_its_arguments_as_they_come() {
    let (client, mut seat) = detached();
    let (send, sent) = tokio::sync::oneshot::channel();
    let arguments = futures_util::stream::iter([1])
        .chain(futures_util::stream::once(async { sent.await.unwrap() }));
    let mut values = client.function(DOUBLE).map_stream(arguments);
    assert!(values.next().now_or_never().is_none());
    answer(seat.begun().pop().unwrap());
    assert_eq!(values.next().await, Some(Ok(2)));
    assert!(values.next().now_or_never().is_none(), "there may be more");
    send.send(2).unwrap();
    assert!(values.next().now_or_never().is_none());
    answer(seat.begun().pop().unwrap());
    assert_eq!(values.next().await, Some(Ok(4)));
    assert_eq!(values.next().await, None);
}

/// However many there are.
#[tokio::test]
async fn a_map_holds_no_more_than_what_is_in_flight() {
    let (client, mut seat) = detached();
    let taken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let arguments = (0..20_000).inspect(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let mut values = client.function(DOUBLE).map(arguments).in_flight(16).unordered().keyed();
    let mut done = 0;
    while done < 20_000 {
        match values.next().now_or_never() {
            Some(Some(((_, n), value))) => {
                assert_eq!(value, Ok(n * 2));
                done += 1;
            }
            Some(None) => panic!("{done} of 20,000"),
            None => {
                seat.begun().into_iter().for_each(answer);
                tokio::task::yield_now().await;
            }
        }
        let taken = taken.load(std::sync::atomic::Ordering::Relaxed);
        assert!(taken <= done + 16, "{taken} taken, {done} done");
    }
    assert_eq!(values.next().await, None);
}

#[tokio::test]
async fn a_map_tells_how_far_it_is() {
    let (client, mut seat) = detached();
    let mut values = client.function(DOUBLE).map(0..5).in_flight(2);
    let mut told = values.progress();
    let mut last = || {
        let progress = told.next().now_or_never()??;
        Some((progress.done, progress.failed, progress.running, progress.total))
    };
    assert_eq!(last(), None);
    assert!(values.next().now_or_never().is_none());
    assert_eq!(last(), Some((0, 0, 2, Some(5))));
    assert_eq!(last(), None, "nothing changed");
    let mut begun = seat.begun().into_iter();
    answer(begun.next().unwrap());
    begun.next().unwrap().reply.send(Err(CallError::Cancelled)).unwrap();
    assert_eq!(values.next().await, Some(Ok(0)));
    assert_eq!(values.next().await, Some(Err(CallError::Cancelled)));
    assert_eq!(last(), Some((2, 1, 1, Some(5))));
    drop(values);
    assert!(told.next().await.is_none());
    let mut none = client.function(DOUBLE).map([]);
    let told = none.progress();
    assert_eq!(none.next().await, None);
    timeout(LIMIT, told.collect::<Vec<_>>()).await.expect("it ends before the map is dropped");
    drop(none);
}

#[tokio::test]
async fn a_whole_map_has_its_times() {
    const STUCK: PureFunction<u8, u8> = Function::pure("stuck", 1, |n| {
        TOGETHER.wait();
        n
    });
    static TOGETHER: Barrier = Barrier::new(2);
    let (client, _link) = offline_with(1);
    let soon = Duration::from_millis(50);
    let stuck = client.function(STUCK).map(0..4).in_flight(2).deadline_all(soon);
    let ends: Vec<_> = timeout(LIMIT, stuck.collect()).await.expect("in time");
    assert_eq!(ends, [(); 4].map(|()| Err(CallError::Deadline)));
    let waits = client.function(DOUBLE).fallback(Fallback::Wait).map(0..3).in_flight(1);
    let waits = waits.timeout_all(soon).collect();
    let ends: Vec<_> = timeout(LIMIT, waits).await.expect("in time");
    assert_eq!(ends, [(); 3].map(|()| Err(CallError::Timeout)));
    TOGETHER.wait();
}
