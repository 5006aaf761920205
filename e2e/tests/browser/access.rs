//! Whoever reads the page by keyboard, by ear or with weak eyes, and whoever reads it while it changes.

use std::collections::BTreeSet;
use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::error::CmdError;
use serde_json::{Value, json};
use simple_dist_client::Fallback;
use simple_dist_demo::functions::{FAIL, FIB, SLEEP};
use simple_dist_e2e::Cluster;
use tokio::task::JoinSet;

use crate::browser::Browser;

/// How soon the page must show something, on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// Longer than the page takes to bring itself up to date.
const UPDATED: Duration = Duration::from_secs(3);
/// Longer than a test.
const LONG: Duration = Duration::from_secs(600);
const TAB: char = '\u{e004}';
/// How long the page is watched.
const WATCHED: Duration = Duration::from_secs(10);
/// Layout shift as browsers measure it, of which 0.1 counts as good: a fiftieth of the window, by a tenth
/// of its height.
const SHIFT: f64 = 0.002;

/// A failed job, a running one and a finished one.
async fn at_work() -> (Cluster, String, JoinSet<()>) {
    let (cluster, address) = Cluster::with_page("node-1").await;
    let client = cluster.client();
    assert!(
        client.function(FAIL).call("no paper".to_owned()).fallback(Fallback::Wait).await.is_err()
    );
    let mut calls = JoinSet::new();
    let call = client.function(SLEEP).call(600_000).fallback(Fallback::Wait).timeout(LONG);
    calls.spawn(async { _ = call.await });
    (cluster, address, calls)
}

/// Everything that can be followed or pressed, by what tells it apart.
const REACHABLE: &str = "
    return [...document.querySelectorAll('a[href], button, input')]
        .filter((it) => it.tabIndex >= 0 && it.getClientRects().length && !it.closest('[hidden]'))
        .map((it) => [it.localName, it.getAttribute('href'), it.name, it.form?.getAttribute('action'),
            it.getAttribute('href') ? '' : it.textContent].join(' '))";
/// The same of what has the focus, and whether that is seen.
const FOCUSED: &str = "
    const it = document.activeElement;
    const style = getComputedStyle(it);
    const isSeen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    return [[it.localName, it.getAttribute('href'), it.name, it.form?.getAttribute('action'),
        it.getAttribute('href') ? '' : it.textContent].join(' '), isSeen, it === document.body]";

