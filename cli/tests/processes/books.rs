//! The counts on the page and in the API come from the scheduler: they add up at every look, under
//! load, while workers are killed and the distributor loses its link.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use simple_dist_client::{Client, Fallback};
use simple_dist_demo::functions::{FAIL, FIB, SLEEP};
use simple_dist_e2e::Relay;
use ureq::Agent;

use crate::cluster::{Cluster, free_port, served_by};

/// The number of samples.
const SAMPLES: usize = 1_000;
/// The page is sampled once per this many samples.
const PAGE_EVERY: usize = 50;
/// How often it is tried to get the page of one view: on a busy machine views pass by.
const TRIES: usize = 50;
/// The pause between samples: together they see some hundred views.
const PAUSE: Duration = Duration::from_millis(25);
/// How long one response may take.
const ANSWER: Duration = Duration::from_secs(10);

/// The entries of the counts, in the API and on the page.
const ENTRIES: [(&str, &str); 8] = [
    ("accepted", "accepted"),
    ("queued", "queued"),
    ("placed", "placed"),
    ("running", "running"),
    ("done", "done"),
    ("failed", "failed"),
    ("timed_out", "timed out"),
    ("cancelled", "cancelled"),
];

/// What the samples saw.
#[derive(Debug, Default)]
struct Seen {
    views: BTreeSet<u64>,
    pages: usize,
    /// The most unfinished jobs at once, and the ended jobs.
    under_way: u64,
    ended: u64,
    terms: BTreeSet<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_books_balance_at_a_thousand_samples_under_load_with_kills() {
    let cluster = Cluster::new().await;
    let relay = Relay::before(&cluster.site.url).await;
    let site = free_port();
    let arguments = ["distributor", "--listen", &site];
    let _distributor = cluster.start_at(&relay.url(&cluster.site.url), &arguments);
    let worker = || cluster.start(&["worker", "--slots", "4"]);
    let mut workers = [worker(), worker(), worker()];
    let client = cluster.client();
    served_by(&client, 2).await;

    let over = Arc::new(AtomicBool::new(false));
    let harm = async {
        for round in 0.. {
            tokio::time::sleep(Duration::from_secs(2)).await;
            if over.load(Ordering::Relaxed) {
                return;
            }
            if round % 4 == 3 {
                relay.cut();
            } else {
                let doomed = round % workers.len();
                workers[doomed] = worker();
            }
        }
    };
    let looked = tokio::task::spawn_blocking({
        let over = Arc::clone(&over);
        move || {
            // Whatever this finds, the others end with it.
            let _over = Over(over);
            look(&site)
        }
    });
    let (seen, ()) = tokio::join!(looked, async {
        tokio::join!(load(&client, &over), harm);
    });
    let seen = seen.expect("the books balance");
    assert!(seen.views.len() > SAMPLES / 20, "{seen:?}");
    assert!(seen.pages >= SAMPLES / PAGE_EVERY / 2, "{seen:?}");
    assert!(seen.terms.len() > 1 && seen.under_way > 10 && seen.ended > 100, "{seen:?}");
}

/// Signals the end when it is dropped, also in a panic.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls of several kinds, a hundred at a time.
async fn load(client: &Client, over: &AtomicBool) {
    let (sleep, fib, fail) = (client.function(SLEEP), client.function(FIB), client.function(FAIL));
    let calls = (0_u64..).take_while(|_| !over.load(Ordering::Relaxed)).map(|n| {
        let (sleep, fib, fail) = (&sleep, &fib, &fail);
        async move {
            // A killed worker's call may fail; only the counts matter here.
            let _answer = match n % 7 {
                0 => fail.call("on purpose".to_owned()).fallback(Fallback::Never).await.is_ok(),
                1 | 2 => fib.call(15).fallback(Fallback::Never).await.is_ok(),
                _ => sleep.call(20 + n % 100).fallback(Fallback::Never).await.is_ok(),
            };
        }
    });
    futures_util::stream::iter(calls).buffer_unordered(100).for_each(|()| async {}).await;
}

fn look(site: &str) -> Seen {
    let agent: Agent = Agent::config_builder().timeout_global(Some(ANSWER)).build().into();
    let get = |path: &str| {
        let url = format!("http://{site}{path}");
        agent.get(&url).call().expect("it answers").body_mut().read_to_string().expect("all of it")
    };
    let status = || -> Value { serde_json::from_str(&get("/api/v1/status")).expect("it is JSON") };
    let mut seen = Seen::default();
    for sample in 0..SAMPLES {
        let told = status();
        let books = balanced(&told);
        seen.views.insert(number(&told["sequence"]));
        seen.under_way = seen.under_way.max(books[1] + books[2] + books[3]);
        seen.ended = seen.ended.max(books[4..].iter().sum());
        seen.terms.extend(told["distributor"]["phase"]["term"].as_str().map(str::to_owned));
        if sample % PAGE_EVERY == 0 && books[0] > 0 {
            seen.pages += usize::from((0..TRIES).any(|_| is_the_same(&get, &status)));
        }
        std::thread::sleep(PAUSE);
    }
    seen
}

/// Whether one view was seen before and after the page, which showed it too.
fn is_the_same(get: &impl Fn(&str) -> String, status: &impl Fn() -> Value) -> bool {
    let (told, page) = (status(), get("/"));
    let same = status()["sequence"] == told["sequence"];
    if same {
        assert_eq!(on_the_page(&page), balanced(&told), "{told}");
    }
    same
}

/// The accepted, unfinished and ended jobs of a status, after checking that they add up.
fn balanced(told: &Value) -> [u64; 8] {
    let books = &told["books"];
    let told_books = ENTRIES.map(|(entry, _)| number(&books[entry]));
    assert_eq!(told_books[0], told_books[1..].iter().sum::<u64>(), "{books}");
    let by_kind = books["failed_by"].as_object().expect("they are counted by kind");
    assert_eq!(told_books[5], by_kind.values().map(number).sum::<u64>(), "{books}");
    told_books
}

/// The same from the page's footer.
fn on_the_page(page: &str) -> [u64; 8] {
    let (_, line) = page.split_once("<p class=\"books\">").expect("the page has a foot");
    let (line, _) = line.split_once("</p>").expect("it ends");
    let parts: Vec<&str> = line.split(['=', '+']).map(str::trim).collect();
    ENTRIES.map(|(_, name)| {
        let figure = parts.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix(' '));
        // Zero entries may be left out.
        figure.map_or(0, |figure| figure.replace(',', "").parse().expect("it is a number"))
    })
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("it is a count")
}
