//! `bench` measures what it says, and leaves nothing behind.

use std::process::Command;

use serde_json::Value;

use crate::cluster::Cluster;

fn bench(command: &mut Command) -> Vec<Value> {
    let workloads = ["echo-1", "open-1k", "10ms-2-slots"].map(|name| ["--workload", name]);
    let output = command.args(["--quick", "--json"]).args(workloads.concat()).output();
    let output = output.expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("it is text");
    lines.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
}

fn check(figures: &[Value]) {
    let [lone, open, jobs] = figures else { panic!("{figures:?}") };
    assert_eq!(lone["calls"]["n"], 500);
    assert_eq!(lone["raw"]["n"], 500);
    assert!(lone["ratio_to_raw"].as_f64() > Some(0.0), "{lone}");
    assert_eq!((&open["calls"]["n"], &open["raw"]), (&2_000.into(), &Value::Null));
    let efficiency = jobs["efficiency"].as_f64().expect("jobs have one");
    assert!((0.01..=1.0).contains(&efficiency), "{jobs}");
    for figure in figures {
        for role in ["client", "distributor", "worker"] {
            let used = &figure["costs"][role];
            assert!(used["peak_mib"].as_f64() > Some(1.0), "{role}: {figure}");
            assert!(used["switches"].as_f64() > Some(0.0), "{role}: {figure}");
        }
    }
}

#[tokio::test]
async fn figures_come_from_the_chosen_broker_and_from_an_embedded_one() {
    let cluster = Cluster::new().await;
    check(&bench(&mut cluster.command(&["bench"])));
    let mut embedded = Command::new(env!("CARGO_BIN_EXE_simple-dist"));
    let delayed = bench(embedded.args(["bench", "--embedded", "--delay", "1ms"]));
    check(&delayed);
    // There are eight ways between a call and its answer, and four of a raw round trip.
    assert!(delayed[0]["calls"]["p50_us"].as_u64() >= Some(8_000), "{delayed:?}");
    assert!(delayed[0]["raw"]["p50_us"].as_u64() >= Some(4_000), "{delayed:?}");
}
