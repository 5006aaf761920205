//! Functions that call others of their own pool.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::TryStreamExt;
use simple_dist::testing::Cluster;
use simple_dist::{CallError, Client, Fallback, Function, PureFunction, job};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// As long as anything here may take before the test is red.
const LIMIT: Duration = Duration::from_secs(100);

const FIB: Function<u64, u64> = Function::new("fib", 1);

/// A cluster that serves `fib`, which calls itself, on workers alone.
async fn cluster(slots: usize) -> Cluster {
    let known = Arc::new(OnceLock::<Client>::new());
    let client = Arc::clone(&known);
    let fib = move |n| {
        let fib = client.get().expect("it is called later").function(FIB);
        let call = |n| fib.call(n).fallback(Fallback::Wait).blocking().expect("a value");
        if n < 2 { n } else { call(n - 1) + call(n - 2) }
    };
    let cluster = Cluster::start().slots(slots).serve(FIB, fib).await;
    known.set(cluster.client().clone()).expect("it is set once");
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fib_by_remote_calls_of_itself() {
    let cluster = cluster(2).await;
    let call = cluster.client().function(FIB).call(13).fallback(Fallback::Wait);
    assert_eq!(timeout(LIMIT, call).await.expect("in time").unwrap(), 233);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_parents_than_slots() {
    let cluster = cluster(2).await;
    let calls = cluster.client().function(FIB).map([2; 4]).fallback(Fallback::Wait);
    let values: Vec<u64> = timeout(LIMIT, calls.try_collect()).await.expect("in time").unwrap();
    assert_eq!(values, [1; 4]);
    cluster.stop().await;
}

/// Each waits while all others have begun, more than may lend their places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_parents_than_may_lend_their_places() {
    let cluster = cluster(1).await;
    let calls = cluster.client().function(FIB).map([3; 300]).in_flight(300);
    let calls = calls.fallback(Fallback::Wait);
    let values: Vec<u64> = timeout(LIMIT, calls.try_collect()).await.expect("in time").unwrap();
    assert_eq!(values, [2; 300]);
    cluster.stop().await;
}

/// Without workers, on the threads for local runs.
#[test]
fn local_runs_that_call_each_other() {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    const LOCAL: PureFunction<u64, u64> = Function::pure("local", 1, |n| {
        let call = |n| CLIENT.wait().function(LOCAL).call(n).blocking().expect("a value");
        if n < 2 { n } else { call(n - 1) + call(n - 2) }
    });
    let client = CLIENT.get_or_init(|| Client::local().unwrap());
    let calls = client.function(LOCAL).map([5; 64]).timeout(LIMIT).blocking();
    assert_eq!(calls.map(Result::unwrap).collect::<Vec<_>>(), [5; 64]);
}

/// What both calls give, awaited in a runtime of the thread's own.
fn awaited(
    one: impl Future<Output = Result<u64, CallError>>,
    other: impl Future<Output = Result<u64, CallError>>,
) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it starts");
    let (one, other) = runtime.block_on(async { tokio::try_join!(one, other) }).expect("values");
    one + other
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_on_threads_that_await_their_calls() {
    let known = Arc::new(OnceLock::<Client>::new());
    let client = Arc::clone(&known);
    let fib = move |n| {
        let fib = client.get().expect("it is called later").function(FIB);
        let call = |n| fib.call(n).fallback(Fallback::Wait);
        if n < 2 { n } else { awaited(call(n - 1), call(n - 2)) }
    };
    let cluster = Cluster::start().slots(2).serve(FIB, fib).await;
    known.set(cluster.client().clone()).expect("it is set once");
    let calls = cluster.client().function(FIB).map([6; 4]).fallback(Fallback::Wait);
    let values: Vec<u64> = timeout(LIMIT, calls.try_collect()).await.expect("in time").unwrap();
    assert_eq!(values, [8; 4]);
    cluster.stop().await;
}

#[test]
fn local_runs_that_await_their_calls() {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    const LOCAL: PureFunction<u64, u64> = Function::pure("local", 1, |n| {
        let call = |n| CLIENT.wait().function(LOCAL).call(n);
        if n < 2 { n } else { awaited(call(n - 1), call(n - 2)) }
    });
    let client = CLIENT.get_or_init(|| Client::local().unwrap());
    let calls = client.function(LOCAL).map([5; 64]).deadline(LIMIT).blocking();
    assert_eq!(calls.map(Result::unwrap).collect::<Vec<_>>(), [5; 64]);
}

/// On a runtime of one thread, which none of them may keep.
#[tokio::test]
async fn local_runs_whose_calls_are_spawned() {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    const LOCAL: PureFunction<u64, u64> = Function::pure("local", 1, |n| {
        let value = |n| {
            let runtime = RUNTIME.wait();
            let task = runtime.spawn(CLIENT.wait().function(LOCAL).call(n));
            runtime.block_on(task).expect("no panic").expect("a value")
        };
        if n < 2 { n } else { value(n - 1) + value(n - 2) }
    });
    RUNTIME.get_or_init(Handle::current);
    let client = CLIENT.get_or_init(|| Client::local().unwrap());
    let calls = client.function(LOCAL).map([5; 64]);
    let values: Vec<u64> = timeout(LIMIT, calls.try_collect()).await.expect("in time").unwrap();
    assert_eq!(values, [5; 64]);
}

/// However many tasks make them.
#[test]
fn what_a_local_run_s_tasks_call_runs_one_at_a_time() {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    static RUNNING: Mutex<()> = Mutex::new(());
    const ALONE: PureFunction<u64, bool> = Function::pure("alone", 1, |n| {
        let alone = RUNNING.try_lock();
        std::thread::sleep(Duration::from_millis(n));
        alone.is_ok()
    });
    const PARENT: PureFunction<u64, bool> = Function::pure("parent", 1, |n| {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("it starts");
        let alone = CLIENT.wait().function(ALONE);
        let tasks = [n; 8].map(|n| runtime.spawn(alone.call(n)));
        tasks.map(|task| runtime.block_on(task).expect("no panic").expect("a value")) == [true; 8]
    });
    let client = CLIENT.get_or_init(|| Client::local().unwrap());
    assert_eq!(client.function(PARENT).call(10).blocking(), Ok(true));
}

/// They wait on tasks, more than there are async slots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_functions_that_call_each_other() {
    let known = Arc::new(OnceLock::<Client>::new());
    let client = Arc::clone(&known);
    let fib = move |n| {
        let client = Arc::clone(&client);
        async move {
            let fib = client.get().expect("it is called later").function(FIB);
            let call = async |n| fib.call(n).fallback(Fallback::Wait).await.expect("a value");
            if n < 2 { n } else { call(n - 1).await + call(n - 2).await }
        }
    };
    let cluster = Cluster::start().async_slots(2).serve_async(FIB, fib).await;
    known.set(cluster.client().clone()).expect("it is set once");
    let calls = cluster.client().function(FIB).map([5; 20]).fallback(Fallback::Wait);
    let values: Vec<u64> = timeout(LIMIT, calls.try_collect()).await.expect("in time").unwrap();
    assert_eq!(values, [5; 20]);
    cluster.stop().await;
}

