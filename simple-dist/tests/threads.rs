//! Functions whose threads and tasks call others of their own pool.
#![expect(clippy::disallowed_methods, reason = "functions of users spawn tasks as they like")]

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use futures_util::TryStreamExt;
use simple_dist::testing::Cluster;
use simple_dist::{CallError, Client, Fallback, Function, Handle, Ran, job};
use tokio::runtime::{self, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// As long as anything here may take before the test is red.
const LIMIT: Duration = Duration::from_secs(100);
/// And so many calls of functions that take no time: less than any call waits for its turn.
const SOON: Duration = Duration::from_secs(45);

const FIB: Function<u64, u64> = Function::new("fib", 1);

/// `fib` as a worker of so many slots serves it, by calls of itself, both of them made in this way.
async fn check(
    slots: usize,
    (parents, n): (usize, u64),
    both: impl Fn(&Client, [u64; 2]) -> [u64; 2] + Send + Sync + 'static,
) {
    let known = Arc::new(OnceLock::<Client>::new());
    let client = Arc::clone(&known);
    let fib = move |n| {
        let client = client.get().expect("it is called later");
        if n < 2 { n } else { both(client, [n - 1, n - 2]).iter().sum() }
    };
    let cluster = Cluster::start().slots(slots).serve(FIB, fib).await;
    known.set(cluster.client().clone()).expect("it is set once");
    check_calls(cluster, (parents, n)).await;
}

async fn check_calls(cluster: Cluster, (parents, n): (usize, u64)) {
    let calls = cluster.client().function(FIB).map(vec![n; parents]).in_flight(parents);
    let began = Instant::now();
    let values = calls.fallback(Fallback::Wait).try_collect::<Vec<_>>();
    let values = timeout(LIMIT, values).await.expect("in time");
    let value = [0, 1, 1, 2, 3][n as usize];
    assert_eq!(values, Ok(vec![value; parents]));
    assert!(began.elapsed() < SOON, "they have waited for each other: {:?}", began.elapsed());
    cluster.stop().await;
}

fn call(client: &Client, n: u64) -> u64 {
    client.function(FIB).call(n).fallback(Fallback::Wait).blocking().expect("a value")
}

/// On threads that are known by their name alone.
fn by_threads(client: &Client, both: [u64; 2]) -> [u64; 2] {
    thread::scope(|scope| {
        let threads = both.map(|n| scope.spawn(move || call(client, n)));
        threads.map(|thread| thread.join().expect("a value"))
    })
}

/// On threads that are given their job.
fn by_named_threads(client: &Client, both: [u64; 2]) -> [u64; 2] {
    let job = job::current().expect("a worker runs it");
    thread::scope(|scope| {
        let threads = both.map(|n| {
            let (job, named) = (&job, thread::Builder::new().name("other".to_owned()));
            named.spawn_scoped(scope, move || job.scope(|| call(client, n))).expect("it starts")
        });
        threads.map(|thread| thread.join().expect("a value"))
    })
}

fn runtime() -> Runtime {
    runtime::Builder::new_multi_thread().worker_threads(2).build().expect("it starts")
}

/// In tasks of a runtime of the body's own.
fn by_tasks(client: &Client, both: [u64; 2]) -> [u64; 2] {
    let (job, runtime) = (job::current().expect("a worker runs it"), runtime());
    let tasks = both.map(|n| {
        let call = client.function(FIB).call(n).fallback(Fallback::Wait);
        runtime.spawn(job.scope_async(call))
    });
    tasks.map(|task| runtime.block_on(task).expect("no panic").expect("a value"))
}

/// In tasks of a runtime that know nothing: the body has made their calls.
fn spawned(client: &Client, both: [u64; 2], on: &runtime::Handle) -> [u64; 2] {
    let fib = client.function(FIB).fallback(Fallback::Wait);
    let tasks = both.map(|n| on.spawn(fib.call(n)));
    tasks.map(|task| on.block_on(task).expect("no panic").expect("a value"))
}

/// On threads that know nothing: the body has made their handle.
fn by_handle(client: &Client, both: [u64; 2]) -> [u64; 2] {
    let fib = &client.function(FIB).fallback(Fallback::Wait);
    thread::scope(|scope| {
        let threads = both.map(|n| {
            let named = thread::Builder::new().name("other".to_owned());
            named.spawn_scoped(scope, move || fib.call(n).blocking()).expect("it starts")
        });
        threads.map(|thread| thread.join().expect("no panic").expect("a value"))
    })
}

/// As futures of a runtime of the body's own.
fn by_futures(client: &Client, both: [u64; 2]) -> [u64; 2] {
    let call = |n| client.function(FIB).call(n).fallback(Fallback::Wait);
    let [one, other] = both.map(call);
    let runtime = runtime::Builder::new_current_thread().build().expect("it starts");
    runtime.block_on(async { tokio::try_join!(one, other) }).expect("values").into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_that_a_job_starts() {
    check(2, (4, 4), by_threads).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_that_are_given_their_job() {
    check(2, (4, 4), by_named_threads).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_are_given_their_job() {
    check(2, (4, 4), by_tasks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_pool_that_a_job_starts() {
    check(2, (4, 4), |client, [one, other]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("it starts");
        pool.join(|| call(client, one), || call(client, other)).into()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_whose_calls_the_body_has_made() {
    check(2, (4, 4), |client, both| spawned(client, both, runtime().handle())).await;
}

#[tokio::test]
async fn tasks_on_the_one_thread_of_a_runtime() {
    let runtime = runtime::Handle::current();
    check(2, (4, 4), move |client, both| spawned(client, both, &runtime)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_that_have_a_handle_of_their_job() {
    check(2, (4, 4), by_handle).await;
}

/// No more jobs than slots: one that waits for a thread of the pool lends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_pool_that_jobs_share() {
    rayon::join(|| (), || ()); // its threads have the name of none that runs jobs
    check(2, (2, 2), |client, [one, other]| {
        let fib = client.function(FIB).fallback(Fallback::Wait);
        let call = |n| fib.call(n).blocking().expect("a value");
        rayon::join(|| call(one), || call(other)).into()
    })
    .await;
}

/// More than may lend their places: what the others call runs in place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_limit_on_threads() {
    check(1, (150, 3), by_threads).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_limit_in_runtimes() {
    check(1, (150, 3), by_futures).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_limit_in_tasks() {
    check(1, (150, 3), |client, both| spawned(client, both, runtime().handle())).await;
}

/// Spawns a task that calls.
type Spawn = fn(Handle<u64, u64>, u64) -> JoinHandle<Result<u64, CallError>>;

/// `fib` as an async function, each call of itself in a task that is spawned in this way.
async fn check_async(spawn: Spawn) {
    let known = Arc::new(OnceLock::<Client>::new());
    let client = Arc::clone(&known);
    let fib = move |n| {
        let client = Arc::clone(&client);
        async move {
            let fib = client.get().expect("it is called later").function(FIB);
            let fib = fib.fallback(Fallback::Wait);
            let task = |n| spawn(fib.clone(), n);
            let value = async |n| task(n).await.expect("no panic").expect("a value");
            if n < 2 { n } else { value(n - 1).await + value(n - 2).await }
        }
    };
    let cluster = Cluster::start().async_slots(2).serve_async(FIB, fib).await;
    known.set(cluster.client().clone()).expect("it is set once");
    check_calls(cluster, (20, 4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_of_an_async_function() {
    check_async(|fib, n| {
        tokio::spawn(job::current().expect("a worker runs it").scope_async(fib.call(n)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_whose_calls_an_async_function_has_made() {
    check_async(|fib, n| tokio::spawn(fib.call(n))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_have_a_handle_of_an_async_function() {
    check_async(|fib, n| tokio::spawn(async move { fib.call(n).await })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_that_have_a_handle_of_an_async_function() {
    check_async(|fib, n| tokio::task::spawn_blocking(move || fib.call(n).blocking())).await;
}

/// Waits for a call on another thread than its job's.
type Wait = Box<dyn FnOnce() -> Result<u64, CallError> + Send>;

/// How a call ends that takes for ever, made in this way by a job that has 2 s.
async fn check_end(wait: impl Fn(Handle<u64, u64>) -> Wait + Send + Sync + 'static) {
    const NOWHERE: Function<u64, u64> = Function::new("nowhere", 1);
    let known = Arc::new(OnceLock::<Client>::new());
    let client = Arc::clone(&known);
    let (told, end) = std::sync::mpsc::channel();
    let parent = move |n| {
        let nowhere = client.get().expect("it is called later").function(NOWHERE);
        let wait = wait(nowhere.fallback(Fallback::Wait).timeout(LIMIT));
        let thread = thread::Builder::new().name("other".to_owned()).spawn(wait);
        told.send(thread.expect("it starts").join().expect("no panic")).expect("the test listens");
        n
    };
    let cluster = Cluster::start().slots(1).serve(FIB, parent).await;
    known.set(cluster.client().clone()).expect("it is set once");
    let call = cluster.client().function(FIB).call(1).fallback(Fallback::Wait);
    let call = call.deadline(Duration::from_secs(2));
    assert_eq!(call.await, Err(CallError::Deadline));
    let end = tokio::task::spawn_blocking(move || end.recv_timeout(SOON)).await.expect("no panic");
    assert_eq!(end, Ok(Err(CallError::Deadline)));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_thread_that_is_given_its_job_end_with_the_job() {
    check_end(|nowhere| {
        let job = job::current().expect("a worker runs it");
        Box::new(move || job.scope(|| nowhere.call(1).blocking()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_a_job_has_made_end_with_it_wherever_they_are_waited_for() {
    check_end(|nowhere| {
        let call = nowhere.call(1);
        Box::new(move || call.blocking())
    })
    .await;
    check_end(|nowhere| {
        let (call, runtime) = (nowhere.call(1), runtime());
        Box::new(move || runtime.block_on(call))
    })
    .await;
    check_end(|nowhere| {
        let mut values = nowhere.map([1]).blocking();
        Box::new(move || values.next().expect("one"))
    })
    .await;
}

/// Others than the job may have its handle too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_by_a_job_s_handle_alone_do_not_end_with_it() {
    const LONGER: Duration = Duration::from_secs(5);
    check_end(|nowhere| {
        Box::new(move || {
            let began = Instant::now();
            let end = nowhere.call(1).deadline(LONGER).blocking();
            assert!(began.elapsed() >= LONGER);
            end
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_that_is_kept_from_job_to_job() {
    let kept = OnceLock::new();
    check(2, (4, 4), move |client, both| {
        let fib = kept.get_or_init(|| client.function(FIB).fallback(Fallback::Wait));
        let runtime = runtime();
        let tasks = both.map(|n| runtime.spawn(fib.call(n)));
        tasks.map(|task| runtime.block_on(task).expect("no panic").expect("a value"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_and_a_call_of_a_job_that_has_ended_are_nobody_s() {
    let known = Arc::new(OnceLock::<Client>::new());
    let client = Arc::clone(&known);
    let (tell, told) = std::sync::mpsc::channel();
    let fib = move |n| {
        let fib = client.get().expect("it is called later").function(FIB);
        let call = fib.call(n).fallback(Fallback::Wait).detailed();
        // Also where something holds the job.
        tell.send((job::current(), fib, call)).expect("the test listens");
        n
    };
    let cluster = Cluster::start().slots(1).serve(FIB, fib).await;
    known.set(cluster.client().clone()).expect("it is set once");
    let call = cluster.client().function(FIB).call(1).fallback(Fallback::Wait);
    assert_eq!(call.await, Ok(1));
    let (_job, fib, call) = told.recv().expect("it has run");
    let by_handle = fib.call(2).fallback(Fallback::Wait).detailed().await.map(|answer| answer.ran);
    assert!(matches!(by_handle, Ok(Ran::Remote { .. })), "{by_handle:?}");
    let waits = thread::spawn(|| call.blocking().map(|answer| answer.ran));
    let call = tokio::task::spawn_blocking(|| waits.join().expect("no panic")).await;
    assert!(matches!(call, Ok(Ok(Ran::Remote { .. }))), "{call:?}");
    cluster.stop().await;
}
