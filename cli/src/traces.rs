//! Spans to an OpenTelemetry collector, if the environment names one.

use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use opentelemetry::global;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::exit::Failure;

/// How long a collector may take to answer; the OTLP's own default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What records spans; dropped, it sends what it has.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to send, as the service of this name unless `OTEL_SERVICE_NAME` gives another; nothing
    /// without a collector.
    pub(crate) fn start(service: &'static str) -> Result<Option<Self>, Failure> {
        let variables = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        let mut set =
            variables.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
        let Some((name, url)) = set.find(|(_, url)| !url.is_empty()) else { return Ok(None) };
        if simple_dist_worker::is_child() {
            return Ok(None);
        }
        if !url.starts_with("http://") {
            return Err(Failure::configuration(format_args!(
                "{name}: expected a URL like http://collector:4318; there is no TLS to collectors"
            )));
        }
        let timeout = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT));
        let agent = timeout.http_status_as_error(false).build().new_agent();
        let exporter = SpanExporter::builder().with_http().with_http_client(Collector(agent));
        let exporter = exporter.build().map_err(Failure::configuration)?;
        let resource = Resource::builder();
        let is_named = std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty());
        let resource = if is_named { resource } else { resource.with_service_name(service) };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        global::set_tracer_provider(provider.clone());
        Ok(Some(Self(provider)))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans did not reach their collector");
        }
    }
}

/// The client that the other commands use; the exporter has a thread of its own to wait on.
#[derive(Debug)]
struct Collector(ureq::Agent);

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let sent = self.0.run(request.map(|body| body.to_vec())).and_then(|response| {
            let (head, mut body) = response.into_parts();
            Ok(Response::from_parts(head, body.read_to_vec()?.into()))
        });
        Box::pin(ready(sent.map_err(HttpError::from)))
    }
}
