//! What a call does, wherever that is, belongs to the span that its caller is in.

use std::time::Duration;

use opentelemetry::trace::{Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, global};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, SdkTracerProvider, SimpleSpanProcessor, SpanData,
};
use simple_dist_client::{Client, Fallback};
use simple_dist_e2e::Cluster;
use simple_dist_protocol::{Function, PureFunction, job};
use simple_dist_worker::{Builder, Worker};
use tokio::task::JoinSet;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

const THREAD: Function<u64, u64> = Function::new("thread", 1);
const TASK: Function<u64, u64> = Function::new("task", 1);
const OF_THREAD: Function<u64, u64> = Function::new("of_thread", 1);
const OF_TASK: Function<u64, u64> = Function::new("of_task", 1);
const DOUBLE: PureFunction<u64, u64> = Function::pure("double", 1, |n| {
    // What a function records itself.
    drop(global::tracer("test").start("inner"));
    n * 2
});

/// All ended spans, of whichever role: they are in one process.
struct Spans(InMemorySpanExporter);

impl Spans {
    async fn one(&self, name: &str, fits: impl Fn(&SpanData) -> bool) -> SpanData {
        let arrives = async {
            loop {
                let ended = self.0.get_finished_spans().expect("they are kept");
                if let Some(found) = ended.into_iter().find(|it| it.name == name && fits(it)) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, arrives).await.unwrap_or_else(|_| panic!("no {name}: {:?}", self.0))
    }

    async fn child(&self, name: &str, parent: &SpanData) -> SpanData {
        let parent = parent.span_context.span_id();
        self.one(name, |it| it.parent_span_id == parent).await
    }
}

/// Serves jobs that call another on a thread and in a task that they start.
fn elsewhere(worker: Builder, cluster: &Cluster) -> Builder {
    let (blocking, awaiting) = (cluster.client(), cluster.client());
    let worker = worker.serve(OF_THREAD, move |n| {
        let (job, double) = (job::current().expect("a worker runs it"), blocking.function(DOUBLE));
        let call = move || job.scope(|| double.call(n).fallback(Fallback::Wait).blocking());
        std::thread::spawn(call).join().expect("no panic").expect("a value")
    });
    worker.serve_async(OF_TASK, move |n| {
        let call = awaiting.function(DOUBLE).call(n).fallback(Fallback::Wait);
        let mut tasks = JoinSet::new();
        tasks.spawn(call);
        async move { tasks.join_next().await.expect("one").expect("no panic").expect("a value") }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn in_traces_every_span_has_the_parent_that_made_it() {
    let spans = Spans(InMemorySpanExporter::default());
    let processor = SimpleSpanProcessor::new(spans.0.clone());
    global::set_tracer_provider(
        SdkTracerProvider::builder().with_span_processor(processor).build(),
    );
    let cluster = Cluster::start().await;
    let (blocking, awaiting) = (cluster.client(), cluster.client());
    let worker = Worker::builder(&cluster.site.url).prefix(&cluster.site.prefix).slots(1);
    let worker = worker.serve_pure(DOUBLE).serve(THREAD, move |n| {
        blocking.function(DOUBLE).call(n).fallback(Fallback::Wait).blocking().expect("a value")
    });
    let worker = worker.serve_async(TASK, move |n| {
        let client = awaiting.clone();
        async move {
            let call = client.function(DOUBLE).call(n).fallback(Fallback::Wait);
            call.await.expect("a value")
        }
    });
    let worker = elsewhere(worker, &cluster);
    let mut roles = JoinSet::new();
    roles.spawn(worker.run(std::future::pending()));
    let client = cluster.client();

    // A job on a thread, and one in a task, that each call another, there or elsewhere.
    for function in [THREAD, TASK, OF_THREAD, OF_TASK] {
        let name = function.address().to_string();
        let tracer = global::tracer("test");
        let caller = Context::current().with_span(tracer.start(format!("caller of {name}")));
        let call = {
            let _attached = caller.clone().attach();
            let call = client.function(function).call(21).fallback(Fallback::Wait);
            opentelemetry::trace::FutureExt::with_current_context(call)
        };
        assert_eq!(timeout(LIMIT, call).await.expect("in time"), Ok(42));
        caller.span().end();
        let caller = spans.one(&format!("caller of {name}"), |_| true).await;
        let call = spans.child(&format!("call {name}"), &caller).await;
        spans.child(&format!("queue {name}"), &call).await;
        let run = spans.child(&format!("run {name}"), &call).await;
        let call = spans.child("call double@1", &run).await;
        let run = spans.child("run double@1", &call).await;
        let inner = spans.child("inner", &run).await;
        assert_eq!(inner.span_context.trace_id(), caller.span_context.trace_id());
    }

    // A run here, and a call that nobody waits for.
    let nobody = Client::builder("amqp://127.0.0.1:9").connect().expect("the URL is usable");
    assert_eq!(nobody.function(DOUBLE).call(4).await, Ok(8));
    let is_local =
        |it: &SpanData| it.attributes.iter().any(|it| it.key.as_str().ends_with("local"));
    let call = spans.one("call double@1", is_local).await;
    let run = spans.child("run double@1", &call).await;
    spans.child("inner", &run).await;
    let dropped = nobody.function(THREAD).call(1).fallback(Fallback::Wait);
    assert!(timeout(Duration::from_millis(10), dropped).await.is_err());
    let dropped = spans.one("call thread@1", |it| it.status == Status::error("dropped")).await;
    assert!(dropped.parent_span_id == opentelemetry::trace::SpanId::INVALID);

    roles.shutdown().await;
    cluster.stop().await;
}
