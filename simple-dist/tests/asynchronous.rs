//! Async functions, on a worker that serves others too.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use simple_dist::testing::Cluster;
use simple_dist::{CallError, Fallback, Function, job};
use tokio::sync::{Barrier, mpsc};
use tokio::time::timeout;

/// As long as anything here may take before the test is red.
const LIMIT: Duration = Duration::from_secs(60);

const MEET: Function<u64, u64> = Function::new("meet", 1);
const STUCK: Function<(), ()> = Function::new("stuck", 1);
const BUSY: Function<(), ()> = Function::new("busy", 1);
const DOUBLE: Function<u64, u64> = Function::new("double", 1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_bodies_run_at_once_as_there_are_async_slots() {
    let all = Arc::new(Barrier::new(100));
    let cluster = Cluster::start()
        .slots(1)
        .serve(DOUBLE, |n| n * 2)
        .async_slots(100)
        .serve_async(MEET, move |n| {
            let all = Arc::clone(&all);
            async move {
                all.wait().await;
                n + 1
            }
        })
        .await;
    let meet = cluster.client().function(MEET).map(0..100).fallback(Fallback::Wait);
    let values: Vec<u64> = timeout(LIMIT, meet.try_collect()).await.unwrap().unwrap();
    assert_eq!(values, (1..=100).collect::<Vec<_>>());
    let double = cluster.client().function(DOUBLE);
    assert_eq!(double.call(4).fallback(Fallback::Wait).await.unwrap(), 8);
    cluster.stop().await;
}

/// It tells when it is dropped.
struct Told(mpsc::Sender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.try_send("dropped").expect("it has room");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_dropped_when_its_call_is_or_when_its_time_has_passed() {
    let (told, mut tells) = mpsc::channel(16);
    let cluster = Cluster::start()
        .async_slots(1)
        .serve_async(STUCK, move |()| {
            let told = told.clone();
            async move {
                let _told = Told(told.clone());
                told.try_send("begun").unwrap();
                std::future::pending().await
            }
        })
        .await;
    let mut tell = async || timeout(LIMIT, tells.recv()).await.expect("in time");
    let stuck = cluster.client().function(STUCK);
    for late in [false, true] {
        let call = stuck.call(()).fallback(Fallback::Wait);
        if late {
            // Long enough to begin.
            let end = call.timeout(Duration::from_secs(3)).await;
            assert!(matches!(end, Err(CallError::Timeout)), "{end:?}");
            assert_eq!(tell().await, Some("begun"));
        } else {
            let mut call = call;
            tokio::select! {
                end = &mut call => panic!("{end:?}"),
                begun = tell() => assert_eq!(begun, Some("begun")),
            }
        }
        assert_eq!(tell().await, Some("dropped"));
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_on_a_thread_sees_that_its_call_was_dropped() {
    let (told, mut tells) = mpsc::channel(16);
    let cluster = Cluster::start()
        .serve(BUSY, move |()| {
            let job = job::current().expect("a worker runs it");
            told.try_send(job.attempt()).unwrap();
            while !job.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(!job.remaining().is_zero());
            told.try_send(0).unwrap();
        })
        .await;
    let mut call = cluster.client().function(BUSY).call(()).fallback(Fallback::Wait);
    tokio::select! {
        end = &mut call => panic!("{end:?}"),
        begun = timeout(LIMIT, tells.recv()) => assert_eq!(begun.unwrap(), Some(1)),
    }
    drop(call);
    assert_eq!(timeout(LIMIT, tells.recv()).await.unwrap(), Some(0));
    cluster.stop().await;
}
