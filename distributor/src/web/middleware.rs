//! The layers around every route: access checks, limits, security headers.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;

use crate::counters;
use crate::page::{self, Visitor};

use super::access::{self, Access, Decision};
use super::base::BasePath;
use super::host;
use super::memory::{Limits, MemoryBudget, hold_until_sent};
use super::peers::Peer;
use super::problem::{Kind, Problem};
use super::settings::Settings;

/// The most bytes in the body of a request; calls have their own limit.
const BODY_BYTES: usize = 64 * 1024;
/// How long any request may take, except a call or a retry, which has its own timeout, and an event stream.
const REQUEST: Duration = Duration::from_secs(30);
/// The most event streams open at once.
const STREAMS: usize = 64;

/// No resources from elsewhere, no inline scripts, no framing. Not `no-referrer`: browsers would
/// then send our own forms with `Origin: null`.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// Wraps these routes in all layers.
pub(crate) fn apply(routes: Router, settings: Settings, bounds: Limits) -> Router {
    let (streams, settings) = (Arc::new(Semaphore::new(STREAMS)), Arc::new(settings));
    let base = settings.base_path.clone();
    routes
        .route_layer(from_fn_with_state(streams, limit))
        .route_layer(from_fn_with_state(Arc::clone(&settings), require_access))
        // The two layers above run only for existing routes asked with the right method.
        .fallback(async move |headers: HeaderMap| not_found(&base, &headers))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "see the header `allow`")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn_with_state(MemoryBudget::new(bounds), limit_memory))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(settings, require_host))
        .layer(from_fn(add_headers))
}

fn not_found(base: &BasePath, headers: &HeaderMap) -> Response {
    if access::wants_page(headers) {
        return page::not_found(base);
    }
    Problem::new(Kind::NotFound, "no such page; see /openapi.json").into_response()
}

/// The panic message goes to the log only, never to the client.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request made the distributor panic");
    Problem::new(Kind::Internal, "this is a bug in the distributor; its log has the details")
        .into_response()
}

/// Handlers find the memory budget among the request's extensions.
async fn limit_memory(
    State(memory): State<MemoryBudget>,
    mut request: Request,
    next: Next,
) -> Response {
    let share = request.extensions().get().map(|peer: &Peer| Arc::clone(&peer.share));
    let memory = memory.shared_by(share.unwrap_or_default());
    request.extensions_mut().insert(memory.clone());
    memory.hold(next.run(request).await)
}

async fn require_host(
    State(settings): State<Arc<Settings>>,
    request: Request,
    next: Next,
) -> Response {
    let (method, uri, version) = (request.method(), request.uri(), request.version());
    match host::check(&settings, method, uri, version, request.headers()) {
        Some((kind, detail)) => Problem::new(kind, detail).into_response(),
        None => next.run(request).await,
    }
}

async fn require_access(
    State(settings): State<Arc<Settings>>,
    mut request: Request,
    next: Next,
) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let now = unix_time();
    let may_act = access::is_authenticated(&settings, headers, now);
    match access::authorize(&settings, method, uri, headers, now) {
        Decision::Pass => {
            request.extensions_mut().insert(Visitor { may_act });
            next.run(request).await
        }
        Decision::LoginPage => settings.base_path.to("/login").into_response(),
        Decision::Refuse(kind, detail) => Problem::new(kind, detail).into_response(),
    }
}

/// The time since 1970, as sessions count it.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

async fn limit(State(streams): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/api/v1/events" | "/page/events") {
        let Ok(permit) = streams.try_acquire_owned() else {
            let full = format!("{STREAMS} event streams are open already; poll the status instead");
            return Problem::new(Kind::Busy, full).into_response();
        };
        return hold_until_sent(next.run(request).await, permit);
    }
    let path = request.uri().path();
    if Access::of(request.method(), path) == Access::Call || path.ends_with("/retry") {
        return next.run(request).await;
    }
    timeout(REQUEST, next.run(request))
        .await
        .unwrap_or_else(|_| Problem::new(Kind::Slow, "the request took too long").into_response())
}

async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let headers: &mut HeaderMap = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    count(response.status());
    response
}

fn count(status: StatusCode) {
    let [ok, refused, failed] = &counters::RESPONSES;
    let class = match status.as_u16() {
        100..400 => ok,
        400..500 => refused,
        _ => failed,
    };
    class.add();
}
