//! What stands before every route: the guard, the limits, the headers that bind a browser.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;

use crate::page::{self, Visitor};

use super::guard::{self, Verdict, Wish};
use super::peers::Peer;
use super::problem::{Kind, Problem};
use super::room::{Bounds, Room, until_taken};
use super::settings::Settings;

/// The body of a request; calls have a limit of their own.
const BODY_BYTES: usize = 64 * 1024;
/// Any request but a call, which has its own time, and a stream of events.
const REQUEST: Duration = Duration::from_secs(30);
/// Pages and programs that follow the events at once.
const STREAMS: usize = 64;

/// Nothing from elsewhere, nothing inline, in nobody's frame. Not `no-referrer`: browsers would
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

/// Puts it before these routes.
pub(crate) fn close(routes: Router, settings: Settings, bounds: Bounds) -> Router {
    let (streams, settings) = (Arc::new(Semaphore::new(STREAMS)), Arc::new(settings));
    routes
        .route_layer(from_fn_with_state(streams, limit))
        .route_layer(from_fn_with_state(Arc::clone(&settings), let_in))
        // Only routes that there are, asked as they can be, are behind the two above.
        .fallback(nowhere)
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "see the header `allow`")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn_with_state(Room::new(bounds), make_room))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(settings, direct))
        .layer(from_fn(bind))
}

async fn nowhere(headers: HeaderMap) -> Response {
    if guard::wants_page(&headers) {
        return page::not_found();
    }
    Problem::new(Kind::NotFound, "no such page; see /openapi.json").into_response()
}

/// What was said is in the log, where only we read it.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request made the distributor panic");
    Problem::new(Kind::Internal, "this is a fault of ours; its log says more").into_response()
}

/// The handlers find the room among the request's extensions.
async fn make_room(State(room): State<Room>, mut request: Request, next: Next) -> Response {
    let share = request.extensions().get().map(|peer: &Peer| Arc::clone(&peer.share));
    let room = room.shared_by(share.unwrap_or_default());
    request.extensions_mut().insert(room.clone());
    room.hold(next.run(request).await)
}

async fn direct(State(settings): State<Arc<Settings>>, request: Request, next: Next) -> Response {
    let (method, uri, version) = (request.method(), request.uri(), request.version());
    match guard::misdirected(&settings, method, uri, version, request.headers()) {
        Some((kind, detail)) => Problem::new(kind, detail).into_response(),
        None => next.run(request).await,
    }
}

async fn let_in(
    State(settings): State<Arc<Settings>>,
    mut request: Request,
    next: Next,
) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let now = unix_time();
    let may_act = guard::is_known(&settings, headers, now);
    match guard::judge(&settings, method, uri, headers, now) {
        Verdict::Pass => {
            request.extensions_mut().insert(Visitor { may_act });
            next.run(request).await
        }
        Verdict::Login => Redirect::to("/login").into_response(),
        Verdict::Refuse(kind, detail) => Problem::new(kind, detail).into_response(),
    }
}

/// Now, as sessions count it.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

async fn limit(State(streams): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/api/v1/events" | "/page/events") {
        let Ok(permit) = streams.try_acquire_owned() else {
            let full = format!("{STREAMS} others follow the events; ask for the status instead");
            return Problem::new(Kind::Busy, full).into_response();
        };
        return until_taken(next.run(request).await, permit);
    }
    if Wish::of(request.method(), request.uri().path()) == Wish::Call {
        return next.run(request).await;
    }
    timeout(REQUEST, next.run(request))
        .await
        .unwrap_or_else(|_| Problem::new(Kind::Slow, "the request took too long").into_response())
}

async fn bind(request: Request, next: Next) -> Response {
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

/// How requests end, for the metrics.
pub(crate) const RESULTS: [&str; 3] = ["ok", "refused", "failed"];

fn count(status: StatusCode) {
    let [ok, refused, failed] = RESULTS;
    let class = match status.as_u16() {
        100..400 => ok,
        400..500 => refused,
        _ => failed,
    };
    ::metrics::counter!("simple_dist_http_responses_total", "result" => class).increment(1);
}
