//! What an operator comes to find out: each in at most two clicks from the front page.

use std::time::Duration;

use fantoccini::error::CmdError;
use simple_dist_client::Fallback;
use simple_dist_demo::functions::{FAIL, SLEEP};
use simple_dist_e2e::Cluster;
use tokio::task::JoinSet;

use crate::browser::Browser;

/// How soon the page must show something, on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// A minute of the clock must pass, on a busy machine.
const A_MINUTE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn who_ran_a_job_and_where_it_is_now() -> Result<(), CmdError> {
    let (cluster, address) = Cluster::with_page("node-1").await;
    let failed =
        cluster.client().function(FAIL).fallback(Fallback::Wait).call("no paper".to_owned()).await;
    assert!(failed.is_err());
    let browser = Browser::new().await;
    browser.page.goto(&address).await?;
    browser.sees("#jobs .answer", "no paper", SOON).await;
    let worker = browser.text("#workers th a").await;
    browser.click("#jobs tbody th a").await?;
    browser.sees(".facts", &worker, SOON).await;
    browser.click(".facts a[href^='/workers/']").await?;
    browser.sees("h1 .state", "live", SOON).await;
    browser.sees(".facts", "node-1", SOON).await;
    // How busy its machine is.
    browser.sees(".facts", "GiB", SOON).await;
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn whether_it_is_safe_to_restart_workers() -> Result<(), CmdError> {
    let (mut cluster, address) = Cluster::with_page("node-1").await;
    let browser = Browser::new().await;
    browser.page.goto(&address).await?;
    browser.click("nav a[href='/workers']").await?;
    browser.click("a[href^='/workers/drain']").await?;
    browser.sees("#meant", "1 worker with 2 slots, running no jobs", SOON).await;
    browser.sees("section .warn", "Then no worker takes", SOON).await;
    cluster.worker("node-2");
    browser.page.goto(&format!("{address}/workers/drain?q=node-1")).await?;
    browser.sees("#meant", "1 other worker with 2 slots takes jobs", Duration::from_secs(20)).await;
    assert!(browser.text("section .warn").await.is_empty());
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn what_was_slow_at_a_time_of_the_day() -> Result<(), CmdError> {
    let (cluster, address) = Cluster::with_page("node-1").await;
    let client = cluster.client();
    assert_eq!(client.function(SLEEP).fallback(Fallback::Wait).call(1200).await.ok(), Some(1200));
    let browser = Browser::new().await;
    browser.page.goto(&address).await?;
    browser.click("nav a[href='/history']").await?;
    browser.sees(".rows td", "sleep@1", A_MINUTE).await;
    let row = browser.text(".rows tbody tr").await;
    // On a busy machine some seconds more.
    let seconds = (1..10).any(|run| row.contains(&format!("run p95 {run}.")));
    assert!(seconds && row.contains(" s"), "{row}");
    browser.click(".rows tbody th a").await?;
    browser.sees(".rows td", "sleep@1", SOON).await;
    assert!(browser.text(".outlook").await.contains("a step is 20 s"));
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn a_failed_job_is_run_again_and_many_are_cancelled() -> Result<(), CmdError> {
    let (cluster, address) = Cluster::with_page("node-1").await;
    let client = cluster.client();
    let failed = client.function(FAIL).fallback(Fallback::Wait).call("no paper".to_owned()).await;
    assert!(failed.is_err());
    let browser = Browser::new().await;
    browser.log_in(&address).await?;
    browser.sees("#failures button", "Run again", SOON).await;
    browser.click("#failures button").await?;
    browser.sees("h1", "fail@1, run again: panicked", Duration::from_secs(30)).await;
    browser.sees(".value", "no paper", SOON).await;

    let mut calls = JoinSet::new();
    for _ in 0..8 {
        calls.spawn(client.function(SLEEP).call(60_000).fallback(Fallback::Wait));
    }
    browser.page.goto(&format!("{address}/functions/sleep@1")).await?;
    browser.click("a[href^='/jobs/cancel']").await?;
    browser.sees("#meant", "This would cancel 8 jobs", SOON).await;
    browser.click("form.act button").await?;
    browser.sees("td", "cancelled 8 jobs: sleep@1", SOON).await;
    browser.sees("td", "retried job", SOON).await;
    while let Some(ended) = calls.join_next().await {
        assert!(ended.expect("no panic").is_err());
    }
    browser.close().await;
    cluster.stop().await;
    Ok(())
}
