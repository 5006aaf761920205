//! What the page of a real distributor shows of real workers.

use std::time::Duration;

use serde_json::Value;
use simple_dist_client::Fallback;
use simple_dist_demo::functions::SLEEP;

use crate::cluster::{Cluster, Role, TIMEOUT, free_port, get, json, now, served_by, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_mid_job_is_soon_lost_on_the_page() {
    let mut took = Vec::new();
    // If the distributor itself froze for a second, it restarts all timeouts; then the test
    // repeats. Without the timeouts, a heartbeat would be missed after eight seconds.
    while took.last().is_none_or(|took| *took > Duration::from_secs(6)) {
        assert!(took.len() < 5, "{took:?}");
        took.push(lost_after().await);
    }
}

/// How long after its death a busy worker is shown as lost.
async fn lost_after() -> Duration {
    let cluster = Cluster::new().await;
    let site = free_port();
    let _distributor = cluster.start(&["distributor", "--listen", &site]);
    // The jobs of an isolated one are placed again before it is lost.
    let arguments = ["worker", "--slots", "1", "--isolation", "thread"];
    let mut doomed = cluster.start(&arguments);
    let client = cluster.client();
    let id = served_by(&client, 1).await[0].to_string();
    let sleep = client.function(SLEEP);
    let mut calls = tokio::task::JoinSet::new();
    calls.spawn(async move { sleep.call(60_000).fallback(Fallback::Wait).await });
    let worker = || json(&site, &format!("/api/v1/workers/{id}"));
    until("it is busy", || worker()["busy"] == 1).await;

    doomed.kill();
    let killed = now();
    until("it is lost", || worker()["state"] == "lost").await;
    let took = killed.elapsed();
    assert_eq!(worker()["gave_back"], 1);
    let html = get(&site, "/");
    assert!(html.contains("<span class=\"state lost\">lost</span>"), "{html}");
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_has_left_and_is_not_lost() {
    let cluster = Cluster::new().await;
    let site = free_port();
    let _distributor = cluster.start(&["distributor", "--listen", &site]);
    let client = cluster.client();
    let mut took = vec![];
    // What the worker runs when it is stopped, its grace time, and how many signals it gets.
    for (runs, grace, times) in [
        (None, "30s", 1),
        (Some(3_000), "30s", 1),
        (Some(3_000), "30s", 1),
        (Some(20_000), "300ms", 1),
        (Some(20_000), "30s", 2),
    ] {
        let worker = cluster.start(&["worker", "--slots", "1", "--grace", grace]);
        let id = served_by(&client, 1).await[0].to_string();
        // At first, the view may not list the worker yet.
        let worker_now = || -> Value {
            let workers = json(&site, "/api/v1/workers");
            let all = workers.as_array().expect("a list");
            all.iter().find(|worker| worker["id"] == id).cloned().unwrap_or_default()
        };
        let sleep = client.function(SLEEP);
        let mut calls = tokio::task::JoinSet::new();
        if let Some(millis) = runs {
            calls.spawn(async move { sleep.call(millis).fallback(Fallback::Wait).await });
            until("it is busy", || worker_now()["busy"] == 1).await;
        }
        for _ in 1..times {
            worker.tell_to_stop();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let ended = tokio::task::spawn_blocking(|| worker.stop()).await.expect("it is waited for");
        assert!(ended, "{runs:?} {grace} {times}");
        let stopped = now();
        until("it has left", || worker_now()["state"] == "left").await;
        took.push(stopped.elapsed());
    }
    // With the next view, which a busy machine may hold up.
    took.sort_unstable();
    assert!(took[2] < Duration::from_secs(5), "{took:?}");
    assert_eq!(json(&site, "/api/v1/status")["books"]["events"]["lost"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_behind_long_ones_are_not_placed_and_handed_back_repeatedly() {
    let cluster = Cluster::new().await;
    let site = free_port();
    let _distributor = cluster.start(&["distributor", "--listen", &site]);
    let _worker = cluster.start(&["worker", "--slots", "2"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let sleep = client.function(SLEEP);
    // Short jobs for two beats, so that the worker prefetches.
    let begun = now();
    while begun.elapsed() < Duration::from_millis(2500) {
        let calls = (0..20).map(|_| sleep.call(1));
        futures_util::future::join_all(calls).await;
    }
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let call = sleep.call(120_000).fallback(Fallback::Wait);
        calls.spawn(call);
    }
    let returned = || {
        let status = json(&site, "/api/v1/status");
        status["books"]["events"]["returned"].as_u64().expect("it is counted")
    };
    // The jobs behind the first long one in a list are handed back once, not once a second.
    let begun = now();
    let mut before = None;
    while before != Some(returned()) {
        assert!(begun.elapsed() < TIMEOUT, "{before:?}");
        before = Some(returned());
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let jobs = json(&site, "/api/v1/jobs?state=under_way");
    let under_way = jobs.as_array().expect("a list");
    assert_eq!(under_way.len(), 12, "{jobs}");
    assert!(under_way.iter().all(|job| job["attempts"].as_u64() <= Some(1)), "{jobs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_shown_only_where_the_operator_says_so() {
    for (said, told) in [("1", Some("123")), ("", None)] {
        let cluster = Cluster::new().await;
        let site = free_port();
        let mut distributor = cluster.command(&["distributor", "--listen", &site]);
        let _distributor = Role::run(distributor.env("SIMPLE_DIST_PREVIEW_ARGUMENTS", said));
        let _worker = cluster.start(&["worker"]);
        let client = cluster.client();
        served_by(&client, 1).await;
        client.function(SLEEP).call(123).fallback(Fallback::Wait).await.expect("it is answered");
        let mut job = Value::Null;
        until("it is listed", || {
            let recent = json(&site, "/api/v1/jobs?state=ended");
            let mut jobs = recent.as_array().expect("a list").iter();
            job = jobs.find(|job| job["function"] == "sleep@1").cloned().unwrap_or_default();
            !job.is_null()
        })
        .await;
        assert_eq!(job["arguments"].as_str(), told, "{job}");
        let id = job["id"].as_str().expect("it has an id");
        assert_eq!(get(&site, &format!("/jobs/{id}")).contains("Arguments"), told.is_some());
    }
}
