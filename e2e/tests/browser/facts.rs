//! What the page shows, and how soon.

use std::time::Duration;

use fantoccini::Locator;
use fantoccini::error::CmdError;
use serde_json::Value;
use simple_dist_client::Fallback;
use simple_dist_demo::functions::{FAIL, FIB, SLEEP};
use simple_dist_e2e::Cluster;
use tokio::task::JoinSet;

use crate::browser::Browser;

/// How soon the page must show the effect of an action on it: in two seconds, if the machine is not busy.
const SOON: Duration = Duration::from_secs(15);
/// Longer than the page takes to bring itself up to date.
const UPDATED: Duration = Duration::from_secs(3);
/// What is shown later has waited for the heartbeat of a connection.
const BEFORE_HEARTBEAT: Duration = Duration::from_secs(6);
/// Longer than a test.
const LONG: Duration = Duration::from_secs(600);
const CHIPS: &str = "#workers a.chip";
const STATES: &str = "#workers .state";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn a_job_appears_soon_and_vanishes_when_it_is_done() -> Result<(), CmdError> {
    let (cluster, address) = Cluster::with_page("node-1").await;
    let browser = Browser::new().await;
    browser.page.goto(&address).await?;
    browser.sees("#age", "live", SOON).await;
    browser.sees("#workers .idle", "idle", SOON).await;
    assert_eq!(browser.texts("#workers .idle").await, ["idle"; 2]);
    let client = cluster.client();
    let mut calls = JoinSet::new();
    calls.spawn(client.function(SLEEP).call(8_000).fallback(Fallback::Wait));
    // Within a second, if the machine is not busy.
    browser.sees(CHIPS, "sleep@1", Duration::from_secs(5)).await;
    browser.sees("#functions tr", "sleep@1", SOON).await;
    browser.sees("h1", "1 of 2 slots busy", SOON).await;
    let value = calls.join_next().await.expect("there is one").expect("it does not panic");
    assert_eq!(value.ok(), Some(8_000));
    browser.misses(CHIPS, "sleep@1", Duration::from_secs(5)).await;
    browser.sees("#jobs tr", "sleep@1", SOON).await;
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn a_killed_worker_is_soon_shown_as_lost() -> Result<(), CmdError> {
    let (mut cluster, address) = Cluster::with_page("stays").await;
    let killed = cluster.worker("goes");
    let browser = Browser::new().await;
    browser.page.goto(&address).await?;
    browser.sees("#workers tr", "goes", SOON).await;
    killed.abort();
    // Within three seconds, if the machine is not busy.
    browser.sees(STATES, "lost", BEFORE_HEARTBEAT).await;
    browser.sees("h1", "One worker was lost", SOON).await;
    assert_eq!(browser.texts("#workers tr.gone").await.len(), 1);
    assert!(browser.text("#workers tr.gone").await.contains("goes"));
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn which_function_fails_and_why_is_seen_at_once() -> Result<(), CmdError> {
    let (cluster, address) = Cluster::with_page("node-1").await;
    let browser = Browser::new().await;
    browser.page.goto(&address).await?;
    browser.sees("#functions tr", "fail@1", SOON).await;
    let client = cluster.client();
    for number in [1, 2] {
        let call = client.function(FAIL).call(format!("order {number} has no customer"));
        assert!(call.fallback(Fallback::Wait).await.is_err());
    }
    browser.sees("#failures tbody td.n", "2", SOON).await;
    let row = browser.text("#failures tbody tr").await;
    for text in ["fail@1", "panicked", "order 2 has no customer", "functions.rs:"] {
        assert!(row.contains(text), "{text}: {row}");
    }
    browser.sees("h1", "2 of the last 2 jobs of fail@1 failed; most often: order 2", SOON).await;
    browser.click("#functions a.bad").await?;
    browser.sees("#jobs tbody tr", "order 1 has no customer", SOON).await;
    assert_eq!(browser.texts("#jobs tbody tr").await.len(), 2);
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn how_far_a_job_is_grows_on_the_page() -> Result<(), CmdError> {
    let (cluster, address) = Cluster::with_page("node-1").await;
    let browser = Browser::new().await;
    browser.page.goto(&address).await?;
    browser.sees("#age", "live", SOON).await;
    let client = cluster.client();
    let mut calls = JoinSet::new();
    calls.spawn(client.function(SLEEP).call(60_000).fallback(Fallback::Wait).timeout(LONG));
    browser.sees(CHIPS, "sleep@1", SOON).await;
    let fraction = async || {
        let asked = "return (document.querySelector('a.chip progress') || { value: 0 }).value";
        let value = browser.page.execute(asked, vec![]).await;
        value.map(|value| value.as_f64().unwrap_or_default())
    };
    let begun = tokio::time::Instant::now();
    let mut seen = vec![];
    while seen.len() < 3 {
        let now = fraction().await?;
        if seen.last().is_none_or(|last| *last < now) && now > 0.0 {
            seen.push(now);
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "{seen:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(calls);
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn the_filter_shows_matching_jobs() -> Result<(), CmdError> {
    let (cluster, address) = Cluster::with_page("node-1").await;
    let client = cluster.client();
    for message in ["a broken pipe", "no paper"] {
        let failed = client.function(FAIL).call(message.to_owned()).fallback(Fallback::Wait).await;
        assert!(failed.is_err());
    }
    let browser = Browser::new().await;
    browser.page.goto(&address).await?;
    browser.sees("#jobs tr", "fib@1", SOON).await;
    let field = browser.page.find(Locator::Css("input[name=q]")).await?;
    field.send_keys("BROKEN").await?;
    browser.misses("#jobs tr", "fib@1", SOON).await;
    browser.sees("#jobs tbody tr", "a broken pipe", SOON).await;
    assert_eq!(browser.texts("#jobs tbody tr").await.len(), 1);
    field.clear().await?;
    browser.page.execute("document.querySelector('input[name=q]').dispatchEvent(new Event('input', { bubbles: true }))", vec![]).await?;
    browser.sees("#jobs tr", "fib@1", SOON).await;
    browser.click("input[name=failed]").await?;
    browser.misses("#jobs tr", "fib@1", SOON).await;
    assert_eq!(browser.texts("#jobs tbody tr").await.len(), 2);
    // The filter is in the address, so the page can be reloaded and shared.
    assert_eq!(browser.page.current_url().await?.query(), Some("failed=on"));
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn one_click_leads_to_a_function_under_a_proxys_path_too() -> Result<(), CmdError> {
    let (cluster, address) = Cluster::with_page_under("/dist", "node-1").await;
    let browser = Browser::new().await;
    browser.page.goto(&format!("{address}/")).await?;
    browser.sees("#age", "live", SOON).await;
    browser.sees("#jobs tr", "fib@1", SOON).await;
    let name = "#functions a.name[href='/dist/functions/fib%401']";
    browser.click(name).await?;
    browser.sees("h1", "fib@1", SOON).await;
    browser.sees("#age", "live", SOON).await;
    browser.sees(".outlook", "1 worker serves it in 2 slots", SOON).await;
    browser.sees("#functions td", "1", SOON).await;
    assert_eq!(browser.texts("#tiles dt").await, ["Done", "Failures", "Wait p95", "Run p95"]);
    // It is as live as the front page.
    let fail = cluster.client().function(FAIL).fallback(Fallback::Wait);
    assert!(fail.call("no paper".to_owned()).await.is_err());
    let fib = cluster.client().function(FIB).fallback(Fallback::Wait);
    assert_eq!(fib.call(12).await.ok(), Some(144));
    browser.sees("section tbody td.n", "2", SOON).await;
    browser.click("section tbody td a[href*='q=c-']").await?;
    browser.sees("#jobs tr", "fib@1", SOON).await;
    assert!(!browser.text("#jobs tbody").await.contains("fail@1"), "another client called it");
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn a_search_for_workers_is_in_the_address_and_stays() -> Result<(), CmdError> {
    let (mut cluster, address) = Cluster::with_page("node-1").await;
    cluster.worker("node-2");
    let browser = Browser::new().await;
    browser.page.goto(&format!("{address}/workers")).await?;
    browser.sees("#workers tr", "node-2", SOON).await;
    browser.page.find(Locator::Css("input[name=q]")).await?.send_keys("idle NODE-1").await?;
    browser.misses("#workers tr", "node-2", SOON).await;
    browser.sees("#workers tbody tr", "node-1", SOON).await;
    assert_eq!(browser.page.current_url().await?.query(), Some("q=idle+NODE-1"));
    browser.page.refresh().await?;
    browser.sees("#age", "live", SOON).await;
    tokio::time::sleep(UPDATED).await;
    assert_eq!(browser.texts("#workers tbody tr").await.len(), 1);
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn a_worker_is_drained_with_the_token_and_not_without() -> Result<(), CmdError> {
    let (cluster, address) = Cluster::with_page("node-1").await;
    let browser = Browser::new().await;
    browser.page.goto(&address).await?;
    browser.sees(STATES, "live", SOON).await;
    assert!(browser.texts("#workers button").await.is_empty());
    // Nor by a request without the button.
    let worker = browser.page.find(Locator::Css("#workers th a")).await?;
    let worker = worker.attr("href").await?.expect("it leads to the worker");
    let ask = "const done = arguments[1]; \
               fetch(arguments[0], { method: 'POST' }).then((answer) => done(answer.status))";
    let path = Value::String(format!("{worker}/drain"));
    let status = browser.page.execute_async(ask, vec![path]).await?;
    assert!(matches!(status.as_u64(), Some(401 | 403)), "{status}");
    assert_eq!(browser.texts(STATES).await, ["live"]);

    browser.page.goto(&format!("{address}/login")).await?;
    browser.page.find(Locator::Css("#token")).await?.send_keys("not it").await?;
    browser.click("form.login button").await?;
    browser.sees("[role=alert]", "not the token", SOON).await;
    browser.page.find(Locator::Css("#token")).await?.send_keys(Cluster::TOKEN).await?;
    browser.click("form.login button").await?;
    browser.sees("#workers button", "Drain", SOON).await;
    browser.click("#workers button").await?;
    browser.sees(STATES, "draining", SOON).await;
    browser.sees("#workers button", "Resume", SOON).await;
    browser.click("#workers button").await?;
    browser.sees(STATES, "live", SOON).await;
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn hostile_names_and_messages_stay_text() -> Result<(), CmdError> {
    let evil =
        "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
    let (cluster, address) = Cluster::with_page(evil).await;
    let failed =
        cluster.client().function(FAIL).fallback(Fallback::Wait).call(evil.to_owned()).await;
    assert!(failed.is_err());
    let browser = Browser::new().await;
    for path in ["/", "/jobs", "/workers"] {
        browser.page.goto(&format!("{address}{path}")).await?;
        let shown = if path == "/jobs" { "#jobs .answer" } else { "#workers .sub" };
        browser.sees(shown, "<script>document.title='owned'", SOON).await;
        browser.sees("#age", "live", SOON).await;
        assert!(browser.page.find_all(Locator::Css("img, main script")).await?.is_empty());
        assert!(!browser.page.title().await?.contains("owned"), "{path}");
    }
    browser.close().await;
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn without_scripts_the_page_shows_the_same() -> Result<(), CmdError> {
    let (cluster, address) = Cluster::with_page("node-1").await;
    let client = cluster.client();
    let failed = client.function(FAIL).call("no paper".to_owned()).fallback(Fallback::Wait).await;
    assert!(failed.is_err());
    let mut calls = JoinSet::new();
    calls.spawn(client.function(SLEEP).call(600_000).fallback(Fallback::Wait).timeout(LONG));
    let parts = ["#workers th", "#workers .state", "#functions th", "#jobs th", "#jobs .answer"];

    let scripted = Browser::new().await;
    scripted.page.goto(&address).await?;
    scripted.sees(CHIPS, "sleep@1", SOON).await;
    scripted.sees("#jobs .answer", "no paper", SOON).await;
    let mut shown = Vec::new();
    for part in parts {
        shown.push(scripted.texts(part).await);
    }
    scripted.close().await;

    let plain = Browser::without_scripts().await;
    plain.page.goto(&address).await?;
    assert!(plain.text("#age").await.starts_with("as of "));
    plain.sees(CHIPS, "sleep@1", Duration::ZERO).await;
    for (part, scripted) in parts.into_iter().zip(shown) {
        assert_eq!(plain.texts(part).await, scripted, "{part}");
    }
    plain.click("input[name=failed]").await?;
    plain.click(".filter button").await?;
    plain.sees("#jobs .answer", "no paper", SOON).await;
    assert_eq!(plain.texts("#jobs tbody tr").await.len(), 1);
    plain.close().await;
    calls.shutdown().await;
    assert_eq!(client.function(FIB).call(10).await.ok(), Some(55));
    cluster.stop().await;
    Ok(())
}
