//! A call is one trace, whichever processes it passes through, at a collector of OpenTelemetry's.

use std::process::Command;
use std::time::Duration;

use simple_dist_e2e::{Collected, Collector};
use tokio::time::timeout;

use crate::cluster::{Cluster, Role, TIMEOUT, free_port, served_by};

const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_its_wait_and_its_run_are_one_trace() {
    let (cluster, mut collector) = (Cluster::new().await, Collector::start().await);
    let url = collector.url.clone();
    let traced = |mut command: Command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &url).env("OTEL_BSP_SCHEDULE_DELAY", "100");
        command
    };
    let site = free_port();
    let _distributor = Role::run(&mut traced(cluster.command(&["distributor", "--listen", &site])));
    let _worker = Role::run(&mut traced(cluster.command(&["worker", "--slots", "1"])));
    served_by(&cluster.client(), 1).await;

    let call = ["call", "fib", "20", "--remote"];
    let ended = traced(cluster.command(&call)).output().expect("the binary runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let spans = async {
        let call = collector.span("call fib@1", |_| true).await;
        let is_its = |it: &Collected| it.span.trace_id == call.span.trace_id;
        let queue = collector.span("queue fib@1", is_its).await;
        let run = collector.span("run fib@1", is_its).await;
        [call.clone(), queue, run]
    };
    let [call, queue, run] = timeout(TIMEOUT, spans).await.expect("they arrive");
    assert!(call.span.parent_span_id.is_empty(), "{call:?}");
    assert_eq!(queue.span.parent_span_id, call.span.span_id);
    assert_eq!(run.span.parent_span_id, call.span.span_id);
    let services = [&call, &queue, &run].map(|it| it.service.as_str());
    assert_eq!(services, ["simple-dist", "simple-dist-distributor", "simple-dist-worker"]);
    assert_eq!(run.attribute("simple_dist.attempt"), Some("1"));
    assert_eq!(run.attribute("simple_dist.job"), call.attribute("simple_dist.job"));
    let times = |it: &Collected| {
        [it.span.start_time_unix_nano, it.span.end_time_unix_nano].map(Duration::from_nanos)
    };
    assert!(times(&call)[0] <= times(&run)[0] && times(&run)[1] <= times(&call)[1]);
    assert!(times(&queue)[0] <= times(&queue)[1]);

    // What calls over HTTP has a trace already; that of the function failed.
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let parent = format!("00-{TRACE:032x}-b7ad6b7169203331-01");
    let url = format!("http://{site}/api/v1/functions/fail/call");
    let post = agent.post(url).header("traceparent", parent).content_type("application/json");
    post.send(r#"["on purpose"]"#).expect("it answers");
    let of_http = |it: &Collected| it.span.trace_id == TRACE.to_be_bytes();
    let spans = async {
        [collector.span("queue fail@1", of_http).await, collector.span("run fail@1", of_http).await]
    };
    let [queue, run] = timeout(TIMEOUT, spans).await.expect("they arrive");
    assert_eq!(queue.span.parent_span_id, run.span.parent_span_id);
    assert_eq!(run.attribute("error.type"), Some("panicked"));
    assert_eq!(queue.attribute("error.type"), None);
}
