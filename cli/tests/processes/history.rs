//! The hours before, over a restart of the distributor and on the one that stands by.

use std::path::PathBuf;

use serde_json::Value;
use simple_dist_client::Fallback;
use simple_dist_demo::functions::FIB;

use crate::cluster::{Cluster, Role, TIMEOUT, free_port, json, now, phase, served_by, until};

/// The steps of the last ten minutes of which something is known, and the jobs done in them.
fn known(site: &str) -> (usize, f64) {
    let history = json(site, "/api/v1/history?span=10m");
    let points: Vec<Value> = history["points"].as_array().expect("a list").clone();
    let known = || points.iter().filter(|point| !point.is_null());
    (known().count(), known().filter_map(|point| point["done"].as_f64()).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_it_over_a_restart_and_a_standby_hears_it() {
    let cluster = Cluster::new().await;
    let file = std::env::temp_dir().join(format!("history-{}", cluster.site.prefix));
    let start = |site: &str| {
        let mut distributor = cluster.command(&["distributor", "--listen", site]);
        Role::run(distributor.env("SIMPLE_DIST_HISTORY", &file))
    };
    let site = free_port();
    let distributor = start(&site);
    let _worker = cluster.start(&["worker", "--slots", "2"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    let other = free_port();
    let _standby = cluster.start(&["distributor", "--listen", &other]);
    until("the other stands by", || phase(&other).as_deref() == Some("standby")).await;
    // Also where a call's second is lost on the way to the standby, another's is not.
    let begun = now();
    while [&site, &other].iter().any(|site| known(site).1 == 0.0) {
        assert!(begun.elapsed() < TIMEOUT, "both know of the calls");
        let call = client.function(FIB).call(12).fresh().fallback(Fallback::Wait);
        assert_eq!(call.await.ok(), Some(144));
    }

    assert!(distributor.stop(), "it ends well");
    assert!(file.exists());
    let again = free_port();
    let distributor = start(&again);
    until("it has what was before", || known(&again).1 > 0.0).await;
    until("a new term is told", || {
        let history = json(&other, "/api/v1/history?span=10m");
        history["terms"].as_array().is_some_and(|terms| !terms.is_empty())
    })
    .await;
    drop(distributor);

    std::fs::write(&file, "not a history").expect("it can be written");
    let broken = free_port();
    let _distributor = start(&broken);
    until("it starts all the same", || phase(&broken).is_some()).await;
    let aside = PathBuf::from(format!("{}.broken", file.display()));
    assert_eq!(std::fs::read(&aside).expect("it is set aside"), b"not a history");
    for file in [file, aside] {
        let _gone = std::fs::remove_file(file);
    }
}
