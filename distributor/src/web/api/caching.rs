//! What caches may do with the value of a call. A call is a POST because it has a body; its function is
//! pure, so it is as safe as a GET, and so are its answers.

use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use simple_dist_core::scheduler::Purity;
use simple_dist_protocol::message::Answered;

use crate::handle::entity_tag;

/// Whether the caller wants no kept answer.
pub(super) fn is_fresh(headers: &HeaderMap) -> bool {
    let all = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|it| it.trim().eq_ignore_ascii_case("no-cache"))
}

/// The tags of the answers that the caller has. They are compared weakly.
pub(super) fn known(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let tags = all.flat_map(|value| value.split(',')).filter_map(|tag| {
        let tag = tag.trim();
        tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')
    });
    tags.map(str::to_owned).collect()
}

/// The caller has the value already.
pub(super) fn not_modified(purity: Option<&Purity>) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    tell(response.headers_mut(), purity, None);
    response
}

/// Says how the value may be kept: as long as it still is here; without a memo only so that it is
/// asked for again, which costs no run.
pub(super) fn tell(headers: &mut HeaderMap, purity: Option<&Purity>, answered: Option<&Answered>) {
    let Some(purity) = purity else { return };
    let age = answered.and_then(|answered| answered.memo_age_ms).map(Duration::from_millis);
    let keep = match purity.ttl {
        Some(ttl) => format!("max-age={}", ttl.saturating_sub(age.unwrap_or_default()).as_secs()),
        None => "no-cache".to_owned(),
    };
    // Weak: the next version may write the same value in other bytes of JSON.
    let tag = format!("W/\"{}\"", entity_tag(purity));
    for (name, value) in [(ETAG, tag), (CACHE_CONTROL, keep)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}
