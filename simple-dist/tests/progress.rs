//! What functions say of their progress reaches whoever listens.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use simple_dist::client::Progress;
use simple_dist::testing::Cluster;
use simple_dist::{Client, Fallback, Function, PureFunction, job};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// As long as anything here may take before the test is red.
const LIMIT: Duration = Duration::from_secs(100);

const ROWS: Function<u32, u32> = Function::new("rows", 1);

/// Says how far it is, so often that only the newest can be told in time.
fn say(rows: u32) {
    let job = job::current().expect("it is called");
    for row in 1..=rows {
        job.progress(row as f32 / rows as f32, format_args!("row {row} of {rows}"));
    }
}

/// The end of a call that goes on when it was heard that it is so far.
async fn heard_until_the_last(client: &Client, goes_on: &Semaphore) {
    let mut call = client.function(ROWS).call(100_000).fallback(Fallback::Wait);
    let mut news = call.progress();
    let listens = async {
        let mut heard = 0;
        while let Some(Progress { fraction, text }) = news.next().await {
            heard += 1;
            if fraction == 1.0 {
                assert_eq!(text, "row 100000 of 100000");
                goes_on.add_permits(1);
            }
        }
        heard
    };
    let (end, heard) =
        timeout(LIMIT, async { tokio::join!(call, listens) }).await.expect("in time");
    assert_eq!(end.expect("a value"), 100_000);
    assert!((1..1000).contains(&heard), "{heard}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_hears_the_newest_of_a_thread() {
    let goes_on = Arc::new(Semaphore::new(0));
    let heard = Arc::clone(&goes_on);
    let body = move |rows| {
        say(rows);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(heard.acquire()).expect("it is open").forget();
        rows
    };
    let cluster = Cluster::start().serve(ROWS, body).await;
    heard_until_the_last(cluster.client(), &goes_on).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_hears_the_newest_of_a_task() {
    let goes_on = Arc::new(Semaphore::new(0));
    let heard = Arc::clone(&goes_on);
    let body = move |rows| {
        let heard = Arc::clone(&heard);
        async move {
            tokio::task::yield_now().await;
            say(rows);
            heard.acquire().await.unwrap().forget();
            rows
        }
    };
    let cluster = Cluster::start().serve_async(ROWS, body).await;
    heard_until_the_last(cluster.client(), &goes_on).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_local_run_is_heard_like_any_other() {
    const LOCAL: PureFunction<u32, u32> = Function::pure("local", 1, |rows| {
        say(rows);
        rows
    });
    let client = Client::local().unwrap();
    let mut call = client.function(LOCAL).call(3);
    let news = call.progress();
    let (end, heard) = tokio::join!(call, news.collect::<Vec<_>>());
    assert_eq!((end.unwrap(), heard.last()), (3, Some(&Progress::new(1.0, "row 3 of 3"))));
}
