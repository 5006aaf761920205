//! Workers and distributors die, calls do not.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use simple_dist_client::{CallError, Fallback, Ran};
use simple_dist_demo::functions::{ABORT, FIB, SLEEP};

use crate::cluster::{
    AT_ONCE, BEFORE_TIMEOUT, Cluster, free_port, is_remote, local_at_once, phase, served_by, timed,
    until,
};
use simple_dist_e2e::BrokerSite;

#[tokio::test]
async fn a_killed_worker_loses_no_job_and_none_takes_more_than_three_attempts() {
    let cluster = Cluster::new().await;
    let _distributor = cluster.start(&["distributor"]);
    let mut doomed = cluster.start(&["worker", "--slots", "2"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let _other = cluster.start(&["worker", "--slots", "2"]);
    served_by(&client, 2).await;

    let sleep = client.function(SLEEP);
    let calls = (0..20).map(|_| sleep.call(500).fallback(Fallback::Wait).detailed());
    let (answers, ()) = tokio::join!(join_all(calls), async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        doomed.kill();
    });
    for answer in answers {
        let answer = answer.expect("every job is answered");
        assert!(matches!(answer.ran, Ran::Remote { attempt: 1..=3, .. }), "{:?}", answer.ran);
    }
}

#[tokio::test]
async fn without_workers_calls_are_local_and_with_one_again_remote() {
    let cluster = Cluster::new().await;
    let _distributor = cluster.start(&["distributor"]);
    let mut worker = cluster.start(&["worker"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let fib = client.function(FIB);

    // Without its will the worker would be lost 1.5 to 2.5 s after its end. On a busy machine one
    // death of some is told at once all the same.
    let mut first = vec![];
    while first.iter().all(|took| *took >= Duration::from_secs(1)) {
        assert!(first.len() < 8, "{first:?}");
        worker.kill();
        let (answer, took) = timed(fib.call(20)).await;
        assert!(!is_remote(&answer.expect("it is answered")));
        first.push(took);
        assert!(local_at_once(&client).await < AT_ONCE);
        worker = cluster.start(&["worker"]);
        served_by(&client, 1).await;
    }
}

#[tokio::test]
async fn a_distributor_killed_with_a_hundred_jobs_and_restarted_loses_none() {
    let cluster = Cluster::new().await;
    let mut distributor = cluster.start(&["distributor"]);
    let _worker = cluster.start(&["worker", "--slots", "10"]);
    let client = cluster.client();
    served_by(&client, 1).await;

    let sleep = client.function(SLEEP);
    let calls = (0..100).map(|_| sleep.call(300).detailed());
    let (answers, _restarted) = tokio::join!(join_all(calls), async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        distributor.kill();
        tokio::time::sleep(Duration::from_secs(5)).await;
        cluster.start(&["distributor"])
    });
    for answer in answers {
        assert_eq!(answer.expect("every job is answered").value, 300);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_active_distributors_one_steps_down() {
    // RabbitMQ lets nobody else delete a lock, so this uses the embedded broker.
    let (site, faults) = BrokerSite::with_faults().await;
    let cluster = Cluster { site };
    let pages = [free_port(), free_port()];
    let _distributors =
        pages.each_ref().map(|page| cluster.start(&["distributor", "--listen", page]));
    let _worker = cluster.start(&["worker"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let leads = |page: &String| phase(page).as_deref() == Some("active");
    let lead = || pages.iter().filter(|page| leads(page)).count();
    until("one of them leads", || lead() == 1).await;
    let standby = pages.iter().find(|page| !leads(page)).expect("one stands by");

    let lock = format!("{}.leader.1", cluster.site.prefix);
    assert!(faults.delete_queue(&lock).await.expect("the broker lives"));
    until("the other takes the lock", || leads(standby)).await;
    until("one of them steps down", || lead() < 2).await;
    served_by(&client, 1).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(lead() < 2, "it stays so");
    }
    until("one goes on", || lead() == 1).await;
}

#[tokio::test]
async fn a_standby_takes_over_and_every_job_stays_remote() {
    let cluster = Cluster::new().await;
    let mut active = cluster.start(&["distributor"]);
    let _worker = cluster.start(&["worker", "--slots", "10"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let page = free_port();
    let _standby = cluster.start(&["distributor", "--listen", &page]);
    until("it stands by", || phase(&page).as_deref() == Some("standby")).await;

    let sleep = client.function(SLEEP);
    let calls = (0..100).map(|_| sleep.call(300).fallback(Fallback::Wait).detailed());
    let (answers, ()) = tokio::join!(join_all(calls), async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        active.kill();
    });
    for answer in answers {
        assert!(is_remote(&answer.expect("every job is answered")));
    }
}

#[tokio::test]
async fn a_job_that_kills_its_worker_is_poisoned_and_harms_no_other() {
    let cluster = Cluster::new().await;
    let _distributor = cluster.start(&["distributor"]);
    let arguments = ["worker", "--slots", "4", "--isolation", "thread", "--with-abort"];
    let mut workers = [cluster.start(&arguments), cluster.start(&arguments)];
    let client = cluster.client();
    served_by(&client, 2).await;

    let done = AtomicBool::new(false);
    let restarts = async {
        while !done.load(Ordering::Relaxed) {
            for worker in &mut workers {
                if worker.has_ended() {
                    *worker = cluster.start(&arguments);
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let calls = async {
        let sleep = client.function(SLEEP);
        let abort = client.function(ABORT);
        let innocents = (0..20).map(|_| sleep.call(200).detailed());
        let ends = tokio::join!(abort.call(()).detailed(), join_all(innocents));
        done.store(true, Ordering::Relaxed);
        ends
    };
    let ((killer, innocents), ()) = tokio::join!(calls, restarts);

    let Err(CallError::Poisoned { workers, .. }) = killer else { panic!("{killer:?}") };
    let named: BTreeSet<_> = workers.iter().collect();
    assert!((2..=3).contains(&named.len()), "{workers:?}");
    for innocent in innocents {
        assert_eq!(innocent.expect("innocents end well").value, 200);
    }
}

/// The caller is this process: were the job run here, that would be its end.
#[tokio::test]
async fn what_killed_the_only_worker_does_not_kill_its_caller_after_its_timeout() {
    let cluster = Cluster::new().await;
    let _distributor = cluster.start(&["distributor"]);
    let arguments = ["worker", "--slots", "1", "--isolation", "thread", "--with-abort"];
    let mut worker = cluster.start(&arguments);
    let client = cluster.client();
    served_by(&client, 1).await;

    let ended = client.function(ABORT).call(()).timeout(Duration::from_secs(12)).await;
    assert!(worker.has_ended());
    assert!(matches!(ended, Err(CallError::Suspect { .. })), "{ended:?}");
}

#[tokio::test]
async fn a_clean_stop_of_a_worker_under_load_loses_nothing() {
    let cluster = Cluster::new().await;
    let _distributor = cluster.start(&["distributor"]);
    let leaving = cluster.start(&["worker", "--slots", "2"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let _other = cluster.start(&["worker", "--slots", "2"]);
    served_by(&client, 2).await;

    let sleep = client.function(SLEEP);
    let calls = (0..20).map(|_| sleep.call(300).fallback(Fallback::Wait).detailed());
    let (answers, stopped) = tokio::join!(join_all(calls), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::task::spawn_blocking(|| leaving.stop()).await.expect("it can be waited for")
    });
    assert!(stopped);
    for answer in answers {
        let answer = answer.expect("every job is answered");
        assert!(matches!(answer.ran, Ran::Remote { .. }));
    }
}

#[tokio::test]
async fn a_frozen_worker_costs_its_jobs_nothing_but_time_and_serves_again() {
    let cluster = Cluster::new().await;
    let _distributor = cluster.start(&["distributor"]);
    let frozen = cluster.start(&["worker", "--slots", "2"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let _other = cluster.start(&["worker", "--slots", "2"]);
    served_by(&client, 2).await;

    let sleep = client.function(SLEEP);
    let calls = (0..6).map(|_| timed(sleep.call(500).fallback(Fallback::Wait)));
    let (answers, ()) = tokio::join!(join_all(calls), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        frozen.freeze();
    });
    for (answer, took) in answers {
        assert!(is_remote(&answer.expect("every job is answered")));
        // The broker notices after two or three heartbeats of 4 s.
        assert!(took < BEFORE_TIMEOUT, "not by its timeout of a minute: {took:?}");
    }
    frozen.thaw();
    served_by(&client, 2).await;
}
