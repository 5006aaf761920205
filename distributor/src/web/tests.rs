//! The whole router by `oneshot`, with the test in the scheduler's place.

mod access;
mod calls;
mod reads;
pub(super) mod sample;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::handle::Request;
use crate::view::View;

/// The served routes, and the scheduler's end of the handle.
struct Fixture {
    app: Router,
    requests: mpsc::Receiver<Request>,
    view: watch::Sender<Arc<View>>,
    shutdown: CancellationToken,
}

fn fixture() -> Fixture {
    on("127.0.0.1:8080", None)
}

fn on(listen: &str, token: Option<&str>) -> Fixture {
    within(memory::Limits::default(), listen, token)
}

fn within(limits: memory::Limits, listen: &str, token: Option<&str>) -> Fixture {
    let (view, views) = watch::channel(Arc::new(sample::view()));
    let (handle, requests) = Handle::open(views);
    let shutdown = CancellationToken::new();
    let settings = Settings {
        token: token.map(|token| Secret::new(token).unwrap()),
        ..Settings::new(listen.parse().unwrap())
    };
    Fixture { app: router(settings, handle, limits, shutdown.clone()), requests, view, shutdown }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }

    /// The kind of a problem, whose parts must fit.
    #[track_caller]
    fn problem(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        let kind = body["type"].as_str().expect("a type");
        kind.strip_prefix("urn:simple-dist:problem:").expect("ours").to_owned()
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Fixture {
    async fn send(&self, request: HttpRequest<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn ask(&self, request: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(head(request, headers).body(Body::empty()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[]).await
    }

    /// Sends a request, and lets `scheduler` see what comes of it to the handle.
    async fn with_scheduler(
        &mut self,
        request: HttpRequest<Body>,
        scheduler: impl FnOnce(Request),
    ) -> Answer {
        let app = self.app.clone();
        let at_scheduler = async { scheduler(self.requests.recv().await.expect("a request")) };
        let (response, ()) = tokio::join!(app.oneshot(request), at_scheduler);
        let (parts, body) = response.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

fn head(request: &str, headers: &[(&str, &str)]) -> axum::http::request::Builder {
    let (method, path) = request.split_once(' ').unwrap();
    let builder = HttpRequest::builder().method(method).uri(path).header("host", "localhost:8080");
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value))
}

fn call(path: &str, body: impl Into<Body>) -> HttpRequest<Body> {
    let json = [("content-type", "application/json")];
    head(&format!("POST /api/v1/functions/{path}"), &json).body(body.into()).unwrap()
}