async fn reachable(browser: &Browser) -> BTreeSet<String> {
    let found = browser.asks(REACHABLE).await;
    serde_json::from_value(found).expect("it is a list of texts")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn the_keyboard_reaches_whatever_a_mouse_does_and_shows_where_it_is() -> Result<(), CmdError>
{
    let (cluster, address, calls) = at_work().await;
    let browser = Browser::new().await;
    browser.log_in(&address).await?;
    browser.sees("#failures button", "Run again", SOON).await;
    browser.sees("#workers button", "Drain", SOON).await;
    // The page is live all the while: what comes or goes in the meantime may be missed.
    let (before, mut reached) = (reachable(&browser).await, BTreeSet::new());
    for _ in 0..before.len() * 2 + 20 {
        let presses = KeyActions::new("keys".to_owned());
        let presses =
            presses.then(KeyAction::Down { value: TAB }).then(KeyAction::Up { value: TAB });
        browser.page.perform_actions(presses).await?;
        let focused = browser.asks(FOCUSED).await;
        let (Some(name), Some(seen)) = (focused[0].as_str(), focused[1].as_bool()) else {
            panic!("{focused}")
        };
        if focused[2] == json!(true) {
            // After the last one, or where an update has just taken away what had the focus.
            continue;
        }
        assert!(seen, "nobody sees that this has the focus: {name}");
        reached.insert(name.to_owned());
    }
    let after = reachable(&browser).await;
    let missed: Vec<_> = before.intersection(&after).filter(|it| !reached.contains(*it)).collect();
    assert!(missed.is_empty() && before.len() > 20, "{missed:#?} of {before:#?}");
    // The page is updated under the focus, which stays.
    browser.asks("document.querySelector('#workers button').focus()").await;
    tokio::time::sleep(UPDATED).await;
    let focused = browser.asks(FOCUSED).await;
    assert!(focused[0].as_str().is_some_and(|it| it.contains("/drain")), "{focused}");
    browser.close().await;
    drop(calls);
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn every_page_can_be_read_by_ear_and_with_weak_eyes() -> Result<(), CmdError> {
    let (cluster, address, calls) = at_work().await;
    for (scheme, arguments) in
        [("light", vec![]), ("dark", vec!["--blink-settings=preferredColorScheme=0"])]
    {
        let browser = Browser::with(&arguments).await;
        browser.log_in(&address).await?;
        let is_so = format!("return matchMedia('(prefers-color-scheme: {scheme})').matches");
        assert_eq!(browser.asks(&is_so).await, json!(true), "{scheme}");
        browser.sees("#failures button", "Run again", SOON).await;
        let first = "const [worker, job] = ['#workers th a', '#jobs th a']
            .map((it) => document.querySelector(it).getAttribute('href')); return [worker, job]";
        let found: Vec<String> = serde_json::from_value(browser.asks(first).await).expect("texts");
        let fixed =
            ["/", "/functions", "/functions/fail@1", "/jobs", "/workers", "/history", "/login"];
        let further = ["/actions", "/workers/drain", "/jobs/cancel?function=sleep", "/jobs/nobody"];
        for path in fixed.into_iter().chain(further).chain(found.iter().map(String::as_str)) {
            browser.page.goto(&format!("{address}{path}")).await?;
            let faults = browser.asks(include_str!("audit.js")).await;
            assert_eq!(faults, json!([]), "{scheme} {path}");
        }
        browser.close().await;
    }
    drop(calls);
    cluster.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromedriver: cargo test -p simple-dist-e2e --test browser -- --ignored"]
async fn nothing_on_the_page_jumps_or_is_animated_while_it_changes() -> Result<(), CmdError> {
    let (cluster, address, mut calls) = at_work().await;
    let client = cluster.client();
    // The table of jobs is full, so that it does not grow any more.
    let fills = client.function(FIB).map(0..20).in_flight(4);
    assert_eq!(futures_util::StreamExt::count(fills.ordered()).await, 20);
    calls.spawn(async move {
        for number in 0.. {
            _ = client.function(FIB).call(20 + number % 5).await;
            _ = client.function(SLEEP).call(700).await;
            // Long enough to be seen idle.
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    });
    let browser = Browser::new().await;
    // What is not in the window does not count.
    browser.page.set_window_size(1280, 2400).await?;
    // New jobs push the others down, so the list shows only the one that failed.
    browser.page.goto(&format!("{address}/?q=no+paper")).await?;
    browser.sees("#functions tr", "sleep@1", SOON).await;
    let watch = format!(
        "const done = arguments[0];
         const seen = {{ shift: 0, what: [], animations: 0, updates: 0 }};
         new PerformanceObserver((list) => {{
             for (const entry of list.getEntries()) {{
                 seen.shift += entry.value;
                 seen.what.push(...entry.sources.map((it) => it.node?.parentElement?.outerHTML.slice(0, 150)));
             }}
         }}).observe({{ type: 'layout-shift' }});
         new MutationObserver(() => seen.updates++).observe(document.body, {{ childList: true, subtree: true }});
         const looks = setInterval(() => (seen.animations += document.getAnimations().length), 50);
         setTimeout(() => {{ clearInterval(looks); done(seen) }}, {})",
        WATCHED.as_millis()
    );
    let seen = browser.page.execute_async(&watch, vec![]).await?;
    let number = |name: &str| seen.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    assert!(number("updates") > 10.0, "nothing changed: {seen}");
    assert!(number("shift") <= SHIFT, "{seen:#}");
    // For those who prefer reduced motion as for everybody.
    assert!(number("animations") == 0.0, "{seen}");
    browser.close().await;
    calls.shutdown().await;
    cluster.stop().await;
    Ok(())
}
