//! A collector of traces, as OpenTelemetry's own: it takes what exporters post.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Router, extract::State};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Everything that a test sends fits in.
const SPANS: usize = 10_000;

/// A span with the name of the service that sent it.
#[derive(Debug, Clone)]
pub struct Collected {
    /// `service.name`.
    pub service: String,
    /// The span.
    pub span: Span,
}

impl Collected {
    /// An attribute of it, if that is text.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        text(&self.span.attributes, key)
    }
}

/// Serves until it is dropped.
#[derive(Debug)]
pub struct Collector {
    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    pub url: String,
    spans: mpsc::Receiver<Collected>,
    /// Whatever has arrived.
    seen: Vec<Collected>,
    _server: JoinSet<()>,
}

impl Collector {
    /// Starts it on a free port.
    ///
    /// # Panics
    /// Panics if there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (sender, spans) = mpsc::channel(SPANS);
        let router = Router::new().route("/v1/traces", post(take)).with_state(sender);
        let mut server = JoinSet::new();
        server.spawn(async { axum::serve(listener, router).await.expect("it serves") });
        Self { url, spans, seen: vec![], _server: server }
    }

    /// Waits for a span of this name that fits, as long as the caller does.
    ///
    /// # Panics
    /// Panics if the server has ended.
    pub async fn span(&mut self, name: &str, fits: impl Fn(&Collected) -> bool) -> Collected {
        let is_it = |it: &&Collected| it.span.name == name && fits(it);
        loop {
            if let Some(found) = self.seen.iter().find(is_it) {
                return found.clone();
            }
            self.seen.push(self.spans.recv().await.expect("the server lives"));
        }
    }
}

async fn take(State(sender): State<mpsc::Sender<Collected>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    for group in request.resource_spans {
        let resource = group.resource.unwrap_or_default();
        let service = text(&resource.attributes, "service.name").unwrap_or_default().to_owned();
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let collected = Collected { service: service.clone(), span };
            if sender.send(collected).await.is_err() {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
        }
    }
    StatusCode::OK
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match &found.value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => Some(text),
        _ => None,
    }
}