/// What a job's call of a function that nobody serves has ended with, by a job that does not look.
async fn end_of_a_call_within(
    limit: impl Fn(u64) -> Duration + Send + Sync + 'static,
    use_call: impl AsyncFnOnce(&Client, &mut mpsc::Receiver<Option<CallError>>),
) -> CallError {
    const NOWHERE: Function<u64, u64> = Function::new("nowhere", 1);
    let (told, mut tells) = mpsc::channel(16);
    let known = Arc::new(OnceLock::<Client>::new());
    let client = Arc::clone(&known);
    let parent = move |n| {
        told.blocking_send(None).expect("the test listens");
        let nowhere = client.get().expect("it is called later").function(NOWHERE);
        let call = nowhere.call(n).fallback(Fallback::Wait).deadline(limit(n));
        let end = call.blocking().expect_err("nobody serves it");
        told.blocking_send(Some(end)).expect("the test listens");
        n
    };
    let cluster = Cluster::start().slots(1).serve(FIB, parent).await;
    known.set(cluster.client().clone()).expect("it is set once");
    use_call(cluster.client(), &mut tells).await;
    let end = timeout(LIMIT, tells.recv()).await.expect("in time").flatten();
    cluster.stop().await;
    end.expect("the call within has ended")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_job_s_calls_are_cancelled() {
    let limit = |_| 10 * LIMIT;
    let end = end_of_a_call_within(limit, async |client, tells| {
        let mut call = client.function(FIB).call(1).fallback(Fallback::Wait);
        tokio::select! {
            end = &mut call => panic!("{end:?}"),
            begun = timeout(LIMIT, tells.recv()) => assert_eq!(begun.unwrap(), Some(None)),
        }
    });
    assert_eq!(end.await, CallError::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_s_calls_have_no_more_time_than_itself() {
    let limit = |_| 10 * LIMIT;
    let end = end_of_a_call_within(limit, async |client, tells| {
        let call = client.function(FIB).call(1).fallback(Fallback::Wait);
        let end = call.deadline(Duration::from_secs(3)).await;
        assert_eq!(end, Err(CallError::Deadline));
        assert_eq!(timeout(LIMIT, tells.recv()).await.unwrap(), Some(None));
    });
    assert_eq!(end.await, CallError::Deadline);
}

/// As on a worker.
#[test]
fn a_local_run_s_calls_end_with_its_own() {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    const WAITS: PureFunction<u64, u64> = Function::pure("waits", 1, |n| {
        let job = job::current().expect("it is called");
        assert!(job.attempt() == 0 && !job.is_cancelled() && job.remaining() < LIMIT);
        let call = CLIENT.wait().function(FIB).call(n).fallback(Fallback::Wait).timeout(LIMIT);
        END.set(call.blocking()).expect("it runs once");
        assert!(job.is_cancelled());
        n
    });
    static END: OnceLock<Result<u64, CallError>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| Client::local().unwrap());
    let waits = client.function(WAITS).call(1).deadline(Duration::from_secs(2));
    // Whichever comes first.
    assert!(matches!(waits.blocking(), Ok(1) | Err(CallError::Deadline)));
    assert_eq!(END.wait(), &Err(CallError::Deadline));
}
