//! Cancelled jobs are not started, and those still running are visible.

use std::time::Duration;

use serde_json::Value;
use simple_dist_client::Fallback;
use simple_dist_demo::functions::{FIB, SLEEP};

use crate::cluster::{Cluster, free_port, get, is_remote, json, now, served_by, timed};

/// How long each cancelled job would run.
const LONG: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_jobs_are_not_started_and_another_waits_only_for_running_ones() {
    let cluster = Cluster::new().await;
    let site = free_port();
    let _distributor = cluster.start(&["distributor", "--listen", &site]);
    let _worker = cluster.start(&["worker", "--slots", "2"]);
    let client = cluster.client();
    served_by(&client, 1).await;

    let sleep = client.function(SLEEP);
    let begun = now();
    for _ in 0..60 {
        let millis = u64::try_from(LONG.as_millis()).expect("a few seconds");
        let call = sleep.call(millis).fallback(Fallback::Never);
        // Long enough to be placed; then its caller is gone.
        let ended = tokio::time::timeout(Duration::from_millis(20), call).await;
        assert!(ended.is_err(), "nobody answers so soon: {ended:?}");
    }
    let runs_on = loop {
        let status = json(&site, "/api/v1/status");
        let counted = |name: &str| status["totals"][name].as_u64();
        if counted("abandoned").is_some_and(|abandoned| abandoned > 0) || begun.elapsed() > LONG * 2
        {
            break (counted("busy"), counted("abandoned"));
        }
    };
    assert!(runs_on.0 >= runs_on.1 && runs_on.1 > Some(0), "{runs_on:?}");
    assert!(get(&site, "/").contains("abandoned, still running"));
    let workers = json(&site, "/api/v1/workers");
    let held = workers.as_array().expect("a list").iter().flat_map(|it| it["held"].as_array());
    let held: Vec<&Value> = held.flatten().filter(|it| it["abandoned"] == true).collect();
    assert!(held.iter().any(|it| it["function"] == "sleep@1"), "{held:?}");

    let fib = client.function(FIB);
    let (answer, _) = timed(fib.call(20).fallback(Fallback::Never)).await;
    assert!(is_remote(&answer.expect("it is answered")));
    // Two of each may have started, one after another.
    assert!(
        begun.elapsed() < LONG * 3,
        "it waited for what nobody waits for: {:?}",
        begun.elapsed()
    );
}
